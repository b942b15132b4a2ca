// The threshold rules of SAFE-KD (arXiv 2602.03043): as its released code computes them, and as its text describes
// them. Kept for comparison. Neither bounds the error rate of a cascade in operation.

import type { Kinds } from "../../base/index.ts";
import { check, checkKind, checkLevel, checkNotEmpty, readOptions } from "../errors.ts";
import { groupScores } from "../metrics/failure.ts";
import { column } from "../numeric/arrays.ts";
import { fewestForRank } from "../numeric/ranks.ts";
import { correctness, type Outcomes } from "../table/outcomes.ts";
import { checkDistinct } from "../table/same-samples.ts";
import { SAME_SAMPLES } from "./options.ts";
import { complement, exchangeableSamples, type Guarantee } from "./result.ts";

/** Options of both. */
export interface SafeKdOptions {
  readonly delta: number;
  /** Allows a sample to be there several times. */
  readonly sameSamples?: boolean;
}

const SAFE_KD: Kinds<SafeKdOptions> = { delta: "number!", sameSamples: SAME_SAMPLES };

/** Thresholds of the released code. */
export interface SafeKdCode {
  /** `[K]` quantile of 1 - p_j(label). */
  readonly tau: Float64Array;
  /**
   * `[K]` leave when the largest probability reaches 1 - tau. A smaller delta gives a LOWER bar: the rule is inverted.
   */
  readonly bar: Float64Array;
  /** Zero-based rank of tau among the calibration scores. */
  readonly rank: number;
  readonly n: number;
  /** Fewest samples that have such a quantile; with fewer, the released code takes the largest score. */
  readonly neededSamples: number;
  readonly guarantee: Guarantee;
}

/** Released code: split-conformal quantile of the label's score, per exit, on all samples. */
export function safeKdReleasedCode(all: Outcomes, options: SafeKdOptions): SafeKdCode {
  checkKind("safeKdReleasedCode", "outcomes", all);
  const { delta, sameSamples = false } = readOptions("safeKdReleasedCode", options, SAFE_KD);
  checkLevel("safeKdReleasedCode", "delta", delta);
  checkNotEmpty("safeKdReleasedCode", "the calibration set", all.samples);
  if (!sameSamples) checkDistinct("safeKdReleasedCode", { ...all, scores: all.maxProb }, "calibration");
  const n = all.samples;
  // As the released code computes it, with what rounding does to it.
  const rank = Math.min(n - 1, Math.max(0, Math.ceil((n + 1) * (1 - delta)) - 1));
  const tau = Float64Array.from({ length: all.exits }, (_, j) => {
    const scores = column(all.nll, all.exits, j).map((nll) => 1 - Math.exp(-nll));
    return scores.sort()[rank]!;
  });
  return {
    tau,
    bar: tau.map((t) => 1 - t),
    rank,
    n,
    neededSamples: fewestForRank(delta),
    guarantee: {
      kind: "none",
      promise:
        `the label's own probability reaches the bar in a share ${complement(delta)} of samples at each exit, ` +
        "which does not bound the error rate of the samples that leave early.",
      assumptions: [exchangeableSamples],
    },
  };
}

/** Thresholds as the text describes them. */
export interface SafeKdText {
  /** `[K-1]` on the largest probability; +Infinity closes an exit. */
  readonly thresholds: Float64Array;
  readonly n: number;
  /** Fewest samples with which the plus-one rule can open an exit. */
  readonly neededSamples: number;
  readonly guarantee: Guarantee;
}

/**
 * Text: for every early exit apart, on all samples, the loosest threshold whose conformal bound on the selective
 * risk is at most delta. The bound is never written down; ours is the plus-one rule (errors + 1) / (accepted + 1).
 */
export function safeKdText(all: Outcomes, options: SafeKdOptions): SafeKdText {
  checkKind("safeKdText", "outcomes", all);
  const { delta, sameSamples = false } = readOptions("safeKdText", options, SAFE_KD);
  checkLevel("safeKdText", "delta", delta);
  checkNotEmpty("safeKdText", "the calibration set", all.samples);
  if (!sameSamples) checkDistinct("safeKdText", { ...all, scores: all.maxProb }, "calibration");
  check(all.exits > 1, "safeKdText", "the table must have an early exit", `${all.exits} exits`);
  const thresholds = Float64Array.from({ length: all.exits - 1 }, (_, j) =>
    loosestPlusOne(column(all.maxProb, all.exits, j), correctness(all.errors, all.exits, j), delta),
  );
  return {
    thresholds,
    n: all.samples,
    neededSamples: fewestForRank(delta),
    guarantee: {
      kind: "none",
      promise:
        "each exit is judged on all samples, but serves only those that earlier exits refused; " +
        `and even on all samples the error rate is only about ${delta} on average, exceeded in about half of all calibrations.`,
      assumptions: [exchangeableSamples],
    },
  };
}

/** The loosest observed score with `errors + 1 <= delta (accepted + 1)`. */
export function loosestPlusOne(scores: ArrayLike<number>, correct: ArrayLike<number>, delta: number): number {
  return loosestWhere(scores, correct, (wrong, accepted) => wrong + 1 <= delta * (accepted + 1));
}

/**
 * The loosest observed score whose empirical error rate is at most delta: the plug-in rule, no guarantee of any kind.
 */
export function loosestPlugIn(scores: ArrayLike<number>, correct: ArrayLike<number>, delta: number): number {
  return loosestWhere(scores, correct, (wrong, accepted) => wrong <= delta * accepted);
}

function loosestWhere(
  scores: ArrayLike<number>,
  correct: ArrayLike<number>,
  passes: (wrong: number, accepted: number) => boolean,
): number {
  checkKind("threshold", "list", scores, "scores");
  let best = Number.POSITIVE_INFINITY;
  if (scores.length === 0) return best;
  let accepted = 0;
  let wrong = 0;
  for (const { score, count, errors } of groupScores(scores, correct).groups) {
    accepted += count;
    wrong += errors;
    if (passes(wrong, accepted)) best = score;
  }
  return best;
}
