// Settings from presets, a file and flags; their messages, word for word.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { completeConfig, configHelp } from "../../cli/settings/config.ts";
import { makeNetwork, makePlan, makeRecipe } from "../../cli/settings/model.ts";
import { inFile, merge } from "../../cli/settings/settings.ts";
import { DATA_SETS, glyphs } from "../../data/index.ts";
import { firstDifference } from "../../exits/index.ts";
import { completeRecipe } from "../../exits/training/recipe.ts";
import { exitWeightsAt } from "../exits/track.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert, errorOf, suite } from "../harness.ts";
import { readConfig } from "./read-config.ts";

const test = suite("cli settings");
const folder = mkdtempSync(join(tmpdir(), "sortie-config-"));
test.after(() => rmSync(folder, { recursive: true }));

const config = (...args: string[]) => readConfig("train", args).config;
const refuses = async (fn: () => unknown, message: string) => assert.is((await errorOf(fn)).message, message);

function file(name: string, content: string): string {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
}

test("flags lie over the file, the file over what is preset for the data set", () => {
  const path = file("a.json", JSON.stringify({ data: { name: "fashion-mnist" }, train: { epochs: 7, lr: 0.05 } }));
  const { train, data, model } = config("--config", path, "--lr", "0.2", "--model.widths", "8,16,32");
  assert.equal([train.epochs, train.lr, train.flip], [7, 0.2, 0.5]);
  assert.equal([data.name, data.order], ["fashion-mnist", "file"]);
  assert.equal(model["widths"], [8, 16, 32]);
  assert.is(config("--data", "mnist").train.flip, 0);
});

test("flags by dotted names and aliases; switches stand alone, other truths are told", () => {
  assert.is(config("--train.epochs", "3").train.epochs, config("--epochs", "3").train.epochs);
  assert.is(config("--data", "mnist", "--download").data.download, true);
  assert.is(config("--method.normalise", "true").method["normalise"], true);
  assert.equal(config("--model.exits", "stage2").model.exits, ["stage2"]);
});

test("settings hold what their data set takes, and other keys are refused", async () => {
  const keys = (name: string) => Object.keys(config("--data", name).data).sort().join(" ");
  assert.is(keys("glyphs"), "calibration name test train validation");
  assert.is(keys("mnist"), "calibration name order validation");
  assert.is(keys("cifar100"), "calibration labels name order validation");
  assert.is(keys("cinic10"), "calibration name validation");
  assert.is(keys("indian-pines"), "block name patch shares split");
  const given = config("--data", "indian-pines", "--data.split", "random", "--data.shares", "0.5,0.1,0.2,0.2");
  assert.equal([given.data.split, given.data.shares], ["random", [0.5, 0.1, 0.2, 0.2]]);
  const official = "dir, download, train, validation, calibration, order. Leave it out.";
  for (const [set, key, value, takes] of [
    ["indian-pines", "train", "5", "dir, download, split, patch, block, shares. Leave it out."],
    ["cinic10", "order", "file", "dir, download, train, validation, calibration, test. Leave it out."],
    ["mnist", "test", "5", official],
    ["svhn", "labels", "coarse", official],
    ["glyphs", "dir", "x", "train, validation, calibration, test. Leave it out."],
    [
      "npz",
      "download",
      "false",
      "file, maxUnpacked, layout, train, validation, calibration, order, content. Leave it out.",
    ],
  ] as const) {
    const flag = { dir: "data-dir", download: "download" }[key as string] ?? `data.${key}`;
    const message = `train: --${flag} is no setting of ${set}, which takes ${takes}`;
    await refuses(() => config("--data", set, `--data.${key}`, value), message);
  }
  await refuses(
    () => config("--data", "indian-pines", "--data.shares", "0.5,0.5"),
    "train: --data.shares must be a list of four numbers, 0.4,0.1,0.2,0.3; got [0.5,0.5].",
  );
  // The file does not say which set it is for; the flag does.
  const path = file("pines.json", '{ "data": { "split": "random" } }');
  assert.is(config("--config", path, "--data", "indian-pines").data.split, "random");
  await refuses(
    () => config("--config", path),
    "train: --data.split is no setting of glyphs, which takes train, validation, calibration, test. Leave it out.",
  );
});

test("the learning rate has risen long before training ends, whatever the data set", () => {
  const { train, data } = config("--data", "indian-pines");
  const steps = train.epochs * Math.floor((10_249 * data.shares![0]!) / train.batch);
  assert.ok(train.warmup! < steps / 10, `${train.warmup} of ${steps}`);
});

