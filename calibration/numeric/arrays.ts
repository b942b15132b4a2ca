// Loops over arrays of numbers, each written once, so that what is about samples needs no index of its own.
// `[N, K]` arrays are flat: the value of row i in column j is at i K + j.

/** Arrays of whole numbers. */
export type Integers = Int32Array | Uint8Array;

/** The whole numbers 0 .. n-1. */
export function indices(n: number): Int32Array {
  return Int32Array.from({ length: n }, (_, i) => i);
}

/** Column `at` of an `[N, width]` array: of all rows, or of some in their order. */
export function column(values: ArrayLike<number>, width: number, at: number, rows?: Int32Array): Float64Array {
  const n = rows ? rows.length : values.length / width;
  const out = new Float64Array(n);
  for (let i = 0; i < n; i++) out[i] = values[(rows ? rows[i]! : i) * width + at]!;
  return out;
}

/** Copies rows of an `[N, width]` array, in their order, to the beginning of `out`. */
export function copyRows(values: Integers | Float64Array, rows: Int32Array, width: number, out: typeof values): void {
  let to = 0;
  for (const row of rows) for (let j = 0; j < width; j++) out[to++] = values[row * width + j]!;
}

/** Those of some rows of an `[N, width]` array whose value in column `at` is below a limit. */
export function rowsBelow(
  rows: Int32Array,
  values: ArrayLike<number>,
  width: number,
  at: number,
  limit: number,
): Int32Array {
  return rows.filter((i) => values[i * width + at]! < limit);
}

/** Adds to one of some sums. */
export function addTo(sums: Float64Array, at: number, x: number): void {
  sums[at] = sums[at]! + x;
}

/** `y += a x`, entry by entry. */
export function addScaled(y: Float64Array, a: number, x: Float64Array): void {
  for (let i = 0; i < y.length; i++) y[i] = y[i]! + a * x[i]!;
}

/** The sum, from left to right. */
export function sum(values: Float64Array): number {
  let total = 0;
  for (const x of values) total += x;
  return total;
}

/** Puts another value in the place of each. */
export function change(values: Float64Array, to: (x: number, i: number) => number): void {
  for (let i = 0; i < values.length; i++) values[i] = to(values[i]!, i);
}

/** Turns values into their running sums, in place. */
export function accumulate(values: Float64Array): void {
  for (let i = 1; i < values.length; i++) addTo(values, i, values[i - 1]!);
}

/** The inner product, from left to right. */
export function dot(a: Float64Array, b: Float64Array): number {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += a[i]! * b[i]!;
  return total;
}

/** The first whole number of low .. high-1 from which on `holds`, by bisection; `high` if there is none. */
export function firstWhere(low: number, high: number, holds: (at: number) => boolean): number {
  let [from, to] = [low, high];
  while (from < to) {
    const middle = (from + to) >> 1;
    if (holds(middle)) to = middle;
    else from = middle + 1;
  }
  return from;
}

/** Whether these may be costs up to each exit: positive, finite, and never decreasing. */
export const areCosts = (values: Float64Array): boolean =>
  values.every((cost, j) => cost > 0 && Number.isFinite(cost) && cost >= (values[j - 1] ?? 0));
