// Rows of the losses: labels and distributions, stacked exits, smoothing, weights, reductions.

import type { Tensor } from "../../../engine/index.ts";
import * as s from "../../../engine/index.ts";
import { type OpCase, type OpRow, type Ref, ref } from "./row.ts";
import { softmaxLines } from "./softmax.ts";

const total = (values: Float64Array): number => values.reduce((a, b) => a + b, 0);

function reduce(losses: Ref, reduction: string, batch = losses.data.length): Ref {
  if (reduction === "none") return losses;
  const sum = total(losses.data);
  return ref([], () => (reduction === "sum" ? sum : reduction === "mean" ? sum / losses.data.length : sum / batch));
}

/** Cross-entropy of [N, C] or [N, K, C] per (sample, exit). */
export function crossEntropyOf(z: Ref, target: Ref, smoothing = 0, weights?: Ref): Ref {
  const classes = z.shape.at(-1) as number;
  const rows = z.data.length / classes;
  const samples = z.shape[0] as number;
  const logs = softmaxLines(z, [rows, classes, 1], true);
  return ref(z.shape.slice(0, -1), (row) => {
    const sample = Math.floor((row * samples) / rows);
    const given = (c: number) =>
      target.data.length === samples
        ? target.data[sample] === c
          ? 1
          : 0
        : (target.data[sample * classes + c] as number);
    let loss = 0;
    for (let c = 0; c < classes; c++) {
      const t = (1 - smoothing) * given(c) + smoothing / classes;
      loss -= t * (logs[row * classes + c] as number);
    }
    return loss * (weights?.data[row] ?? 1);
  });
}

interface Loss {
  readonly logits: readonly number[];
  readonly isDistribution?: boolean;
  readonly labelSmoothing?: number;
  readonly isWeighted?: boolean;
  readonly learnsWeights?: boolean;
  readonly reduction?: s.Reduction;
}

function crossEntropy({
  logits,
  isDistribution,
  labelSmoothing = 0,
  isWeighted,
  learnsWeights,
  reduction,
}: Loss): OpCase {
  const [samples, classes] = [logits[0] as number, logits.at(-1) as number];
  return {
    label: `[${logits}] ${isDistribution ? "distribution" : "labels"} smoothing ${labelSmoothing} ${isWeighted ? "weighted " : ""}${reduction}`,
    inputs: {
      z: { shape: logits, range: [-5, 5] },
      t: isDistribution
        ? { shape: [samples, classes], range: [0, 2 / classes] }
        : { shape: [samples], dtype: "i32", range: [0, classes] },
      ...(isWeighted && { w: { shape: logits.slice(0, -1) } }),
    },
    call: ({ z, t, w }) => {
      const options = { labelSmoothing, weights: w, ...(reduction && { reduction }) };
      return s.crossEntropy(z as Tensor, t as Tensor, options);
    },
    oracle: ({ z, t, w }) => reduce(crossEntropyOf(z as Ref, t as Ref, labelSmoothing, w), reduction ?? "mean"),
    grads: learnsWeights ? ["z", "w"] : ["z"],
    atol: 4e-5,
  };
}

const stacked: Loss = { logits: [6, 3, 10], isWeighted: true, reduction: "none" };

const crossEntropies: OpRow = {
  op: "crossEntropy",
  live: "some",
  cases: [
    ...[1, 31, 32, 33, 257].map((n) => crossEntropy({ logits: [n, 10] })),
    ...[1, 31, 32, 33, 257, 1000].map((c) => crossEntropy({ logits: [3, c], reduction: "none" })),
    crossEntropy({ logits: [5, 12], reduction: "sum", labelSmoothing: 0.1 }),
    crossEntropy({ logits: [5, 12], isDistribution: true }),
    crossEntropy({ logits: [5, 33], isDistribution: true, labelSmoothing: 0.2, reduction: "none" }),
    crossEntropy({ logits: [0, 4], reduction: "sum" }),
    crossEntropy(stacked),
    crossEntropy({ ...stacked, reduction: "mean", labelSmoothing: 0.1 }),
    crossEntropy({ ...stacked, isDistribution: true }),
    crossEntropy({ ...stacked, learnsWeights: true, reduction: "sum" }),
    counted([9, 5], -100, false, "mean"),
    counted([9, 5], 2, true, "mean"),
    counted([40, 33], undefined, true, "none"),
    counted([7, 3, 10], -100, true, "mean"),
    counted([7, 3, 10], -100, true, "sum"),
  ],
};

