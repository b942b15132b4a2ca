// Deployed classifiers against the networks they are made of: classes, exits and scores of every sample as `forward`
// and the pure policies of calibration/ have them, with NaN in all memory that is taken. Runs in Node and in a browser,
// so it imports neither.

import {
  type Cascade,
  cascade,
  createTable,
  decide,
  fit,
  type OwnScore,
  predictionsAt,
  type Scaling,
  scaleLogits,
  type Table,
} from "../../calibration/index.ts";
import { backward, crossEntropy, type Device, noGrad, read, scope, Tensor, tensor } from "../../engine/functions.ts";
import { type Answers, deploy, stackRecords } from "../../exits/index.ts";
import type { MultiExit } from "../../exits/network/multi-exit.ts";
import { EVAL, SGD, TRAIN } from "../../nn/index.ts";
import { poisoned } from "../engine/live.ts";
import { CLASSES, SUBJECTS } from "./subjects.ts";

const PLAIN: readonly OwnScore[] = ["maxProb", "margin", "entropy", "normalisedEntropy", "energy", "maxLogit"];
const SCORES: readonly OwnScore[] = [...PLAIN, "confidence"];

/** How thresholds are given. */
const POLICIES = ["per exit", "one", "by class", "first exit closed", "all exits closed", "all leave at once"] as const;
type PolicyKind = (typeof POLICIES)[number];

/** Images that run together: one, an odd number, several batches of which the last is not full, more than there are. */
const BATCHES = [7, 1, 16, 64] as const;
const FORMS = ["numbers", "bytes", "tensor"] as const;
/** What happens behind the early exits. */
const ROUTES = [
  ["compact", "compact"],
  ["keep", "keep"],
  ["ask", "keep"],
  ["keep", "compact"],
  ["compact", "ask"],
  ["wait", "compact"],
  ["keep", "wait"],
] as const;
const SAMPLES = 45;
const SPREAD = 2;
const TEMPERATURES = [0.7, 1.5, 2];
const MEAN = [0.4, 0.5, 0.6];
const STD = [0.2, 0.25, 0.3];

/** Bytes of images of five classes, which differ in what stands out where. */
function images(): { readonly bytes: Uint8Array; readonly values: Float32Array; readonly labels: Int32Array } {
  const labels = Int32Array.from({ length: SAMPLES }, (_, i) => i % CLASSES);
  let state = 12345;
  const bytes = new Uint8Array(SAMPLES * 432).map((_, at) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const [channel, cell] = [at % 3, Math.floor((at % 432) / 3)];
    const stands = (Math.floor(cell / 29) + channel) % CLASSES === labels[Math.floor(at / 432)]!;
    return Math.floor((stands ? 110 : 20) + 140 * (state / 2 ** 32));
  });
  const values = Float32Array.from(bytes, (byte, at) => (byte / 255 - MEAN[at % 3]!) / STD[at % 3]!);
  return { bytes, values, labels };
}

/** A few steps of training on the images themselves. */
async function train(net: MultiExit, steps: number): Promise<void> {
  const { values, labels } = images();
  const device = net.parameters()[0]!.device;
  using optimizer = new SGD(net.flat(), { lr: 0.05, momentum: 0.9 });
  const [x, y] = [tensor(values, { shape: [SAMPLES, 12, 12, 3], device }), tensor(labels, { device })];
  for (let step = 0; step < steps; step++) {
    optimizer.zeroGrad();
    scope(() => {
      backward(crossEntropy(net.forward(x, TRAIN), y));
      optimizer.step();
    });
  }
  await device.sync();
  for (const made of [x, y]) made.dispose();
}

/** The logits of all exits, by `forward`, as a table. */
async function tableOf(net: MultiExit): Promise<Table> {
  const { values, labels } = images();
  const device = net.parameters()[0]!.device;
  const said = scope(() =>
    noGrad(() => {
      const exits = net.records(tensor(values, { shape: [SAMPLES, 12, 12, 3], device }), EVAL);
      const { confidence } = stackRecords(exits);
      return [stackRecords(exits).logits, ...(confidence ? [confidence] : [])];
    }),
  );
  const [logits, confidence] = (await read(said)) as Float32Array[];
  for (const each of said) each.dispose();
  const more = confidence && { confidence };
  return createTable({ logits: logits!, labels, shape: [SAMPLES, net.exits, CLASSES], macs: net.macs(), ...more });
}

