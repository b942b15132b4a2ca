// Methods held against each other: the plan, its runs, and what is said of them; finished runs as they lie; bad plans.

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { collapseOf, type RunFigures } from "../../cli/compare/figures.ts";
import { completePlan, experimentsOf, planOfFile } from "../../cli/compare/plan.ts";
import { pairedDifference, settingsOf, spreadOf } from "../../cli/compare/statistics.ts";
import { trained } from "../../cli/files/run-folder.ts";
import { main } from "../../cli/main.ts";
import { inFile, type Plain } from "../../cli/settings/settings.ts";
import { gpuSuite } from "../gpu.ts";
import { assert, suite } from "../harness.ts";
import { readConfig } from "./read-config.ts";
import { writeRun } from "./synthetic-run.ts";

const out = mkdtempSync(join(tmpdir(), "sortie-compare-"));

async function sortie(...args: string[]): Promise<{ code: number; text: string }> {
  const lines: string[] = [];
  const code = await main(args, (line) => lines.push(line));
  return { code, text: lines.join("\n") };
}

interface Written {
  readonly against: string;
  readonly runs: readonly RunFigures[];
  readonly failures: readonly unknown[];
}

const written = (dir: string): Written => JSON.parse(readFileSync(join(dir, "comparison.json"), "utf8")) as Written;

const gpu = gpuSuite("cli compare");
gpu.after(() => rmSync(out, { recursive: true }));

const SMALL = [
  ...["--data.train", "256", "--data.validation", "100", "--data.calibration", "200", "--data.test", "100"],
  ...["--model.widths", "4,4,8", "--batch", "64", "--train.warmup", "2", "--epochs", "1"],
];
const plan = join(out, "plan.json");

gpu("a plan is trained once, compared, and found finished when it is asked for again", async () => {
  const steep = { label: "steep", name: "soft-cgt", kappa: 10 };
  writeFileSync(plan, JSON.stringify({ methods: ["joint", steep], settings: { calibration: { alpha: 0.97 } } }));
  const args = ["compare", "--config", plan, "--out", join(out, "runs"), "--seeds", "3", ...SMALL];
  const listed = await sortie(...args, "--list");
  assert.match(listed.text, /^2 runs:\n {3}1 {2}glyphs-resnet-joint-seed3 {2}1 epochs {2}to do\n/);
  assert.not(existsSync(join(out, "runs")), "a list makes nothing");

  const one = await sortie(...args, "--index", "2");
  assert.is(one.code, 0, one.text);
  assert.equal(
    [1, 2].map((i) => existsSync(join(out, "runs", `glyphs-resnet-${["", "joint", "steep"][i]}-seed3`))),
    [false, true],
  );
  assert.not(existsSync(join(out, "runs", "comparison.json")));

  const { code, text } = await sortie(...args);
  assert.is(code, 0, text);
  assert.match(text, /about \d+ min/, "what is left is foretold by what has ended");
  const { runs, against, failures } = written(join(out, "runs"));
  assert.equal([runs.map(({ method }) => method), against, failures], [["joint", "steep"], "joint", []]);
  for (const run of runs) {
    assert.equal([run.exits.length, run.samples, run.classes, run.seed], [3, 100, 10, 3]);
    assert.ok(run.area > 0 && run.area < 1 && run.near.cost <= 1);
    assert.ok(run.timing!.whole > 0 && run.timing!.images === 100);
    assert.ok(run.certified, "alpha 0.97 certifies");
  }
  const page = readFileSync(join(out, "runs", "comparison.html"), "utf8");
  assert.ok(page.includes("<svg") && !page.includes("<script"));
  for (const title of ["Accuracy and cost", "Against joint", "Certified", "Measured time", "Every run"])
    assert.ok(page.includes(`<h2>${title}</h2>`), title);
  const kept = JSON.parse(readFileSync(join(out, "runs", "glyphs-resnet-steep-seed3", "config.json"), "utf8"));
  assert.is(kept.method.kappa, 10);

  const again = await sortie(...args);
  assert.match(again.text, /all are finished\n/);
  assert.not(/training: /.test(again.text));
  assert.equal(written(join(out, "runs")), { runs, against, failures } as Written);
});

