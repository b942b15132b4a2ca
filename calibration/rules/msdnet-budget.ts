// MSDNet's budgeted batch classification (ICLR 2018): thresholds that make given shares of samples leave. No guarantee.

import { check, checkKind } from "../errors.ts";
import { column, indices, rowsBelow, sum } from "../numeric/arrays.ts";
import type { Cascade } from "../table/scores.ts";
import { achieved, decide } from "./policies.ts";
import { type Guarantee, similarSamples } from "./result.ts";

/** Shares, thresholds and what they give on the samples they were set on. */
export interface Budget {
  /** `[K]`, proportional to p^j. */
  readonly fractions: Float64Array;
  /** `[K-1]`. */
  readonly thresholds: Float64Array;
  readonly exits: Int32Array;
  readonly expectedCost: number;
  readonly n: number;
  /** Fewest samples of which every early exit's share is one at least; with fewer, exits stay closed. */
  readonly neededSamples: number;
  readonly guarantee: Guarantee;
}

const guarantee: Guarantee = {
  kind: "none",
  promise: "the wanted shares leave on the samples used; nothing is said about errors.",
  assumptions: [similarSamples],
};

/** `q_j = p^j / sum p^j`, j = 1 .. K: small p leaves early, large p late. */
export function budgetFractions(p: number, exits: number): Float64Array {
  check(p > 0 && Number.isFinite(p), "budgetFractions", "p must be positive", p);
  const powers = Float64Array.from({ length: exits }, (_, j) => p ** (j + 1));
  const total = sum(powers);
  return powers.map((v) => v / total);
}

/**
 * For every early exit the score of the `floor(N q_j)`-th most confident sample that has not left; all who reach it
 * leave, so ties may exceed a quota. A quota of 0, or more than are left, closes the exit (+Infinity).
 */
export function budgetThresholds(cascade: Cascade, p: number): Budget {
  checkKind("budgetThresholds", "cascade", cascade);
  const { samples, exits, scores } = cascade;
  const fractions = budgetFractions(p, exits);
  const thresholds = new Float64Array(exits - 1).fill(Number.POSITIVE_INFINITY);
  let alive = indices(samples);
  for (const [j, share] of fractions.subarray(0, exits - 1).entries()) {
    const quota = Math.floor(samples * share);
    const threshold = quota === 0 ? undefined : column(scores, exits, j, alive).sort()[alive.length - quota];
    if (threshold === undefined) continue;
    thresholds[j] = threshold;
    alive = rowsBelow(alive, scores, exits, j, threshold);
  }
  const taken = decide(cascade, thresholds);
  const { cost: expectedCost } = achieved(cascade, taken);
  const neededSamples = Math.ceil(1 / fractions.subarray(0, exits - 1).reduce((a, b) => Math.min(a, b), 1) - 1e-9);
  return { fractions, thresholds, exits: taken, expectedCost, n: samples, neededSamples, guarantee };
}
