/** Keeps the samples that lay out what is tried apart from the samples that test it. */

import type { Kinds } from "../base/index.ts";
import { check } from "./errors.ts";
import { checkSameOrigin } from "./origin.ts";
import { createRandom, permutation } from "./random.ts";
import { type Cascade, cascade, type Score, type Source, selectFromCascade } from "./scores.ts";
import { checkDisjoint } from "./table.ts";

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
}

export const LAYOUT: Kinds<LayoutOptions> = { score: "any", validation: "any", seed: "number" };

/** Ids of all samples that shaped a result, where they are known: none of them may test it. */
export function usedIds(calibration: Source, validation: Source | undefined): Source["ids"] {
  if (!validation?.ids) return calibration.ids;
  return calibration.ids ? [...calibration.ids, ...validation.ids] : validation.ids;
}

/**
 * Calibration samples for tests and validation samples for the layout; the latter may be empty for tiny sets.
 * Calibration samples come back in random order: files are often sorted by class, and betting tests look at the order.
 */
export function separate(
  op: string,
  source: Source,
  all: Cascade,
  { validation, score, seed = 0 }: LayoutOptions,
): { readonly calibration: Cascade; readonly validation: Cascade } {
  const distinct = new Set(all.ids).size;
  const isDistinct = !all.ids || distinct === all.samples;
  check(isDistinct, op, "ids of calibration samples must differ", `${distinct} ids for ${all.samples} samples`);
  const order = permutation(all.samples, createRandom(seed));
  if (validation) {
    check(validation !== source, op, "validation samples must not be the calibration samples", "one table for both");
    const other = cascade(validation, score);
    checkDisjoint(op, all, other, ["calibration", "validation"]);
    checkSameOrigin(op, all, other, ["calibration", "validation"]);
    check(other.exits === all.exits, op, `validation must have ${all.exits} exits`, other.exits);
    return { calibration: selectFromCascade(all, order), validation: other };
  }
  const held = Math.floor(all.samples / 3);
  return {
    calibration: selectFromCascade(all, order.subarray(held)),
    validation: selectFromCascade(all, order.subarray(0, held)),
  };
}
