// Comparing float32 outputs with float64 references: everywhere finite, and close at the entries given.

import { uniform } from "./random.ts";

/** The first and last index and `count` seeded ones in between. */
export function samples(n: number, count: number, seed = 7): number[] {
  const next = uniform(seed);
  const picked = Array.from({ length: Math.min(count, n) }, () => Math.floor(next() * n));
  return [0, n - 1, ...picked];
}

/**
 * Compares `got` with `reference(i)` at `indices`: |difference| <= tolerance * (|reference| + rms of the references).
 * A NaN or an infinity anywhere in `got` is an error too: poison that was not overwritten.
 * @returns What is wrong, or undefined.
 */
export function compare(
  name: string,
  got: Float32Array | undefined,
  length: number,
  indices: readonly number[],
  reference: (i: number) => number,
  tolerance = 1e-4,
): string | undefined {
  if (got?.length !== length) return `${name}: ${got?.length ?? "no"} values, expected ${length}`;
  const hole = got.findIndex((value) => !Number.isFinite(value));
  if (hole >= 0) return `${name}[${hole}] is ${got[hole]}`;
  const expected = indices.map(reference);
  const rms = Math.sqrt(expected.reduce((sum, value) => sum + value * value, 0) / Math.max(1, expected.length));
  for (const [j, i] of indices.entries()) {
    const want = expected[j] as number;
    const value = got[i] as number;
    if (!(Math.abs(value - want) <= tolerance * (Math.abs(want) + rms))) {
      return `${name}[${i}] is ${value}, expected ${want}`;
    }
  }
  return undefined;
}

/** Every index below `n`. */
export const all = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
