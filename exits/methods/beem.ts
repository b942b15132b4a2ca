// BEEM (Bajpai and Hanawal, ICLR 2025): exits are experts. Training weighs them by depth; what is its own is the
// decision, which adds up the confidence of neighbours that agree (heads/experts.ts). The paper's networks are language
// models.

import { experts } from "../network/heads/experts.ts";
import { labelSmoothing, weightedCrossEntropy } from "./losses.ts";
import { defineMethod, type Method } from "./method.ts";
import { once } from "./parts.ts";

const OPTIONS = { labelSmoothing: labelSmoothing(0) } as const;

/**
 * sum_j j mean CE_j / sum_j j (reconstructed, 75 %: that of the work it builds on), and exits that say what agreeing
 * experts add up to.
 */
export const beem: Method<typeof OPTIONS> = defineMethod({
  name: "beem",
  about: "exits weighed by depth, and leaving by the added-up confidence of neighbours that agree",
  paper: {
    title: "BEEM: Boosting Performance of Early Exit DNNs using Multi-Exit Classifiers as Experts",
    venue: "ICLR 2025",
    arxiv: "2502.00745",
    code: "Div290/BEEM1",
  },
  options: OPTIONS,
  isPlain: true,
  wraps: () => [experts()],
  phases: ({ labelSmoothing: smoothing }) =>
    once({
      loss: weightedCrossEntropy(smoothing),
      exitWeights: (exits) => Array.from({ length: exits }, (_, j) => (2 * (j + 1)) / (exits * (exits + 1))),
    }),
  policy: () => ({ score: "confidence", rule: "learnThenTest" }),
});
