// Training as a user meets it: it learns, repeats itself, and says what is wrong. What a run survives is in
// resume.test.ts.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { partOf } from "../../base/index.ts";
import type { Tensor } from "../../engine/index.ts";
import {
  type BatchSource,
  hardCgt,
  type ImageBatch,
  type ImageSet,
  loadWeights,
  METHODS,
  type Method,
  scheduleOnly,
  softCgt,
  train,
} from "../../exits/index.ts";

import { momentumOneCycle, Optimizer } from "../../nn/index.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert, errorOf, failsWith } from "../harness.ts";
import { barSplits, bars, blends, joint, planNet, quiet, smallNet, weightsAfter, weightsOf } from "./small.ts";

const folder = mkdtempSync(join(tmpdir(), "sortie-train-"));
const test = gpuSuite("exits: training", { timeout: 120_000 });
test.after(() => rmSync(folder, { recursive: true }));

test("learns; the history says how", async () => {
  const net = smallNet();
  const run = await train(net, barSplits(), { ...quiet, method: joint, epochs: 12, optimizer: { lr: 0.05 } });
  const scores = await run.evaluate("test");
  assert.ok(scores[2]!.accuracy > 0.9, `the last exit is right in ${scores[2]!.accuracy} of the cases`);
  const rows = run.history.filter((row) => row.kind === "train");
  assert.equal([rows[0]?.step, rows.at(-1)?.step], [1, 48]);
  assert.ok(rows.at(-1)!.loss < 0.7 * rows[0]!.loss, `the loss went from ${rows[0]!.loss} to ${rows.at(-1)!.loss}`);
  assert.is(run.history.filter((row) => row.kind === "evaluation").length, 12);
  run.dispose();
  net.dispose();
});

test("the same seed gives the same weights, bit for bit; another order and other mirrors give others", async () => {
  const method = hardCgt.with({ tau: 0.4 });
  const first = await weightsAfter({ method, flip: 0.5, seed: 3 });
  assert.equal(await weightsAfter({ method, flip: 0.5, seed: 3, logEvery: 1 }), first);
  assert.not.equal(await weightsAfter({ method, flip: 0.5, seed: 4 }), first);
});

test("gates, the schedule alone and plain sums train different weights", async () => {
  const objectives = [joint, softCgt.with(), hardCgt.with({ tau: 0.3 }), scheduleOnly.with()];
  const all: string[] = [];
  for (const method of objectives) all.push(JSON.stringify(await weightsAfter({ method, epochs: 1 })));
  assert.is(new Set(all).size, objectives.length);
});

test("nothing is read back within the steps", async () => {
  const net = smallNet();
  const { readBytes } = device();
  let reads = 0;
  device().readBytes = (items) => {
    reads += 1;
    return readBytes.call(device(), items);
  };
  try {
    (await train(net, barSplits(), { ...quiet, method: joint, epochs: 1, logEvery: 1000 })).dispose();
  } finally {
    device().readBytes = readBytes;
  }
  // After the first step, at the end of the epoch, and twice for the evaluation.
  assert.is(reads, 4);
  net.dispose();
});

test("a loss that is not finite stops the run and names the step and the learning rate", async () => {
  const net = smallNet();
  const dir = join(folder, "nan");
  const optimizer = { lr: 1e30, momentum: 0, nesterov: false, weightDecay: 0 };
  await failsWith(
    () =>
      train(net, barSplits(), {
        ...quiet,
        method: joint,
        optimizer,
        schedule: { kind: "constant", warmup: 0 },
        dir,
      }),
    "TrainingError",
    "train: the loss must stay finite; it was NaN or infinite at step 2 of 8 (epoch 1), learning rate 1e+30. Lower the rate or lengthen the warm-up.",
  );
  assert.not(existsSync(join(dir, "last.safetensors")));
  net.dispose();
});

test("weights that the last update of an epoch made infinite are not kept", async () => {
  const net = smallNet();
  const dir = join(folder, "nan-late");
  // One step an epoch: its loss is fine, and what it makes of the weights is not.
  await failsWith(
    () =>
      train(net, barSplits(), {
        ...quiet,
        method: joint,
        batch: 72,
        epochs: 1,
        optimizer: { lr: 1e38, momentum: 0, nesterov: false, weightDecay: 0 },
        schedule: { kind: "constant", warmup: 0 },
        dir,
      }),
    "TrainingError",
    "train: the loss on validation must stay finite; it was NaN or infinite at step 1 of 1 (epoch 1), learning rate 1e+38. Lower the rate or lengthen the warm-up.",
  );
  assert.not(existsSync(join(dir, "last.safetensors")));
  assert.not(existsSync(join(dir, "best.safetensors")));
  net.dispose();
});

