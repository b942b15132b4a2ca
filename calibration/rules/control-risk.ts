// One threshold for all exits, such that the mean loss over ALL samples is controlled ("Fast yet Safe", Jazbec et al.,
// NeurIPS 2024): conformal risk control (marginal), upper confidence bounds or Learn then Test (high probability).
// The error rate among early leavers alone is another question: see learn-then-test.ts.

import type { Kinds } from "../../base/index.ts";
import { check, checkLevel, checkNotEmpty, checkRead, readOptions } from "../errors.ts";
import { column, indices, sum } from "../numeric/arrays.ts";
import { betweenValues, quantileOfSorted } from "../numeric/ranks.ts";
import { fewestSamples, seenOf, smallestAlpha, type Trial } from "../numeric/sample-size.ts";
import { checkUnfitted } from "../table/fitted.ts";
import { policyOrigin } from "../table/origin.ts";
import { type Cascade, cascade, earlyScores, type Source } from "../table/scores.ts";
import { conformalRiskControl, meanPValue, testOf, type UpperBound, ucbThreshold } from "./conformal-risk-control.ts";
import { type ExitLoss, exitLosses, isBinaryLoss } from "./losses.ts";
import { RULE_OPTIONS } from "./options.ts";
import { achieved, decide, earlyShare } from "./policies.ts";
import { outlook, type RefusedSets } from "./refusal.ts";
import { type Calibration, highProbability, onAverage, provenUnless, type Refused, type RiskLevels } from "./result.ts";
import { LAYOUT, type LayoutOptions, separate } from "./separate.ts";

/** Options of `controlRisk`. */
export interface ControlRiskOptions extends LayoutOptions {
  readonly loss?: ExitLoss;
  readonly alpha: number;
  /** Required by `ucb` and `ltt`; `crc` has none. */
  readonly delta?: number;
  /** `crc` (default): in the mean over calibrations. `ucb`, `ltt`: in a share 1 - delta of calibrations. */
  readonly method?: "crc" | "ucb" | "ltt";
  /** `ucb`: which bound; `ltt`: which p-value. Default: exact for 0/1 losses, betting for the others. */
  readonly bound?: UpperBound;
  readonly steps?: number;
}

const PRESET = RULE_OPTIONS.controlRisk;
const CONTROL_RISK: Kinds<ControlRiskOptions> = {
  ...LAYOUT,
  ...PRESET,
  alpha: "number!",
  delta: "number",
};

/**
 * The lowest shared threshold under which the expected loss is at most alpha. Losses are made monotone in the threshold
 * first (each replaced by its maximum over all stricter thresholds), so the promise needs no assumption on the exits.
 *
 * @example
 * ```ts
 * import { controlRisk, createPopulation, createRandom } from "sortie/calibration";
 *
 * const population = createPopulation({ size: 20_000 }); // stands for your own logits, see createTable
 * const table = population.draw(3000, createRandom(1));
 * const policy = controlRisk(table, { alpha: 0.05, loss: "acceptedAndWrong" });
 * console.log(policy.ok); // true
 * ```
 */
export function controlRisk(source: Source, options: ControlRiskOptions): Calibration {
  const {
    loss = PRESET.loss.default,
    alpha,
    delta,
    method = PRESET.method.default,
    steps = PRESET.steps.default,
  } = readOptions("controlRisk", options, CONTROL_RISK);
  const { bound = isBinaryLoss(loss) ? "clopperPearson" : "wsr" } = options;
  checkLevel("controlRisk", "alpha", alpha);
  checkRead("controlRisk", options, ["method", method], { delta: ["ucb", "ltt"], bound: ["ucb", "ltt"] });
  if (method !== "crc") checkLevel("controlRisk", "delta", delta ?? Number.NaN);
  const all = cascade(source, options.score);
  checkNotEmpty("controlRisk", "the calibration set", all.samples);
  if (!options.sameSamples) checkUnfitted("controlRisk", all);
  check(all.exits > 1, "controlRisk", "the table must have an early exit", `${all.exits} exit`);
  // losses travel with their samples through the split, in the place of labels
  const perExit = exitLosses(source, loss, options.score);
  const numbered = { ...all, labels: indices(all.samples) };
  const { calibration, validation, used } = separate("controlRisk", source, numbered, options);
  const lambdas = thresholdGrid(validation, steps);
  const losses = monotoneLosses(calibration, perExit, lambdas);
  const levels = { alpha, delta: delta ?? Number.NaN };
  const index =
    method === "crc"
      ? conformalRiskControl({ losses, lambdas }, { alpha }).index
      : method === "ucb"
        ? ucbThreshold({ losses, lambdas }, { ...levels, bound }).index
        : lttIndex(losses, lambdas.length, levels, bound);
  const about = {
    method: name(method, bound),
    alpha,
    delta: method === "crc" ? undefined : delta,
    n: calibration.samples,
    origin: policyOrigin(all),
  };
  const what = `the expected loss (${loss}) over all samples`;
  const promise = method === "crc" ? onAverage(what, alpha) : highProbability(what, levels);
  const guarantee = provenUnless(options.sameSamples === true, promise);
  const threshold = lambdas[index] ?? Number.POSITIVE_INFINITY;
  if (threshold === Number.POSITIVE_INFINITY) {
    const test = method === "crc" ? "expectation" : testOf(bound);
    const sets = { given: all.samples, tested: calibration.samples, layout: validation.samples };
    return refuse(losses, lambdas, { ...about, guarantee }, { test, level: levels.delta, ...levels }, sets);
  }
  const thresholds = new Float64Array(all.exits - 1).fill(threshold);
  const { cost, fractions } = achieved(calibration, decide(calibration, thresholds));
  const risk = sum(column(losses, lambdas.length, index)) / calibration.samples;
  return {
    ok: true,
    ...about,
    guarantee,
    score: all.score,
    thresholds,
    risk,
    coverage: earlyShare(fractions),
    cost,
    tests: [],
    ...used,
  };
}

