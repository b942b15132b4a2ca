// Things by their names, and for a name that is unknown the one that was probably meant: the nearest by edit distance.

import { SortieError } from "./errors.ts";

/** Capitals and the marks between words say nothing: `keep_dim`, `keep-dim` and `keepDim` are one name. */
const plain = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, "");

/**
 * Insertions, deletions, replacements and swaps of neighbours that make `b` of `a` (optimal string alignment, row by
 * row).
 */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwap = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swapped = isSwap ? before[j - 2]! + 1 : replaced;
      next.push(Math.min(replaced, swapped, row[j]! + 1, next[j - 1]! + 1));
    }
    [before, row] = [row, next];
  }
  return row[b.length]!;
}

/** Which of `names` is nearest to `name`; undefined where even that differs in more than a third of its letters. */
export function nearest(name: string, names: Iterable<string>): string | undefined {
  let [best, least]: [string | undefined, number] = [undefined, Infinity];
  const word = plain(name);
  for (const candidate of names) {
    const other = plain(candidate);
    const apart = distance(word, other);
    if (apart < least && 3 * apart <= Math.max(word.length, other.length)) [best, least] = [candidate, apart];
  }
  return best;
}

/** ` Did you mean NAME?` for the nearest of `names`, or nothing: what ends a message about a name that is unknown. */
export function guessOf(name: string, names: Iterable<string>): string {
  const meant = nearest(name, names);
  return meant === undefined ? "" : ` Did you mean ${meant}?`;
}

/**
 * What stands in a table under a name. `what` names it: `buildNetwork: backbone`. @throws SortieError, or `Failure`,
 * that lists the names and guesses which was meant.
 */
export function lookUp<T>(
  what: string,
  table: Readonly<Record<string, T>>,
  name: string,
  Failure: new (message: string) => SortieError = SortieError,
): T {
  const found = Object.hasOwn(table, name) ? table[name] : undefined;
  if (found !== undefined) return found;
  const names = Object.keys(table);
  throw new Failure(
    `${what} must be one of ${names.join(", ")}; got ${JSON.stringify(name)}.${guessOf(String(name), names)}`,
  );
}
