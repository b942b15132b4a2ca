// Disjoint training: first the plain network, then the branches on it as it is. What branches cost the backbone, they
// cannot cost here.

import { exitWeightsAt, exitWeightsOption } from "./exit-weights.ts";
import { labelSmoothing, weightedCrossEntropy } from "./losses.ts";
import { defineMethod, type Method } from "./method.ts";
import { branches, equalTotal, plainBackbone, REGIMES, shared } from "./parts.ts";

const OPTIONS = { exitWeights: exitWeightsOption(1), equalTotal, labelSmoothing: labelSmoothing(0) } as const;

/** CE of the last exit, then sum_{j<K} w_j mean CE_j of the branches alone. */
export const disjoint: Method<typeof OPTIONS> = defineMethod({
  name: "disjoint",
  about: "the backbone first, then the branches on it as it is",
  paper: REGIMES,
  options: OPTIONS,
  isPlain: true,
  phases: ({ exitWeights, equalTotal: isEqual, labelSmoothing: smoothing }, site) =>
    shared(isEqual, [
      plainBackbone(site, smoothing),
      {
        name: "branches",
        tracks: [
          {
            trains: branches(site),
            loss: weightedCrossEntropy(smoothing),
            exitWeights: (exits, at) => exitWeightsAt("disjoint", exitWeights, exits, at),
          },
        ],
      },
    ]),
});