gpu("a run that fails is told, and the others are compared", async () => {
  const args = ["compare", "--config", plan, "--out", join(out, "runs"), "--seeds", "3", "--no-timing", ...SMALL];
  writeFileSync(join(out, "runs", "glyphs-resnet-joint-seed3", "logits.validation.safetensors"), "no logits");
  const { code, text } = await sortie(...args);
  assert.is(code, 1, text);
  assert.match(text, /^glyphs-resnet-joint-seed3 FAILED: .*logits\.validation\.safetensors/m);
  const { runs, failures } = written(join(out, "runs"));
  assert.equal([runs.map(({ method }) => method), failures.length], [["steep"], 1]);
  assert.match(readFileSync(join(out, "runs", "comparison.md"), "utf8"), /\| glyphs-resnet-joint-seed3 \| failed \|/);
});

gpu(
  "runs of a seed that learn from the same larger network share it, and runs are listed in their own order",
  async () => {
    const shared = join(out, "shared");
    const larger = { name: "kd", wider: 1, deeper: 1 };
    const methods = ["joint", { label: "last", ...larger }, { label: "same", ...larger, teacherExit: "same" }];
    const runs = [
      { methods: ["last", "same"], seeds: [4] },
      { methods: "last", seeds: [4] },
    ];
    writeFileSync(plan, JSON.stringify({ methods, runs, settings: { calibration: { alpha: 0.97 } } }));
    const { code, text } = await sortie("compare", "--config", plan, "--out", shared, "--no-timing", ...SMALL);
    assert.is(code, 0, text);
    assert.match(text, /^2 runs:\n {3}1 {2}glyphs-resnet-last-seed4 .*\n {3}2 {2}glyphs-resnet-same-seed4 /);
    const teachers = readdirSync(join(shared, "teachers"));
    assert.is(teachers.length, 1, teachers.join(", "));
    const learned = ["last", "same"].map((label) => join(shared, `glyphs-resnet-${label}-seed4`));
    for (const dir of learned) assert.not(existsSync(join(dir, "teacher")));
    const [last, same] = learned.map((dir) => readFileSync(join(dir, "last.safetensors")));
    assert.not(last!.equals(same!), "each learns its own way");
  },
);

const test = suite("cli compare: figures");

test("the comparison of the papers has the recipe of the published one", () => {
  const path = join(import.meta.dirname, "../../bench/papers/fashion-mnist.json");
  const given = planOfFile(path, JSON.parse(readFileSync(path, "utf8")));
  const experiments = experimentsOf(inFile(path), completePlan(inFile(path), given, given.settings as Plain));
  const recipe = ["--data", "fashion-mnist", "--method", "joint", "--method.exitWeights", "0.5", "--epochs", "5"];
  const { config } = readConfig("test", [...recipe, "--seed", "0"]);
  assert.equal(trained(experiments[0]!.config), trained(config));
  const { train, model, data } = config;
  assert.equal(
    [train.optimizer, train["lr"], train["momentum"], train["nesterov"], train["weightDecay"], train["warmup"]],
    ["sgd", 0.1, 0.9, true, 0.0005, 200],
  );
  assert.equal([train.batch, train.flip, train.schedule, train["minLr"]], [128, 0.5, "cosine", 0]);
  assert.equal([model["widths"], model.depth, model.head, data.validation], [[16, 32, 64], 8, "gap-linear", 5000]);
  assert.equal([data.calibration, data["order"]], [5000, "file"]);
  for (const { name, config: each } of experiments.filter(({ backbone }) => backbone === "resnet"))
    assert.equal([each.train, each.data, each.model], [train, data, model] as unknown[], name);
});