test("a full disk is named, and what a killed process left is removed", async () => {
  const fs = process.getBuiltinModule("node:fs/promises");
  const dir = join(folder, "full");
  mkdirSync(dir);
  const { pid: dead } = spawnSync(process.execPath, ["-e", ""]);
  writeFileSync(partOf(join(dir, "last.safetensors")).replace(`.${process.pid}-`, `.${dead}-`), "half");
  writeFileSync(join(dir, "notes.tmp"), "the user's");
  const { appendFile } = fs;
  fs.appendFile = () => Promise.reject(Object.assign(new Error("ENOSPC: no space left"), { code: "ENOSPC" }));
  const net = smallNet();
  try {
    await failsWith(
      () => train(net, barSplits(), { ...quiet, method: joint, dir }),
      "TrainingError",
      `train: ${dir} must have room for the run; got a full disk. Nothing half-written is left; free space. Run the same again to start over in ${dir}: there is no checkpoint yet.`,
    );
  } finally {
    fs.appendFile = appendFile;
    net.dispose();
  }
  assert.equal(readdirSync(dir).sort(), ["metrics.jsonl", "notes.tmp"]);
});

test("one cycle moves the momentum of every step, where there is some", async () => {
  const original = Object.getOwnPropertyDescriptor(Optimizer.prototype, "momentum")!;
  const given: number[] = [];
  Object.defineProperty(Optimizer.prototype, "momentum", {
    ...original,
    set(this: Optimizer, value: number) {
      given.push(value);
      original.set!.call(this, value);
    },
  });
  const schedule = { kind: "oneCycle" } as const;
  try {
    await weightsAfter({ method: joint, schedule, optimizer: { method: "rmsprop" } });
    assert.equal(given, []);
    await weightsAfter({ method: joint, schedule });
  } finally {
    Object.defineProperty(Optimizer.prototype, "momentum", original);
  }
  const moves = momentumOneCycle({ steps: 8 });
  assert.equal(
    given,
    Array.from({ length: 8 }, (_, t) => moves(t)),
  );
  assert.ok(new Set(given).size > 4, `momenta ${given}`);
});

test("what would never be due is refused", async () => {
  for (const every of ["evaluateEvery", "checkpointEvery", "logEvery"])
    await failsWith(
      () => weightsAfter({ method: joint, [every]: 0 }),
      "ArgumentError",
      `train: ${every} must be a whole number of at least 1; got 0.`,
    );
});

test("options of another optimiser are refused", () =>
  failsWith(
    () => weightsAfter({ method: joint, optimizer: { method: "sgd", beta1: 0.9 } }),
    "ArgumentError",
    "train: optimizer.beta1 must be an option of sgd; it has momentum, nesterov, dampening.",
  ));

test("blended images learn from both labels by their shares", async () => {
  const other = (set: ImageSet): BatchSource => {
    const { at, ...source } = blends(1)(set);
    return {
      ...source,
      isMixed: false,
      at: (position) => {
        const { images, mixed } = at(position);
        return { images, labels: mixed!.labels };
      },
    };
  };
  const after = (batches: (set: ImageSet) => BatchSource) => weightsAfter({ method: joint, epochs: 1, batches });
  // All of the other image: as if its label were the only one.
  assert.equal(await after(blends(0)), await after(other));
  assert.not.equal(await after(blends(0.7)), await after(other));
  const gated = hardCgt.with();
  await failsWith(
    () => weightsAfter({ method: gated, batches: blends(0.7) }),
    "ArgumentError",
    "hard-cgt: images must have one label, which a hard gate looks at; got images blended by mixup. Train without mixup, or by joint.",
  );
});

