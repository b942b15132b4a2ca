/**
 * Anytime-valid nested prediction sets along the exits (Jazbec et al., UAI 2024): a class, once excluded, stays out,
 * and by Ville's inequality the label is excluded at any exit with probability at most alpha - provided the ratios
 * are those of a true martingale, that is, of a correct predictive model. Misspecified ratios void the promise.
 */

import { check, checkLevel } from "./errors.ts";

/** Membership per sample, exit and class, and set sizes. */
export interface NestedSets {
  /** `[N, K, C]`. */
  readonly sets: Uint8Array;
  /** `[N, K]`; may reach 0, which says that the model contradicts itself. */
  readonly size: Int32Array;
}

/** From predictive ratios `[N, K, C]`: class c is in set j if the running product is <= 1/alpha at every exit up to j. */
export function nestedSets(
  ratios: ArrayLike<number>,
  { exits, classes, alpha }: { readonly exits: number; readonly classes: number; readonly alpha: number },
): NestedSets {
  checkLevel("nestedSets", "alpha", alpha);
  const samples = ratios.length / (exits * classes);
  check(
    Number.isInteger(samples),
    "nestedSets",
    `ratios must hold ${exits} x ${classes} values a sample`,
    ratios.length,
  );
  const sets = new Uint8Array(ratios.length);
  const size = new Int32Array(samples * exits);
  for (let i = 0; i < samples; i++) {
    for (let c = 0; c < classes; c++) {
      let product = 1;
      let isIn = true;
      for (let j = 0; j < exits; j++) {
        const at = (i * exits + j) * classes + c;
        product *= ratios[at]!;
        isIn &&= product <= 1 / alpha;
        if (!isIn) break;
        sets[at] = 1;
        size[i * exits + j] = size[i * exits + j]! + 1;
      }
    }
  }
  return { sets, size };
}
