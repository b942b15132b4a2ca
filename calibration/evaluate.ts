/** The last of the three steps: all metrics of a test table, exit by exit, and what a policy achieves on it. */

import { type BootstrapResult, bootstrap } from "./bootstrap.ts";
import { classwiseEce, ece, mce, type ReliabilityBin, reliability } from "./ece.ts";
import { eefp } from "./eefp.ts";
import { check } from "./errors.ts";
import { type FailureMetrics, failureMetrics } from "./failure.ts";
import { column, correctness, outcomes } from "./outcomes.ts";
import { type Overthinking, overthinking } from "./overthinking.ts";
import { type Achieved, achieved, decide } from "./policies.ts";
import { accuracy, brier, nll } from "./proper.ts";
import { type Cascade, cascade, type Score, type Source } from "./scores.ts";
import { smoothEce } from "./smooth-ece.ts";
import { checkDisjoint, type Table } from "./table.ts";

/** Metrics of one exit on all samples. */
export interface ExitMetrics extends FailureMetrics {
  readonly accuracy: number;
  readonly nll: number;
  readonly brier: number;
  readonly ece: number;
  readonly eceQuantile: number;
  readonly eceL2: number;
  readonly eceDebiased: number;
  readonly classwiseEce: number;
  readonly smoothEce: number;
  readonly mce: number;
  /** AUROC against "may leave here"; NaN at the last exit. */
  readonly eefp: number;
  readonly reliability: readonly ReliabilityBin[];
}

/** Metrics of a table. */
export interface Evaluation {
  readonly samples: number;
  readonly exits: readonly ExitMetrics[];
  readonly eefpMean: number;
  readonly overthinking: Overthinking;
}

/** All metrics, on the largest probability, with 15 bins. Reads the table twice. */
export function evaluate(table: Table, { nBins = 15 }: { readonly nBins?: number } = {}): Evaluation {
  const all = outcomes(table);
  const classwise = classwiseEce(table, nBins);
  const early = eefp({ scores: all.maxProb, errors: all.errors, exits: all.exits });
  const means = { accuracy: accuracy(all), nll: nll(all), brier: brier(all) };
  const exits = Array.from({ length: all.exits }, (_, j): ExitMetrics => {
    const scores = clipped(column(all.maxProb, all.exits, j));
    const correct = correctness(all.errors, all.exits, j);
    return {
      accuracy: means.accuracy[j]!,
      nll: means.nll[j]!,
      brier: means.brier[j]!,
      ece: ece(scores, correct, { nBins }),
      eceQuantile: ece(scores, correct, { nBins, binning: "quantile" }),
      eceL2: ece(scores, correct, { nBins, norm: "l2" }),
      eceDebiased: ece(scores, correct, { nBins, norm: "l2", debiased: true }),
      classwiseEce: classwise[j]!,
      smoothEce: smoothEce(scores, correct),
      mce: mce(scores, correct, nBins),
      ...failureMetrics(scores, correct),
      eefp: early.perExit[j] ?? Number.NaN,
      reliability: reliability(scores, correct, { nBins }),
    };
  });
  const thinking = overthinking(all.errors, all.exits);
  return { samples: all.samples, exits, eefpMean: early.mean, overthinking: thinking };
}

/** A policy as `evaluatePolicy` needs it: every certified result is one. */
export interface ThresholdPolicy {
  readonly score: Score | "given";
  readonly thresholds: Float64Array;
  readonly ids?: Table["ids"];
}

/** What a policy does on test samples. */
export interface PolicyEvaluation extends Achieved {
  /** `[N]`. */
  readonly exits: Int32Array;
  /** `[K]` error rate of those that leave at each exit; NaN where nobody does. */
  readonly exitRisk: Float64Array;
  /** Error rate of all early leavers. */
  readonly earlyRisk: number;
  /** 95 % bootstrap intervals. */
  readonly intervals: { readonly accuracy: BootstrapResult; readonly cost: BootstrapResult };
}

/** Applies thresholds to a test table. Throws `CalibrationError` if it shares ids with the calibration samples. */
export function evaluatePolicy(
  test: Source,
  policy: ThresholdPolicy,
  { resamples = 500, seed = 0 }: { readonly resamples?: number; readonly seed?: number } = {},
): PolicyEvaluation {
  checkDisjoint("evaluatePolicy", { ids: policy.ids }, test);
  const isGiven = policy.score === "given";
  check(!isGiven || "scores" in test, "evaluatePolicy", "a policy on given scores needs given test scores", "a table");
  const scored: Cascade = cascade(test, policy.score === "given" ? undefined : policy.score);
  const exits = decide(scored, policy.thresholds);
  const left = new Float64Array(scored.exits);
  const wrong = new Float64Array(scored.exits);
  exits.forEach((j, i) => {
    left[j] = left[j]! + 1;
    wrong[j] = wrong[j]! + scored.errors[i * scored.exits + j]!;
  });
  const last = scored.exits - 1;
  const early = (counts: Float64Array) => counts.reduce((sum, v, j) => (j < last ? sum + v : sum), 0);
  const meanOf = (value: (i: number, exit: number) => number) => (rows: Int32Array) =>
    rows.reduce((sum, i) => sum + value(i, exits[i]!), 0) / rows.length;
  const isRight = (i: number, exit: number) => 1 - scored.errors[i * scored.exits + exit]!;
  const options = { resamples, seed };
  return {
    ...achieved(scored, exits),
    exits,
    exitRisk: wrong.map((count, j) => count / left[j]!),
    earlyRisk: early(wrong) / early(left),
    intervals: {
      accuracy: bootstrap(meanOf(isRight), scored.samples, options),
      cost: bootstrap(
        meanOf((_, exit) => scored.costs[exit]!),
        scored.samples,
        options,
      ),
    },
  };
}

/** Rounding may lift a probability of 1 by an ulp. */
function clipped(scores: Float64Array): Float64Array {
  return scores.map((s) => Math.min(1, s));
}
