// Flags of commands as options: help, reading and checks come from one record.

import { option } from "../../base/index.ts";
import { calibrateSpec } from "../../cli/commands/calibrate.ts";
import { doctor } from "../../cli/commands/doctor.ts";
import { evaluateSpec } from "../../cli/commands/evaluate.ts";
import { report } from "../../cli/commands/report.ts";
import { type CommandSpec, flagOf, helpOf, path, readCommand } from "../../cli/settings/command.ts";
import { assert, failsWith, suite } from "../harness.ts";

const test = suite("flags of commands");

const TOY = {
  name: "toy",
  usage: "FILE [flags]",
  about: "Plays.",
  flags: {
    alpha: option.number(0.5, "level", { above: 0, below: 1 }),
    anyValues: option.toggle(false, "whatever they are"),
    parts: option.list(undefined, "sizes", { must: "two numbers", length: 2 }),
    kind: option.choice(["one", "two"], "which"),
    out: path("where to"),
  },
  more: "  sortie toy a\n",
} satisfies CommandSpec;

const never = (line: string): void => {
  throw new Error(`printed: ${line}`);
};
const read = (...args: string[]) => readCommand<typeof TOY.flags>(TOY, args, never);

test("values are of their kinds, defaults fill the gaps, and what was given is told apart", () => {
  assert.equal(read("a", "--parts", "1,2.5", "--any-values", "--alpha=0.25"), {
    values: { alpha: 0.25, anyValues: true, parts: [1, 2.5], kind: "one", out: undefined },
    given: { alpha: 0.25, anyValues: true, parts: [1, 2.5] },
    positionals: ["a"],
  });
});

test("what does not fit is refused by its flag, and an unknown flag by the nearest", async () => {
  const fails = (args: readonly string[], message: string) => failsWith(() => read(...args), "SortieError", message);
  await fails(["--alpha", "2"], "toy: --alpha must be between 0 and 1; got 2.");
  await fails(["--alpha", "much"], 'toy: --alpha must be a number; got "much".');
  await fails(["--parts", "1"], "toy: --parts must be two numbers; got [1].");
  await fails(["--kind", "three"], 'toy: --kind must be one of one, two; got "three".');
  await fails(["--out", ""], 'toy: --out must be a path; got "".');
  await fails(["--anyvalues"], "toy: unknown flag --anyvalues. Did you mean --any-values?");
});

test("help is a line for each flag, what it must be and what is preset, no line too wide", () => {
  const lines: string[] = [];
  assert.is(
    readCommand(TOY, ["--help", "a"], (line) => lines.push(line)),
    undefined,
  );
  assert.equal(lines[0]?.split("\n"), [
    ...["sortie toy FILE [flags]", "", "Plays.", ""],
    "  --alpha N        level: between 0 and 1 [0.5]",
    "  --any-values     whatever they are",
    "  --parts N,N,...  sizes: two numbers",
    "  --kind NAME      which: one of one, two [one]",
    "  --out FILE       where to",
    ...["", "  sortie toy a", ""],
  ]);
  for (const spec of [calibrateSpec, evaluateSpec, report, doctor] as readonly CommandSpec[]) {
    const page = helpOf(spec).split("\n");
    assert.ok(
      page.every(({ length }) => length <= 120),
      spec.name,
    );
    for (const key of Object.keys(spec.flags))
      assert.is(
        page.filter((line) => line.startsWith(`  --${flagOf(key)} `)).length,
        1,
        `${spec.name} --${flagOf(key)}`,
      );
  }
});
