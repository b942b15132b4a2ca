// Flags of commands as options: help, reading and checks come from one record.

import { option } from "../../base/index.ts";
import { COMMANDS } from "../../cli/main.ts";
import { type CommandSpec, flagOf, helpOf, path, readCommand } from "../../cli/settings/command.ts";
import { leavesOf } from "../../cli/settings/settings.ts";
import { assert, failsWith, suite } from "../harness.ts";
import { run } from "./command-line.ts";

const test = suite("flags of commands");

const TOY = {
  name: "toy",
  usage: "FILE [flags]",
  paths: { least: 1, most: 1, must: "one file" },
  about: "Plays.",
  flags: {
    alpha: option.number(0.5, "level", { above: 0, below: 1 }),
    anyValues: option.toggle(false, "whatever they are"),
    parts: option.list(undefined, "sizes", { must: "two numbers", length: 2 }),
    kind: option.choice(["one", "two"], "which"),
    names: option.words(
      undefined,
      "who plays, of whom there may be so many that the line of help about them is longer than a page is wide",
      "a list of names",
    ),
    out: path("where to"),
  },
  more: "  sortie toy a\n",
} satisfies CommandSpec;

const never = (line: string): void => {
  throw new Error(`printed: ${line}`);
};
const read = (...args: string[]) => readCommand<typeof TOY.flags>(TOY, args, never);

test("values are of their kinds, defaults fill the gaps, and what was given is told apart", () => {
  assert.equal(read("a", "--parts", "1,2.5", "--any-values", "--names", "7,b", "--alpha=0.25"), {
    values: { alpha: 0.25, anyValues: true, parts: [1, 2.5], kind: "one", names: ["7", "b"], out: undefined },
    given: { alpha: 0.25, anyValues: true, parts: [1, 2.5], names: ["7", "b"] },
    settings: {},
    positionals: ["a"],
  });
});

test("what does not fit is refused by its flag, and an unknown flag by the nearest", async () => {
  const fails = (args: readonly string[], message: string) => failsWith(() => read(...args), "SortieError", message);
  await fails([], "toy: one file must be given; got 0.");
  await fails(["a", "b"], "toy: one file must be given; got 2.");
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
    "  --names A,B,...  who plays, of whom there may be so many that the line of help about them is longer than a page is",
    "                   wide",
    "  --out FILE       where to",
    ...["", "  sortie toy a", ""],
  ]);
});

test("the help of every command has a line for each flag, and none too wide; paths are counted", async () => {
  for (const [name, [spec]] of Object.entries(COMMANDS)) {
    const page = helpOf(spec).split("\n");
    assert.equal(
      page.filter(({ length }) => length > 120),
      [],
    );
    for (const key of Object.keys(spec.flags))
      assert.is(page.filter((line) => line.startsWith(`  --${flagOf(key)} `)).length, 1, `${name} --${flagOf(key)}`);
    const { least = 0, most, must } = spec.paths;
    for (const count of [least - 1, Math.min(most, 100) + 1].filter((n) => n >= 0 && n <= most + 1 && n < 100))
      assert.is(
        (await run(name, ...new Array<string>(count).fill("x"))).text,
        `${name}: ${must} must be given; got ${count}.`,
      );
  }
});

test("flags of settings stand beside a command's own, which come first", () => {
  const settings = {
    leaves: leavesOf({ "": { options: { out: path("other") } }, train: { options: TOY.flags } }),
    aliases: {},
  };
  const asked = readCommand({ ...TOY, settings }, ["a", "--out", "b", "--train.alpha", "0.75"], never);
  assert.equal([asked?.given, asked?.settings], [{ out: "b" }, { train: { alpha: 0.75 } }]);
});