/**
 * Scales the early heads so that their logits differ between samples as much as `SPREAD`: few steps leave all alike, or
 * all certain.
 */
async function spread(net: MultiExit, wanted: number): Promise<void> {
  const table = await tableOf(net);
  const logits = table.read(0, SAMPLES);
  for (let j = 0; j < net.heads.length; j++) {
    let squares = 0;
    for (let c = 0; c < CLASSES; c++) {
      const own = Array.from({ length: SAMPLES }, (_, i) => logits[(i * net.exits + j) * CLASSES + c]!);
      const mean = own.reduce((sum, z) => sum + z, 0) / SAMPLES;
      squares += own.reduce((sum, z) => sum + (z - mean) ** 2, 0);
    }
    const scale = wanted / Math.sqrt(squares / (SAMPLES * CLASSES));
    const told = Array.from({ length: SAMPLES }, (_, i) => table.confidence?.[i * (net.exits - 1) + j] ?? 0);
    const middle = told.reduce((sum, t) => sum + t, 0) / SAMPLES;
    const own = wanted / Math.sqrt(told.reduce((sum, t) => sum + (t - middle) ** 2, 0) / SAMPLES || 1);
    for (const [name, weight] of net.heads[j]!.namedParameters()) {
      if (/(^|\.)linear\.weight$/.test(name)) weight.write((await weight.read()).map((x) => scale * x) as Float32Array);
      if (/(^|\.)(trust|gate)\.weight$/.test(name))
        weight.write((await weight.read()).map((x) => own * x) as Float32Array);
      if (/(^|\.)(trust|gate)\.bias$/.test(name))
        weight.write((await weight.read()).map((x) => own * (x - middle)) as Float32Array);
    }
  }
}

/**
 * In the middle of the widest gap between the scores of neighbours, about where a share of them leaves: nobody is near
 * it.
 */
function threshold(scores: readonly number[], share: number): number {
  const sorted = [...scores].sort((a, b) => b - a);
  const at = Math.floor(share * sorted.length);
  let [widest, best] = [-1, sorted[0]!];
  for (let i = Math.max(0, at - 6); i < Math.min(sorted.length - 1, at + 6); i++) {
    const gap = sorted[i]! - sorted[i + 1]!;
    if (gap > widest) [widest, best] = [gap, (sorted[i]! + sorted[i + 1]!) / 2];
  }
  // Ties within rounding would stay on the device: a subject that has only such proves nothing.
  if (widest < 1e-4 * Math.max(1, Math.abs(best)))
    throw new Error(`the scores of neighbours differ by ${widest} at most, near ${best}`);
  return best;
}

function thresholdsOf(kind: PolicyKind, { samples, exits, classes, scores }: Cascade): number[] {
  let left = Array.from({ length: samples }, (_, i) => i);
  const perExit = Array.from({ length: exits - 1 }, (_, j) => {
    const found = threshold(
      left.map((i) => scores[i * exits + j]!),
      0.4,
    );
    left = left.filter((i) => scores[i * exits + j]! < found);
    return found;
  });
  switch (kind) {
    case "per exit":
      return perExit;
    case "one":
      return [threshold(Array.from(scores), 0.35)];
    case "by class":
      // Two levels in turn, so that a class's neighbour would decide otherwise.
      return perExit.flatMap((value, j) => {
        const own = Array.from({ length: samples }, (_, i) => scores[i * exits + j]!);
        const other = threshold(own, 0.7);
        return Array.from({ length: classes }, (_, c) => (c % 2 === 0 ? value : other));
      });
    case "first exit closed":
      return [Number.POSITIVE_INFINITY, ...perExit.slice(1)];
    case "all exits closed":
      return perExit.map(() => Number.POSITIVE_INFINITY);
    case "all leave at once":
      return [Number.NEGATIVE_INFINITY];
  }
}

