// Jointly weighted cross-entropy: L = sum_j w_j mean_i CE(z_j, y), the weights fixed, rising with depth, or rising with time.

import { option } from "../../base/index.ts";
import { ArgumentError } from "../../engine/functions.ts";
import { exitWeightsAt, exitWeightsOption } from "./exit-weights.ts";
import { labelSmoothing, weightedCrossEntropy } from "./losses.ts";
import { defineMethod, type Epoch, type Method } from "./method.ts";
import { once } from "./parts.ts";

const OPTIONS = {
  exitWeights: exitWeightsOption(1),
  normalise: option.toggle(false, "divide the exit weights by their sum"),
  labelSmoothing: labelSmoothing(0),
} as const;

/** Weights over their sum. Throws ArgumentError where all are 0. */
function normalised(op: string, weights: readonly number[], isWanted: boolean): readonly number[] {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (!(total > 0)) throw new ArgumentError(`${op}: some exit weight must be above 0; got [${weights.join(", ")}].`);
  return isWanted ? weights.map((weight) => weight / total) : weights;
}

/** All exits together, without gates and without a teacher: every exit learns from every sample. */
export const joint: Method<typeof OPTIONS> = defineMethod({
  name: "joint",
  about: "the weighted sum of all exits' cross-entropies; the usual baseline",
  options: OPTIONS,
  phases: ({ exitWeights, normalise, labelSmoothing: smoothing }) =>
    once({
      loss: weightedCrossEntropy(smoothing),
      exitWeights: (exits: number, at: Epoch) =>
        normalised("joint", exitWeightsAt("joint", exitWeights, exits, at), normalise),
    }),
});
