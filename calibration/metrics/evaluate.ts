// The last of the three steps: all metrics of a test table, exit by exit, and what a policy achieves on it.

import { inColumns, type Kinds, option, SEED, take, what, zip } from "../../base/index.ts";
import { check, readOptions } from "../errors.ts";
import { column, sum } from "../numeric/arrays.ts";
import { clopperPearson, type Interval } from "../numeric/bounds.ts";
import { Tally } from "../numeric/tally.ts";
import { EVALUATION } from "../rules/options.ts";
import { type Achieved, achieved, checkCertified, decide, isPolicy, type ThresholdPolicy } from "../rules/policies.ts";
import { isLogitScaling, type Scaling, scaleConfidences, scaleLogits } from "../scalers/fit.ts";
import { checkOrigin } from "../table/origin.ts";
import { correctness, type Outcomes, outcomes } from "../table/outcomes.ts";
import { checkDistinct, checkFresh } from "../table/same-samples.ts";
import { type Cascade, cascade, type Source } from "../table/scores.ts";
import type { Table } from "../table/table.ts";
import { type BootstrapResult, bootstrapAll } from "./bootstrap.ts";
import { classwiseEce, ece, mce, type ReliabilityBin, reliability } from "./ece.ts";
import { eefp, eefpTargets } from "./eefp.ts";
import {
  auroc,
  type FailureMetrics,
  groupCoverageAtRisk,
  groupFailureMetrics,
  groupRiskAtCoverage,
  groupScores,
} from "./failure.ts";
import { type Overthinking, overthinking } from "./overthinking.ts";
import { smoothEce } from "./smooth-ece.ts";

/** Metrics of one exit on all samples, each a number; defined in the files of their names. */
export interface SampleMetrics extends FailureMetrics {
  readonly accuracy: number;
  readonly nll: number;
  readonly brier: number;
  readonly ece: number;
  readonly eceQuantile: number;
  readonly eceL2: number;
  readonly eceDebiased: number;
  readonly smoothEce: number;
  readonly mce: number;
  /** Largest coverage whose selective risk is at most `EvaluateOptions.risk`. */
  readonly coverageAtRisk: number;
  /** Selective risk at the coverage `EvaluateOptions.coverage`. */
  readonly riskAtCoverage: number;
  /** AUROC against "may leave here"; NaN at the last exit. */
  readonly eefp: number;
}

/** Metrics of one exit. */
export interface ExitMetrics extends SampleMetrics {
  readonly classwiseEce: number;
  readonly reliability: readonly ReliabilityBin[];
  /** Bootstrap intervals, if resamples were asked for. */
  readonly intervals?: Readonly<Record<keyof SampleMetrics, BootstrapResult>>;
}

/** Metrics of a table. */
export interface Evaluation {
  readonly samples: number;
  readonly exits: readonly ExitMetrics[];
  readonly eefpMean: number;
  readonly overthinking: Overthinking;
}

/** What `evaluate` is to compute. */
export interface EvaluateOptions {
  readonly nBins?: number;
  /** For `coverageAtRisk`, default 0.05, and `riskAtCoverage`, default 0.8. */
  readonly risk?: number;
  readonly coverage?: number;
  /** Applied first. Scalers of confidences leave NLL, Brier and class-wise ECE as they are. */
  readonly scaling?: Scaling;
  /** Resamples for 95 % bootstrap intervals; default 0, no intervals. */
  readonly resamples?: number;
  readonly seed?: number;
}

/** One exit's samples. */
interface ExitSamples {
  readonly scores: Float64Array;
  readonly correct: Uint8Array;
  readonly nll: Float64Array;
  readonly brier: Float64Array;
  /** 1 where leaving here is as good as going on; undefined at the last exit. */
  readonly mayLeave: Uint8Array | undefined;
}

const EVALUATE: Kinds<EvaluateOptions> = {
  ...{ resamples: EVALUATION.resamples, seed: SEED },
  nBins: "number",
  risk: "number",
  coverage: "number",
  scaling: "any",
};

