// BranchyNet (Teerapittayanon et al., ICPR 2016): all exits together, early ones counting more, and leaving by entropy.

import { option } from "../../base/index.ts";
import { labelSmoothing, weightedCrossEntropy } from "./losses.ts";
import { defineMethod, type Method } from "./method.ts";
import { once, plainBackbone } from "./parts.ts";

const OPTIONS = {
  early: option.number(1, "weight of each exit but the last", { min: 0, basis: "reconstructed, 60 %" }),
  last: option.number(0.3, "weight of the last exit", { min: 0, basis: "reconstructed, 60 %" }),
  pretrained: option.toggle(false, "train the plain network first, for as many epochs; the paper starts from one", {
    basis: "ours: all methods start from the same weights",
  }),
  labelSmoothing: labelSmoothing(0),
} as const;

/** sum_j w_j mean CE_j; thresholds on the entropy, which the paper tunes by hand. */
export const branchynet: Method<typeof OPTIONS> = defineMethod({
  name: "branchynet",
  about: "all exits together, early ones counting more than the last, and samples leaving by entropy",
  paper: {
    title: "BranchyNet: Fast Inference via Early Exiting from Deep Neural Networks",
    venue: "ICPR 2016",
    arxiv: "1709.01686",
  },
  options: OPTIONS,
  isPlain: true,
  phases: ({ early, last, pretrained, labelSmoothing: smoothing }, site) => {
    const [together] = once({
      loss: weightedCrossEntropy(smoothing),
      exitWeights: (exits) => Array.from({ length: exits }, (_, j) => (j < exits - 1 ? early : last)),
    });
    return pretrained ? [plainBackbone(site, smoothing), together] : [together];
  },
  policy: () => ({ score: "entropy", rule: "learnThenTest" }),
});
