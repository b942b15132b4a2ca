// What the hypotheses are measured by: certified cascades over many draws of calibration images, what leaves at a given
// risk, and curves of accuracy against cost, both on resampled images. Draws and resamples are the same for every
// network, so that differences between networks are paired.

import { firstOf } from "../../base/index.ts";
import {
  achieved,
  applyScaling,
  areaUnderCurve,
  type Cascade,
  cascade,
  createRandom,
  decide,
  fit,
  learnThenTest,
  type Outcomes,
  outcomes,
  type Score,
  selectFromCascade,
  sweepThresholds,
  type Table,
} from "../../calibration/index.ts";
import { studentQuantile } from "./student.ts";

/** The cached logits of a trained network. */
export interface Logits {
  readonly validation: Table;
  readonly calibration: Table;
  readonly test: Table;
}

/** A number with what repetition makes of it: the middle 95 %. */
export interface Range {
  readonly mean: number;
  readonly lower: number;
  readonly upper: number;
}

/** Mean and middle 95 % of repetitions. */
export function rangeOf(values: readonly number[]): Range {
  const known = values.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b);
  const at = (share: number) => known[Math.round(share * (known.length - 1))] ?? Number.NaN;
  return { mean: known.reduce((sum, value) => sum + value, 0) / known.length, lower: at(0.025), upper: at(0.975) };
}

/** The value on all images, which comes first, with the middle 95 % of those on resampled ones. */
export const resampled = ([whole = Number.NaN, ...drawn]: readonly number[]): Range => ({
  ...rangeOf(drawn),
  mean: whole,
});

/** A mean over seeds, and how many they are. */
export interface OverSeeds extends Range {
  readonly seeds: number;
}

/** Seeds from which on a range holds what another training would give. */
export const SEEDS = 3;

/**
 * The mean over seeds of lists as `resampled` takes them, with what resampled images make of it. Where seeds are
 * enough, also with what other seeds would: by Student's t, beside the images, since all seeds share these.
 */
export function overSeeds(lists: readonly (readonly number[])[]): OverSeeds {
  const seeds = lists.length;
  const meanOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const { mean, lower, upper } = resampled(firstOf(lists).map((_, i) => meanOf(lists.map((list) => list[i]!))));
  if (seeds < SEEDS) return { mean, lower, upper, seeds };
  const square = lists.reduce((sum, list) => sum + (list[0]! - mean) ** 2, 0);
  const student = studentQuantile(0.975, seeds - 1) * Math.sqrt(square / (seeds - 1) / seeds);
  return {
    mean,
    lower: mean - Math.hypot(student, mean - lower),
    upper: mean + Math.hypot(student, upper - mean),
    seeds,
  };
}

/** Differences of two lists of paired repetitions. */
export const differences = (a: readonly number[], b: readonly number[]): number[] => a.map((value, i) => value - b[i]!);

/**
 * Validation images, and all calibration and test images as one pool: the population that calibration images are drawn
 * from with replacement, and on which what thresholds do is known without sampling error.
 */
export interface Pool {
  readonly validation: Cascade;
  readonly all: Cascade;
  /** How many of the pool calibrate. */
  readonly calibrating: number;
  /** All that is known of some rows of the pool. */
  outcomesOf(rows: Int32Array): Outcomes;
}

/** A network's cascades under a score, after temperatures that are fitted on validation images. */
export function poolOf({ validation, calibration, test }: Logits, score?: Score): Pool {
  const scaling = fit(validation, { method: "temperature" });
  const tables = [validation, calibration, test].map((table) => applyScaling(table, scaling)) as [Table, Table, Table];
  const [first, ...both] = tables.map((table) => cascade(table, score)) as [Cascade, Cascade, Cascade];
  const all = joined(both);
  const parts = tables.slice(1).map(outcomes) as [Outcomes, Outcomes];
  const wholes = (["nll", "maxProb"] as const).map((key) => parts.flatMap((part) => Array.from(part[key])));
  return {
    validation: first,
    all,
    calibrating: calibration.samples,
    outcomesOf(rows) {
      const { exits } = all;
      const [nll, maxProb] = wholes.map((whole) =>
        Float64Array.from(
          { length: rows.length * exits },
          (_, at) => whole[rows[Math.floor(at / exits)]! * exits + (at % exits)]!,
        ),
      ) as [Float64Array, Float64Array];
      const { errors } = selectFromCascade(all, rows);
      return { ...parts[0], samples: rows.length, ids: undefined, nll, maxProb, errors };
    },
  };
}

