// Shallow-Deep Networks (Kaya et al., ICML 2019): early exits count next to nothing at first, and at most as much as
// their depth is worth. Rule and figures of the public code; the paper's heads are `pool-linear`.

import { option } from "../../base/index.ts";
import { ArgumentError } from "../../engine/functions.ts";
import { exitWeightsAt } from "./exit-weights.ts";
import { labelSmoothing, weightedCrossEntropy } from "./losses.ts";
import { defineMethod, type Method } from "./method.ts";
import { once } from "./parts.ts";

const OPTIONS = {
  maxima: option.list(undefined, "largest weight of each exit but the last (default: its share of the MACs)", {
    min: 0,
  }),
  labelSmoothing: labelSmoothing(0),
} as const;

/** sum_j w_j mean CE_j, w_j = min(max_j, 0.01 + max_j epoch / epochs), w_K = 1. */
export const sdn: Method<typeof OPTIONS> = defineMethod({
  name: "sdn",
  about:
    "all exits together; early ones' weights grow over the epochs, up to their share of the MACs (heads: pool-linear)",
  paper: {
    title: "Shallow-Deep Networks: Understanding and Mitigating Network Overthinking",
    venue: "ICML 2019",
    arxiv: "1810.07052",
    code: "yigitcankaya/Shallow-Deep-Networks",
  },
  options: OPTIONS,
  isPlain: true,
  phases({ maxima, labelSmoothing: smoothing }, { costs, exits }) {
    const early = exits - 1;
    if (maxima && maxima.length !== early)
      throw new ArgumentError(
        `sdn: maxima must have one number for each exit but the last; got ${maxima.length} for ${early}.`,
      );
    return once({
      loss: weightedCrossEntropy(smoothing),
      exitWeights: (exits, at) => exitWeightsAt("sdn", { sdn: maxima ?? costs.slice(0, -1) }, exits, at),
    });
  },
});
