// Learn then Test (Angelopoulos et al. 2021) on selective risk: the primitives. A threshold is kept when the exact
// binomial test rejects "the error rate among the accepted is above alpha". `learnThenTest` builds on these.

import type { Kinds } from "../../base/index.ts";
import { check, checkLengths, checkLevel, checkNotEmpty, readOptions } from "../errors.ts";
import { binomialPValue, smallestTestable } from "../numeric/bounds.ts";
import { quantileOfSorted } from "../numeric/ranks.ts";
import { type Guarantee, highProbability, type RiskLevels } from "./result.ts";

export const LEVELS: Kinds<RiskLevels> = { alpha: "number!", delta: "number!" };

/** Accepted samples and errors at each grid point. */
export interface GridCounts {
  readonly accepted: Float64Array;
  readonly errors: Float64Array;
}

/** Counts of `score >= t` for every t of a grid in falling order, in one pass with a binary search per sample. */
export function countOnGrid(
  grid: ArrayLike<number>,
  n: number,
  score: (i: number) => number,
  error: (i: number) => number,
): GridCounts {
  const size = grid.length;
  const accepted = new Float64Array(size);
  const errors = new Float64Array(size);
  for (let i = 0; i < n; i++) {
    const s = score(i);
    let low = 0;
    let high = size; // first grid point that accepts the sample
    while (low < high) {
      const mid = (low + high) >> 1;
      if (s >= grid[mid]!) high = mid;
      else low = mid + 1;
    }
    if (low === size) continue;
    accepted[low] = accepted[low]! + 1;
    errors[low] = errors[low]! + error(i);
  }
  for (let g = 1; g < size; g++) {
    accepted[g] = accepted[g]! + accepted[g - 1]!;
    errors[g] = errors[g]! + errors[g - 1]!;
  }
  return { accepted, errors };
}

/**
 * Index of the loosest grid point kept by fixed-sequence testing, -1 if none. Points with fewer accepted samples
 * than could ever pass are skipped until the first test; after that the first failure ends the sequence.
 */
export function fixedSequence(counts: GridCounts, levels: RiskLevels): number {
  const { alpha, delta } = readOptions("fixedSequence", levels, LEVELS);
  const nMin = smallestTestable(alpha, delta);
  let kept = -1;
  let isStarted = false;
  for (let g = 0; g < counts.accepted.length; g++) {
    if (!isStarted && counts.accepted[g]! < nMin) continue;
    isStarted = true;
    if (binomialPValue(counts.errors[g]!, counts.accepted[g]!, alpha) > delta) break;
    kept = g;
  }
  return kept;
}

/** One threshold on one score. */
export interface ThresholdTest {
  readonly ok: boolean;
  /** +Infinity if none can be certified. */
  readonly threshold: number;
  /** Fewest accepted samples that could pass. */
  readonly nMin: number;
  readonly n: number;
  readonly guarantee: Guarantee;
}

/**
 * The loosest threshold of a strict-to-loose grid whose selective risk is certified: `P(risk > alpha) <= delta` for
 * independent samples and a grid fixed without their labels.
 */
export function lttThreshold(
  input: { readonly scores: ArrayLike<number>; readonly errors: ArrayLike<number>; readonly grid: ArrayLike<number> },
  levels: RiskLevels,
): ThresholdTest {
  checkLevels("lttThreshold", levels);
  const { scores, errors, grid } = input;
  checkLengths("lttThreshold", "scores", scores.length, "errors", errors.length);
  checkGrid("lttThreshold", grid);
  const counts = countOnGrid(
    grid,
    scores.length,
    (i) => scores[i]!,
    (i) => errors[i]!,
  );
  const kept = fixedSequence(counts, levels);
  return {
    ok: kept >= 0,
    threshold: kept >= 0 ? grid[kept]! : Number.POSITIVE_INFINITY,
    nMin: smallestTestable(levels.alpha, levels.delta),
    n: scores.length,
    guarantee: highProbability("the error rate among the accepted", levels),
  };
}

/** Thresholds of all early exits. */
export interface SurvivorThresholds {
  /** `[K-1]`. */
  readonly thresholds: Float64Array;
  /** Calibration samples refused by every early exit. */
  readonly survivors: number;
  readonly n: number;
  readonly guarantee: Guarantee;
}

/** What the sequential rule takes for granted. */
export const harmlessReuse = "using the same samples again at later exits does no harm (simulated, not proven)";

/**
 * The simple sequential rule: each early exit is tested at delta / (K-1) on the samples all earlier exits refused,
 * over quantiles of the validation survivors. Which samples survive depends on labels already used, so the union
 * bound is not strict; see `learnThenTest` for the strict procedures.
 * `scores`, `errors` `[N, K-1]`, `validationScores` `[M, K-1]`.
 */