/** Two cascades of one network, the samples of the second behind those of the first. */
function joined([a, b]: readonly [Cascade, Cascade]): Cascade {
  const scores = new Float64Array(a.scores.length + b.scores.length);
  scores.set(a.scores);
  scores.set(b.scores, a.scores.length);
  const integers = (of: (one: Cascade) => Int32Array) => Int32Array.from([...of(a), ...of(b)]);
  return {
    ...a,
    samples: a.samples + b.samples,
    scores,
    predictions: integers(({ predictions }) => predictions),
    errors: Uint8Array.from([...a.errors, ...b.errors]),
    labels: integers(({ labels }) => labels),
    ids: undefined,
  };
}

/** What thresholds do on images that did not make them. */
export interface Operation {
  readonly accuracy: number;
  readonly cost: number;
  /** Mean index of the exit, counted from 1, as a share of all: 1 is the last. */
  readonly depth: number;
  /** Share that leaves before the last exit. */
  readonly early: number;
  /** Share of wrong answers among those that leave early; NaN where nobody does. */
  readonly earlyRisk: number;
  /** The same at each early exit, of those that really leave there. */
  readonly exitRisks: readonly number[];
  /** The same at each early exit, of all that are as sure: what an exit alone would do. */
  readonly aloneRisks: readonly number[];
}

/** Images counted where they leave. */
function operate(test: Cascade, thresholds: ArrayLike<number> | number): Operation {
  const { exits, errors, samples, scores } = test;
  const decisions = decide(test, thresholds);
  const { accuracy, cost, fractions } = achieved(test, decisions);
  const left = new Float64Array(exits);
  const wrong = new Float64Array(exits);
  for (let i = 0; i < samples; i++) {
    const j = decisions[i]!;
    left[j]! += 1;
    wrong[j]! += errors[i * exits + j]!;
  }
  const bar = (j: number) => (typeof thresholds === "number" ? thresholds : thresholds[j]!);
  const early = Array.from({ length: exits - 1 }, (_, j) => j);
  const sum = (values: Float64Array) => early.reduce((all, j) => all + values[j]!, 0);
  return {
    accuracy,
    cost,
    depth: fractions.reduce((all, share, j) => all + (share * (j + 1)) / exits, 0),
    early: 1 - fractions[exits - 1]!,
    earlyRisk: sum(wrong) / sum(left),
    exitRisks: early.map((j) => wrong[j]! / left[j]!),
    aloneRisks: early.map((j) => {
      const sure = Array.from({ length: samples }, (_, i) => i * exits + j).filter((at) => scores[at]! >= bar(j));
      return sure.reduce((all, at) => all + errors[at]!, 0) / sure.length;
    }),
  };
}

/** Levels of the promise, and how often calibration images are drawn. */
export interface DrawOptions {
  readonly alpha: number;
  readonly delta: number;
  readonly draws: number;
}

/** Thresholds from calibration images, which are rows of the pool. */
export type ThresholdRule = (
  calibration: Cascade,
  pool: Pool,
  options: DrawOptions,
  rows: Int32Array,
) => ArrayLike<number> | number;

/** Certified on the samples that really reach an exit; where nothing can be, everybody runs to the end. */
export const certified: ThresholdRule = (calibration, { validation }, { alpha, delta }) => {
  const result = learnThenTest(calibration, { alpha, delta, validation, sameSamples: true });
  return result.ok ? result.thresholds : Number.POSITIVE_INFINITY;
};

/** What a rule does to the whole pool, draw by draw. */
export function overDraws(pool: Pool, options: DrawOptions, rule: ThresholdRule = certified): readonly Operation[] {
  const { all, calibrating } = pool;
  return Array.from({ length: options.draws }, (_, draw) => {
    const random = createRandom(draw);
    const rows = Int32Array.from({ length: calibrating }, () => random.below(all.samples));
    return operate(all, rule(selectFromCascade(all, rows), pool, options, rows));
  });
}

/** What becomes of a promised risk over draws. */
export interface Kept {
  /** The share of draws in which some exit's risk was above it. */
  readonly broken: number;
  /** In how many draws anybody left, by early exit: where nobody does, nothing is put to the test. */
  readonly open: readonly number[];
}

/** How a promise was kept in operation. */
export const keptOf = (operations: readonly Operation[], alpha: number): Kept => ({
  broken: operations.filter(({ exitRisks }) => exitRisks.some((risk) => risk > alpha)).length / operations.length,
  open: firstOf(operations).exitRisks.map(
    (_, j) => operations.filter(({ exitRisks }) => !Number.isNaN(exitRisks[j])).length,
  ),
});

/** Ways to decide, from the least cost to the most: where every test image leaves. */
export interface Decisions {
  readonly test: Cascade;
  readonly exits: readonly Int32Array[];
}

/** One threshold for all exits, the steps laid out on validation images. */
export function thresholdDecisions(
  { validation, test }: Pick<Logits, "validation" | "test">,
  score?: Score,
): Decisions {
  const scored = cascade(test, score);
  const steps = [...sweepThresholds(cascade(validation, score), 60), Number.NEGATIVE_INFINITY];
  return { test: scored, exits: steps.map((step) => decide(scored, step)) };
}