/** All metrics, on the largest probability. Reads the table twice. */
export function evaluate(table: Table, options: EvaluateOptions = {}): Evaluation {
  const { nBins = 15, scaling, resamples = 0, seed = 0 } = readOptions("evaluate", options, EVALUATE);
  const isLogits = scaling !== undefined && isLogitScaling(scaling);
  const scaled = isLogits ? scaleLogits(table, scaling) : table;
  const plain = outcomes(scaled);
  const all = scaling && !isLogits ? scaleConfidences(plain, scaling) : plain;
  const classwise = classwiseEce(scaled, nBins);
  const targets = eefpTargets(all.errors, all.exits);
  const exits = Array.from({ length: all.exits }, (_, j): ExitMetrics => {
    const own = exitSamples(all, targets, j);
    const statistics = (rows: Int32Array) => ({ ...sampleMetrics(own, rows, options) });
    return {
      ...sampleMetrics(own, undefined, options),
      classwiseEce: classwise[j]!,
      reliability: reliability(own.scores, own.correct, { nBins }),
      ...(resamples > 0 && { intervals: bootstrapAll(statistics, all.samples, { resamples, seed }) }),
    };
  });
  const { mean: eefpMean } = eefp({ scores: all.maxProb, errors: all.errors, exits: all.exits });
  return { samples: all.samples, exits, eefpMean, overthinking: overthinking(all.errors, all.exits) };
}

function exitSamples(all: Outcomes, targets: Uint8Array, exit: number): ExitSamples {
  const { exits } = all;
  return {
    // rounding may lift a probability of 1 by an ulp
    scores: column(all.maxProb, exits, exit).map((s) => Math.min(1, s)),
    correct: correctness(all.errors, exits, exit),
    nll: column(all.nll, exits, exit),
    brier: column(all.brier, exits, exit),
    mayLeave: exit < exits - 1 ? Uint8Array.from(column(targets, exits, exit)) : undefined,
  };
}

/** All numbers of one exit, on some rows (with repeats) or on all. */
function sampleMetrics(
  own: ExitSamples,
  rows: Int32Array | undefined,
  { nBins = 15, risk = 0.05, coverage = 0.8 }: EvaluateOptions,
): SampleMetrics {
  const pick = (values: Float64Array | Uint8Array) => column(values, 1, 0, rows);
  const mean = (values: Float64Array) => sum(values) / values.length;
  const scores = pick(own.scores);
  const correct = pick(own.correct);
  const groups = groupScores(scores, correct);
  return {
    accuracy: 1 - groups.wrong / groups.samples,
    nll: mean(pick(own.nll)),
    brier: mean(pick(own.brier)),
    ece: ece(scores, correct, { nBins }),
    eceQuantile: ece(scores, correct, { nBins, binning: "quantile" }),
    eceL2: ece(scores, correct, { nBins, norm: "l2" }),
    eceDebiased: ece(scores, correct, { nBins, norm: "l2", debiased: true }),
    smoothEce: smoothEce(scores, correct),
    mce: mce(scores, correct, nBins),
    ...groupFailureMetrics(groups),
    coverageAtRisk: groupCoverageAtRisk(groups, risk).coverage,
    riskAtCoverage: groupRiskAtCoverage(groups, coverage).risk,
    eefp: own.mayLeave ? auroc(scores, pick(own.mayLeave)) : Number.NaN,
  };
}

/** What a policy does on test samples. */
export interface PolicyEvaluation extends Achieved {
  /** `[N]`. */
  readonly exits: Int32Array;
  /** `[K]` error rate of those that leave at each exit; NaN where nobody does. */
  readonly exitRisk: Float64Array;
  /** Error rate of all early leavers. */
  readonly earlyRisk: number;
  /** At 95 %: means by bootstrap, error rates by Clopper and Pearson ([0, 1] where nobody leaves). */
  readonly intervals: {
    readonly accuracy: BootstrapResult;
    readonly cost: BootstrapResult;
    readonly exitRisk: readonly Interval[];
    readonly earlyRisk: Interval;
  };
}