test("help says what is preset, and for which data set otherwise", () => {
  const lines = configHelp()
    .replace(/\n {4,}/g, " ")
    .split("\n");
  assert.ok(lines.some((line) => /--batch, --train\.batch +images a step; .* \[128\]$/.test(line)));
  assert.ok(
    lines.includes(
      "  fashion-mnist: --data.validation 5000 --data.calibration 5000 --data.order file --train.flip 0.5 --train.warmup 200",
    ),
  );
  // What only some take says whose it is, or whose it is not.
  const lineOf = (flag: string) => lines.find((line) => line.includes(`${flag} `));
  assert.match(
    lineOf("--method.kappa")!,
    / \(soft-cgt, plain-cgt, shuffled-cgt\); .* \(calexnet, calexnet-reference\)$/,
  );
  assert.match(lineOf("--data.train")!, / \(not indian-pines\)$/);
  assert.ok(
    lines.includes(
      "  sgd: --lr 0.1 --train.weightDecay 0.0005 --train.decay all --train.momentum 0.9 --train.nesterov true --train.dampening 0",
    ),
  );
});

test("what only one backbone has is refused by the others", async () => {
  const { model } = config("--data", "mnist", "--model.backbone", "imagenet-resnet", "--model.depth", "34");
  assert.equal(model, {
    ...{ backbone: "imagenet-resnet", depth: 34, stem: "small" },
    ...{ exits: ["stage1", "stage2", "stage3"], head: "gap-linear", last: "own" },
  });
  // Nothing is left of the glyphs' resnet.
  assert.equal(
    [config("--model.backbone", "vit").model.last, config("--model.backbone", "vit").model["widths"]],
    ["own", undefined],
  );
  await refuses(
    () => config("--model.backbone", "vit", "--model.widths", "8,16,32"),
    "train: --model.widths is no setting of vit, which takes depth, dim, headDim, patch, stochasticDepth. Leave it out.",
  );
  await refuses(
    () => config("--model.dim", "32"),
    "train: --model.dim is no setting of resnet, which takes depth, widths, shortcut. Leave it out.",
  );
});

test("each optimiser and schedule starts from its own rate and warm-up", () => {
  const rates = (...args: string[]) => {
    const { optimizer, schedule } = completeRecipe(makeRecipe(config(...args)));
    return [optimizer.method, optimizer.lr, schedule.warmup];
  };
  assert.equal(rates(), ["sgd", 0.1, 50]);
  assert.equal(rates("--data", "mnist"), ["sgd", 0.1, undefined]);
  // The published recipe.
  assert.equal(rates("--data", "fashion-mnist"), ["sgd", 0.1, 200]);
  assert.equal(rates("--train.optimizer", "adam"), ["adam", 0.001, 50]);
  assert.equal(rates("--train.schedule", "oneCycle"), ["sgd", 0.1, 0]);
  assert.equal(rates("--model.backbone", "vit", "--lr", "0.01"), ["adamw", 0.01, 50]);
  const steps = makeRecipe(
    config("--train.schedule", "steps", "--train.milestones", "0.8,0.9", "--train.gamma", "0.2"),
  );
  assert.equal(steps.schedule, { kind: "steps", milestones: [0.8, 0.9], gamma: 0.2 });
});

test("weights of the exits: given, between two ends, growing, annealed", async () => {
  const weights = (...args: string[]) => exitWeightsAt(makePlan(config(...args)), 3, { epoch: 1, epochs: 2 });
  const joint = ["--method", "joint", "--method.exitWeights"];
  assert.equal(weights(...joint, "0.5"), [0.5, 0.5, 0.5]);
  assert.equal(weights(...joint, "1,2,3"), [1, 2, 3]);
  assert.equal(weights(...joint, "linear:1,2"), [1, 1.5, 2]);
  assert.equal(weights(...joint, "sdn:0.5,0.005"), [0.26, 0.005, 1]);
  assert.equal(weights("--method", "hard-cgt", "--method.anneal", "1,1,0.5:0,1,1"), [1, 1, 0.5]);
  assert.equal(weights("--method", "hard-cgt", "--method.anneal", "false"), [1, 1, 1]);
  const must =
    "train: --method.exitWeights must be one number for all exits, one for each (1,2,3), linear:FIRST,LAST or sdn:FIRST,SECOND,... without the last, all of at least 0";
  for (const wrong of ["linear:1,2,3", "1,,3", "sdn:-1", "cubic:1,2", ""])
    await refuses(() => weights(...joint, wrong), `${must}; got "${wrong}".`);
  await refuses(
    () => config("--method", "hard-cgt", "--method.anneal", "1,1:0,1:1,1"),
    'train: --method.anneal must be true, false, or the exit weights of the first and the last epoch, 1,0.7,0.1:0.2,0.5,1; got "1,1:0,1:1,1".',
  );
});