/** Throws an Error that names the first sample whose answer is another than the policy's on the table. */
function compare(
  about: string,
  got: Answers,
  all: Cascade,
  thresholds: readonly number[],
  order: readonly number[],
): void {
  const exits = decide(all, thresholds);
  const classes = predictionsAt(all, exits);
  order.forEach((sample, place) => {
    const want = [exits[sample]!, classes[sample]!, all.scores[sample * all.exits + exits[sample]!]!] as const;
    const have = [got.exits[place]!, got.classes[place]!, got.scores[place]!] as const;
    const isEqual =
      have[0] === want[0] &&
      have[1] === want[1] &&
      Math.abs(have[2] - want[2]) <= 1e-4 * Math.max(1, Math.abs(want[2]));
    if (!isEqual) throw new Error(`${about}: sample ${sample} got exit, class, score ${have}; the policy has ${want}`);
  });
}

/**
 * Deploys a subject once for each score, with policies, scaling, batches, routes and forms of images taking turns, and
 * compares every answer; each classifier answers twice, the second time with the images in another order. The exits
 * that were taken.
 */
export async function agree(name: string, wanted?: readonly OwnScore[], given?: Device): Promise<Set<number>> {
  const subject = SUBJECTS[name]!;
  const scores = wanted ?? subject.scores ?? PLAIN;
  const turn = Object.keys(SUBJECTS).indexOf(name);
  const net = subject.make(given);
  const taken = new Set<number>();
  try {
    await train(net, subject.steps);
    await spread(net, subject.spread ?? SPREAD);
    const device = net.parameters()[0]!.device;
    const plain = await tableOf(net);
    const fitted = fit(plain, { method: "temperature" });
    const scalers = fitted.scalers.map((scaler, j) => ({ ...scaler, parameters: Float64Array.of(TEMPERATURES[j]!) }));
    const scaling = { ...fitted, scalers } as Scaling;
    for (const score of scores) {
      const k = SCORES.indexOf(score);
      const [kind, batch] = [POLICIES[(k + turn) % POLICIES.length]!, BATCHES[(k + 2 * turn) % BATCHES.length]!];
      const [form, isScaled] = [FORMS[(k + turn) % FORMS.length]!, (k + turn + (k >> 1)) % 2 === 1];
      const route = ROUTES[(k + turn) % ROUTES.length]!;
      const about = `${name}: ${score}, ${kind}, batches of ${batch}, ${route}, ${form}${isScaled ? ", scaled" : ""}`;
      const all = cascade(isScaled ? scaleLogits(plain, scaling) : plain, score);
      const thresholds = thresholdsOf(kind, all);
      await poisoned(device, async () => {
        const options = { batch, route, normalise: { mean: MEAN, std: STD }, ...(isScaled && { scaling }) };
        using classifier = await deploy(net, { thresholds, score }, options);
        for (const shift of [0, 17]) {
          const order = Array.from({ length: SAMPLES }, (_, i) => (i + shift) % SAMPLES);
          const given = fed(form, order, device);
          const answers = await classifier.classify(given);
          if (given instanceof Tensor) given.dispose();
          compare(about, answers, all, thresholds, order);
          for (const exit of answers.exits) taken.add(exit);
        }
      });
    }
    return taken;
  } finally {
    net.dispose();
  }
}

/** The images in an order, in one of the forms that `classify` takes. */
function fed(
  form: (typeof FORMS)[number],
  order: readonly number[],
  device: Device,
): Uint8Array | Float32Array | Tensor {
  const { bytes, values } = images();
  const picked = <T extends Uint8Array | Float32Array>(all: T): T => {
    const out = all.slice() as T;
    for (const [to, from] of order.entries()) out.set(all.subarray(432 * from, 432 * from + 432), 432 * to);
    return out;
  };
  if (form === "bytes") return picked(bytes);
  return form === "numbers" ? picked(values) : tensor(picked(values), { shape: [SAMPLES, 12, 12, 3], device });
}