/** Accuracy against cost. */
export interface Curve {
  readonly costs: readonly number[];
  readonly accuracies: readonly number[];
}

/** The curve of decisions, each image counting `weights` times. */
export function curveOf({ test, exits }: Decisions, weights?: ArrayLike<number>): Curve {
  const points = exits.map((decided) => {
    let [right, cost, total] = [0, 0, 0];
    for (let i = 0; i < test.samples; i++) {
      const weight = weights?.[i] ?? 1;
      const j = decided[i]!;
      total += weight;
      cost += weight * test.costs[j]!;
      right += weight * (1 - test.errors[i * test.exits + j]!);
    }
    return [cost / total, right / total] as const;
  });
  return { costs: points.map(([cost]) => cost), accuracies: points.map(([, accuracy]) => accuracy) };
}

/** How often each of so many images is in a resample. */
function weightsIn(samples: number, resample: number): Uint16Array {
  const random = createRandom(resample);
  const weights = new Uint16Array(samples);
  for (let i = 0; i < samples; i++) weights[random.below(samples)]! += 1;
  return weights;
}

/** A measure of all images first, then of resamples. */
export const overResamples = <T>(
  samples: number,
  resamples: number,
  measure: (weights: ArrayLike<number> | undefined, resample: number | undefined) => T,
): readonly T[] => [
  measure(undefined, undefined),
  ...Array.from({ length: resamples }, (_, resample) => measure(weightsIn(samples, resample), resample)),
];

/** The area under the curve of decisions, by its span of cost. */
export function areaOf(decisions: Decisions, weights?: ArrayLike<number>): number {
  const { costs, accuracies } = curveOf(decisions, weights);
  return areaUnderCurve(costs, accuracies);
}

/** The same of all images first, then of resamples. */
export const areas = (decisions: Decisions, resamples: number): readonly number[] =>
  overResamples(decisions.test.samples, resamples, (weights) => areaOf(decisions, weights));

/** What a cascade does where so many of its early leavers are wrong. */
export interface AtRisk {
  /** Mean exit, counted from 1, as a share of the last. */
  readonly depth: number;
  /** Share that leaves early. */
  readonly early: number;
  readonly cost: number;
  readonly accuracy: number;
}

const AT_RISK = ["depth", "early", "cost", "accuracy"] as const;

/**
 * What a cascade does where a share `risk` of those that leave early is wrong: read off between neighbours among the
 * thresholds, one for all exits, that are laid out on validation images, as if some images were decided by the one and
 * the rest by the other; the loosest where the risk crosses that value more than once. Of the whole pool first, then of
 * resamples.
 */
export function atRisk({ validation, all }: Pool, risk: number, resamples: number): readonly AtRisk[] {
  const steps = [...sweepThresholds(validation, 100), Number.NEGATIVE_INFINITY].map((step) => decide(all, step));
  return overResamples(all.samples, resamples, (weights) => {
    const met = steps.map((decisions) => weighed(all, decisions, weights));
    const last = met.findLastIndex((one) => !(one.risk > risk));
    const [within, beyond] = [met[Math.max(0, last)]!, met[last + 1]];
    if (!beyond || last < 0) return within;
    // More early leavers may be wrong by so much at the one, and less at the other.
    const over = (one: typeof within) => one.wrong - risk * one.early;
    const share = over(within) / (over(within) - over(beyond));
    const between = (key: (typeof AT_RISK)[number]) => within[key] + share * (beyond[key] - within[key]);
    return Object.fromEntries(AT_RISK.map((key) => [key, between(key)])) as unknown as AtRisk;
  });
}

/**
 * Images counted where they leave, each `weights` times; the risk is that of early leavers, NaN where there are none,
 * and `wrong` the share of all images that leave early and are.
 */
function weighed(
  { samples, exits, errors, costs }: Cascade,
  decisions: Int32Array,
  weights: ArrayLike<number> | undefined,
): AtRisk & { readonly risk: number; readonly wrong: number } {
  let [total, early, wrongEarly, right, cost, depth] = [0, 0, 0, 0, 0, 0];
  for (let i = 0; i < samples; i++) {
    const weight = weights?.[i] ?? 1;
    const j = decisions[i]!;
    const wrong = weight * errors[i * exits + j]!;
    total += weight;
    right += weight - wrong;
    cost += weight * costs[j]!;
    depth += (weight * (j + 1)) / exits;
    if (j === exits - 1) continue;
    early += weight;
    wrongEarly += wrong;
  }
  return {
    ...{ depth: depth / total, early: early / total, cost: cost / total, accuracy: right / total },
    wrong: wrongEarly / total,
    risk: wrongEarly / early,
  };
}
