// Exit weights that rise evenly with depth: the oldest of schedules, so that the last exit, whose answer is the best,
// counts most.

import { option } from "../../base/index.ts";
import { exitWeightsAt } from "./exit-weights.ts";
import { labelSmoothing, weightedCrossEntropy } from "./losses.ts";
import { defineMethod, type Method } from "./method.ts";
import { once } from "./parts.ts";

const OPTIONS = {
  first: option.number(undefined, "weight of the first exit (default: 1 over the number of exits)", { min: 0 }),
  last: option.number(1, "weight of the last exit", { min: 0 }),
  labelSmoothing: labelSmoothing(0),
} as const;

/** sum_j w_j mean CE_j, w from `first` to `last`. */
export const linearWeights: Method<typeof OPTIONS> = defineMethod({
  name: "linear",
  about: "all exits together, under weights that rise evenly with depth",
  options: OPTIONS,
  isPlain: true,
  phases: ({ first, last, labelSmoothing: smoothing }) =>
    once({
      loss: weightedCrossEntropy(smoothing),
      exitWeights: (exits, at) => exitWeightsAt("linear", { first: first ?? 1 / exits, last }, exits, at),
    }),
});
