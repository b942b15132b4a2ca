// Failure prediction: how well confidence ranks right above wrong. Everything is computed from groups of equal
// scores, so no result depends on the order of ties. "Positive" = correct unless said otherwise.

import { checkLengths, checkNotEmpty, fail } from "../errors.ts";

/** Distinct scores, highest first, each with the samples and the wrong ones that have it. */
export interface ScoreGroups {
  readonly scores: Float64Array;
  readonly counts: Float64Array;
  readonly errors: Float64Array;
  /** N. */
  readonly samples: number;
  /** Wrong samples in all. */
  readonly wrong: number;
}

/** Sorts right and wrong samples apart, and merges them into groups of equal score. Throws on NaN and on no samples. */
export function groupScores(scores: ArrayLike<number>, correct: ArrayLike<number>): ScoreGroups {
  checkLengths("failure", "scores", scores.length, "correct", correct.length);
  checkNotEmpty("failure", "scores", scores.length);
  const samples = scores.length;
  let nRight = 0;
  for (let i = 0; i < samples; i++) {
    if (Number.isNaN(scores[i]!)) fail("failure", "scores must not be NaN", `NaN at ${i}`);
    if (correct[i]) nRight++;
  }
  const right = new Float64Array(nRight);
  const wrong = new Float64Array(samples - nRight);
  let r = 0;
  let w = 0;
  for (let i = 0; i < samples; i++) {
    if (correct[i]) right[r++] = scores[i]!;
    else wrong[w++] = scores[i]!;
  }
  right.sort();
  wrong.sort();
  const groups = {
    scores: new Float64Array(samples),
    counts: new Float64Array(samples),
    errors: new Float64Array(samples),
  };
  let size = 0;
  while (r > 0 || w > 0) {
    const score = Math.max(
      r > 0 ? right[r - 1]! : Number.NEGATIVE_INFINITY,
      w > 0 ? wrong[w - 1]! : Number.NEGATIVE_INFINITY,
    );
    const before = r + w;
    while (r > 0 && right[r - 1] === score) r--;
    const beforeWrong = w;
    while (w > 0 && wrong[w - 1] === score) w--;
    groups.scores[size] = score;
    groups.counts[size] = before - r - w;
    groups.errors[size++] = beforeWrong - w;
  }
  return {
    scores: groups.scores.subarray(0, size),
    counts: groups.counts.subarray(0, size),
    errors: groups.errors.subarray(0, size),
    samples,
    wrong: samples - nRight,
  };
}

/** Area under the ROC curve with ties counted half; NaN if everything is right or everything is wrong. */
export function auroc(scores: ArrayLike<number>, correct: ArrayLike<number>): number {
  if (scores.length === 0) return Number.NaN;
  return groupAuroc(groupScores(scores, correct));
}

/** `auroc` of groups. */
export function groupAuroc({ counts, errors, samples, wrong }: ScoreGroups): number {
  let wrongBelow = wrong;
  let pairs = 0;
  for (let g = 0; g < counts.length; g++) {
    wrongBelow -= errors[g]!;
    pairs += (counts[g]! - errors[g]!) * (wrongBelow + 0.5 * errors[g]!);
  }
  return pairs / ((samples - wrong) * wrong);
}

/** Average precision with "right" positive (`success`) or with "wrong" positive and scores negated (`error`). */
export function groupAupr({ counts, errors, samples, wrong }: ScoreGroups, positive: "success" | "error"): number {
  const total = positive === "success" ? samples - wrong : wrong;
  if (total === 0) return Number.NaN;
  let seen = 0;
  let hits = 0;
  let area = 0;
  for (let k = 0; k < counts.length; k++) {
    const g = positive === "success" ? k : counts.length - 1 - k;
    const gained = positive === "success" ? counts[g]! - errors[g]! : errors[g]!;
    seen += counts[g]!;
    hits += gained;
    area += (gained / total) * (hits / seen);
  }
  return area;
}

/** False-positive rate at the highest threshold whose true-positive rate reaches `tpr`; NaN if one kind is missing. */
export function groupFprAtTpr({ counts, errors, samples, wrong }: ScoreGroups, tpr: number): number {
  const right = samples - wrong;
  if (right === 0 || wrong === 0) return Number.NaN;
  let hits = 0;
  let misses = 0;
  for (let g = 0; g < counts.length; g++) {
    hits += counts[g]! - errors[g]!;
    misses += errors[g]!;
    if (hits / right >= tpr) break;
  }
  return misses / wrong;
}

/** Area under the risk-coverage curve: mean over k of the expected error rate among the k most confident. */
export function groupAurc({ counts, errors, samples }: ScoreGroups): number {
  let before = 0;
  let wrong = 0;
  let sum = 0;
  for (let g = 0; g < counts.length; g++) {
    const rate = errors[g]! / counts[g]!;
    for (let i = 1; i <= counts[g]!; i++) sum += (wrong + rate * i) / (before + i);
    before += counts[g]!;
    wrong += errors[g]!;
  }
  return sum / samples;
}

/** AURC minus that of a perfect ranking, `r + (1-r) log(1-r)` with r the error rate. */
export function groupExcessAurc(groups: ScoreGroups): number {
  const r = groups.wrong / groups.samples;
  const best = r < 1 ? r + (1 - r) * Math.log1p(-r) : 1;
  return groupAurc(groups) - best;
}

/** Area under the generalised risk-coverage curve (Traub et al. 2024): joint risk "accepted and wrong" over coverage. */
export function groupAugrc({ counts, errors, samples }: ScoreGroups): number {
  let wrong = 0;
  let area = 0;
  for (let g = 0; g < counts.length; g++) {
    // the joint risk is linear inside a group of ties, so one trapezoid is exact
    area += counts[g]! * (wrong + 0.5 * errors[g]!);
    wrong += errors[g]!;
  }
  return area / (samples * samples);
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
export function groupCoverageAtRisk({ scores, counts, errors, samples }: ScoreGroups, risk: number): OperatingPoint {
  let best: OperatingPoint = { threshold: Number.POSITIVE_INFINITY, coverage: 0, risk: Number.NaN };
  let seen = 0;
  let wrong = 0;
  for (let g = 0; g < counts.length; g++) {
    seen += counts[g]!;
    wrong += errors[g]!;
    if (wrong / seen <= risk) best = { threshold: scores[g]!, coverage: seen / samples, risk: wrong / seen };
  }
  return best;
}

/** The highest threshold, among distinct scores, whose coverage reaches `coverage`. */
export function groupRiskAtCoverage(
  { scores, counts, errors, samples }: ScoreGroups,
  coverage: number,
): OperatingPoint {
  let seen = 0;
  let wrong = 0;
  let g = 0;
  do {
    seen += counts[g]!;
    wrong += errors[g]!;
  } while (seen / samples < coverage && ++g < counts.length);
  return { threshold: scores[Math.min(g, counts.length - 1)]!, coverage: seen / samples, risk: wrong / seen };
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
