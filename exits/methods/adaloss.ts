// AdaLoss (Hu et al., AAAI 2019): exits weigh inversely to the running means of their losses, so that all are heard
// alike. It is the gradient of the sum of logarithms of mean losses. Decay and mixture were not seen.

import { option } from "../../base/index.ts";
import { add, copyInto, div, maximum, mul, noGrad, sum } from "../../engine/functions.ts";
import { exitCrossEntropy, exitMeans, labelSmoothing, weighExits } from "./losses.ts";
import { defineMethod, type Method } from "./method.ts";

const OPTIONS = {
  decay: option.number(0.99, "decay of the running means", { min: 0, below: 1, basis: "reconstructed, 50 %" }),
  mix: option.number(0.05, "share of weights that are equal for all exits", {
    min: 0,
    max: 1,
    basis: "reconstructed, 50 %",
  }),
  labelSmoothing: labelSmoothing(0),
} as const;

/** Below it a mean loss counts as this. */
const LEAST = 1e-6;

/** sum_j w_j mean CE_j, w_j = (1 - mix) K (1 / m_j) / sum_k (1 / m_k) + mix, m the running means, which start alike. */
export const adaloss: Method<typeof OPTIONS> = defineMethod({
  name: "adaloss",
  about: "all exits together, weighing inversely to the running means of their losses",
  paper: {
    title: "Learning Anytime Predictions in Neural Networks via Adaptive Loss Balancing",
    venue: "AAAI 2019",
    arxiv: "1708.06832",
  },
  options: OPTIONS,
  phases: ({ decay, mix, labelSmoothing: smoothing }, { exits, classes }) => [
    {
      name: "training",
      prepare: async () => ({ means: { data: new Float32Array(exits).fill(Math.log(classes)), shape: [exits] } }),
      tracks: [
        {
          loss: (seen) => {
            const losses = exitMeans(exitCrossEntropy(seen, smoothing));
            const means = seen.numbers["means"]!;
            const weights = noGrad(() => {
              copyInto(means, add(mul(means, decay), mul(losses.detach(), 1 - decay)));
              const inverse = div(1, maximum(means, LEAST));
              return add(mul(div(inverse, sum(inverse)), (1 - mix) * exits), mix);
            });
            return weighExits(losses, mul(weights, seen.exitWeights));
          },
        },
      ],
    },
  ],
});
