// SelectiveNet (Geifman and El-Yaniv, ICML 2019) for several exits: early exits choose what to answer, and learn most
// from what they choose, of which there must be enough. The paper has one exit, which rejects, and a third head for its
// auxiliary loss; here one answer serves both.

import { type Kinds, option } from "../../base/index.ts";
import {
  add,
  concat,
  crossEntropy,
  div,
  maximum,
  mean,
  mul,
  readOptions,
  sigmoid,
  slice,
  square,
  sub,
  sum,
  type Tensor,
} from "../../engine/functions.ts";
import { confident } from "../network/heads/confident.ts";
import { saidOf } from "../network/heads/head.ts";
import { exitWeightsAt, exitWeightsOption } from "./exit-weights.ts";
import { byOneLabel, checkNumbers, labelSmoothing, weighExits } from "./losses.ts";
import { defineMethod, type Method } from "./method.ts";
import { once } from "./parts.ts";
import { checkOperands } from "./stacked.ts";

/** Options of `selectiveLosses`. */
export interface SelectiveOptions {
  /** Least share of samples that an early exit answers; default 0.8. */
  readonly coverage?: number;
  /** Weight of what is missing to it, squared; default 32. */
  readonly lambda?: number;
  /** Share of the selective loss against plain cross-entropy; default 0.5. */
  readonly alpha?: number;
  readonly labelSmoothing?: number;
}

const SELECTIVE: Kinds<SelectiveOptions> = {
  coverage: "number",
  lambda: "number",
  alpha: "number",
  labelSmoothing: "number",
};

/** Below it a sum of choices counts as this. */
const LEAST = 1e-12;

/**
 * `[K]`: of early exits alpha (sum_i g CE / sum_i g + lambda max(0, coverage - mean g)^2) + (1 - alpha) mean CE, g =
 * sigmoid(confidence); of the last one mean CE. Logits f32[N, K, C], confidence f32[N, K-1] before the sigmoid, labels
 * i32[N]. @throws ShapeError, DTypeError or ArgumentError for operands and options that do not fit.
 */
export function selectiveLosses(
  logits: Tensor,
  confidence: Tensor,
  labels: Tensor,
  options: SelectiveOptions = {},
): Tensor {
  const op = "selectiveLosses";
  const {
    coverage = 0.8,
    lambda = 32,
    alpha = 0.5,
    labelSmoothing: smoothing = 0,
  } = readOptions(op, options, SELECTIVE);
  checkNumbers(op, { coverage, lambda, alpha });
  const operands = {
    logits: [logits, "N K C"],
    confidence: [confidence, "N K-1"],
    labels: [labels, "N", "i32"],
  } as const;
  const { N: n, K: exits } = checkOperands(op, operands, { N: 1, K: 2, C: 1 });
  const losses = crossEntropy(logits, labels, { labelSmoothing: smoothing, reduction: "none" });
  const plain = mean(losses, { dim: 0 });
  const chosen = sigmoid(confidence);
  const early = slice(losses, { ends: [n, exits - 1] });
  const risk = div(sum(mul(early, chosen), { dim: 0 }), maximum(sum(chosen, { dim: 0 }), LEAST));
  const missing = square(maximum(sub(coverage, mean(chosen, { dim: 0 })), 0));
  const selective = add(risk, mul(missing, lambda));
  const both = add(mul(selective, alpha), mul(slice(plain, { ends: [exits - 1] }), 1 - alpha));
  return concat([both, slice(plain, { starts: [exits - 1] })], { dim: 0 });
}

const OPTIONS = {
  coverage: option.number(0.8, "least share of samples that an early exit answers", { min: 0, max: 1 }),
  lambda: option.number(32, "weight of what is missing to it, squared", { min: 0 }),
  alpha: option.number(0.5, "share of the selective loss against plain cross-entropy", { min: 0, max: 1 }),
  exitWeights: exitWeightsOption(1, "ours: the paper has one exit"),
  labelSmoothing: labelSmoothing(0),
} as const;

/** sum_j w_j `selectiveLosses`; samples leave by what heads say of themselves. */
export const selectiveNet: Method<typeof OPTIONS> = defineMethod({
  name: "selective-net",
  about: "early exits learn what to answer, and most from what they choose, of which there must be enough",
  paper: {
    title: "SelectiveNet: A Deep Neural Network with an Integrated Reject Option",
    venue: "ICML 2019",
    arxiv: "1901.09192",
    code: "geifmany/selectivenet",
  },
  options: OPTIONS,
  wraps: () => [confident()],
  phases: ({ exitWeights, ...options }) =>
    once({
      loss: byOneLabel("selective-net", "a selective risk", ({ logits, out, labels, exitWeights: weights }) =>
        weighExits(selectiveLosses(logits, saidOf(out, "confidence"), labels, options), weights),
      ),
      exitWeights: (exits, at) => exitWeightsAt("selective-net", exitWeights, exits, at),
    }),
  policy: () => ({ score: "confidence", rule: "learnThenTest" }),
});
