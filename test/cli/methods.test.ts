// What `sortie methods` says, and that every method in the list can be made by its defaults and by each of its options.

import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Option } from "../../base/index.ts";
import { runMethods } from "../../cli/commands/methods.ts";
import { makePlan, teacherConfig } from "../../cli/settings/model.ts";
import { METHODS, type Teacher } from "../../exits/index.ts";
import { assert, errorOf, suite } from "../harness.ts";
import { run } from "./command-line.ts";
import { readConfig } from "./read-config.ts";

const test = suite("cli methods");

function said(...args: string[]): readonly string[] {
  const lines: string[] = [];
  assert.is(
    runMethods(args, (line) => void lines.push(line)),
    0,
  );
  return lines;
}

test("lists every method, and explains one with its paper, options, defaults and their basis", () => {
  assert.equal(
    said().map((line) => line.trim().split(" ", 1)[0]),
    [...Object.keys(METHODS), "racs"],
  );
  const text = said("safe-kd").join("\n");
  for (const part of [
    "arXiv 2602.03043",
    "--method.temperature",
    "[4, by the public code's configuration]",
    "[0.3,0.3,0.4, by the public code",
  ])
    assert.ok(text.includes(part), part);
  assert.match(said("--help").join(), /sortie methods \[NAME\]/);
});

test("an unknown method is refused with the nearest name", async () => {
  const { message } = await errorOf(() => said("soft-gct"));
  assert.is(
    message,
    `methods: the name must be one of ${Object.keys(METHODS).join(", ")}; got "soft-gct". Did you mean soft-cgt?`,
  );
  assert.is(
    (await errorOf(() => said("racs"))).message,
    "methods: the name must be of a method that is here; got racs: no text, formula or code of it could be had, so nothing is trained by that name.",
  );
  assert.match(
    (await errorOf(() => readConfig("train", ["--method", "racs"]))).message,
    /^train: --method must be of a method that is here; got racs: no text/,
  );
  assert.match((await errorOf(() => said("joint", "safe-kd"))).message, /one name at most/);
});

