// BoostNet (Yu et al., Boosted Dynamic Networks, AAAI 2023): exits are an additive model, each learning what those
// before it left over. Formula of the public code.

import { type Kinds, option } from "../../base/index.ts";
import { add, crossEntropy, matmul, readOptions, sum, type Tensor } from "../../engine/functions.ts";
import { additive } from "../network/heads/additive.ts";
import { checkNumbers, exitMeans, labelSmoothing, weightedCrossEntropy } from "./losses.ts";
import { defineMethod, type Method } from "./method.ts";
import { once } from "./parts.ts";
import { checkOperands, matrix } from "./stacked.ts";

/** Options of the boosted losses. */
export interface BoostOptions {
  /** How much of the earlier exits' sum an exit starts from; default 0.5, the public code's for CIFAR-100. */
  readonly t?: number;
}

/** What `boostLosses` finds. */
export interface BoostLosses {
  /** The scalar to differentiate: the sum over exits. */
  readonly loss: Tensor;
  /** `[K]`: mean loss of each exit. */
  readonly exitLosses: Tensor;
  /** `[N, K, C]`: the logits that the exits answer by; see `boostedLogits`. */
  readonly additive: Tensor;
}

const BOOST: Kinds<BoostOptions> = { t: "number" };

/**
 * F_j = f_j + t F_{j-1}, F_0 = 0, of increments f f32[N, K, C]: what exits answer by, and what thresholds are to be
 * calibrated on. Gradients reach an exit's own increment alone. @throws ShapeError, DTypeError or ArgumentError for
 * what does not fit.
 */
export function boostedLogits(increments: Tensor, options: BoostOptions = {}): Tensor {
  const { t = 0.5 } = readOptions("boostedLogits", options, BOOST);
  const { K: exits } = checkOperands("boostedLogits", { increments: [increments, "N K C"] }, { K: 1, C: 1 });
  checkNumbers("boostedLogits", { t });
  const earlier = matrix([exits, exits], increments, (j, k) => (k < j ? t ** (j - k) : 0));
  return add(increments, matmul(earlier, increments.detach()));
}

/**
 * sum_j mean CE(f_j + sg(t F_{j-1}), y) of increments f32[N, K, C] and labels i32[N]. @throws ShapeError, DTypeError or
 * ArgumentError for what does not fit.
 */
export function boostLosses(increments: Tensor, labels: Tensor, options: BoostOptions = {}): BoostLosses {
  const { t = 0.5 } = readOptions("boostLosses", options, BOOST);
  const operands = { increments: [increments, "N K C"], labels: [labels, "N", "i32"] } as const;
  checkOperands("boostLosses", operands, { K: 1, C: 1 });
  checkNumbers("boostLosses", { t });
  const additive = boostedLogits(increments, { t });
  const exitLosses = exitMeans(crossEntropy(additive, labels, { reduction: "none" }));
  return { loss: sum(exitLosses), exitLosses, additive };
}

const OPTIONS = {
  t: option.number(0.5, "how much of the earlier exits' sum an exit starts from", {
    min: 0,
    basis: "the public code, for CIFAR-100",
  }),
  equilibrium: option.toggle(true, "rescale the gradients that exits send into shared stages", {
    basis: "the public code, for MSDNet",
  }),
  labelSmoothing: labelSmoothing(0),
} as const;

/** sum_j mean CE(F_j, y), F_j = f_j + t sg(F_{j-1}): heads say F_j, so that tables and devices decide by it. */
export const boost: Method<typeof OPTIONS> = defineMethod({
  name: "boost",
  about: "exits are an additive model: each learns what those before it left over, and answers by the sum",
  paper: { title: "Boosted Dynamic Neural Networks", venue: "AAAI 2023", code: "SHI-Labs/Boosted-Dynamic-Networks" },
  options: OPTIONS,
  isPlain: true,
  wraps: ({ t }) => [additive(t)],
  phases: ({ equilibrium, labelSmoothing: smoothing }) =>
    once({
      equilibrium,
      loss: weightedCrossEntropy(smoothing),
      exitWeights: (exits) => new Array<number>(exits).fill(1),
    }),
});
