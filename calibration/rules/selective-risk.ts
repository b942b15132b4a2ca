// Learn then Test (Angelopoulos et al. 2021) on selective risk: the primitives. A threshold is kept when the exact
// binomial test rejects "the error rate among the accepted is above alpha". `learnThenTest` builds on these.

import type { Kinds } from "../../base/index.ts";
import { check, checkFlags, checkKind, checkLengths, checkLevel, checkNotEmpty, readOptions } from "../errors.ts";
import { accumulate, column, firstWhere, indices, rowsBelow } from "../numeric/arrays.ts";
import { binomialPValue, smallestTestable } from "../numeric/bounds.ts";
import { quantileOfSorted } from "../numeric/ranks.ts";
import { Tally } from "../numeric/tally.ts";
import { type Guarantee, highProbability, type RiskLevels } from "./result.ts";

export const LEVELS: Kinds<RiskLevels> = { alpha: "number!", delta: "number!" };

/** Accepted samples and errors at each grid point. */
export interface GridCounts {
  readonly accepted: Float64Array;
  readonly errors: Float64Array;
}

/**
 * Samples with `score >= t`, and the errors among them, for every t of a grid in falling order: one pass with a binary
 * search per sample. `errors` holds 0 or 1 for each score.
 */
export function countOnGrid(grid: ArrayLike<number>, scores: ArrayLike<number>, errors: ArrayLike<number>): GridCounts {
  checkKind("countOnGrid", "list", grid, "the grid");
  checkKind("countOnGrid", "list", scores, "scores");
  checkFlags("countOnGrid", "errors", errors);
  const passed = new Tally(grid.length);
  for (let i = 0; i < scores.length; i++) {
    const score = scores[i]!;
    const first = firstWhere(0, grid.length, (g) => score >= grid[g]!);
    if (first < grid.length) passed.add(first, errors[i]!);
  }
  accumulate(passed.counts);
  accumulate(passed.sums);
  return { accepted: passed.counts, errors: passed.sums };
}

/**
 * Index of the loosest grid point kept by fixed-sequence testing from point `first` on, -1 if none: the first failure
 * ends the sequence. The level is proven for a `first` that was fixed without the tested samples.
 */
export function keptFrom(first: number, counts: GridCounts, { alpha, delta }: RiskLevels): number {
  const passes = (g: number) => binomialPValue(counts.errors[g]!, counts.accepted[g]!, alpha) <= delta;
  let kept = -1;
  for (let g = first; g < counts.accepted.length && passes(g); g++) kept = g;
  return kept;
}

/** What a sequence takes for granted that begins where calibration samples allow. */
export const harmlessStart =
  "beginning at the first threshold with enough calibration samples to pass does no harm (simulated, not proven)";

/**
 * Fixed-sequence testing from the first grid point on that has enough accepted samples to pass: index of the loosest
 * point kept, -1 if none. `harmlessStart`: those counts choose the first hypothesis.
 */
export function fixedSequence(counts: GridCounts, levels: RiskLevels): number {
  const { alpha, delta } = readOptions("fixedSequence", levels, LEVELS);
  const nMin = smallestTestable(alpha, delta);
  const first = counts.accepted.findIndex((accepted) => accepted >= nMin);
  return first < 0 ? -1 : keptFrom(first, counts, { alpha, delta });
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
 * independent samples and a grid fixed without them, as far as `harmlessStart` holds.
 */
export function lttThreshold(
  input: { readonly scores: ArrayLike<number>; readonly errors: ArrayLike<number>; readonly grid: ArrayLike<number> },
  levels: RiskLevels,
): ThresholdTest {
  checkLevels("lttThreshold", levels);
  const { scores, errors, grid } = input;
  checkLengths("lttThreshold", "scores", scores.length, "errors", errors.length);
  checkFlags("lttThreshold", "errors", errors);
  checkGrid("lttThreshold", grid);
  const kept = fixedSequence(countOnGrid(grid, scores, errors), levels);
  return {
    ok: kept >= 0,
    threshold: grid[kept] ?? Number.POSITIVE_INFINITY,
    nMin: smallestTestable(levels.alpha, levels.delta),
    n: scores.length,
    guarantee: assuming([harmlessStart], highProbability("the error rate among the accepted", levels)),
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
  checkFlags("sequentialSurvivors", "errors", errors);
  checkNotEmpty("sequentialSurvivors", "the calibration set", scores.length);
  let alive = indices(scores.length / earlyExits);
  let aliveValidation = indices(validationScores.length / earlyExits);
  const thresholds = new Float64Array(earlyExits).fill(Number.POSITIVE_INFINITY);
  for (let j = 0; j < earlyExits; j++) {
    if (alive.length === 0 || aliveValidation.length === 0) break;
    const ascending = column(validationScores, earlyExits, j, aliveValidation).sort();
    const grid = Float64Array.from(gridQuantiles, (q) => quantileOfSorted(ascending, q));
    const counts = countOnGrid(grid, column(scores, earlyExits, j, alive), column(errors, earlyExits, j, alive));
    const threshold = grid[fixedSequence(counts, { alpha, delta: delta / earlyExits })];
    if (threshold === undefined) continue;
    thresholds[j] = threshold;
    alive = rowsBelow(alive, scores, earlyExits, j, threshold);
    aliveValidation = rowsBelow(aliveValidation, validationScores, earlyExits, j, threshold);
  }
  const guarantee = highProbability("the error rate of those that leave at each early exit", { alpha, delta });
  const granted = earlyExits > 1 ? [harmlessStart, harmlessReuse] : [harmlessStart];
  const n = scores.length / earlyExits;
  return { thresholds, survivors: alive.length, n, guarantee: assuming(granted, guarantee) };
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
  checkFlags("lttPooled", "errors", errors);
  const rows = grid.length / earlyExits;
  const thresholds = Float64Array.from(grid);
  const left = new Tally(rows);
  for (let g = 0; g < rows; g++) {
    const row = thresholds.subarray(g * earlyExits, (g + 1) * earlyExits);
    for (let i = 0; i < scores.length; i += earlyExits) {
      let j = 0;
      while (j < earlyExits && !(scores[i + j]! >= row[j]!)) j++;
      if (j < earlyExits) left.add(g, errors[i + j]!);
    }
  }
  const index = fixedSequence({ accepted: left.counts, errors: left.sums }, levels);
  const guarantee = assuming([harmlessStart], highProbability("the error rate of all that leave early", levels));
  const nMin = smallestTestable(levels.alpha, levels.delta);
  return { ok: index >= 0, index, nMin, n: scores.length / earlyExits, guarantee };
}

/** A promise that takes more for granted. */
const assuming = (more: readonly string[], guarantee: Guarantee): Guarantee => ({
  ...guarantee,
  assumptions: [...guarantee.assumptions, ...more],
});

/** Both levels strictly between 0 and 1. */
export function checkLevels(op: string, levels: RiskLevels): void {
  const { alpha, delta } = readOptions(op, levels, LEVELS);
  checkLevel(op, "alpha", alpha);
  checkLevel(op, "delta", delta);
}

function checkGrid(op: string, grid: ArrayLike<number>): void {
  const thresholds = Float64Array.from(grid);
  const rising = thresholds.findIndex((t, g) => g > 0 && !(t <= thresholds[g - 1]!));
  const pair = `${grid[rising - 1]} before ${grid[rising]}`;
  check(rising < 0, op, "the grid must go from strict to loose", pair);
}
