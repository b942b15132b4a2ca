// Options of rules, scores and scaling that a name or a number says, each told once: functions, policy files and the
// command's flags and help take type, default, check and words from here.

import { option } from "../../base/index.ts";

/** Which confidence is thresholded; a fitted gate is given as itself. */
export const SCORE = option.choice(
  [
    "maxProb",
    "margin",
    "entropy",
    "normalisedEntropy",
    "energy",
    "maxLogit",
    "patience",
    "productOfExperts",
    "geometricEnsemble",
    "arithmeticEnsemble",
    "confidence",
  ],
  "what is compared with thresholds; confidence: what heads say of themselves",
);

/** How logits or confidences are scaled. */
export const SCALING_METHOD = option.choice(
  ["temperature", "vector", "matrix", "dirichlet", "histogram", "isotonic", "beta"],
  "scaling that is fitted on the validation logits first; the last three change the score maxProb only",
  { default: undefined },
);

const BOUND = ["clopperPearson", "wsr", "hoeffdingBentkus"] as const;

/** By rule; what all rules take, levels, score and samples, stands apart. */
export const RULE_OPTIONS = {
  learnThenTest: {
    control: option.choice(["exit", "early", "label", "predictedClass"], "whose error rate is promised"),
    procedure: option.choice(
      ["path", "sequential", "split", "union", "allSamples"],
      "how exits share the failure probability (default path, for predictedClass split)",
      { default: undefined },
    ),
    test: option.choice(["binomial", "hoeffdingBentkus", "wsr"], "test of one row of thresholds"),
    correction: option.choice(["fixedSequence", "holm", "bonferroni"], "how the rows of a path are paid for"),
    steps: option.whole(41, "rows or grid points that are tried", { min: 1, max: 10_000 }),
  },
  controlRisk: {
    method: option.choice(
      ["crc", "ucb", "ltt"],
      "in the mean over calibrations (crc), or in a share 1 - delta of them",
    ),
    loss: option.choice(
      ["acceptedAndWrong", "disagreement", "gap", "brierGap", "brierDisagreement", "hellinger"],
      "loss whose mean over all samples is controlled",
    ),
    bound: option.choice(BOUND, "upper bound or p-value (default clopperPearson for losses of 0 or 1, else wsr)", {
      default: undefined,
    }),
    steps: option.whole(50, "thresholds that are tried", { min: 1, max: 10_000 }),
  },
  /** Of both. */
  levels: {
    alpha: option.number(0.05, "target risk", { above: 0, below: 1 }),
    delta: option.number(0.1, "failure probability", { above: 0, below: 1 }),
    seed: option.whole(0, "seed of the split, where there is one", { min: 0 }),
  },
} as const;