test("what a later phase asks of images and network is told before the first step", async () => {
  const methods = METHODS as Readonly<Record<string, Method>>;
  for (const [name, what, options] of [
    ["jei-dnn", "a gate", {}],
    ["eenet", "a score", {}],
    ["eefp", "a target", { correction: "trained-gate" }],
    ["ptee", "the mixture of the exits", { target: "labels" }],
    ["safe-kd", "decoupled distillation", { teacher: "self" }],
  ] as const) {
    const method = methods[name]!.with(options);
    using net = planNet(method);
    const before = await weightsOf(net);
    await failsWith(
      () => train(net, barSplits(), { ...quiet, epochs: 1, method, batches: blends(0.7) }),
      "ArgumentError",
      `${name}: images must have one label, which ${what} looks at; got images blended by mixup. Train without mixup, or by joint.`,
    );
    assert.equal(await weightsOf(net), before, name);
  }
  for (const name of ["disjoint", "mixed"]) {
    const method = methods[name]!.with({ exitWeights: [1, 1] });
    using net = planNet(method);
    const before = await weightsOf(net);
    await failsWith(
      () => train(net, barSplits(), { ...quiet, epochs: 1, method }),
      "ShapeError",
      `${name}: exitWeights must have one number per exit; got 2 for 3 exits.`,
    );
    assert.equal(await weightsOf(net), before, name);
  }
  const maxima = methods["sdn"]!.with({ maxima: [0.1] });
  using net = planNet(maxima);
  await failsWith(
    () => train(net, barSplits(), { ...quiet, epochs: 1, method: maxima }),
    "ArgumentError",
    "sdn: maxima must have one number for each exit but the last; got 1 for 2.",
  );
});

test("batches that are short, or not what their source says, are refused", async () => {
  const change =
    (wrong: Partial<ImageBatch>, isMixed = true) =>
    (set: ImageSet): BatchSource => {
      const { at, ...source } = blends(0.7)(set);
      return { ...source, isMixed, at: (position) => ({ ...at(position), ...wrong }) };
    };
  await failsWith(
    () => weightsAfter({ method: joint, batches: change({ count: 5 }) }),
    "ArgumentError",
    "train: every batch must have 16 images; got 5. Drop the last batch of an epoch if it is not full.",
  );
  await failsWith(
    () => weightsAfter({ method: joint, batches: change({ images: new Uint8Array(1000) }) }),
    "ArgumentError",
    "train: every batch must have 1024 bytes of images, 16 of [8, 8, 1]; got 1000. A source gives pixels as bytes, one after the other.",
  );
  await failsWith(
    () => weightsAfter({ method: joint, batches: change({}, false) }),
    "ArgumentError",
    "train: a batch must be mixed if and only if its source says so; got a mixed one. Set isMixed there.",
  );
});

test("evaluations between epochs, and the best weights, which may be other ones than the last", async () => {
  const dir = join(folder, "best");
  const net = smallNet();
  const optimizer = { lr: 0.3 };
  const run = await train(net, barSplits(), {
    ...quiet,
    method: joint,
    epochs: 3,
    evaluateEvery: 3,
    optimizer,
    dir,
  });
  const rows = run.history.filter((row) => row.kind === "evaluation");
  assert.equal(
    rows.map(({ step }) => step),
    [3, 4, 6, 8, 9, 12],
  );
  const best = rows.filter(({ isBest }) => isBest);
  assert.ok(best.every(({ exits }, i) => i === 0 || exits[2]!.accuracy > best[i - 1]!.exits[2]!.accuracy));
  const top = Math.max(...rows.map(({ exits }) => exits[2]!.accuracy));
  assert.is(best.at(-1)!.exits[2]!.accuracy, top);
  await run.load("best");
  assert.is((await run.evaluate("validation"))[2]!.accuracy, top);
  // As a page gets them, from `fetch` or a file that was dropped on it.
  await loadWeights(new Blob([readFileSync(join(dir, "last.safetensors"))]), net.state());
  assert.is((await run.evaluate("validation"))[2]!.accuracy, rows.at(-1)!.exits[2]!.accuracy);
  const error = await errorOf(() => loadWeights(new Blob(["no safetensors, however one reads it"]), net.state()));
  assert.match(`${error.name}: ${error.message}`, /^CheckpointError: checkpoint: the file must be whole; it is not: /);
  run.dispose();
  net.dispose();
});

