// Which of many hypotheses may be rejected so that the chance of any false rejection is at most delta.

import { checkLevel } from "../errors.ts";
import { indices } from "../numeric/arrays.ts";
import { argsort } from "../numeric/ranks.ts";

/** How many tests are paid for. Only `fixedSequence` depends on the order, which must be fixed beforehand. */
export type Correction = "bonferroni" | "holm" | "fixedSequence";

/** 1 where rejected. Comparisons are `<=`; NaN is never rejected. */
export function rejectHypotheses(p: ArrayLike<number>, delta: number, method: Correction): Uint8Array {
  checkLevel("rejectHypotheses", "delta", delta);
  const n = p.length;
  const rejected = new Uint8Array(n);
  const order = method === "holm" ? argsort(p) : indices(n);
  for (const [rank, i] of order.entries()) {
    const level = method === "fixedSequence" ? delta : delta / (method === "holm" ? n - rank : n);
    if (p[i]! <= level) rejected[i] = 1;
    else if (method !== "bonferroni") break;
  }
  return rejected;
}

/**
 * The level that the smallest of n p-values has to keep for anything to be rejected; of a fixed sequence, the first of
 * all.
 */
export function firstLevel(delta: number, n: number, method: Correction = "fixedSequence"): number {
  return method === "fixedSequence" ? delta : delta / n;
}
