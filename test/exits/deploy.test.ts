// The deployed network: answers, exits and costs as the policy on cached logits has them. That later stages cover the
// rows that are left, and no others, is tested with captures.

import {
  cascade,
  decide,
  fit,
  predictionsAt,
  type Scaling,
  type Score,
  scaleLogits,
  type Table,
} from "../../calibration/index.ts";
import { randn, type Tensor, tensor } from "../../engine/index.ts";
import { deploy, Evaluator, type ExitPolicy, type MultiExit, multiExit, toTable } from "../../exits/index.ts";
import { EVAL, resnet, vit } from "../../nn/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert, failsWith } from "../harness.ts";
import { bars, smallNet } from "./small.ts";

const test = gpuSuite("exits: deployed networks");
const set = bars(75, "test", 500);
const normalise = { mean: set.meta.mean, std: set.meta.std };

/** A network whose exits disagree and whose confidences differ: drawn weights, the heads' made larger. */
async function network(): Promise<MultiExit> {
  const net = smallNet(3);
  for (const [name, weight] of net.namedParameters()) {
    if (!/linear\.weight$/.test(name)) continue;
    weight.write((await weight.read()).map((x) => 6 * x) as Float32Array);
  }
  return net;
}

async function tableOf(net: MultiExit): Promise<Table> {
  const evaluator = await Evaluator.record(net, set, 32);
  const logits = await evaluator.logits(set);
  evaluator.dispose();
  return toTable({
    shape: [set.size, net.exits, net.classes],
    logits,
    labels: set.labels,
    ids: set.ids,
    macs: net.macs(),
  });
}

/**
 * Thresholds between the scores of samples, as calibration's are: the given share of the remaining leaves at each exit.
 */
function dataThresholds(table: Table, score: Score, share: number): Float64Array {
  const { samples, exits, scores } = cascade(table, score);
  let left = Array.from({ length: samples }, (_, i) => i);
  return Float64Array.from({ length: exits - 1 }, (_, j) => {
    const sorted = left.map((i) => scores[i * exits + j]!).sort((a, b) => b - a);
    const last = Math.floor(share * sorted.length);
    const threshold = (sorted[last]! + sorted[last + 1]!) / 2;
    left = left.filter((i) => scores[i * exits + j]! < threshold);
    return threshold;
  });
}

/** Asserts that the network on the GPU and the policy on the table agree on every sample; the exits taken. */
async function agrees(
  net: MultiExit,
  table: Table,
  policy: ExitPolicy & { readonly score: Score },
  options: object = {},
): Promise<Set<number>> {
  const all = cascade(table, policy.score);
  const want = decide(all, policy.thresholds);
  using classifier = await deploy(net, policy, { batch: 32, normalise, ...options });
  const got = await classifier.classify(set.images);
  assert.equal([...got.exits], [...want]);
  assert.equal([...got.classes], [...predictionsAt(all, want)]);
  const macs = net.macs();
  assert.equal(
    [...got.macs],
    [...want].map((j) => macs[j]!),
  );
  for (const [i, score] of got.scores.entries()) {
    assert.ok(Math.abs(score - all.scores[i * 3 + want[i]!]!) < 1e-4, `score of sample ${i}: ${score}`);
  }
  return new Set(want);
}

test("agrees with the policy on cached logits, sample by sample, for every score", async () => {
  const net = await network();
  const table = await tableOf(net);
  for (const score of ["maxProb", "margin", "entropy", "normalisedEntropy", "energy", "maxLogit"] as const) {
    const taken = await agrees(net, table, { score, thresholds: dataThresholds(table, score, 0.4) });
    assert.is(taken.size, 3, `${score} must use all exits for the test to say something`);
  }
});

test("one threshold, thresholds by class, closed exits, and nobody left for the last", async () => {
  const net = await network();
  const table = await tableOf(net);
  const score = "maxProb";
  await agrees(net, table, { score, thresholds: [0.6] });
  await agrees(net, table, { score, thresholds: Array.from({ length: 8 }, (_, i) => 0.35 + 0.05 * i) });
  assert.equal(
    [...(await agrees(net, table, { score, thresholds: [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY] }))],
    [2],
  );
  assert.equal([...(await agrees(net, table, { score, thresholds: [Number.NEGATIVE_INFINITY, 0] }))], [0]);
  assert.equal([...(await agrees(net, table, { score, thresholds: [Number.POSITIVE_INFINITY, 0] }))], [1]);
});

