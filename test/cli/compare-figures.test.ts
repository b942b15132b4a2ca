// What a comparison says of finished runs as they lie: figures, rules of the papers, collapses, plans, bad plans.

import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { collapseOf, costToReach, type RunFigures } from "../../cli/compare/figures.ts";
import { readKnown } from "../../cli/compare/known.ts";
import { lossSize } from "../../cli/compare/loss-size.ts";
import { experimentsOfFile } from "../../cli/compare/plan.ts";
import { confidenceSheet } from "../../cli/compare/sheets.ts";
import { distinctNetworks, pairedDifference, settingsOf, spreadOf } from "../../cli/compare/statistics.ts";
import { summaryOf } from "../../cli/compare/summary.ts";
import { LOGIT_SPLITS, trained } from "../../cli/files/run-folder.ts";
import { readSafetensors, writeSafetensors } from "../../engine/index.ts";
import { assert, suite } from "../harness.ts";
import { run as sortie } from "./command-line.ts";
import { readConfig } from "./read-config.ts";
import { writeRun } from "./synthetic-run.ts";
import { written } from "./written.ts";

const test = suite("cli compare: figures");
const out = mkdtempSync(join(tmpdir(), "sortie-figures-"));
test.after(() => rmSync(out, { recursive: true }));

test("the comparison of the papers has the recipe of the published one", () => {
  const path = join(import.meta.dirname, "../../bench/papers/fashion-mnist.json");
  const experiments = experimentsOfFile(path);
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
      ["a", "b"],
    );
    assert.ok(runs[1]!.method.includes(b), "two runs of one name are told apart by their folders");
    assert.equal(
      runs.map(({ certified, uncertified }) => [certified, uncertified]),
      [a, b].map(() => [undefined, "not calibrated"]),
    );
    // Deeper exits know the label better, and the logits of both are the same.
    assert.ok(runs[0]!.exits[2]!.accuracy > runs[0]!.exits[0]!.accuracy);
    assert.is(runs[0]!.area, runs[1]!.area);
    assert.ok(runs[0]!.atCost[3]!.cost < 0.8, "thresholds meet the cost, about");
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test("only what a run's settings ask for counts as certified", async () => {
  const dir = mkdtempSync(join(tmpdir(), "sortie-promised-"));
  try {
    const folders = ["asked", "budget", "looser", "mean", "never"].map((name) => writeRun(join(dir, name)));
    for (const [i, flags] of [
      [],
      ["--method", "budget", "--cost", "0.5"],
      ["--alpha", "0.6"],
      ["--method", "crc"],
    ].entries())
      assert.is((await sortie("calibrate", folders[i]!, ...flags)).code, 0);
    const { code, text } = await sortie("compare", ...folders, "--no-timing", "--out", dir);
    assert.is(code, 0, text);
    const { runs, settings } = written(dir);
    const other = "calibrated in another way";
    assert.equal(
      runs.map(({ uncertified }) => uncertified),
      [undefined, other, other, other, "not calibrated"],
    );
    assert.ok(runs[0]!.certified && runs[0]!.certified.earlyRisk < 0.2);
    assert.ok(runs.slice(1).every(({ certified }) => certified === undefined));
    assert.ok(Number.isNaN(Number(settings[1]!.measures["certifiedCost"]!.mean)), "no full cost is counted for it");
    const told = readFileSync(join(dir, "comparison.md"), "utf8");
    assert.match(told, "At most 20 % wrong of those that leave early, at each exit, with probability 90 %.");
    assert.match(told, `0 of 0; 1 ${other}`);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test("confidences are not told under the scaling of other weights", async () => {
  const dir = mkdtempSync(join(tmpdir(), "sortie-scaled-"));
  try {
    const [own, other] = (await Promise.all(
      ["own", "other"].map(async (name) => {
        const folder = writeRun(join(dir, name));
        for (const split of LOGIT_SPLITS) {
          const path = join(folder, `logits.${split}.safetensors`);
          const { tensors } = await readSafetensors(path);
          await writeSafetensors(path, tensors, { weights: name });
        }
        assert.is((await sortie("calibrate", folder)).code, 0);
        return folder;
      }),
    )) as [string, string];
    copyFileSync(join(own, "policy.json"), join(other, "policy.json"));
    const { code, text } = await sortie("compare", own, other, "--no-timing", "--out", dir);
    assert.is(code, 0, text);
    const [scaled, foreign] = written(dir).runs;
    assert.is(foreign!.uncertified, "calibrated with other weights");
    for (const { ece, trainedEce } of scaled!.exits) assert.not.equal(ece, trainedEce);
    for (const { ece, auroc, aurc, ...before } of foreign!.exits)
      assert.equal([ece, auroc, aurc], [before.trainedEce, before.trainedAuroc, before.trainedAurc]);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test("runs of other settings are no seeds of one another; folders go with few flags", async () => {
  const dir = mkdtempSync(join(tmpdir(), "sortie-alike-"));
  try {
    const made = (name: string, seed: number, method: object) => {
      const folder = writeRun(join(dir, name));
      const path = join(folder, "config.json");
      const config = JSON.parse(readFileSync(path, "utf8"));
      writeFileSync(path, JSON.stringify({ ...config, seed, method }));
      return folder;
    };
    const soft = { name: "soft-cgt" };
    const folders = [
      made("a", 1, soft),
      made("b", 2, { ...soft, kappa: 3 }),
      made("c", 3, soft),
      made("d", 3, { ...soft, kappa: 3 }),
      made("e", 3, { ...soft, kappa: 3 }),
    ];
    const args = [...folders, "--no-timing", "--out", dir];
    const { code, text } = await sortie("compare", ...args, "--against", "soft-cgt (method.kappa 3)");
    assert.is(code, 0, text);
    const { settings, against } = written(dir);
    assert.equal(
      settings.map(({ method, seeds }) => [method, seeds]),
      [
        ["soft-cgt", [1, 3]],
        ["soft-cgt (method.kappa 3)", [2, 3]],
        [`soft-cgt (method.kappa 3) (${folders[4]})`, [3]],
      ],
    );
    assert.is(against, "soft-cgt (method.kappa 3)");
    for (const [flags, message] of [
      [["--against", "joint"], "compare: --against must be one of soft-cgt, soft-cgt (method.kappa 3)"],
      [["--seeds", "7"], "compare: --seeds goes with a plan"],
      [["--list"], "compare: --list goes with a plan"],
    ] as const) {
      const refused = await sortie("compare", ...args, ...flags);
      assert.is(refused.code, 1, refused.text);
      assert.match(refused.text, message);
    }
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test("beside the common rule a method is told as its own paper decides", async () => {
  const dir = mkdtempSync(join(tmpdir(), "sortie-own-rules-"));
  try {
    const trainedBy = (name: string, options = {}) => {
      const made = writeRun(join(dir, name));
      const path = join(made, "config.json");
      const config = JSON.parse(readFileSync(path, "utf8"));
      writeFileSync(path, JSON.stringify({ ...config, method: { name, ...options } }));
      return made;
    };
    const dirs = [trainedBy("joint"), trainedBy("calexnet", { margin: 0.3, minSupport: 5 }), trainedBy("branchynet")];
    for (const made of dirs) assert.is((await sortie("calibrate", made)).code, 0);
    assert.is((await sortie("compare", ...dirs, "--no-timing", "--out", dir)).code, 0);
    const [joint, margins, entropy] = written(dir).runs;
    assert.is(joint!.published, undefined);
    assert.ok(
      joint!.exits.every(({ ece, trainedEce, aurc, trainedAurc }) => trainedEce !== ece && trainedAurc !== aurc),
      "as trained, and after scaling",
    );
    assert.equal([margins!.published!.score, margins!.published!.rule], ["maxProb", "by classPrecisionMargin"]);
    assert.is(margins!.published!.area, margins!.area, "thresholds on the same score");
    assert.is(entropy!.published!.score, "entropy");
    assert.not.equal(entropy!.published!.area, entropy!.area);
    // What the commands say of the same rule, one after the other.
    for (const [i, { published }] of [margins!, entropy!].entries()) {
      assert.is((await sortie("calibrate", dirs[i + 1]!, "--as-published")).code, 0);
      assert.is((await sortie("evaluate", dirs[i + 1]!)).code, 0);
      const { policy } = JSON.parse(readFileSync(join(dirs[i + 1]!, "evaluation.json"), "utf8"));
      const { accuracy, cost, earlyRisk } = published!.decided!;
      assert.equal([accuracy, cost, earlyRisk], [policy.accuracy, policy.cost, policy.earlyRisk]);
    }
    const told = readFileSync(join(dir, "comparison.md"), "utf8").split("## As their papers decide")[1]!;
    const rows = told
      .split("\n## ")[0]!
      .split("\n")
      .filter((line) => line.startsWith("| "));
    assert.is(rows.length, 2 + 2, "the head, and those two");
    // Known from there, they are told again.
    const known = readKnown(join(dir, "comparison.json"));
    assert.equal([...known.values()].map(({ published }) => published?.rule).sort(), [
      "by classPrecisionMargin",
      "by learnThenTest",
      undefined,
    ]);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test("the cost of the same aim for all: within 0.3 points of the reference's last exit on validation images", () => {
  const run = (...points: readonly (readonly [cost: number, validation: number | undefined])[]) => ({
    curve: points.map(([cost, validation]) => ({ cost, validation, accuracy: (validation ?? 0) - 0.01 })),
  });
  const reference = run([1, 0.9], [0.7, 0.899], [0.5, 0.8]);
  assert.is(costToReach(reference, reference)!.cost, 0.7);
  assert.is(costToReach(run([1, 0.95], [0.6, 0.9], [0.4, 0.8975], [0.3, 0.89]), reference)!.cost, 0.4);
  assert.is(costToReach(run([1, 0.8], [0.3, 0.79]), reference), undefined, "out of reach, however cheap");
  assert.is(costToReach(run([1, undefined]), reference), undefined);
  assert.is(costToReach(reference, run([1, undefined])), undefined);
});

test("a method that collapses at any seed is called so wherever it is named", () => {
  const exits = [0.7, 0.9].map((accuracy) => ({ accuracy, ece: 0, auroc: 0.8, aurc: 0.1, eefp: 0.9 }));
  const run = (seed: number, collapsed: readonly string[]) =>
    ({ data: "d", backbone: "b", method: "hard", seed, exits, collapsed }) as unknown as RunFigures;
  const [row] = confidenceSheet(settingsOf([run(0, []), run(1, ["exit 2"])])).rows;
  assert.is(row![0], "hard (collapsed at seed 1)");
});

test("an exit by chance, behind one before it, or behind itself is collapsed", () => {
  const among = (chance: number, ...accuracies: number[]) =>
    collapseOf(
      accuracies.map((accuracy) => ({ accuracy })),
      chance,
    );
  const fallen = (...accuracies: number[]) => among(0.1, ...accuracies);
  assert.equal(among(1 / 2, 0.72, 0.74), [], "two classes");
  assert.equal(among(1 / 3, 0.48), []);
  assert.equal(among(1 / 2, 0.51, 0.74), ["exit 1 at 51.0 %, by chance"]);
  assert.equal(among(0.7, 0.7), ["exit 1 at 70.0 %, by chance"], "always the most frequent label");
  assert.equal(fallen(0.8, 0.85, 0.9), []);
  assert.equal(fallen(0.8, 0.76, 0.9), []);
  assert.equal(fallen(0.81, 0.66, 0.78), ["exit 2 at 66.0 %, below an earlier exit"]);
  assert.equal(fallen(0.1, 0.9), ["exit 1 at 10.0 %, by chance"]);
  const trained = (best: number) => collapseOf([{ accuracy: 0.55, validation: 0.57, best }, { accuracy: 0.9 }], 0.1);
  assert.equal(trained(0.61), []);
  assert.equal(trained(0.63), ["exit 1 at 55.0 %, fell from 63.0 to 57.0 % of the validation images while trained"]);
});

test("a plan that extends another takes over what it does not say itself", async () => {
  const dir = mkdtempSync(join(tmpdir(), "sortie-plans-"));
  const put = (name: string, plan: object) => {
    writeFileSync(join(dir, name), JSON.stringify(plan));
    return join(dir, name);
  };
  put("base.json", { methods: ["joint", "sdn"], seeds: [1], out: "elsewhere", settings: { train: { epochs: 2 } } });
  const own = put("own.json", { extends: "base.json", methods: ["sdn"], against: "sdn" });
  const [experiment, ...more] = experimentsOfFile(own);
  assert.equal([experiment!.name, experiment!.config.train.epochs, more], ["glyphs-resnet-sdn-seed1", 2, []]);
  assert.is(experiment!.config.out, "elsewhere");
  const { text } = await sortie("compare", "--config", put("round.json", { extends: "round.json" }));
  assert.match(text, /round\.json: a comparison must not extend itself/);
  const none = await sortie("compare", "--config", put("none.json", { extends: "nowhere.json" }));
  assert.match(none.text, /nowhere\.json/);
  rmSync(dir, { recursive: true });
});

test("the size of a loss is the sum of its exit weights, in the first and the last epoch", () => {
  const record = { exits: [40, 70, 100].map((macs) => ({ stage: "s", macs })), classes: ["a", "b"] };
  const sizeOf = (...flags: string[]) => {
    const { config } = readConfig("test", ["--data", "fashion-mnist", "--epochs", "5", "--method", ...flags]);
    return lossSize(config, record)?.map((size) => Number(size.toFixed(3)));
  };
  assert.equal(sizeOf("joint"), [3, 3]);
  assert.equal(sizeOf("joint", "--method.exitWeights", "0.5"), [1.5, 1.5]);
  assert.equal(sizeOf("joint", "--method.normalise", "true"), [1, 1]);
  assert.equal(sizeOf("soft-cgt"), [1, 1], "each sample's weights are divided by their sum");
  assert.equal(sizeOf("soft-cgt", "--method.normalise", "false"), [1.65, 1.85]);
  assert.equal(sizeOf("eefp-cgt", "--method.control", "true"), [1, 1], "its control divides them too");
  assert.equal(sizeOf("sdn"), [1.24, 2.1], "0.01 + a fifth of the shares of the MACs, up to these");
  assert.equal(
    [sizeOf("safe-kd"), sizeOf("erde"), sizeOf("boost")],
    [
      [1, 1],
      [1, 1],
      [3, 3],
    ],
  );
  for (const name of ["byot", "adaloss", "l2w-den"]) assert.equal(sizeOf(name), [3, 3], name);
  for (const correction of ["gate", "trained-gate", "vector", "classifier"])
    assert.equal(sizeOf("eefp", "--method.exitWeights", "0.5", "--method.correction", correction), [1.5, 1.5]);
  assert.equal(sizeOf("eenet"), [0.5, 0.5], "the network's, not the scheduler's");
  assert.equal(sizeOf("phuong-lampert"), [10, 10], "its scale is in it");
  assert.equal(sizeOf("phuong-lampert", "--method.control", "true"), [10, 10]);
  for (const name of ["layer-wise", "jei-dnn", "ptee", "ztw"]) assert.is(sizeOf(name), undefined, name);
  assert.is(sizeOf("calexnet"), undefined, "one branch at a time");
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

test("the summary has means, spreads and differences of all that is measured, and ranks measures", () => {
  const figures = (method: string, seed: number, area: number) => {
    const exits = [0.7, 0.9].map((accuracy) => ({
      ...{ accuracy: accuracy * area, ece: 0, auroc: 0, aurc: 0, eefp: 0 },
      ...{ trainedEce: 1 - area, trainedAuroc: 0.8, trainedAurc: 0.1, trainedEefp: 0.6 },
    }));
    const point = { accuracy: area, cost: 0.5 };
    const run = {
      data: "d",
      backbone: "b",
      method,
      seed,
      area,
      exits,
      near: point,
      atCost: [point, point, point, point],
    };
    return { ...run, collapsed: area < 0.5 ? ["exit 1"] : [] } as unknown as RunFigures;
  };
  const runs = [figures("x", 0, 0.9), figures("y", 0, 0.8), figures("x", 1, 0.7), figures("y", 1, 0.4)];
  const { settings, proxies } = summaryOf(runs, "x");
  const [x, y] = settings;
  assert.equal([x!.differences, x!.collapsedSeeds, y!.collapsedSeeds], [undefined, [], [1]]);
  assert.ok(Math.abs(y!.differences!["area"]!.mean + 0.2) < 1e-12 && y!.differences!["accuracyAt50"]!.n === 2);
  assert.is(y!.differences!["certifiedCost"]!.mean, 0, "nothing certified counts with the full cost");
  assert.ok(Math.abs(x!.exits[1]!["accuracy"]!.mean - 0.72) < 1e-12);
  assert.equal([proxies[0]!.networks, proxies[0]!.correlations["ECE"]], [4, -1], "of probabilities as the curve's");
  // A run of a comparison that did not tell all of it is left out, not the measure.
  const [older] = runs as [RunFigures];
  const { trainedEefp: _, ...exit } = older.exits[0]!;
  const [without] = summaryOf([...runs, { ...older, seed: 2, exits: [exit, older.exits[1]!] }], "x").proxies;
  assert.equal([without!.networks, without!.correlations["ECE"]], [4, -1]);
});

test("runs that came to the same network count once, whatever their heads and gates cost", () => {
  const network = (accuracy: number, more: object = {}) => ({
    exits: [{ accuracy, trainedEce: 0.1, trainedAuroc: 0.8, trainedAurc: 0.2, trainedEefp: 0.6, eefp: 0.6, ...more }],
  });
  const runs = [network(0.7), network(0.8), network(0.7, { trainedEefp: 0.61, eefp: 0.61 })] as unknown as RunFigures[];
  assert.equal(distinctNetworks(runs), runs.slice(0, 2));
  assert.is(distinctNetworks([...runs, network(0.7, { trainedAurc: 0.21 }) as unknown as RunFigures]).length, 3);
});

test("labels that would share a folder are refused", () => {
  const path = join(out, "clash.json");
  const plan = {
    ...{
      data: "glyphs",
      methods: [
        { label: "b-c", name: "joint" },
        { label: "c", name: "joint" },
      ],
    },
    backbones: [
      { label: "a", backbone: "resnet" },
      { label: "a-b", backbone: "resnet" },
    ],
  };
  writeFileSync(path, JSON.stringify(plan));
  assert.throws(
    () => experimentsOfFile(path),
    /labels must give every run a folder of its own; got glyphs-a-b-c-seed1 for a by b-c and for a-b by c\./,
  );
});

test("a plan that cannot be is refused by name, before anything is made", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sortie-plan-"));
  const badPlan = join(folder, "bad.json");
  writeFileSync(badPlan, JSON.stringify({ methods: ["joint"], settings: { train: { epocs: 3 } } }));
  const twice = join(folder, "twice.json");
  const settings = { model: { backbone: "resnet" } };
  writeFileSync(twice, JSON.stringify({ methods: ["joint"], backbones: ["resnet", "vit"], settings }));
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
    [["--methods", "joint", "--method", "kd"], /--methods names what --method\.name names; got both/],
    [["--methods", "joint", "--backbones", "vit", "--model.backbone", "resnet"], /--backbones names what/],
    [["--config", twice], /must name backbones once; got backbones and settings\.model\.backbone\. Leave out/],
    [["no-such-folder"], /no-such-folder must be the folder of a run/],
    [["--methods", "joint", "."], /goes with a plan, and folders of runs are compared as they are/],
    [["--methods", "joint", "--corruption-samples", "5"], /--corruptions must be there for flags about corruptions/],
    [["--methods", "joint", "--corruptions", "--corruption-names", "fgo"], /must be one of .*fog/],
    [
      ["--methods", "joint", "--corruptions", "--corruption-samples", "0"],
      /--corruption-samples must be a whole number/,
    ],
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
