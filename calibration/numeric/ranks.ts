// Sorting, quantiles, mid-ranks and rank correlation: the order statistics everything else is built on.

import { check, checkLengths, checkNotEmpty } from "../errors.ts";

/** Indices that sort `values` upwards; equal values keep their order, NaN comes last. */
export function argsort(values: ArrayLike<number>): Int32Array {
  const n = values.length;
  const order = new Int32Array(n);
  for (let i = 0; i < n; i++) order[i] = i;
  const key = (i: number) => (Number.isNaN(values[i]!) ? Number.POSITIVE_INFINITY : values[i]!);
  return order.sort((a, b) => {
    const x = key(a);
    const y = key(b);
    return x < y ? -1 : x > y ? 1 : a - b;
  });
}

/** Samples by falling score of one exit, for scores `[N, K]`. */
export function fallingOrder(scores: ArrayLike<number>, exits: number, exit: number): Int32Array {
  return argsort(Float64Array.from({ length: scores.length / exits }, (_, i) => -scores[i * exits + exit]!));
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
 * Thresholds that let through the same of `ascending` values and none of them barely: each midway between the values that it parts.
 * A value computed again elsewhere, in other arithmetic, falls on the same side.
 */
export function betweenValues(ascending: Float64Array, threshold: number): number {
  const at = firstAtLeast(ascending, threshold);
  const upper = ascending[at];
  if (upper === undefined) return threshold;
  const lower = ascending[at - 1] ?? upper - 2e-3 * Math.abs(upper);
  const middle = lower + (upper - lower) / 2;
  return middle > lower ? middle : upper;
}

/** Index of the first of ascending values that is at least `x`; their number if none is. */
export function firstAtLeast(ascending: Float64Array, x: number): number {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (ascending[mid]! >= x) high = mid;
    else low = mid + 1;
  }
  return low;
}

/** Ranks from 1; tied values share the mean of their ranks. */
export function midRanks(values: ArrayLike<number>): Float64Array {
  const order = argsort(values);
  const n = order.length;
  const ranks = new Float64Array(n);
  for (let from = 0; from < n; ) {
    let to = from + 1;
    while (to < n && values[order[to]!]! === values[order[from]!]!) to++;
    for (let i = from; i < to; i++) ranks[order[i]!] = (from + to + 1) / 2;
    from = to;
  }
  return ranks;
}

/** Spearman's rank correlation with mid-ranks; NaN if either side is constant. */
export function spearman(x: ArrayLike<number>, y: ArrayLike<number>): number {
  checkLengths("spearman", "x", x.length, "y", y.length);
  const rx = midRanks(x);
  const ry = midRanks(y);
  const mean = (rx.length + 1) / 2;
  let xy = 0;
  let xx = 0;
  let yy = 0;
  for (let i = 0; i < rx.length; i++) {
    const dx = rx[i]! - mean;
    const dy = ry[i]! - mean;
    xy += dx * dy;
    xx += dx * dx;
    yy += dy * dy;
  }
  return xy / Math.sqrt(xx * yy);
}
