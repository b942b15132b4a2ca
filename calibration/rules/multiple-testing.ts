// Which of many hypotheses may be rejected so that the chance of any false rejection is at most delta.

import { checkLevel } from "../errors.ts";

/** How many tests are paid for. Only `fixedSequence` depends on the order, which must be fixed beforehand. */
export type Correction = "bonferroni" | "holm" | "fixedSequence";

/** 1 where rejected. Comparisons are `<=`; NaN is never rejected. */
export function rejectHypotheses(p: ArrayLike<number>, delta: number, method: Correction): Uint8Array {
  checkLevel("rejectHypotheses", "delta", delta);
  const n = p.length;
  const rejected = new Uint8Array(n);
  if (method === "bonferroni") {
    for (let i = 0; i < n; i++) rejected[i] = p[i]! <= delta / n ? 1 : 0;
  } else if (method === "fixedSequence") {
    for (let i = 0; i < n && p[i]! <= delta; i++) rejected[i] = 1;
  } else {
    const value = (i: number) => (Number.isNaN(p[i]!) ? Number.POSITIVE_INFINITY : p[i]!);
    const order = Array.from({ length: n }, (_, i) => i).sort((a, b) => value(a) - value(b) || a - b);
    for (let rank = 0; rank < n && value(order[rank]!) <= delta / (n - rank); rank++) rejected[order[rank]!] = 1;
  }
  return rejected;
}

/** The level that the smallest of n p-values has to keep for anything to be rejected; of a fixed sequence, the first of all. */
export function firstLevel(delta: number, n: number, method: Correction = "fixedSequence"): number {
  return method === "fixedSequence" ? delta : delta / n;
}
