// Failure prediction: how well confidence ranks right above wrong. Everything is computed from groups of equal
// scores, so no result depends on the order of ties. "Positive" = correct unless said otherwise.

import { check, checkKind, checkScored } from "../errors.ts";

/** Samples of one score. */
export interface ScoreGroup {
  readonly score: number;
  readonly count: number;
  /** The wrong ones among them. */
  readonly errors: number;
}

/** All samples by score. */
export interface ScoreGroups {
  /** Distinct scores, highest first. */
  readonly groups: readonly ScoreGroup[];
  /** N. */
  readonly samples: number;
  /** Wrong samples in all. */
  readonly wrong: number;
}

/**
 * Sorts right and wrong samples apart, and merges them into groups of equal score. @throws CalibrationError for NaN,
 * and for no samples.
 */
export function groupScores(scores: ArrayLike<number>, correct: ArrayLike<number>): ScoreGroups {
  checkScored("failure", scores, correct);
  const all = Float64Array.from(scores);
  const bad = all.findIndex(Number.isNaN);
  check(bad < 0, "failure", "scores must not be NaN", `NaN at ${bad}`);
  const right = all.filter((_, i) => correct[i]).sort();
  const wrong = all.filter((_, i) => !correct[i]).sort();
  const groups: ScoreGroup[] = [];
  let [r, w] = [right.length, wrong.length];
  while (r > 0 || w > 0) {
    const score = Math.max(right[r - 1] ?? Number.NEGATIVE_INFINITY, wrong[w - 1] ?? Number.NEGATIVE_INFINITY);
    const [nRight, nWrong] = [r, w];
    while (r > 0 && right[r - 1] === score) r--;
    while (w > 0 && wrong[w - 1] === score) w--;
    groups.push({ score, count: nRight - r + nWrong - w, errors: nWrong - w });
  }
  return { groups, samples: all.length, wrong: wrong.length };
}

/** Area under the ROC curve with ties counted half; NaN if everything is right or everything is wrong. */
export function auroc(scores: ArrayLike<number>, correct: ArrayLike<number>): number {
  checkKind("failure", "list", scores, "scores");
  if (scores.length === 0) return Number.NaN;
  return groupAuroc(groupScores(scores, correct));
}

/** `auroc` of groups. */
export function groupAuroc(all: ScoreGroups): number {
  checkKind("groupAuroc", "groups", all);
  const { groups, samples, wrong } = all;
  let wrongBelow = wrong;
  let pairs = 0;
  for (const { count, errors } of groups) {
    wrongBelow -= errors;
    pairs += (count - errors) * (wrongBelow + 0.5 * errors);
  }
  return pairs / ((samples - wrong) * wrong);
}

/** Average precision with "right" positive (`success`) or with "wrong" positive and scores negated (`error`). */
export function groupAupr(all: ScoreGroups, positive: "success" | "error"): number {
  checkKind("groupAupr", "groups", all);
  const { groups, samples, wrong } = all;
  const isSuccess = positive === "success";
  const total = isSuccess ? samples - wrong : wrong;
  if (total === 0) return Number.NaN;
  let seen = 0;
  let hits = 0;
  let area = 0;
  for (const { count, errors } of isSuccess ? groups : groups.toReversed()) {
    const gained = isSuccess ? count - errors : errors;
    seen += count;
    hits += gained;
    area += (gained / total) * (hits / seen);
  }
  return area;
}

/** False-positive rate at the highest threshold whose true-positive rate reaches `tpr`; NaN if one kind is missing. */
export function groupFprAtTpr(all: ScoreGroups, tpr: number): number {
  checkKind("groupFprAtTpr", "groups", all);
  const { groups, samples, wrong } = all;
  const right = samples - wrong;
  if (right === 0 || wrong === 0) return Number.NaN;
  let hits = 0;
  let misses = 0;
  for (const { count, errors } of groups) {
    hits += count - errors;
    misses += errors;
    if (hits / right >= tpr) break;
  }
  return misses / wrong;
}

