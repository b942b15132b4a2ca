// Jointly weighted cross-entropy: L = sum_j w_j mean_i CE(z_j, y), the weights fixed, rising with depth, or rising with
// time.

import { option } from "../../base/index.ts";
import { exitWeightsOption, weightsOf } from "./exit-weights.ts";
import { labelSmoothing, weightedCrossEntropy } from "./losses.ts";
import { defineMethod, type Method } from "./method.ts";
import { once } from "./parts.ts";

const OPTIONS = {
  exitWeights: exitWeightsOption(1),
  normalise: option.toggle(false, "divide the exit weights by their sum"),
  sum: option.number(undefined, "what the exit weights add up to, for a control of a method whose weights do", {
    above: 0,
    basis: "ours: the sum alone moves what exits reach",
  }),
  labelSmoothing: labelSmoothing(0),
} as const;

/** All exits together, without gates and without a teacher: every exit learns from every sample. */
export const joint: Method<typeof OPTIONS> = defineMethod({
  name: "joint",
  about: "the weighted sum of all exits' cross-entropies; the usual baseline",
  options: OPTIONS,
  fewest: 1,
  isPlain: true,
  refuses: ({ normalise, sum }) =>
    normalise && sum !== undefined && sum !== 1 ? `normalise makes the sum 1; got sum ${sum} too` : undefined,
  phases: ({ labelSmoothing: smoothing, ...rest }) =>
    once({
      loss: weightedCrossEntropy(smoothing),
      exitWeights: (exits, at) => weightsOf("joint", rest, exits, at),
    }),
});