/** Samples that count differently: by their class, or not at all. */
function counted(
  logits: readonly number[],
  ignoreIndex: number | undefined,
  hasWeights: boolean,
  reduction: s.Reduction,
): OpCase {
  const [samples, classes] = [logits[0] as number, logits.at(-1) as number];
  const labels = Array.from({ length: samples }, (_, i) =>
    i % 3 === 1 && ignoreIndex !== undefined ? ignoreIndex : i % classes,
  );
  return {
    label: `[${logits}] ignoring ${ignoreIndex}${hasWeights ? ", classes weighted" : ""} ${reduction}`,
    inputs: {
      z: { shape: logits, range: [-5, 5] },
      t: { shape: [samples], dtype: "i32", values: labels },
      ...(hasWeights && { w: { shape: [classes], range: [0.1, 2] } }),
    },
    call: ({ z, t, w }) => s.crossEntropy(z as Tensor, t as Tensor, { ignoreIndex, classWeights: w, reduction }),
    oracle: ({ z, t, w }) => {
      const exits = (z as Ref).data.length / classes / samples;
      const weights = ref((z as Ref).shape.slice(0, -1), (row) => {
        const label = labels[Math.floor(row / exits)] as number;
        return label === ignoreIndex ? 0 : (w?.data[label] ?? 1);
      });
      const safe = ref((t as Ref).shape, (i) => Math.max(0, labels[i] as number));
      const losses = crossEntropyOf(z as Ref, safe, 0, weights);
      return reduction === "mean" ? ref([], () => total(losses.data) / total(weights.data)) : reduce(losses, reduction);
    },
    grads: ["z"],
    atol: 4e-5,
  };
}

const nll = (n: number, c: number, reduction: s.Reduction): OpCase => ({
  inputs: { p: { shape: [n, c], range: [-9, 0] }, t: { shape: [n], dtype: "i32", range: [0, c] } },
  call: ({ p, t }) => s.nllLoss(p as Tensor, t as Tensor, { reduction }),
  oracle: ({ p, t }) =>
    reduce(
      ref([n], (i) => -((p as Ref).data[i * c + ((t as Ref).data[i] as number)] as number)),
      reduction,
    ),
  grads: ["p"],
});

/** A loss of two tensors from its formula. */
function pair(
  call: (x: Tensor, t: Tensor, options: s.KlDivOptions) => Tensor,
  of: (x: number, t: number) => number,
  range: readonly [number, number],
  targets: readonly [number, number],
) {
  return (shape: readonly number[], options: s.KlDivOptions, rest: Partial<OpCase> = {}): OpCase => ({
    inputs: { x: { shape, range }, t: { shape, range: targets } },
    call: ({ x, t }) => call(x as Tensor, t as Tensor, options),
    oracle: ({ x, t }) => {
      const losses = ref(shape, (i) => of((x as Ref).data[i] as number, (t as Ref).data[i] as number));
      return reduce(losses, options.reduction ?? "mean", shape[0]);
    },
    grads: ["x", "t"],
    ...rest,
  });
}

const mse = pair(
  (x, t, options) => s.mse(x, t, options as s.LossOptions),
  (x, t) => (x - t) ** 2,
  [-2, 2],
  [-2, 2],
);
const kl = pair(s.klDiv, (x, t) => (t === 0 ? 0 : t * (Math.log(t) - x)), [-4, 0], [0.1, 1]);
const klLog = pair(s.klDiv, (x, t) => Math.exp(t) * (t - x), [-4, 0], [-4, 0]);
const bce = pair(
  (x, t, options) => s.binaryCrossEntropyWithLogits(x, t, options as s.LossOptions),
  (x, t) => Math.max(x, 0) - x * t + Math.log1p(Math.exp(-Math.abs(x))),
  [-6, 6],
  [0, 1],
);

export const rows: OpRow[] = [
  crossEntropies,
  {
    op: "nllLoss",
    live: "some",
    cases: [nll(1, 1, "mean"), nll(33, 7, "none"), nll(257, 10, "sum"), nll(5, 1000, "mean")],
  },
  {
    op: "mse",
    live: "some",
    cases: [mse([33], {}), mse([4, 5], { reduction: "none" }), mse([2, 3, 7], { reduction: "sum" })],
  },
  {
    op: "klDiv",
    live: "some",
    cases: [
      kl([4, 6], {}),
      kl([5, 7], { reduction: "batchMean" }),
      klLog([4, 6], { reduction: "sum", logTarget: true }),
      {
        ...kl([4], { reduction: "none" }, { label: "zero targets", grads: ["x"] }),
        inputs: { x: { shape: [4] }, t: { shape: [4], values: [0, 1, 0, 0.5] } },
      },
    ],
  },
  {
    op: "binaryCrossEntropyWithLogits",
    live: "some",
    cases: [
      bce([33], {}),
      bce([4, 5], { reduction: "none" }),
      {
        ...bce([4], { reduction: "none" }, { label: "large logits", grads: ["x"] }),
        inputs: { x: { shape: [4], values: [-1e4, 1e4, -80, 80] }, t: { shape: [4], values: [1, 0, 0.5, 1] } },
      },
    ],
  },
];
