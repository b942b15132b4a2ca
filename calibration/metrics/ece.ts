// Calibration errors by binning: uniform and equal-mass, l1, l2 and max, debiased, class-wise; reliability diagrams.

import { type Kinds, zip } from "../../base/index.ts";
import { check, checkKind, checkOneOf, checkPositiveCount, checkScored, readOptions } from "../errors.ts";
import { addTo, firstWhere } from "../numeric/arrays.ts";
import { quantileOfSorted, sorted } from "../numeric/ranks.ts";
import { softmaxInto } from "../numeric/softmax.ts";
import { Tally } from "../numeric/tally.ts";
import { forEachChunk, type Table } from "../table/table.ts";

/** How scores are cut into bins, `(lo, hi]` each. */
export type Binning = "uniform" | "quantile";
/** How gaps are combined: weighted mean, root of the weighted mean square, largest. */
export type Norm = "l1" | "l2" | "max";

/** Options of `ece`. */
export interface EceOptions {
  readonly nBins?: number;
  readonly binning?: Binning;
  readonly norm?: Norm;
  /** Subtract the part of every squared gap that sampling alone explains (Kumar et al. 2019); l2 only. */
  readonly debiased?: boolean;
}

/** One bar of a reliability diagram. Empty bins have NaN means. */
export interface ReliabilityBin {
  readonly lower: number;
  readonly upper: number;
  readonly count: number;
  readonly confidence: number;
  readonly accuracy: number;
}

const BINS: Kinds<Pick<EceOptions, "nBins" | "binning">> = { nBins: "number", binning: "string" };
const ECE: Kinds<EceOptions> = { ...BINS, norm: "string", debiased: "boolean" };

/** Scores in [0, 1] and correctness, binned. */
export function reliability(
  scores: ArrayLike<number>,
  correct: ArrayLike<number>,
  options: Pick<EceOptions, "nBins" | "binning"> = {},
): readonly ReliabilityBin[] {
  const { nBins = 15, binning = "uniform" } = readOptions("ece", options, BINS);
  checkOneOf("ece", "binning", binning, ["uniform", "quantile"]);
  checkScored("ece", scores, correct);
  checkPositiveCount("ece", "nBins", nBins);
  const edges = binEdges(scores, nBins, binning);
  const [sure, right] = [new Tally(nBins), new Tally(nBins)];
  for (let i = 0; i < scores.length; i++) {
    const score = scores[i]!;
    check(score >= 0 && score <= 1, "ece", "scores must be probabilities in [0, 1]", `${score} at ${i}`);
    const bin = binning === "uniform" ? uniformBin(score, nBins) : binAmong(edges, score);
    sure.add(bin, score);
    right.add(bin, correct[i]!);
  }
  const bounds = zip(edges.subarray(0, -1), edges.subarray(1));
  return zip(bounds, sure.counts, sure.means, right.means).map(([[lower, upper], count, confidence, accuracy]) => {
    return { lower, upper, count, confidence, accuracy };
  });
}

/** Expected calibration error of scores in [0, 1] against correctness. Default: 15 uniform bins, l1. */
export function ece(scores: ArrayLike<number>, correct: ArrayLike<number>, options: EceOptions = {}): number {
  const { norm = "l1", debiased = false, ...binned } = readOptions("ece", options, ECE);
  checkOneOf("ece", "norm", norm, ["l1", "l2", "max"]);
  check(!debiased || norm === "l2", "ece", 'debiased needs norm "l2"', `"${norm}"`);
  const bins = reliability(scores, correct, binned);
  let total = 0;
  for (const { count, confidence, accuracy } of bins) {
    if (count === 0) continue;
    const gap = Math.abs(accuracy - confidence);
    const weight = count / scores.length;
    if (norm === "max") total = Math.max(total, gap);
    else if (norm === "l1") total += weight * gap;
    else if (!debiased) total += weight * gap * gap;
    else if (count > 1) total += weight * (gap * gap - (accuracy * (1 - accuracy)) / (count - 1));
  }
  return norm === "l2" ? Math.sqrt(Math.max(0, total)) : total;
}

/** Largest gap over uniform bins. */
export function mce(scores: ArrayLike<number>, correct: ArrayLike<number>, nBins = 15): number {
  return ece(scores, correct, { nBins, norm: "max" });
}

/**
 * Class-wise ECE of every exit: for each class the uniform l1 error of its probability against "the label is this
 * class" over all samples, averaged over classes. One pass over the table.
 */
export function classwiseEce(table: Table, nBins = 15): Float64Array {
  checkKind("classwiseEce", "table", table);
  checkPositiveCount("classwiseEce", "nBins", nBins);
  const { exits, classes, samples, labels } = table;
  const size = exits * classes * nBins;
  const gaps = new Float64Array(size); // sum of (hit - probability) per exit, class and bin
  const p = new Float64Array(classes);
  forEachChunk(table, (rows, first, count) => {
    for (let r = 0; r < count * exits; r++) {
      const base = (r % exits) * classes;
      const label = labels[first + Math.floor(r / exits)]!;
      softmaxInto(rows, r * classes, classes, p);
      for (let c = 0; c < classes; c++) {
        const share = p[c]!;
        const at = (base + c) * nBins + uniformBin(share, nBins);
        gaps[at] = gaps[at]! + (c === label ? 1 : 0) - share;
      }
    }
  });
  const result = new Float64Array(exits);
  for (const [i, gap] of gaps.entries())
    addTo(result, Math.floor(i / (classes * nBins)), Math.abs(gap) / (samples * classes));
  return result;
}

/** Bin k is `(k/B, (k+1)/B]`; 0 belongs to the first. */
function uniformBin(score: number, nBins: number): number {
  return Math.min(nBins - 1, Math.max(0, Math.ceil(score * nBins) - 1));
}

function binEdges(scores: ArrayLike<number>, nBins: number, binning: Binning): Float64Array {
  const edges = Float64Array.from({ length: nBins + 1 }, (_, k) => k / nBins);
  if (binning === "uniform") return edges;
  const ascending = sorted(scores);
  return edges.map((q) => quantileOfSorted(ascending, q));
}

/** Index of the bin `(edges[b], edges[b+1]]` that holds the score; both ends are clipped. */
function binAmong(edges: Float64Array, score: number): number {
  return firstWhere(0, edges.length - 2, (bin) => score <= edges[bin + 1]!);
}