/** Ascending: quantiles of all early validation scores, then +Infinity, under which nobody leaves early. */
function thresholdGrid(cascade: Cascade, steps: number): Float64Array {
  const early = earlyScores(cascade);
  if (early.length === 0) return Float64Array.of(Number.POSITIVE_INFINITY);
  const inner = Float64Array.from({ length: steps }, (_, k) =>
    betweenValues(early, quantileOfSorted(early, k / steps)),
  );
  return Float64Array.of(...new Set(inner), Number.POSITIVE_INFINITY);
}

/** `[n, M]`: loss under each threshold, replaced by the largest over all stricter thresholds. */
function monotoneLosses(calibration: Cascade, perExit: Float64Array, lambdas: Float64Array): Float64Array {
  const { samples, exits, scores, labels } = calibration;
  const m = lambdas.length;
  const out = new Float64Array(samples * m);
  const strictest = [...lambdas.entries()].reverse();
  for (let i = 0; i < samples; i++) {
    const own = perExit.subarray(labels[i]! * exits);
    let worst = 0;
    for (const [k, lambda] of strictest) {
      let j = 0;
      while (j < exits - 1 && scores[i * exits + j]! < lambda) j++;
      worst = Math.max(worst, own[j]!);
      out[i * m + k] = worst;
    }
  }
  return out;
}

/** Fixed sequence from the strictest threshold down; +Infinity is safe without a test. */
function lttIndex(losses: Float64Array, m: number, levels: RiskLevels, bound: UpperBound): number {
  let kept = m - 1;
  for (let k = m - 2; k >= 0; k--) {
    if (meanPValue(column(losses, m, k), levels, bound) > levels.delta) break;
    kept = k;
  }
  return kept;
}

function refuse(
  losses: Float64Array,
  lambdas: Float64Array,
  about: Omit<Refused, "ok" | "reason" | "smallestRisk" | "neededSamples" | "short">,
  trial: Trial,
  sets: RefusedSets,
): Refused {
  const { alpha, n } = about;
  const seen = seenOf(column(losses, lambdas.length, Math.max(0, lambdas.length - 2)));
  const { squares } = seen;
  const mean = seen.sum / n;
  // Nine times of ten the expected loss is no smaller than this (Bernstein, empirical); where alpha is not, nothing is
  // told yet.
  const spread = Math.sqrt((2 * Math.log(10) * Math.max(0, squares / n - mean ** 2)) / n);
  const isHopeless = mean - spread - (3 * Math.log(10)) / n > alpha;
  const enough = fewestSamples(trial, mean, squares / n);
  const needed = mean < alpha ? enough : isHopeless ? Number.POSITIVE_INFINITY : 2 * n;
  const reach = smallestAlpha(trial, seen);
  const goal = `${about.method}: no threshold keeps the loss at ${alpha} with ${n} samples`;
  return { ok: false, ...about, ...outlook(goal, { reach, needed, alpha, sets }) };
}

function name(method: "crc" | "ucb" | "ltt", bound: string): string {
  if (method === "crc") return "conformal risk control";
  return method === "ucb" ? `upper confidence bound (${bound})` : `learn then test (mean loss, ${bound})`;
}
