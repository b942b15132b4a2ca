// Keeps the samples that lay out what is tried apart from the samples that test it.

import type { Kinds } from "../../base/index.ts";
import { check } from "../errors.ts";
import { createRandom, randomOrder } from "../numeric/random.ts";
import { checkSameOrigin } from "../table/origin.ts";
import { checkFresh, markSamples, type SampleMarks } from "../table/same-samples.ts";
import { type Cascade, cascade, type Score, type Source, selectFromCascade } from "../table/scores.ts";

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
  /** Allows validation samples to be calibration samples; no guarantee holds then. */
  readonly sameSamples?: boolean;
}

export const LAYOUT: Kinds<LayoutOptions> = { score: "any", validation: "any", seed: "number", sameSamples: "boolean" };

/** What is known of all samples that shaped a result, none of which may test it: ids, and marks of sets without. */
export function usedSamples(
  calibration: Cascade,
  { validation, score }: LayoutOptions,
): { readonly ids: Cascade["ids"]; readonly marks?: readonly SampleMarks[] } {
  const sets = validation ? [calibration, cascade(validation, score)] : [calibration];
  const ids = sets.flatMap((set) => set.ids ?? []);
  const marks = sets.filter((set) => !set.ids).map(markSamples);
  return { ids: ids.length > 0 ? ids : undefined, ...(marks.length > 0 && { marks }) };
}

/**
 * Calibration samples for tests and validation samples for the layout; the latter may be empty for tiny sets.
 * Calibration samples come back in random order: files are often sorted by class, and betting tests look at the order.
 */
export function separate(
  op: string,
  source: Source,
  all: Cascade,
  { validation, score, seed = 0, sameSamples = false }: LayoutOptions,
): { readonly calibration: Cascade; readonly validation: Cascade } {
  const distinct = new Set(all.ids).size;
  const isDistinct = !all.ids || distinct === all.samples;
  check(isDistinct, op, "ids of calibration samples must differ", `${distinct} ids for ${all.samples} samples`);
  const order = randomOrder(all.samples, createRandom(seed));
  if (validation) {
    const isOther = sameSamples || validation !== source;
    check(isOther, op, "validation samples must not be the calibration samples", "one table for both");
    const other = cascade(validation, score);
    const used = { ids: all.ids, marks: all.ids && other.ids ? [] : [markSamples(all)] };
    if (!sameSamples) checkFresh(op, used, other, ["calibration", "validation"]);
    checkSameOrigin(op, all, other, ["calibration", "validation"]);
    check(other.exits === all.exits, op, `validation must have ${all.exits} exits`, other.exits);
    const isAlike = other.classes === all.classes || all.score === "given" || other.score === "given";
    check(isAlike, op, `validation must have ${all.classes} classes`, other.classes);
    return { calibration: selectFromCascade(all, order), validation: other };
  }
  const held = Math.floor(all.samples / 3);
  return {
    calibration: selectFromCascade(all, order.subarray(held)),
    validation: selectFromCascade(all, order.subarray(0, held)),
  };
}