test("settings under the names of earlier versions mean the same, which is told once", async () => {
  const same = (former: readonly string[], today: readonly string[]) => {
    const { config: found, notes } = readConfig("train", former);
    assert.equal(found, config(...today));
    assert.is(notes.length, 1);
    assert.equal(readConfig("train", today).notes, []);
  };
  same(["--objective", "joint"], ["--method", "joint"]);
  same(["--objective", "soft-cgt", "--objective.kappa", "5"], ["--method", "soft-cgt", "--method.kappa", "5"]);
  const joint = ["--objective", "joint", "--objective.weights"];
  same([...joint, "1,2,3"], ["--method", "joint", "--method.exitWeights", "1,2,3"]);
  same(
    [...joint, "1,2", "--objective.weighting", "linear"],
    ["--method", "joint", "--method.exitWeights", "linear:1,2"],
  );
  same([...joint, "1,2", "--objective.weighting", "sdn"], ["--method", "joint", "--method.exitWeights", "sdn:1,2"]);
  const anneal = ["--objective", "hard-cgt", "--objective.annealFrom", "1,1,0.5"];
  same([...anneal, "--objective.annealTo", "0,1,1"], ["--method", "hard-cgt", "--method.anneal", "1,1,0.5:0,1,1"]);
  const path = file("former.json", '{ "objective": { "method": "joint", "weights": [1, 2, 3] } }');
  same(["--config", path], ["--method", "joint", "--method.exitWeights", "1,2,3"]);
  // What is new lies over what is old, from a file or from flags.
  assert.is(config("--config", path, "--method", "safe-kd").method.name, "safe-kd");
  await refuses(
    () => config(...anneal),
    "train: --objective.annealFrom and --objective.annealTo must come together, and without anneal.",
  );
  await refuses(
    () => config(...joint, "1,2,3", "--objective.weighting", "linear"),
    "train: --objective.weights must be two numbers, of the first and the last exit, for linear weighting; got 1,2,3.",
  );
  await refuses(
    () => config("--objective", "joint", "--objective.weighting", "sdn"),
    "train: --objective.weights must be given for weighting sdn; got none.",
  );
});

test("another method starts from its own defaults, and what it does not take is refused", async () => {
  assert.equal(config("--method", "joint").method, {
    ...{ name: "joint", exitWeights: 1, normalise: false, labelSmoothing: 0 },
  });
  assert.is(config("--method", "soft-cgt").method["kappa"], 10);
  assert.is(config("--data", "mnist", "--method", "soft-cgt").method["kappa"], 1);
  assert.is(config("--method.tau", "0.8").method["tau"], 0.8);
  assert.is(makePlan(config("--method", "joint")).name, "joint");
  await refuses(
    () => config("--method", "joint", "--method.tau", "0.8"),
    "train: --method.tau is no setting of joint, which takes exitWeights, normalise, sum, labelSmoothing. Leave it out.",
  );
  await refuses(
    () => config("--train.optimizer", "adam", "--train.nesterov", "true"),
    "train: --train.nesterov is no setting of adam, which takes lr, weightDecay, decay, clipNorm, beta1, beta2, eps, amsgrad. Leave it out.",
  );
  await refuses(
    () => config("--train.gamma", "0.2"),
    "train: --train.gamma is no setting of cosine, which takes warmup, minLr. Leave it out.",
  );
  assert.match(
    (await errorOf(() => config("--method", "soft-gct"))).message,
    "--method must be one of joint, linear, sdn",
  );
});

test("faults name the key, what it must be, and what it is", async () => {
  await refuses(() => config("--epochs", "many"), 'train: --epochs must be a number; got "many".');
  await refuses(() => config("--epochs", "0.5"), "train: --epochs must be a whole number of at least 1; got 0.5.");
  await refuses(() => config("--data.train", "0"), "train: --data.train must be a whole number of at least 1; got 0.");
  await refuses(() => config("--method.leak=-1"), "train: --method.leak must be a number of at least 0; got -1.");
  await refuses(() => config("--alpha", "1"), "train: --alpha must be between 0 and 1; got 1.");
  await refuses(
    () => config("--method.normalise", "yes"),
    'train: --method.normalise must be true or false; got "yes".',
  );
  await refuses(
    () => config("--data", "emnist"),
    `train: --data must be one of ${Object.keys(DATA_SETS).join(", ")}; got "emnist". Did you mean mnist?`,
  );
  await refuses(
    () => completeConfig(inFile("my.json"), { calibration: { alhpa: 0.1 } }),
    'my.json: unknown key "calibration.alhpa". Did you mean "calibration.alpha"? Known keys: calibration.alpha, calibration.delta, calibration.scale, calibration.control.',
  );
  await refuses(
    () => completeConfig(inFile("my.json"), { model: { widths: [8, "wide", 32] } }),
    'my.json: model.widths must be a list of three whole numbers, 16,32,64; got [8,"wide",32].',
  );
  await refuses(
    () => completeConfig(inFile("my.json"), { train: 4 }),
    "my.json: train must be an object of settings; got 4.",
  );
  assert.match((await errorOf(() => config("--epoch", "3"))).message, "--epoch");
});

