// Confidence gates on the targets of early-exit failure prediction (this project's): an exit should keep a sample that
// it gets right, and one that no later exit gets right either. What it should keep, later exits need not learn.

import { type Kinds, option } from "../../base/index.ts";
import {
  add,
  argmax,
  cast,
  clamp,
  eq,
  exp,
  log,
  logSoftmax,
  matmul,
  mul,
  noGrad,
  oneHot,
  readOptions,
  reshape,
  slice,
  sub,
  sum,
  type Tensor,
} from "../../engine/functions.ts";
import { weighSamples } from "./eligibility.ts";
import { exitWeightsAt, exitWeightsOption } from "./exit-weights.ts";
import { checkOneLabel, exitCrossEntropy, exitMeans, labelSmoothing, ramped } from "./losses.ts";
import { defineMethod, type Method, type Seen } from "./method.ts";
import { once } from "./parts.ts";
import { checkOperands, matrix } from "./stacked.ts";

/** Options of `exitTargets`. */
export interface ExitTargetOptions {
  /** By the probability of the label rather than by whether it is the largest; default false. */
  readonly soft?: boolean;
  /** Whether a sample that nobody gets right should leave at once, as the paper has it; default true. */
  readonly futile?: boolean;
}

const TARGETS: Kinds<ExitTargetOptions> = { soft: "boolean", futile: "boolean" };

/** Stands for 0 inside logarithms. */
const LEAST = 1e-30;

/**
 * How far early exits should keep a sample, [N, K - 1]: g_j = r_j + (1 - r_j) prod_{k>j} (1 - r_k), r = 1 where an exit
 * is right (soft: the label's probability); without futile ones g_j = r_j. Logits f32[N, K, C], labels i32[N]; no
 * gradient. Kubaty et al., ICML 2026; the soft form is this project's. @throws ShapeError or DTypeError for operands
 * that do not fit.
 */
export function exitTargets(logits: Tensor, labels: Tensor, options: ExitTargetOptions = {}): Tensor {
  const { soft = false, futile = true } = readOptions("exitTargets", options, TARGETS);
  const operands = { logits: [logits, "N K C"], labels: [labels, "N", "i32"] } as const;
  const { N: n, K: exits, C: classes } = checkOperands("exitTargets", operands, { K: 2, C: 1 });
  return noGrad(() => {
    const hot = reshape(cast(oneHot(labels, { numClasses: classes }), "f32"), [n, 1, classes]);
    const right = soft
      ? exp(sum(mul(logSoftmax(logits), hot), { dim: -1 }))
      : cast(eq(argmax(logits, { dim: -1 }), reshape(labels, [n, 1])), "f32");
    const early = slice(right, { ends: [n, exits - 1] });
    if (!futile) return early;
    const after = matrix([exits, exits - 1], logits, (row, column) => Number(row > column));
    const nobody = exp(matmul(log(clamp(sub(1, right), { min: LEAST })), after));
    return add(early, mul(sub(1, early), nobody));
  });
}

const OPTIONS = {
  soft: option.toggle(true, "gates between open and closed, by the probability of the label; else 0 or 1", {
    basis: "ours",
  }),
  futile: option.toggle(true, "count a sample as handled where no later exit is right either, as the targets have it"),
  warmup: option.number(
    0.5,
    "share of the epochs over which gates close: while nobody has learned anything, every sample is hopeless",
    { above: 0, max: 1, basis: "ours" },
  ),
  exitWeights: exitWeightsOption(1, "ours"),
  leak: option.number(1e-3, "added to every weight", { min: 0, basis: "the public code of CGT" }),
  normalise: option.toggle(true, "divide each sample's weights by their sum", { basis: "the public code of CGT" }),
  labelSmoothing: labelSmoothing(0),
} as const;

/** sum_j mean(W_j CE_j), W from gates h_j = g_j, the targets of failure prediction. */
export const eefpCgt: Method<typeof OPTIONS> = defineMethod({
  name: "eefp-cgt",
  about: "gates on the targets of failure prediction: later exits learn what an earlier one should not keep",
  paper: {
    title: "Rethinking Calibration for Early-Exit Neural Networks",
    venue: "ICML 2026; in gates: ours",
    arxiv: "2508.21495",
    code: "gmum/rethinking-calibration-for-eenns",
  },
  options: OPTIONS,
  phases({ soft, futile, warmup, exitWeights, leak, normalise, labelSmoothing: smoothing }) {
    const under = (isGated: boolean) => (seen: Seen) => {
      checkOneLabel("eefp-cgt", seen, "a target");
      const targets = exitTargets(seen.logits, seen.labels, { soft, futile });
      const handled = isGated ? ramped(targets, seen) : mul(targets, 0);
      const weights = weighSamples(handled, seen.exitWeights, { leak, normalise });
      return sum(exitMeans(mul(exitCrossEntropy(seen, smoothing), weights)));
    };
    return once({
      loss: under(true),
      control: under(false),
      ramp: ({ epoch, epochs }) => Math.min((epoch - 1) / (warmup * epochs), 1),
      exitWeights: (exits, at) => exitWeightsAt("eefp-cgt", exitWeights, exits, at),
    });
  },
});