test("a default says where it comes from, or that it is the paper's, and what has none shows none", () => {
  const soft = said("soft-cgt").join("\n");
  for (const key of ["tau", "kappa", "leak", "normalise", "anneal", "labelSmoothing"])
    assert.match(soft, new RegExp(`--method\\.${key} .*, by the public code\\]$`, "m"));
  assert.match(soft, /without a source they are the paper's\.$/);
  assert.match(said("joint").join("\n"), /without a source they are the usual\.$/);
  for (const name of Object.keys(METHODS)) assert.not.match(said(name).join("\n"), "[undefined");
  assert.match(said("eenet").join("\n"), "sortie calibrate RUN --as-published --cost N (or another goal)");
});

test("what a paper decides by is told, where it is another rule than the command's own", () => {
  const rules = (name: string) => said(name).filter((line) => line.startsWith("  published rule"));
  assert.equal(rules("joint"), []);
  assert.equal(rules("calexnet"), [
    "  published rule: leave by classPrecisionMargin, score maxProb: sortie calibrate RUN --as-published",
  ]);
  assert.equal(rules("ptee"), [
    "  published rule: leave from 0.5 on, score confidence: sortie calibrate RUN --as-published; certified thresholds on it: sortie calibrate RUN --score confidence",
  ]);
});

test("every method is named with all its options, told by flags or not", () => {
  for (const { name, options } of Object.values(METHODS)) {
    const { config } = readConfig("train", ["--data", "mnist", "--method", name]);
    const made = makePlan(config).options;
    for (const [key, { default: value }] of Object.entries(options)) assert.equal(made[key], value, `${name}.${key}`);
    for (const [key, option] of Object.entries(options)) {
      const values = [option.default, ...someOf(option)].filter((value) => value !== undefined && option.fits(value));
      for (const value of values) {
        const { config } = readConfig("train", ["--method", name, `--method.${key}`, String(value)]);
        assert.equal(config.method[key], value, `--method ${name} --method.${key} ${value}`);
      }
    }
  }
});

/** Values besides its default that an option may have. */
function someOf({ kind, must, default: value }: Option): readonly unknown[] {
  if (kind === "number") return value === undefined ? [1] : [];
  return kind === "text" && must.startsWith("one of ") ? must.slice("one of ".length).split(", ") : [];
}

test("the method may stand in a file, and its flags are read as its own options", () => {
  const dir = mkdtempSync(join(tmpdir(), "sortie-methods-"));
  const path = join(dir, "my.json");
  for (const [name, target] of [
    ["eefp", "correct"],
    ["l2w-den", 0.5],
  ] as const) {
    writeFileSync(path, JSON.stringify({ method: { name } }));
    assert.is(
      readConfig("train", ["--config", path, "--method.target", String(target)]).config.method["target"],
      target,
    );
  }
  rmSync(dir, { recursive: true });
});

test("help of a chosen method tells its own options alone, and that of all tells whose must be what", async () => {
  const helpOf = async (...flags: string[]) => (await run("train", ...flags, "--help")).text.replace(/\n {4,}/g, " ");
  const own = await helpOf("--method", "calexnet", "--model.backbone", "vit");
  const flags = [...own.matchAll(/^ {2}--(method|model)\.(\w+) /gm)].map(([, group, key]) => `${group}.${key}`);
  assert.equal(
    flags.filter((flag) => flag.startsWith("method.")).sort(),
    Object.keys(METHODS["calexnet"]!.options)
      .map((key) => `method.${key}`)
      .sort(),
  );
  assert.not.ok(flags.includes("model.widths"));
  assert.match(own, /--method\.kappa +width of the soft thresholds, in units of confidence: a number above 0$/m);
  assert.not.match(own, /^ {2}joint: /m);

  const all = await helpOf();
  assert.match(
    all,
    /--method\.target .*a number above 0 \(l2w-den\); .* one of backbone, labels \(ptee\); .*\(eefp\)$/m,
  );
  assert.match(all, /--method\.alpha .*between 0 and 1 \(certified-cgt\); .*a number of at least 0 \([^)]*safe-kd/);
  assert.not.equal(all, own);
  // A name that is none chooses nothing.
  assert.is(await helpOf("--method", "calexnot"), all);
});

test("an option that is not read is refused, and one at its default, or that is read, is not", async () => {
  for (const [name, given, message] of [
    ["safe-kd", { wider: 3 }, "wider goes with teacher network; got teacher average"],
    ["safe-kd", { consistency: false, beta: 7 }, "beta goes with consistency true; got consistency false"],
    ["safe-kd", { teacher: "self", emaDecay: 0.5 }, "emaDecay goes with teacher average; got teacher self"],
    ["plain-cgt", { gate: "confidence", tau: 0.2 }, "tau goes with gate soft or hard; got gate confidence"],
    ["shuffled-cgt", { gate: "hard", kappa: 9 }, "kappa goes with gate soft; got gate hard"],
    ["calexnet", { kl: false, temperature: 9 }, "temperature goes with kl true; got kl false"],
    [
      "calexnet",
      { survivorWeights: false, kappa: 9 },
      "kappa goes with survivorWeights true; got survivorWeights false",
    ],
    ["calexnet-reference", { floor: 0.1 }, "floor goes with survivorWeights true; got survivorWeights false"],
    [
      "eefp",
      { correction: "vector", lr: 3 },
      "lr goes with correction trained-gate or classifier; got correction vector",
    ],
    ["eefp", { weight: 3 }, "weight goes with correction vector or classifier; got correction gate"],
    ["imta", { oneForAll: false, gamma: 0.5 }, "gamma goes with oneForAll true; got oneForAll false"],
    [
      "imta",
      { oneForAll: false, collaboration: false, equalTotal: true },
      "newClassifiers and equalTotal are of the second stage, which collaboration or oneForAll make; got neither",
    ],
    ["eenet", { scheduler: 0, schedulerLr: 1 }, "schedulerLr goes with a scheduler above 0; got scheduler 0"],
    ["ptee", { headsFirst: false, headsLr: 0.5 }, "headsLr goes with headsFirst true; got headsFirst false"],
  ] as const) {
    const { with: plan, options } = METHODS[name]!;
    assert.is((await errorOf(() => plan(given))).message, `${name}: options must make sense together; ${message}.`);
    const key = Object.keys(given).at(-1)!;
    plan({ ...given, [key]: options[key]!.default });
  }
  assert.is(METHODS["safe-kd"]!.with({ teacher: "network", wider: 3 }).options["wider"], 3);
});

/** The settings of the teacher of a run with these flags. */
function taughtBy(...flags: string[]) {
  const { config } = readConfig("train", flags);
  return teacherConfig(config, makePlan(config).teacher as Extract<Teacher, { kind: "network" }>, "runs/a");
}

test("a larger teacher is trained as its options say, and refused before anything is written", async () => {
  const { model, method, out, name } = taughtBy(
    "--method",
    "kd",
    "--method.wider",
    "3",
    "--method.teacherMethod",
    "safe-kd",
  );
  const plain = readConfig("train", []).config.model as {
    readonly widths?: readonly number[];
    readonly depth?: number;
  };
  assert.equal([method.name, out, name], ["safe-kd", "runs/a", "teacher"]);
  assert.equal(
    (model as typeof plain).widths,
    plain.widths?.map((width) => 3 * width),
  );
  const refuses = async (message: RegExp, ...flags: string[]) =>
    assert.match((await errorOf(() => taughtBy("--method", "kd", ...flags))).message, message);
  await refuses(/^teacher: method.name must be one of joint, .*; got "jiont"/, "--method.teacherMethod", "jiont");
  await refuses(
    /^train: the teacher's method must learn from no larger network itself; got dkd. Choose another teacherMethod, such as joint.$/,
    "--method.teacherMethod",
    "dkd",
  );
});

test("what makes no sense is refused through the command, with the nearest name, before anything is written", async () => {
  const out = join(tmpdir(), `sortie-refused-${process.pid}`);
  const refuses = async (message: RegExp, ...flags: string[]) => {
    const { code, text } = await run("train", "--out", out, ...flags);
    assert.equal([code, existsSync(out)], [1, false]);
    assert.match(text, message);
  };
  await refuses(/--method must be one of .*; got "neo-dk"\. Did you mean neo-kd\?$/, "--method", "neo-dk");
  await refuses(
    /unknown flag --method\.sums\. Did you mean --method\.sum\?/,
    "--method",
    "joint",
    "--method.sums",
    "3",
  );
  await refuses(/--method\.gamma is no setting of joint, which takes/, "--method", "joint", "--method.gamma", "3");
  await refuses(
    /joint: options must make sense together; normalise makes the sum 1; got sum 3 too\./,
    ...["--method", "joint", "--method.sum", "3", "--method.normalise", "true"],
  );
  await refuses(
    /--method\.gateOn must be one of exit, final; got "last"/,
    "--method",
    "erde",
    "--method.gateOn",
    "last",
  );
  await refuses(/learn from no larger network itself; got dkd/, "--method", "kd", "--method.teacherMethod", "dkd");
});
