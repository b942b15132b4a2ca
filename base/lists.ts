// Lists of which a caller knows more than their type says: how many entries, that there is a last one. Each is checked,
// so that the code behind needs no claim.

import { SortieError } from "./errors.ts";

interface Tuples<T> {
  readonly 1: readonly [T];
  readonly 2: readonly [T, T];
  readonly 3: readonly [T, T, T];
  readonly 4: readonly [T, T, T, T];
}

const has = <T, N extends keyof Tuples<T>>(list: readonly T[], length: N): list is readonly T[] & Tuples<T>[N] =>
  list.length === length;

/** The entries of a list that has so many: `const [rows, columns] = exactly(x.shape, 2)`. @throws SortieError */
export function exactly<T, N extends keyof Tuples<T>>(list: readonly T[], length: N): Tuples<T>[N] {
  if (has(list, length)) return list;
  throw new SortieError(`exactly: the list must have ${length} entries; got ${list.length}.`);
}

/** The last entry. @throws SortieError for an empty list */
export function lastOf<T>(list: ArrayLike<T>): T {
  const found = list[list.length - 1];
  if (found !== undefined) return found;
  throw new SortieError("lastOf: the list must have entries; got none.");
}

/** The first entry. @throws SortieError for an empty list */
export function firstOf<T>(list: ArrayLike<T>): T {
  const found = list[0];
  if (found !== undefined) return found;
  throw new SortieError("firstOf: the list must have entries; got none.");
}

/** The value in the middle, or between the two there. @throws SortieError for an empty list */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = firstOf(sorted.slice(sorted.length >> 1));
  return sorted.length % 2 === 1 ? upper : (upper + firstOf(sorted.slice((sorted.length >> 1) - 1))) / 2;
}

/** What stands at places of a list, in their order. @throws SortieError for a place that is none of its */
export function take<T>(list: ArrayLike<T>, places: ArrayLike<number>): T[] {
  return Array.from(places, (place) => {
    const found = list[place];
    if (found !== undefined) return found;
    throw new SortieError(`take: places must lie in 0..${list.length - 1}; got ${place}.`);
  });
}

type Lists = readonly [ArrayLike<unknown>, ...ArrayLike<unknown>[]];

type Zipped<L extends Lists> = { readonly [K in keyof L]: L[K] extends ArrayLike<infer T> ? T : never };

/** What belongs together: an entry of each list. @throws SortieError for lists of different lengths */
export function zip<L extends Lists>(...lists: L): Zipped<L>[] {
  const [first, ...others] = lists;
  const other = others.find(({ length }) => length !== first.length);
  if (other) throw new SortieError(`zip: the lists must be of one length; got ${first.length} and ${other.length}.`);
  return Array.from(first, (_, i) => lists.map((list) => list[i]) as Zipped<L>);
}

/** Rows as columns: a list of what stands first in all, of what stands second, and so on, as in the first row. */
export const transposed = <T>(rows: readonly (readonly T[])[]): T[][] =>
  (rows[0] ?? []).map((_, j) => rows.flatMap((row) => row.slice(j, j + 1)));

/** Of each row of a flat [N, width] array the value in its own column. */
export function inColumns(values: ArrayLike<number>, width: number, columns: ArrayLike<number>): Float64Array {
  const own = new Float64Array(columns.length);
  for (let i = 0; i < own.length; i++) own[i] = values[i * width + columns[i]!]!;
  return own;
}