test("finished runs are compared as they lie", async () => {
  const dir = mkdtempSync(join(tmpdir(), "sortie-compared-"));
  try {
    const [a, b] = ["a", "b"].map((name) => writeRun(join(dir, name))) as [string, string];
    const { code, text } = await sortie("compare", a, b, "--out", dir);
    assert.is(code, 0, text);
    assert.match(text, /not timed; .*last\.safetensors is not there/);
    const { runs } = written(dir);
    assert.equal(
      runs.map(({ dir }) => dir),
      [a, b],
    );
    assert.ok(runs[1]!.method.includes(b), "two runs of one name are told apart by their folders");
    // Deeper exits know the label better, and the logits of both are the same.
    assert.ok(runs[0]!.exits[2]!.accuracy > runs[0]!.exits[0]!.accuracy);
    assert.is(runs[0]!.area, runs[1]!.area);
    assert.ok(runs[0]!.atCost[3]!.cost < 0.8, "thresholds meet the cost, about");
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test("an exit by chance, or behind one before it, is collapsed", () => {
  assert.equal(collapseOf([0.8, 0.85, 0.9], 10), []);
  assert.equal(collapseOf([0.8, 0.76, 0.9], 10), []);
  assert.equal(collapseOf([0.81, 0.66, 0.78], 10), ["exit 2 at 66.0 %, below an earlier exit"]);
  assert.equal(collapseOf([0.1, 0.9], 10), ["exit 1 at 10.0 %, by chance"]);
});

test("spreads are of single runs, differences are seed by seed", () => {
  assert.equal(spreadOf([1, 3, Number.NaN]), { mean: 2, deviation: Math.SQRT2, n: 2 });
  assert.ok(Number.isNaN(spreadOf([1]).deviation));
  const run = (method: string, seed: number, area: number) =>
    ({ data: "d", backbone: "b", method, seed, area }) as RunFigures;
  const settings = settingsOf([run("x", 0, 1), run("y", 0, 3), run("x", 1, 2), run("y", 1, 6), run("y", 2, 100)]);
  assert.equal(
    settings.map(({ method, runs }) => [method, runs.length]),
    [
      ["x", 2],
      ["y", 3],
    ],
  );
  assert.equal(
    pairedDifference(settings[1]!, settings[0]!, ({ area }) => area),
    { mean: 3, deviation: Math.SQRT2, n: 2 },
  );
});

test("a plan that cannot be is refused by name, before anything is made", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sortie-plan-"));
  const badPlan = join(folder, "bad.json");
  writeFileSync(badPlan, JSON.stringify({ methods: ["joint"], settings: { train: { epocs: 3 } } }));
  let count = 0;
  const listed = (runs: unknown) => {
    const path = join(folder, `listed-${count++}.json`);
    writeFileSync(path, JSON.stringify({ methods: ["joint"], runs }));
    return path;
  };
  for (const [args, message] of [
    [[], /methods must be given, such as --methods joint,soft-cgt/],
    [["--methods", "joint,joint"], /methods must have labels of their own; got joint twice/],
    [["--methods", "jiont"], /jiont/],
    [["--methods", "joint", "--against", "soft-cgt"], /against must be one of joint; got "soft-cgt"/],
    [["--methods", "joint", "--seeds", "1,1"], /seeds must be different whole numbers/],
    [["--methods", "joint", "--seeds", "x"], /--seeds must be a number/],
    [["--methods", "joint", "--index", "9"], /--index must be one of 1\.\.1; got 9/],
    [["--methods", "joint", "--name", "mine"], /--name is the plan's to set/],
    [["--method.kappa", "3", "--methods", "joint"], /kappa/],
    [["no-such-folder"], /no-such-folder must be the folder of a run/],
    [["--methods", "joint", "."], /cannot both be given/],
    [["--metods", "joint"], /Did you mean --methods\?/],
    [["--config", listed({})], /runs must be a list of objects; got an object/],
    [["--config", listed([{ methods: ["jiont"] }])], /runs\[0\]\.methods must be among joint; got "jiont".*joint\?/],
    [["--config", listed([{ seed: 1 }])], /unknown key runs\[0\]\.seed\. It may have data, backbones, methods, seeds/],
    [["--config", listed([{ seeds: [1.5] }])], /runs\[0\]\.seeds must be different whole numbers/],
    [["--config", listed([{}]), "--seeds", "1"], /seeds must stand in runs/],
    [["--config", badPlan], /bad\.json: settings.*train\.epocs|bad\.json.*epocs/],
  ] as const) {
    const { code, text } = await sortie("compare", ...args, "--out", join(out, "never"));
    assert.is(code, 1, text);
    assert.match(text, message);
  }
  assert.not(existsSync(join(out, "never")));
  rmSync(folder, { recursive: true });
});
