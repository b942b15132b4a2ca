// Accuracy against cost: sweeps of one knob, the area under the curve, and accuracy at a given cost.

import { type Kinds, zip } from "../../base/index.ts";
import { checkKind, checkLengths, checkNotEmpty, readOptions } from "../errors.ts";
import { dot } from "../numeric/arrays.ts";
import { quantileOfSorted } from "../numeric/ranks.ts";
import { classPrecisionMargin, type PrecisionMarginOptions } from "../rules/class-precision-margin.ts";
import { budgetThresholds } from "../rules/msdnet-budget.ts";
import { SAME_SAMPLES } from "../rules/options.ts";
import { type Achieved, achieved, decide, decideByOracle, decideFixed } from "../rules/policies.ts";
import type { Calibration } from "../rules/result.ts";
import { type Cascade, earlyScores } from "../table/scores.ts";

/** One setting of the knob and what it achieves. */
export interface CurvePoint extends Achieved {
  readonly knob: number;
}

/** One shared threshold for all exits, swept. */
export function thresholdCurve(test: Cascade, thresholds: ArrayLike<number>): readonly CurvePoint[] {
  checkKind("thresholdCurve", "cascade", test, "test cascade");
  return Array.from(thresholds, (knob) => ({ knob, ...achieved(test, decide(test, knob)) }));
}

/** Thresholds at evenly spaced quantiles of all early confidences, from nobody early to everybody at the first exit. */
export function sweepThresholds(cascade: Cascade, steps = 50): Float64Array {
  checkKind("sweepThresholds", "cascade", cascade);
  const early = earlyScores(cascade);
  if (early.length === 0) return Float64Array.of(Number.POSITIVE_INFINITY);
  const inner = Float64Array.from({ length: steps }, (_, k) => quantileOfSorted(early, 1 - (k + 1) / steps));
  return Float64Array.of(Number.POSITIVE_INFINITY, ...inner);
}

/** MSDNet's budgeted batch: thresholds set on validation for p = k/20, k = 1 .. 39, applied to test. */
export function budgetCurve(validation: Cascade, test: Cascade): readonly CurvePoint[] {
  checkKind("budgetCurve", "cascade", validation, "validation cascade");
  checkKind("budgetCurve", "cascade", test, "test cascade");
  return Array.from({ length: 39 }, (_, k) => {
    const knob = (k + 1) / 20;
    const { thresholds } = budgetThresholds(validation, knob);
    return { knob, ...achieved(test, decide(test, thresholds)) };
  });
}

const MARGINS: Kinds<Omit<PrecisionMarginOptions, "margin">> = {
  mode: "string",
  minSupport: "number",
  population: "string",
  sameSamples: SAME_SAMPLES,
};

/** CalexNet's margin, swept: thresholds set on validation, applied to test. */
export function marginCurve(
  validation: Cascade,
  test: Cascade,
  margins: ArrayLike<number>,
  options: Omit<PrecisionMarginOptions, "margin"> = {},
): readonly CurvePoint[] {
  checkKind("marginCurve", "cascade", validation, "validation cascade");
  checkKind("marginCurve", "cascade", test, "test cascade");
  const kept = readOptions("marginCurve", options, MARGINS);
  return Array.from(margins, (knob) => {
    const { thresholds } = classPrecisionMargin(validation, { ...kept, margin: knob });
    return { knob, ...achieved(test, decide(test, thresholds)) };
  });
}

/** A risk target, swept through any calibration; where it refuses, everybody runs the full network. */
export function riskTargetCurve(
  calibrate: (alpha: number) => Calibration,
  test: Cascade,
  alphas: ArrayLike<number>,
): readonly (CurvePoint & { readonly ok: boolean })[] {
  checkKind("riskTargetCurve", "cascade", test, "test cascade");
  return Array.from(alphas, (knob) => {
    const result = calibrate(knob);
    const thresholds = result.ok ? result.thresholds : Number.POSITIVE_INFINITY;
    return { knob, ok: result.ok, ...achieved(test, decide(test, thresholds)) };
  });
}

/** What to draw beside a curve. */
export interface Baselines {
  readonly oracle: Achieved;
  /** `[K]` every exit alone. */
  readonly fixed: readonly Achieved[];
  /** Exits drawn at random with the given shares, in expectation. */
  readonly random: Achieved;
}

/** The oracle, every exit alone, and random exits with shares `fractions` (`[K]`; default all equal). */
export function baselines(test: Cascade, fractions?: ArrayLike<number>): Baselines {
  checkKind("baselines", "cascade", test, "test cascade");
  const fixed = Array.from({ length: test.exits }, (_, j) => achieved(test, decideFixed(test, j)));
  const shares = Float64Array.from(fractions ?? fixed.map(() => 1 / test.exits));
  checkLengths("baselines", "fractions", shares.length, "exits", test.exits);
  const mean = (of: (at: Achieved) => number) => dot(shares, Float64Array.from(fixed, of));
  const random = { accuracy: mean((at) => at.accuracy), cost: mean((at) => at.cost), fractions: shares };
  return { oracle: achieved(test, decideByOracle(test)), fixed, random };
}

/** Points `[cost, accuracy]` by rising cost; equal costs keep the largest accuracy. */
function frontier(cost: ArrayLike<number>, accuracy: ArrayLike<number>): readonly (readonly [number, number])[] {
  checkKind("curve", "list", cost, "cost");
  checkKind("curve", "list", accuracy, "accuracy");
  checkLengths("curve", "cost", cost.length, "accuracy", accuracy.length);
  checkNotEmpty("curve", "the curve", cost.length);
  const best = new Map<number, number>();
  for (const [x, y] of zip(cost, accuracy)) best.set(x, Math.max(best.get(x) ?? Number.NEGATIVE_INFINITY, y));
  return [...best].sort((a, b) => a[0] - b[0]);
}

/** Trapezoid area under accuracy over cost, divided by the span of costs; the accuracy itself for a single cost. */
export function areaUnderCurve(cost: ArrayLike<number>, accuracy: ArrayLike<number>): number {
  const [first = NOWHERE, ...others] = frontier(cost, accuracy);
  if (others.length === 0) return first[1];
  let area = 0;
  let before = first;
  for (const point of others) {
    area += ((point[0] - before[0]) * (before[1] + point[1])) / 2;
    before = point;
  }
  return area / (before[0] - first[0]);
}

/** Accuracy at a cost by linear interpolation; the end values outside. */
export function accuracyAtCost(cost: ArrayLike<number>, accuracy: ArrayLike<number>, at: number): number {
  const [first = NOWHERE, ...others] = frontier(cost, accuracy);
  let [x0, y0] = first;
  if (at <= x0) return y0;
  for (const [x1, y1] of others) {
    if (at <= x1) return y0 + ((y1 - y0) * (at - x0)) / (x1 - x0);
    [x0, y0] = [x1, y1];
  }
  return y0;
}

/** The point of an empty curve, which `frontier` refuses. */
const NOWHERE = [Number.NaN, Number.NaN] as const;