test("temperatures are applied as in calibration", async () => {
  const net = await network();
  const table = await tableOf(net);
  // Set by hand: these labels have nothing to do with the images, and fitting would flatten every score to the same.
  const fitted = fit(table, { method: "temperature" });
  const scalers = fitted.scalers.map((scaler, j) => ({ ...scaler, parameters: Float64Array.of([0.7, 1.5, 2][j]!) }));
  const scaling = { ...fitted, scalers } as Scaling;
  const scaled = scaleLogits(table, scaling);
  await agrees(net, scaled, { score: "maxProb", thresholds: dataThresholds(scaled, "maxProb", 0.3) }, { scaling });
});

test("bytes, numbers and tensors give the same; batches of any size do", async () => {
  const net = await network();
  const policy = { thresholds: dataThresholds(await tableOf(net), "maxProb", 0.5) };
  const values = Float32Array.from(set.images, (x) => (x / 255 - normalise.mean[0]!) / normalise.std[0]!);
  const results: string[] = [];
  for (const [batch, images] of [
    [32, set.images],
    [7, values],
    [100, tensor(values, { shape: [75, 8, 8, 1] })],
  ] as const) {
    using classifier = await deploy(net, policy, { batch, normalise });
    const { classes, exits } = await classifier.classify(images);
    results.push(JSON.stringify([...classes, ...exits]));
  }
  assert.is(new Set(results).size, 1);
  using classifier = await deploy(net, policy, { normalise });
  assert.is((await classifier.classify(new Uint8Array(0))).classes.length, 0);
});

test("transformers leave early too", async () => {
  const net = multiExit(vit({ imgSize: 8, patchSize: 4, embedDim: 8, depth: 3, numHeads: 2, classes: 5, seed: 1 }), {
    after: ["stage1", "stage2"],
    head: "mean-token",
  });
  const x = randn([9, 8, 8, 3], { seed: 2 });
  const logits = (await net.forward(x, EVAL).read()) as Float32Array;
  const table = toTable({
    shape: [9, 3, 5],
    logits,
    labels: new Int32Array(9),
    ids: Int32Array.from({ length: 9 }, (_, i) => i),
    macs: net.macs(),
  });
  const thresholds = dataThresholds(table, "maxProb", 0.4);
  using classifier = await deploy(net, { thresholds }, { batch: 9 });
  assert.equal([...(await classifier.classify(x)).exits], [...decide(cascade(table), thresholds)]);
});

test("refuses what cannot run or does not fit", async () => {
  const net = smallNet();
  await failsWith(
    () => deploy(net, { thresholds: [1, 2, 3] }),
    "ArgumentError",
    "deploy: there must be 1, 2 or 8 thresholds for 2 early exits; got 3.",
  );
  await failsWith(
    () => deploy(net, { thresholds: [0.5], score: "patience" }),
    "ArgumentError",
    "deploy: the score must be one of maxProb, margin, entropy, normalisedEntropy, energy, maxLogit, confidence; got patience. Other scores are for calibration tables only.",
  );
  using classifier = await deploy(net, { thresholds: [0.5] }, { batch: 2 });
  await failsWith(
    () => classifier.classify(new Uint8Array(64)),
    "ArgumentError",
    "classify: for bytes deploy must know how to normalise; it was not told. Pass { normalise: { mean, std } } there.",
  );
  await failsWith(
    () => classifier.classify(new Float32Array(63)),
    "ArgumentError",
    "classify: images must be [N, 8, 8, 1]; got 63 values, no multiple of 64.",
  );
  await failsWith(
    () => classifier.classify(randn([2, 8, 8, 2], { seed: 1 }) as Tensor),
    "ArgumentError",
    "classify: images must be f32[N, 8, 8, 1]; got f32[2, 8, 8, 2].",
  );
  const wide = multiExit(resnet({ depth: 8, classes: 2, input: [8, 8, 1], widths: [4, 4, 4], seed: 1 }), {
    after: ["stage1"],
  });
  await failsWith(
    () => deploy(wide, { thresholds: [Number.NaN] }),
    "ArgumentError",
    "deploy: thresholds must be numbers; got NaN at 0.",
  );
});
