/** Bootstrap confidence intervals for any statistic of samples. */

import { check, checkLevel, checkNotEmpty } from "./errors.ts";
import { createRandom } from "./random.ts";
import { quantileOfSorted } from "./ranks.ts";

/** A statistic with its percentile interval. */
export interface BootstrapResult {
  readonly value: number;
  readonly lower: number;
  readonly upper: number;
  readonly standardError: number;
  /** Resamples on which the statistic was defined (not NaN); the others are left out. */
  readonly defined: number;
}

/**
 * Percentile interval at level 1 - alpha from seeded resamples of 0 .. n-1.
 * `statistic` receives the indices drawn, the first time all of them in order.
 */
export function bootstrap(
  statistic: (rows: Int32Array) => number,
  n: number,
  {
    resamples = 1000,
    alpha = 0.05,
    seed = 0,
  }: {
    readonly resamples?: number;
    readonly alpha?: number;
    readonly seed?: number;
  } = {},
): BootstrapResult {
  checkNotEmpty("bootstrap", "the sample", n);
  checkLevel("bootstrap", "alpha", alpha);
  check(
    Number.isInteger(resamples) && resamples > 1,
    "bootstrap",
    "resamples must be a whole number above 1",
    resamples,
  );
  const random = createRandom(seed);
  const rows = Int32Array.from({ length: n }, (_, i) => i);
  const value = statistic(rows);
  const values = new Float64Array(resamples);
  for (let b = 0; b < resamples; b++) {
    for (let i = 0; i < n; i++) rows[i] = random.below(n);
    values[b] = statistic(rows);
  }
  const defined = values.filter((v) => !Number.isNaN(v)).sort();
  if (defined.length < 2)
    return { value, lower: Number.NaN, upper: Number.NaN, standardError: Number.NaN, defined: defined.length };
  const mean = defined.reduce((a, b) => a + b, 0) / defined.length;
  const squares = defined.reduce((sum, v) => sum + (v - mean) ** 2, 0);
  return {
    value,
    lower: quantileOfSorted(defined, alpha / 2),
    upper: quantileOfSorted(defined, 1 - alpha / 2),
    standardError: Math.sqrt(squares / (defined.length - 1)),
    defined: defined.length,
  };
}
