// Sorting, quantiles, mid-ranks and rank correlation: the order statistics everything else is built on.

import { check, checkKind, checkLengths, checkNotEmpty } from "../errors.ts";
import { column, dot, firstWhere, indices } from "./arrays.ts";

/** Indices that sort `values` upwards; equal values keep their order, NaN comes last. */
export function argsort(values: ArrayLike<number>): Int32Array {
  const keys = Float64Array.from(values, (x) => (Number.isNaN(x) ? Number.POSITIVE_INFINITY : x));
  return indices(values.length).sort((a, b) => {
    const [x, y] = [keys[a]!, keys[b]!];
    return x < y ? -1 : x > y ? 1 : a - b;
  });
}

/** Samples by falling score of one exit, for scores `[N, K]`. */
export function fallingOrder(scores: ArrayLike<number>, exits: number, exit: number): Int32Array {
  return argsort(column(scores, exits, exit).map((score) => -score));
}

/** A sorted copy in float64. */
export function sorted(values: ArrayLike<number>): Float64Array {
  return Float64Array.from(values).sort();
}

/** Quantile of already sorted values by linear interpolation at position `(n-1) q` (NumPy's default). */
export function quantileOfSorted(values: Float64Array, q: number): number {
  checkNotEmpty("quantile", "values", values.length);
  check(q >= 0 && q <= 1, "quantile", "q must lie in [0, 1]", q);
  const position = (values.length - 1) * q;
  const below = Math.floor(position);
  const t = position - below;
  const a = values[below]!;
  const b = values[Math.min(below + 1, values.length - 1)]!;
  // NumPy's form of the interpolation: exact at both ends
  return t >= 0.5 ? b - (b - a) * (1 - t) : a + (b - a) * t;
}

/**
 * Thresholds that let through the same of `ascending` values and none of them barely: each midway between the values
 * that it parts. A value computed again elsewhere, in other arithmetic, falls on the same side.
 */
export function betweenValues(ascending: Float64Array, threshold: number): number {
  const at = firstAtLeast(ascending, threshold);
  const upper = ascending[at];
  if (upper === undefined) return threshold;
  const lower = ascending[at - 1] ?? upper - 2e-3 * Math.abs(upper);
  const middle = lower + (upper - lower) / 2;
  return middle > lower ? middle : upper;
}

/** Part of a product of a count and a level that is round-off at most: a level such as 0.18 is no binary number. */
const ROUND_OFF = 1e-12;

/** `ceil((n + 1)(1 - alpha))`: the rank, from 1, of the conformal quantile of n scores; n + 1 if they have none. */
export function conformalRank(n: number, alpha: number): number {
  // The whole part of (n + 1) alpha is what lies above: 1 - alpha would lose digits of a small alpha.
  return Math.max(1, n + 1 - Math.floor((n + 1) * alpha * (1 + ROUND_OFF)));
}

/** Fewest scores that have a conformal quantile: the smallest n with 1 / (n + 1) <= alpha. */
export function fewestForRank(alpha: number): number {
  return Math.ceil((1 - ROUND_OFF) / alpha) - 1;
}

/** Index of the first of ascending values that is at least `x`; their number if none is. */
export function firstAtLeast(ascending: Float64Array, x: number): number {
  return firstWhere(0, ascending.length, (at) => ascending[at]! >= x);
}

/** Ranks from 1; tied values share the mean of their ranks. */
export function midRanks(values: ArrayLike<number>): Float64Array {
  checkKind("midRanks", "list", values, "values");
  const order = argsort(values);
  const ascending = Float64Array.from(order, (i) => values[i]!);
  const ranks = new Float64Array(order.length);
  for (let from = 0, to = 0; from < order.length; from = to) {
    do to++;
    while (to < order.length && ascending[to] === ascending[from]);
    for (const i of order.subarray(from, to)) ranks[i] = (from + to + 1) / 2;
  }
  return ranks;
}

/** Spearman's rank correlation with mid-ranks; NaN if either side is constant. */
export function spearman(x: ArrayLike<number>, y: ArrayLike<number>): number {
  checkKind("spearman", "list", x, "x");
  checkKind("spearman", "list", y, "y");
  checkLengths("spearman", "x", x.length, "y", y.length);
  const mean = (x.length + 1) / 2;
  const dx = midRanks(x).map((rank) => rank - mean);
  const dy = midRanks(y).map((rank) => rank - mean);
  return dot(dx, dy) / Math.sqrt(dot(dx, dx) * dot(dy, dy));
}
