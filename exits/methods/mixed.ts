// Mixed training: first the plain network, then everything together. The best of the three regimes, says the paper that
// compares them.

import { exitWeightsAt, exitWeightsOption } from "./exit-weights.ts";
import { labelSmoothing, weightedCrossEntropy } from "./losses.ts";
import { defineMethod, type Method } from "./method.ts";
import { equalTotal, once, plainBackbone, REGIMES, shared } from "./parts.ts";

const OPTIONS = { exitWeights: exitWeightsOption(1), equalTotal, labelSmoothing: labelSmoothing(0) } as const;

/** CE of the last exit, then sum_j w_j mean CE_j of all. */
export const mixed: Method<typeof OPTIONS> = defineMethod({
  name: "mixed",
  about: "the backbone first, then all exits together",
  paper: REGIMES,
  options: OPTIONS,
  isPlain: true,
  phases: ({ exitWeights, equalTotal: isEqual, labelSmoothing: smoothing }, site) =>
    shared(isEqual, [
      plainBackbone(site, smoothing),
      ...once({
        loss: weightedCrossEntropy(smoothing),
        exitWeights: (exits, at) => exitWeightsAt("mixed", exitWeights, exits, at),
      }),
    ]),
});
