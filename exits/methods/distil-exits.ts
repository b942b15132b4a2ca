// Exits that learn from deeper exits of the same network, beside the labels: all from the last, each from the next, or
// each from all behind it. As in the code of Zero Time Waste's authors: soft cross-entropy at temperature 1, meant over
// the pairs, beside the mean over exits.

import { option } from "../../base/index.ts";
import { add, mean, mul, reshape, slice, sum, type Tensor } from "../../engine/functions.ts";
import { softCrossEntropy } from "./distill.ts";
import { exitWeightsOption, weightsOf } from "./exit-weights.ts";
import { labelSmoothing, weightedCrossEntropy } from "./losses.ts";
import { defineMethod, type Method } from "./method.ts";
import { once } from "./parts.ts";
import { checkOperands, matrix } from "./stacked.ts";

/** Which deeper exits an exit learns from. */
export type DeeperExits = "last" | "later" | "next";

/** Whether exit `j` of `exits` learns from exit `k`. */
const LEARNS: Readonly<Record<DeeperExits, (j: number, k: number, exits: number) => boolean>> = {
  last: (j, k, exits) => j < k && k === exits - 1,
  later: (j, k) => j < k,
  next: (j, k) => k === j + 1,
};

/**
 * mean over samples, and over pairs (j, k) of exits of which j learns from k, of -sum_c sg p_k(c) log p_j(c): logits
 * f32[N, K, C] to a scalar. 0 for one exit. @throws ShapeError or DTypeError for what does not fit.
 */
export function deeperExitsLoss(logits: Tensor, from: DeeperExits): Tensor {
  const {
    N: n,
    K: exits,
    C: classes,
  } = checkOperands("deeperExitsLoss", { logits: [logits, "N K C"] }, { K: 1, C: 1 });
  if (exits === 1) return mul(sum(logits), 0);
  const pupils = reshape(logits, [n, exits, 1, classes]);
  const teachers = reshape(slice(logits, { starts: [0, 1, 0], ends: [n, exits, classes] }), [n, 1, exits - 1, classes]);
  const learns = matrix([exits, exits - 1], logits, (j, k) => Number(LEARNS[from](j, k + 1, exits)));
  const pairs = from === "later" ? (exits * (exits - 1)) / 2 : exits - 1;
  return mul(sum(mul(mean(softCrossEntropy(pupils, teachers), { dim: 0 }), learns)), 1 / pairs);
}

const OPTIONS = {
  exitWeights: exitWeightsOption(1),
  normalise: option.toggle(true, "divide the exit weights by their sum"),
  weight: option.number(1, "weight of what deeper exits say", {
    min: 0,
    basis: "this project; the public code sets none",
  }),
  labelSmoothing: labelSmoothing(0),
} as const;

const fromDeeper = (name: string, about: string, from: DeeperExits): Method<typeof OPTIONS> =>
  defineMethod({
    name,
    about,
    paper: { title: "Zero Time Waste", venue: "TNNLS 2023", code: "gmum/Zero-Time-Waste" },
    options: OPTIONS,
    phases: ({ weight, labelSmoothing: smoothing, ...rest }) =>
      once({
        exitWeights: (exits, at) => weightsOf(name, rest, exits, at),
        loss: (seen) => add(weightedCrossEntropy(smoothing)(seen), mul(deeperExitsLoss(seen.logits, from), weight)),
      }),
  });

/** Each exit learns from the last. */
export const distilLast: Method<typeof OPTIONS> = fromDeeper(
  "distil-last",
  "every exit learns from the labels and from the last exit",
  "last",
);

/** Each exit learns from all behind it. */
export const distilLater: Method<typeof OPTIONS> = fromDeeper(
  "distil-later",
  "every exit learns from the labels and from all exits behind it",
  "later",
);

/** Each exit learns from the next. */
export const distilNext: Method<typeof OPTIONS> = fromDeeper(
  "distil-next",
  "every exit learns from the labels and from the exit behind it",
  "next",
);
