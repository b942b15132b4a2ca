// Rules that papers decide by and that test nothing, as policies: one threshold for all exits, or class precision
// margins. They carry no guarantee; what they achieve on the samples they were looked at on is told.

import type { Kinds } from "../../base/index.ts";
import { check, checkKind, readOptions } from "../errors.ts";
import { betweenValues, sorted } from "../numeric/ranks.ts";
import { policyOrigin } from "../table/origin.ts";
import { checkDistinct, usedSamples } from "../table/same-samples.ts";
import { type Cascade, cascade, type Score, type Source } from "../table/scores.ts";
import { classPrecisionMargin, type PrecisionMarginOptions } from "./class-precision-margin.ts";
import { SAME_SAMPLES } from "./options.ts";
import { achieved, decide } from "./policies.ts";
import { type ChosenThresholds, type Guarantee, similarSamples } from "./result.ts";

/** Thresholds by a rule of a paper, ready to be used, written and deployed as a certified result is. */
export interface PublishedChoice extends ChosenThresholds {
  readonly ok: true;
  readonly method: "fixed threshold" | "class precision margin";
  readonly guarantee: Guarantee;
  /** Samples that it was looked at on. */
  readonly n: number;
  /** On those samples. */
  readonly accuracy: number;
  /** There, as a share of the full network's. */
  readonly cost: number;
  readonly isTime: false;
}

/** Options of `fixedThreshold`. */
export interface FixedThresholdOptions {
  readonly threshold: number;
  /** Which confidence is compared; default the largest probability. */
  readonly score?: Score;
  /** Allows a sample to be there several times, which then counts as often. */
  readonly sameSamples?: boolean;
}

const FIXED: Kinds<FixedThresholdOptions> = { threshold: "number!", score: "any", sameSamples: SAME_SAMPLES };

/** What a rule achieves, with where it comes from. */
function choiceOf(
  scored: Cascade,
  thresholds: Float64Array,
  about: Pick<PublishedChoice, "method" | "guarantee">,
): PublishedChoice {
  const { accuracy, cost } = achieved(scored, decide(scored, thresholds));
  return {
    ok: true,
    ...about,
    n: scored.samples,
    score: scored.score,
    thresholds,
    accuracy,
    cost,
    isTime: false,
    ...usedSamples([scored]),
    origin: policyOrigin(scored),
  };
}

/** One threshold for all early exits, as a paper sets it: 0.5 on what heads say of themselves, for instance. */
export function fixedThreshold(validation: Source, options: FixedThresholdOptions): PublishedChoice {
  checkKind("fixedThreshold", "source", validation);
  const { threshold, score, sameSamples = false } = readOptions("fixedThreshold", options, FIXED);
  check(!Number.isNaN(threshold), "fixedThreshold", "threshold must be a number", threshold);
  const scored = cascade(validation, score);
  check(scored.exits > 1, "fixedThreshold", "the table must have an early exit", `${scored.exits} exit`);
  if (!sameSamples) checkDistinct("fixedThreshold", scored, "validation");
  const promise = `every early exit lets go what reaches ${threshold}, whatever the data; nothing is tested.`;
  return choiceOf(scored, new Float64Array(scored.exits - 1).fill(threshold), {
    method: "fixed threshold",
    guarantee: { kind: "none", promise, assumptions: [similarSamples] },
  });
}

/**
 * `classPrecisionMargin` as a policy, on the largest probability; its thresholds are moved midway between the scores of
 * samples with the same answer, so that rounding decides nothing.
 */
export function precisionMargins(validation: Source, options: PrecisionMarginOptions = {}): PublishedChoice {
  checkKind("precisionMargins", "source", validation);
  const scored = cascade(validation);
  const { samples, exits, classes, scores, predictions } = scored;
  const found = classPrecisionMargin(scored, options);
  const thresholds = found.thresholds.map((threshold, at) => {
    if (threshold === Number.POSITIVE_INFINITY) return threshold;
    const [b, c] = [Math.floor(at / classes), at % classes];
    const places = Array.from({ length: samples }, (_, i) => i * exits + b);
    const own = places.filter((place) => predictions[place] === c).map((place) => scores[place]!);
    return betweenValues(sorted(own), threshold);
  });
  return choiceOf(scored, thresholds, { method: "class precision margin", guarantee: found.guarantee });
}