test("images and classes must be the network's", async () => {
  const net = smallNet();
  const wrong = (change: object) => ({ ...barSplits(), train: { ...bars(72, "train", 0), ...change } });
  await failsWith(
    () => train(net, wrong({ shape: [4, 16, 1] }), { ...quiet, method: joint }),
    "ArgumentError",
    "train: images must be [8, 8, 1], as the network takes them; got [4, 16, 1] in bars/train.",
  );
  await failsWith(
    () => train(net, wrong({ classes: ["a", "b"] }), { ...quiet, method: joint }),
    "ArgumentError",
    "train: the network must have one output per class; got 4 for 2 classes of bars/train.",
  );
  await failsWith(
    () => train(net, barSplits(), { ...quiet, method: joint, batch: 100 }),
    "ArgumentError",
    "train: bars/train must fill a batch of 100; got 72 images.",
  );
  // Of every part, before the first step.
  const late = barSplits();
  late.test.labels[7] = 12;
  await failsWith(
    () => train(net, late, { ...quiet, method: joint }),
    "ArgumentError",
    "train: labels must be in 0..3; got 12 for sample 3007 of bars/test.",
  );
  await failsWith(
    () => train(net, wrong({ images: new Uint8Array(100) }), { ...quiet, method: joint }),
    "ArgumentError",
    "train: bars/train must have 4608 bytes of images for 72 images; got 100.",
  );
  // As bytes, pixels in 0..1 would all be black.
  await failsWith(
    () => train(net, wrong({ images: new Float32Array(4608) }), { ...quiet, method: joint }),
    "ArgumentError",
    "train: images of bars/train must be a Uint8Array; got a Float32Array. Use Uint8Array.from(pixels, (x) => 255 * x).",
  );
  await failsWith(
    () => train(net, wrong({ labels: new Array(72).fill(0) }), { ...quiet, method: joint }),
    "ArgumentError",
    "train: labels of bars/train must be an Int32Array; got an array of 72.",
  );
  // What is promised of new images holds for new ones.
  const splits = barSplits();
  for (const [twice, message] of [
    [{ ...splits, calibration: splits.train }, "got id 0 in train and calibration"],
    [{ ...splits, validation: splits.test }, "got id 3000 in validation and test"],
  ] as const) {
    await failsWith(
      () => train(net, twice, { ...quiet, method: joint }),
      "ArgumentError",
      `train: train, validation, calibration and test must not share a sample; ${message}. Ids are unique over all parts.`,
    );
  }
  const { meta } = splits.test;
  for (const [field, given] of [
    ["mean", "[0.5]; got [0.25]"],
    ["std", "[0.25]; got [0.125]"],
  ] as const) {
    const other = { ...splits.test, meta: { ...meta, [field]: meta[field].map((x) => x / 2) } };
    await failsWith(
      () => train(net, { ...splits, test: other }, { ...quiet, method: joint }),
      "ArgumentError",
      `train: all parts must have the ${field} of the training images, ${given} in bars/test. Give every part that of train.`,
    );
  }
  assert.match(String(await errorOf(() => train(net, barSplits(), undefined as never))), /^ArgumentError: train: /);
  net.dispose();
});

test("cached logits are those of the network, and are made again when its weights change", async () => {
  const net = smallNet();
  const dir = join(folder, "logits");
  const run = await train(net, barSplits(), { ...quiet, method: joint, epochs: 1, dir });
  const table = await run.logits("calibration");
  assert.equal([table.samples, table.exits, table.classes], [50, 3, 4]);
  assert.equal(table.ids, [...run.data.calibration.ids]);
  assert.equal([...table.labels], [...run.data.calibration.labels]);
  const macs = net.macs();
  assert.equal(
    [...table.costs],
    macs.map((m) => m / macs[2]!),
  );
  const path = join(dir, "logits.calibration.safetensors");
  const stamp = readFileSync(path);
  const rows = Float32Array.from(table.read(0, 50));
  const scores = await run.evaluate("calibration");
  const right = Array.from({ length: 50 }, (_, i) => rows.subarray((i * 3 + 2) * 4, (i * 3 + 3) * 4)).filter(
    (row, i) => row.indexOf(Math.max(...row)) === table.labels[i],
  );
  assert.is(Math.fround(scores[2]!.accuracy), Math.fround(right.length / 50));
  assert.equal([...(await run.logits("calibration")).read(0, 50)], [...rows]);
  assert.equal(readFileSync(path), stamp);
  const damaged = Buffer.from(stamp);
  damaged[damaged.length - 5]! ^= 4;
  writeFileSync(path, damaged);
  assert.equal([...(await run.logits("calibration")).read(0, 50)], [...rows]);
  assert.equal(readFileSync(path), stamp);
  (net.parameters()[0] as Tensor).write(new Float32Array(36));
  assert.not.equal([...(await run.logits("calibration")).read(0, 50)], [...rows]);
  await run.load("last");
  assert.equal([...(await run.logits("calibration")).read(0, 50)], [...rows]);
  run.dispose();
  net.dispose();
});