/** Area under the risk-coverage curve: mean over k of the expected error rate among the k most confident. */
export function groupAurc(all: ScoreGroups): number {
  checkKind("groupAurc", "groups", all);
  const { groups, samples } = all;
  let before = 0;
  let wrong = 0;
  let sum = 0;
  for (const { count, errors } of groups) {
    const rate = errors / count;
    for (let i = 1; i <= count; i++) sum += (wrong + rate * i) / (before + i);
    before += count;
    wrong += errors;
  }
  return sum / samples;
}

/** AURC minus that of a perfect ranking, `r + (1-r) log(1-r)` with r the error rate. */
export function groupExcessAurc(groups: ScoreGroups): number {
  checkKind("groupExcessAurc", "groups", groups);
  const r = groups.wrong / groups.samples;
  const best = r < 1 ? r + (1 - r) * Math.log1p(-r) : 1;
  return groupAurc(groups) - best;
}

/**
 * Area under the generalised risk-coverage curve (Traub et al. 2024): joint risk "accepted and wrong" over coverage.
 */
export function groupAugrc(all: ScoreGroups): number {
  checkKind("groupAugrc", "groups", all);
  const { groups, samples } = all;
  let wrong = 0;
  let area = 0;
  for (const { count, errors } of groups) {
    // the joint risk is linear inside a group of ties, so one trapezoid is exact
    area += count * (wrong + 0.5 * errors);
    wrong += errors;
  }
  return area / samples ** 2;
}

/** A threshold with what it gives. */
export interface OperatingPoint {
  /** Accept when score >= threshold; +Infinity accepts nobody. */
  readonly threshold: number;
  readonly coverage: number;
  /** Error rate among the accepted; NaN if nobody is. */
  readonly risk: number;
}

/** The largest coverage, over thresholds at distinct scores, whose selective risk is at most `risk`. */
export function groupCoverageAtRisk(all: ScoreGroups, risk: number): OperatingPoint {
  checkKind("groupCoverageAtRisk", "groups", all);
  const { groups, samples } = all;
  let best: OperatingPoint = { threshold: Number.POSITIVE_INFINITY, coverage: 0, risk: Number.NaN };
  let seen = 0;
  let wrong = 0;
  for (const { score, count, errors } of groups) {
    seen += count;
    wrong += errors;
    if (wrong / seen <= risk) best = { threshold: score, coverage: seen / samples, risk: wrong / seen };
  }
  return best;
}

/** The highest threshold, among distinct scores, whose coverage reaches `coverage`. */
export function groupRiskAtCoverage(all: ScoreGroups, coverage: number): OperatingPoint {
  checkKind("groupRiskAtCoverage", "groups", all);
  const { groups, samples } = all;
  let threshold = Number.POSITIVE_INFINITY;
  let seen = 0;
  let wrong = 0;
  for (const { score, count, errors } of groups) {
    threshold = score;
    seen += count;
    wrong += errors;
    if (!(seen / samples < coverage)) break;
  }
  return { threshold, coverage: seen / samples, risk: wrong / seen };
}

/** The metrics of failure prediction for one exit. */
export interface FailureMetrics {
  readonly auroc: number;
  readonly auprSuccess: number;
  readonly auprError: number;
  readonly fprAt95Tpr: number;
  readonly aurc: number;
  readonly eAurc: number;
  readonly augrc: number;
}

/** All of them from one sort. */
export function failureMetrics(scores: ArrayLike<number>, correct: ArrayLike<number>): FailureMetrics {
  return groupFailureMetrics(groupScores(scores, correct));
}

/** `failureMetrics` of groups. */
export function groupFailureMetrics(groups: ScoreGroups): FailureMetrics {
  checkKind("groupFailureMetrics", "groups", groups);
  return {
    auroc: groupAuroc(groups),
    auprSuccess: groupAupr(groups, "success"),
    auprError: groupAupr(groups, "error"),
    fprAt95Tpr: groupFprAtTpr(groups, 0.95),
    aurc: groupAurc(groups),
    eAurc: groupExcessAurc(groups),
    augrc: groupAugrc(groups),
  };
}
