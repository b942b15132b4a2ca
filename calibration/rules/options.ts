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
  ["temperature", "vector", "failure", "matrix", "dirichlet", "histogram", "isotonic", "beta"],
  "scaling that is fitted on the validation logits first; failure: vector, by what should leave as well as by labels; the last three change the score maxProb only",
  { default: undefined },
);

const BOUND = ["clopperPearson", "wsr", "hoeffdingBentkus"] as const;

/** Of everything that calibrates. */
export const SAME_SAMPLES = option.toggle(
  false,
  "use validation samples even where they are calibration samples; then no guarantee holds",
);

/** What evaluation takes. */
export const EVALUATION = {
  resamples: option.whole(500, "resamples for 95 % bootstrap intervals of every metric; 0: none", { min: 0 }),
  anyOrigin: option.toggle(
    false,
    "take a policy of other weights, or of another scaling; its promise does not hold then",
  ),
  sameSamples: option.toggle(
    false,
    "evaluate even on samples that shaped the policy; what is seen there proves nothing",
  ),
} as const;

/** What a budget is of: one of the first two, or the last two. */
export const BUDGET_GOAL = {
  accuracy: option.number(undefined, "the least cost at this accuracy", { min: 0, max: 1 }),
  cost: option.number(undefined, "the best accuracy at this share of the full network's cost", { above: 0, max: 1 }),
  milliseconds: option.list(undefined, "measured time up to each exit, with budget"),
  budget: option.number(undefined, "the mean time allowed, in milliseconds", { above: 0 }),
} as const;

/** What costs are counted in. */
export const COSTED = {
  costs: option.choice(["macs", "milliseconds"], "what costs are counted in", { default: "milliseconds" }),
  batch: option.whole(undefined, "milliseconds: images that run together (default: the first size that was timed)", {
    min: 1,
  }),
} as const;

/** Logits that look like probabilities. */
export const ANY_VALUES = option.toggle(false, "the arrays hold logits, even where they look like probabilities");

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
    seed: option.seed(0, "seed of the split, where there is one"),
  },
} as const;