export function sequentialSurvivors(
  input: {
    readonly scores: ArrayLike<number>;
    readonly errors: ArrayLike<number>;
    readonly validationScores: ArrayLike<number>;
    readonly earlyExits: number;
    readonly gridQuantiles: ArrayLike<number>;
  },
  levels: RiskLevels,
): SurvivorThresholds {
  checkLevels("sequentialSurvivors", levels);
  const { alpha, delta } = levels;
  const { scores, errors, validationScores, earlyExits, gridQuantiles } = input;
  checkLengths("sequentialSurvivors", "scores", scores.length, "errors", errors.length);
  checkNotEmpty("sequentialSurvivors", "the calibration set", scores.length);
  const everybody = (n: number) => Int32Array.from({ length: n }, (_, i) => i);
  let alive = everybody(scores.length / earlyExits);
  let aliveValidation = everybody(validationScores.length / earlyExits);
  const thresholds = new Float64Array(earlyExits).fill(Number.POSITIVE_INFINITY);
  for (let j = 0; j < earlyExits; j++) {
    if (alive.length === 0 || aliveValidation.length === 0) break;
    const at = (i: number) => i * earlyExits + j;
    const ascending = Float64Array.from(aliveValidation, (i) => validationScores[at(i)]!).sort();
    const grid = Float64Array.from(gridQuantiles, (q) => quantileOfSorted(ascending, q));
    const counts = countOnGrid(
      grid,
      alive.length,
      (i) => scores[at(alive[i]!)]!,
      (i) => errors[at(alive[i]!)]!,
    );
    const kept = fixedSequence(counts, { alpha, delta: delta / earlyExits });
    if (kept < 0) continue;
    const threshold = grid[kept]!;
    thresholds[j] = threshold;
    alive = alive.filter((i) => scores[at(i)]! < threshold);
    aliveValidation = aliveValidation.filter((i) => validationScores[at(i)]! < threshold);
  }
  const guarantee = highProbability("the error rate of those that leave at each early exit", { alpha, delta });
  const assumptions = [...guarantee.assumptions, harmlessReuse];
  const n = scores.length / earlyExits;
  return { thresholds, survivors: alive.length, n, guarantee: { ...guarantee, assumptions } };
}

/** One row of thresholds, or none. */
export interface PooledTest {
  readonly ok: boolean;
  readonly index: number;
  /** Fewest early leavers that could pass. */
  readonly nMin: number;
  readonly n: number;
  readonly guarantee: Guarantee;
}

/**
 * Pooled early risk with one knob: row g of `grid` (`[G, K-1]`, strict to loose) holds a threshold per early exit;
 * all who leave early are one group, tested row by row. Index of the last kept row, -1 if none.
 */
export function lttPooled(
  input: {
    readonly scores: ArrayLike<number>;
    readonly errors: ArrayLike<number>;
    readonly grid: ArrayLike<number>;
    readonly earlyExits: number;
  },
  levels: RiskLevels,
): PooledTest {
  checkLevels("lttPooled", levels);
  const { scores, errors, grid, earlyExits } = input;
  checkLengths("lttPooled", "scores", scores.length, "errors", errors.length);
  const rows = grid.length / earlyExits;
  const counts = { accepted: new Float64Array(rows), errors: new Float64Array(rows) };
  for (let g = 0; g < rows; g++) {
    for (let i = 0; i < scores.length; i += earlyExits) {
      let j = 0;
      while (j < earlyExits && !(scores[i + j]! >= grid[g * earlyExits + j]!)) j++;
      if (j === earlyExits) continue;
      counts.accepted[g] = counts.accepted[g]! + 1;
      counts.errors[g] = counts.errors[g]! + errors[i + j]!;
    }
  }
  const index = fixedSequence(counts, levels);
  const guarantee = highProbability("the error rate of all that leave early", levels);
  const nMin = smallestTestable(levels.alpha, levels.delta);
  return { ok: index >= 0, index, nMin, n: scores.length / earlyExits, guarantee };
}

/** Both levels strictly between 0 and 1. */
export function checkLevels(op: string, levels: RiskLevels): void {
  const { alpha, delta } = readOptions(op, levels, LEVELS);
  checkLevel(op, "alpha", alpha);
  checkLevel(op, "delta", delta);
}

function checkGrid(op: string, grid: ArrayLike<number>): void {
  for (let g = 1; g < grid.length; g++) {
    check(grid[g]! <= grid[g - 1]!, op, "the grid must go from strict to loose", `${grid[g - 1]} before ${grid[g]}`);
  }
}
