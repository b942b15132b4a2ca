// Keeps the samples that lay out what is tried apart from the samples that test it.

import type { Kinds } from "../../base/index.ts";
import { check } from "../errors.ts";
import { createRandom, randomOrder } from "../numeric/random.ts";
import { checkSameOrigin } from "../table/origin.ts";
import { checkDistinct, checkFresh, type UsedSamples, usedSamples } from "../table/same-samples.ts";
import { type Cascade, cascade, type Score, type Source, selectFromCascade } from "../table/scores.ts";
import { RULE_OPTIONS, SAME_SAMPLES } from "./options.ts";

/** Where thresholds to try come from. */
export interface LayoutOptions {
  /** Which confidence to threshold; default the largest probability. */
  readonly score?: Score;
  /**
   * Samples on which thresholds to try are laid out; they never enter a test, so their labels may be used.
   * Default: a third of the calibration samples, drawn with `seed`, is set aside. Never the calibration samples again.
   */
  readonly validation?: Source;
  readonly seed?: number;
  /**
   * Allows validation samples to be calibration samples, and a sample to be there several times; no guarantee holds
   * then.
   */
  readonly sameSamples?: boolean;
}

export const LAYOUT: Kinds<LayoutOptions> = {
  score: "any",
  validation: "any",
  seed: RULE_OPTIONS.levels.seed,
  sameSamples: SAME_SAMPLES,
};

/**
 * Calibration samples for tests and validation samples for the layout; the latter may be empty for tiny sets.
 * Calibration samples come back in random order: files are often sorted by class, and betting tests look at the order.
 */
export function separate(
  op: string,
  source: Source,
  all: Cascade,
  { validation, score, seed = 0, sameSamples = false }: LayoutOptions,
): { readonly calibration: Cascade; readonly validation: Cascade; readonly used: UsedSamples } {
  if (!sameSamples) checkDistinct(op, all, "calibration");
  const order = randomOrder(all.samples, createRandom(seed));
  if (validation) {
    const isOther = sameSamples || validation !== source;
    check(isOther, op, "validation samples must not be the calibration samples", "one table for both");
    const other = cascade(validation, score);
    const used = usedSamples([all, other]);
    const ofCalibration = { ids: all.ids, marks: used.marks.slice(0, 1) };
    if (!sameSamples) {
      checkFresh(op, ofCalibration, other, ["calibration", "validation"]);
      checkDistinct(op, other, "validation");
    }
    checkSameOrigin(op, all, other, ["calibration", "validation"]);
    check(other.exits === all.exits, op, `validation must have ${all.exits} exits`, other.exits);
    const isAlike = other.classes === all.classes || all.score === "given" || other.score === "given";
    check(isAlike, op, `validation must have ${all.classes} classes`, other.classes);
    return { calibration: selectFromCascade(all, order), validation: other, used };
  }
  const held = Math.floor(all.samples / 3);
  return {
    calibration: selectFromCascade(all, order.subarray(held)),
    validation: selectFromCascade(all, order.subarray(0, held)),
    used: usedSamples([all]),
  };
}
