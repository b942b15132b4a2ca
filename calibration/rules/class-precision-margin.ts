// Class precision margin (CalexNet, arXiv 2509.08318): a threshold per branch and class such that the branch is, on
// validation survivors, as precise as the backbone up to a margin. An operating knob; it carries no guarantee.

import type { Kinds } from "../../base/index.ts";
import { check, checkKind, checkOneOf, readOptions } from "../errors.ts";
import { groupScores } from "../metrics/failure.ts";
import { column, indices } from "../numeric/arrays.ts";
import { Tally } from "../numeric/tally.ts";
import { correctness } from "../table/outcomes.ts";
import { checkDistinct } from "../table/same-samples.ts";
import { type Cascade, checkKnown, survivors } from "../table/scores.ts";
import { SAME_SAMPLES } from "./options.ts";
import { decide } from "./policies.ts";
import { type Guarantee, similarSamples } from "./result.ts";

/**
 * Options; published: smallest t with precision >= (1 - m) x backbone precision. The subtractive form is our reading.
 */
export interface PrecisionMarginOptions {
  readonly margin?: number;
  readonly mode?: "multiplicative" | "subtractive";
  /** Fewest samples at or above a threshold. */
  readonly minSupport?: number;
  /** On which samples a branch is held against the backbone: survivors of those before it (default), or all. */
  readonly population?: "survivors" | "all";
  /** Allows a sample to be there several times, which then counts as often. */
  readonly sameSamples?: boolean;
}

/** Thresholds for `decide`. */
export interface PrecisionMargin {
  /** `[K-1, C]`; +Infinity where no threshold is precise enough. */
  readonly thresholds: Float64Array;
  /** `[C]` share of the last exit's answers c that are right; NaN if never given. */
  readonly backbonePrecision: Float64Array;
  /**
   * `[K-1, C]` samples of the population with this answer at this branch; below minSupport the branch stays closed for
   * lack of samples.
   */
  readonly support: Float64Array;
  /** `[N]`, the exit of every sample under these thresholds. */
  readonly exits: Int32Array;
  readonly n: number;
  readonly guarantee: Guarantee;
}

const MARGIN: Kinds<PrecisionMarginOptions> = {
  margin: "number",
  mode: "string",
  minSupport: "number",
  population: "string",
  sameSamples: SAME_SAMPLES,
};

/** The last exit of the cascade is the backbone; the others are the branches, calibrated in order on survivors. */
export function classPrecisionMargin(cascade: Cascade, options: PrecisionMarginOptions = {}): PrecisionMargin {
  checkKind("classPrecisionMargin", "cascade", cascade);
  const {
    margin = 0,
    mode = "multiplicative",
    minSupport = 30,
    population = "survivors",
    sameSamples = false,
  } = readOptions("classPrecisionMargin", options, MARGIN);
  checkOneOf("classPrecisionMargin", "mode", mode, ["multiplicative", "subtractive"]);
  checkOneOf("classPrecisionMargin", "population", population, ["survivors", "all"]);
  check(margin >= 0, "classPrecisionMargin", "margin must not be negative", margin);
  if (!sameSamples) checkDistinct("classPrecisionMargin", cascade, "validation");
  checkKnown("classPrecisionMargin", "predictions", cascade);
  const { samples, exits, classes, scores, predictions, errors } = cascade;
  const backbonePrecision = precisions(cascade, exits - 1);
  const thresholds = new Float64Array((exits - 1) * classes).fill(Number.POSITIVE_INFINITY);
  const support = new Float64Array(thresholds.length);
  let alive = indices(samples);
  for (let b = 0; b < exits - 1; b++) {
    const own = thresholds.subarray(b * classes, (b + 1) * classes);
    for (const [c, p] of backbonePrecision.entries()) {
      const answered = alive.filter((i) => predictions[i * exits + b] === c);
      support[b * classes + c] = answered.length;
      const wanted = mode === "multiplicative" ? (1 - margin) * p : p - margin;
      const correct = correctness(errors, exits, b, answered);
      own[c] = loosest(column(scores, exits, b, answered), correct, wanted, minSupport);
    }
    if (population === "survivors") alive = survivors(cascade, b, alive, own);
  }
  const guarantee: Guarantee = {
    kind: "none",
    promise: "each branch is about as precise as the backbone, class by class, on the samples used; nothing is tested.",
    assumptions: [similarSamples],
  };
  return { thresholds, backbonePrecision, support, exits: decide(cascade, thresholds), n: samples, guarantee };
}

/** The smallest observed score at or above which precision and support suffice. */
function loosest(scores: Float64Array, correct: Uint8Array, precision: number, minSupport: number): number {
  let best = Number.POSITIVE_INFINITY;
  if (scores.length === 0) return best;
  let seen = 0;
  let right = 0;
  for (const { score, count, errors } of groupScores(scores, correct).groups) {
    seen += count;
    right += count - errors;
    if (seen >= minSupport && right / seen >= precision) best = score;
  }
  return best;
}

function precisions({ samples, exits, classes, predictions, errors }: Cascade, exit: number): Float64Array {
  const right = new Tally(classes);
  for (let i = 0; i < samples; i++) {
    const at = i * exits + exit;
    right.add(predictions[at]!, 1 - errors[at]!);
  }
  return right.means;
}