/** Options of `evaluatePolicy`. */
export interface EvaluatePolicyOptions {
  /** For the intervals, at least 2; default 500. */
  readonly resamples?: number;
  readonly seed?: number;
  /** Take a policy of another network or scaling; default false. */
  readonly anyOrigin?: boolean;
  /** Evaluate even on samples that shaped the policy; what is seen there proves nothing. Default false. */
  readonly sameSamples?: boolean;
}

const EVALUATE_POLICY: Kinds<EvaluatePolicyOptions> = {
  ...{ ...EVALUATION, seed: SEED },
  resamples: option.whole(EVALUATION.resamples.default, "for the intervals", { min: 2 }),
};

/**
 * Applies thresholds to a test table.
 * @throws CalibrationError if samples shaped the policy, or are there several times, by ids or, without, by content
 * (unless `sameSamples`), and if
 * the table is of another network than the policy, or scaled otherwise (unless `anyOrigin`).
 *
 * @example
 * ```ts
 * import { createPopulation, createRandom, evaluatePolicy } from "sortie/calibration";
 *
 * const population = createPopulation({ size: 20_000 }); // stands for your own logits, see createTable
 * const table = population.draw(3000, createRandom(1));
 * const { cost, fractions } = evaluatePolicy(table, { score: "maxProb", thresholds: [0.9, 0.8] });
 * console.log(cost < 1, fractions.length); // true 3
 * ```
 */
export function evaluatePolicy(
  test: Source,
  policy: ThresholdPolicy,
  options: EvaluatePolicyOptions = {},
): PolicyEvaluation {
  const read = readOptions("evaluatePolicy", options, EVALUATE_POLICY);
  const { resamples = EVALUATION.resamples.default, seed = 0, anyOrigin = false, sameSamples = false } = read;
  checkCertified("evaluatePolicy", policy);
  check(
    isPolicy(policy),
    "evaluatePolicy",
    "the policy must be a certified result, or { thresholds, score }",
    what(policy),
  );
  const isGiven = policy.score === "given";
  check(!isGiven || "scores" in test, "evaluatePolicy", "a policy on given scores needs given test scores", "a table");
  const scored: Cascade = cascade(test, policy.score === "given" ? undefined : policy.score);
  if (!sameSamples) {
    checkFresh("evaluatePolicy", policy, scored, ["calibration", "test"]);
    checkDistinct("evaluatePolicy", scored, "test");
  }
  if (!anyOrigin) checkOrigin("evaluatePolicy", policy.origin, scored);
  const { samples, costs, errors } = scored;
  const exits = decide(scored, policy.thresholds);
  const wrong = inColumns(errors, scored.exits, exits);
  const macs = take(costs, exits);
  const left = new Tally(scored.exits);
  left.addAll(exits, wrong);
  const leftEarly = sum(left.counts.subarray(0, -1));
  const wrongEarly = sum(left.sums.subarray(0, -1));
  const statistics = (rows: Int32Array) => {
    let right = 0;
    let cost = 0;
    for (const i of rows) {
      right += 1 - wrong[i]!;
      cost += macs[i]!;
    }
    return { accuracy: right / rows.length, cost: cost / rows.length };
  };
  return {
    ...achieved(scored, exits),
    exits,
    exitRisk: left.means,
    earlyRisk: wrongEarly / leftEarly,
    intervals: {
      ...bootstrapAll(statistics, samples, { resamples, seed }),
      exitRisk: zip(left.sums, left.counts).map(([errors, n]) => clopperPearson(errors, n, { alpha: 0.05 })),
      earlyRisk: clopperPearson(wrongEarly, leftEarly, { alpha: 0.05 }),
    },
  };
}
