// Bootstrap confidence intervals for any statistic of samples.

import { type Kinds, SEED } from "../../base/index.ts";
import { check, checkLevel, checkNotEmpty, readOptions } from "../errors.ts";
import { indices, sum } from "../numeric/arrays.ts";
import { createRandom } from "../numeric/random.ts";
import { quantileOfSorted } from "../numeric/ranks.ts";

/** A statistic with its percentile interval. */
export interface BootstrapResult {
  readonly value: number;
  readonly lower: number;
  readonly upper: number;
  readonly standardError: number;
  /** Resamples on which the statistic was defined (not NaN); the others are left out. */
  readonly defined: number;
}

/** How to resample. */
export interface BootstrapOptions {
  readonly resamples?: number;
  /** 1 - alpha is the level of the intervals. */
  readonly alpha?: number;
  readonly seed?: number;
}

const BOOTSTRAP: Kinds<BootstrapOptions> = { resamples: "number", alpha: "number", seed: SEED };

/**
 * Percentile intervals at level 1 - alpha of several statistics, from the same seeded resamples of 0 .. n-1.
 * `statistics` receives the indices drawn, the first time all of them in order, and returns the same names each time.
 */
export function bootstrapAll<Name extends string>(
  statistics: (rows: Int32Array) => Readonly<Record<Name, number>>,
  n: number,
  options: BootstrapOptions = {},
): Readonly<Record<Name, BootstrapResult>> {
  const { resamples = 1000, alpha = 0.05, seed = 0 } = readOptions("bootstrap", options, BOOTSTRAP);
  checkNotEmpty("bootstrap", "the sample", n);
  checkLevel("bootstrap", "alpha", alpha);
  const isCount = Number.isInteger(resamples) && resamples > 1;
  check(isCount, "bootstrap", "resamples must be a whole number above 1", resamples);
  const random = createRandom(seed);
  const rows = indices(n);
  const all = statistics(rows);
  const drawn = Array.from({ length: resamples }, () => {
    for (let i = 0; i < n; i++) rows[i] = random.below(n);
    return statistics(rows);
  });
  const results = (Object.keys(all) as Name[]).map((name) => {
    const values = Float64Array.from(drawn, (one) => one[name]);
    return [name, summarise(all[name], values, alpha)] as const;
  });
  return Object.fromEntries(results) as Record<Name, BootstrapResult>;
}

/** `bootstrapAll` of one statistic. */
export function bootstrap(
  statistic: (rows: Int32Array) => number,
  n: number,
  options: BootstrapOptions = {},
): BootstrapResult {
  return bootstrapAll((rows) => ({ value: statistic(rows) }), n, options).value;
}

function summarise(value: number, drawn: Float64Array, alpha: number): BootstrapResult {
  const defined = drawn.filter((v) => !Number.isNaN(v)).sort();
  if (defined.length < 2)
    return { value, lower: Number.NaN, upper: Number.NaN, standardError: Number.NaN, defined: defined.length };
  const mean = sum(defined) / defined.length;
  const squares = defined.reduce((sum, v) => sum + (v - mean) ** 2, 0);
  return {
    value,
    lower: quantileOfSorted(defined, alpha / 2),
    upper: quantileOfSorted(defined, 1 - alpha / 2),
    standardError: Math.sqrt(squares / (defined.length - 1)),
    defined: defined.length,
  };
}