test("faults of a file name the file, even where flags lie over them", async () => {
  const path = file("bad.json", '{ "train": { "epochs": 0 } }');
  await refuses(
    () => config("--config", path, "--epochs", "3"),
    `${path}: train.epochs must be a whole number of at least 1; got 0.`,
  );
  const list = file("list.json", "[1]");
  await refuses(() => config("--config", list), `${list}: the settings must be an object; got [1].`);
  assert.match((await errorOf(() => config("--config", file("cut.json", "{")))).message, /cut\.json must be JSON; /);
  const absent = join(folder, "absent.json");
  await refuses(() => config("--config", absent), `${absent} must be a readable file; got ENOENT.`);
});

test("settings merge by key; lists are replaced; the first difference is named", () => {
  assert.equal(merge({ a: { b: 1, c: [1, 2] }, d: 3 }, { a: { c: [4] } }), { a: { b: 1, c: [4] }, d: 3 });
  assert.equal(firstDifference({ a: { b: [1] } }, { a: { b: [2] } }), ["a.b", [1], [2]]);
  assert.equal(firstDifference({ a: 1 }, { a: 1, b: 2 }), ["b", undefined, 2]);
  assert.is(firstDifference({ a: { b: 1 } }, { a: { b: 1 } }), undefined);
});

const networks = gpuSuite("cli networks");
const data = glyphs({ train: 1, validation: 1, calibration: 1, test: 1 });

networks("a resnet and a vit for the data's images, with the exits asked for", () => {
  const small = makeNetwork(config(), data, device());
  assert.equal([small.exits, small.classes], [3, 10]);
  const two = makeNetwork(config("--model.exits", "stage2"), data, device());
  assert.is(two.exits, 2);
  const vit = makeNetwork(config("--model.backbone", "vit", "--model.depth", "3", "--model.dim", "32"), data, device());
  assert.equal([...vit.input], [28, 28, 1]);
  assert.ok(vit.macs().every((macs, j, all) => j === 0 || macs > all[j - 1]!));
});

networks("what is preset for a scene fits its patches: three exits on 9 x 9 pixels of 200 bands", () => {
  const settings = config("--data", "indian-pines");
  const { patch = 0 } = settings.data;
  const scene = { ...data, train: { ...data.train, shape: [patch, patch, 200] as const } };
  const net = makeNetwork(settings, scene, device());
  assert.equal([net.exits, [...net.input]], [3, [9, 9, 200]]);
});

networks("a network that cannot be made says why", async () => {
  const network = (...args: string[]) => makeNetwork(config(...args), data, device());
  await refuses(
    () => network("--model.widths", "8,16"),
    "train: --model.widths must be a list of three whole numbers, 16,32,64; got [8,16].",
  );
  await refuses(
    () => network("--model.backbone", "vit", "--model.dim", "30"),
    "vit: dim must be a multiple of headDim, 16; got 30.",
  );
  await refuses(
    () => network("--model.backbone", "vit", "--model.head", "attention"),
    "multiExit: head must fit the tokens of stage1; got attention, which reads a map. Use one of class-token, mean-token.",
  );
  await refuses(
    () => network("--model.backbone", "imagenet-resnet", "--model.depth", "20"),
    "imageNetResnet: depth must be one of 18, 34, 50; got 20.",
  );
  await refuses(
    () => network("--model.depth", "9"),
    "resnet: depth must be 6n + 2 (8, 14, 20, 32, 44, 56, 110); got 9.",
  );
  const wide = { ...data, train: { ...data.train, shape: [28, 20, 1] as const } };
  await refuses(
    () => makeNetwork(config("--model.backbone", "vit", "--model.dim", "32"), wide, device()),
    "vit: images must be square; got 28 x 20.",
  );
});
