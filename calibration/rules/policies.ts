// Policies as pure functions: confidences and thresholds in, exit per sample out; and what a policy achieves.

import { inColumns, lastOf, what } from "../../base/index.ts";
import { check, checkKind, checkLengths, fail } from "../errors.ts";
import { eefpTargets } from "../metrics/eefp.ts";
import { dot, sum } from "../numeric/arrays.ts";
import { createRandom } from "../numeric/random.ts";
import { Tally } from "../numeric/tally.ts";
import { checkOrigin, type PolicyOrigin } from "../table/origin.ts";
import type { SampleMarks } from "../table/same-samples.ts";
import { type Cascade, checkKnown, type Score, scoreName } from "../table/scores.ts";
import type { Table } from "../table/table.ts";

/** A policy as `evaluatePolicy` needs it: every certified result is one. */
export interface ThresholdPolicy {
  readonly score: Score | "given";
  readonly thresholds: Float64Array;
  readonly ids?: Table["ids"];
  /** Of each set. */
  readonly marks?: readonly SampleMarks[];
  readonly origin?: PolicyOrigin | undefined;
}

/**
 * The exit of every sample: the first whose score reaches its threshold; the last always answers. `thresholds` holds
 * one value for all exits, one per early exit (`[K-1]`), or one per early exit and predicted class (`[K-1, C]`).
 * +Infinity closes an exit. Given a whole policy, it refuses scores that are not of the policy's network and scaling.
 */
export function decide(cascade: Cascade, thresholds: ArrayLike<number> | number | GivenPolicy): Int32Array {
  checkKind("decide", "cascade", cascade);
  const { samples, exits, classes, scores, predictions } = cascade;
  checkCertified("decide", thresholds);
  const policy = isPolicy(thresholds) ? thresholds : undefined;
  const given = isPolicy(thresholds) ? thresholds.thresholds : thresholds;
  checkOrigin("decide", policy?.origin, cascade);
  const isOther = policy?.score !== undefined && cascade.score !== "given" && policy.score !== cascade.score;
  if (isOther && typeof policy.score === "string")
    fail("decide", `the scores must be ${policy.score}, as the policy's were`, scoreName(cascade.score));
  const values = typeof given === "number" ? [given] : given;
  checkThresholds("decide", values);
  const perExit = thresholdStep(values.length, exits, classes);
  const isByClass = values.length > 1 && values.length !== exits - 1;
  if (isByClass) checkKnown("decide", "predictions", cascade);
  const out = new Int32Array(samples);
  for (let i = 0; i < samples; i++) {
    let j = 0;
    for (; j < exits - 1; j++) {
      const at = i * exits + j;
      if (scores[at]! >= values[j * perExit + (isByClass ? predictions[at]! : 0)]!) break;
    }
    out[i] = j;
  }
  return out;
}

/** Refuses a refusal: it has no thresholds. */
export function checkCertified(op: string, policy: unknown): void {
  const { ok, reason } = (policy ?? {}) as { readonly ok?: unknown; readonly reason?: unknown };
  if (ok === false) fail(op, "the policy must be certified", `one that refuses: ${String(reason).replace(/\.$/, "")}`);
  const isFile = typeof policy === "object" && policy !== null && "result" in policy && !("thresholds" in policy);
  if (isFile) fail(op, "the policy must be a result", "a whole policy file", "Pass its result, and apply its scaling.");
}

/** A policy, as far as `decide` looks at it. */
export type GivenPolicy = Pick<ThresholdPolicy, "thresholds" | "origin"> & Partial<Pick<ThresholdPolicy, "score">>;

/** Whether it is a policy, by its thresholds. */
export const isPolicy = (given: unknown): given is GivenPolicy =>
  typeof given === "object" && given !== null && "thresholds" in given;

/** Refuses what is no number: null, an empty text and false would count as 0, and let everybody leave. */
function checkThresholds(op: string, values: unknown): void {
  const isList = typeof values === "object" && values !== null && "length" in values;
  check(isList, op, "thresholds must be a number or a list of numbers", what(values));
  const wrong = Array.prototype.findIndex.call(values, (t) => typeof t !== "number" || Number.isNaN(t));
  check(wrong < 0, op, "thresholds must be numbers", `${what((values as ArrayLike<number>)[wrong])} at ${wrong}`);
}

/**
 * Distance between the thresholds of neighbouring exits in a flat array. @throws CalibrationError if the length fits no
 * layout.
 */
function thresholdStep(length: number, exits: number, classes: number): number {
  const fits = length === 1 || length === exits - 1 || length === (exits - 1) * classes;
  const layouts = `1, ${exits - 1} (early exits) or ${(exits - 1) * classes} (early exits x classes) values`;
  check(fits, "decide", `thresholds must hold ${layouts}`, length);
  if (length === exits - 1) return 1;
  return length === 1 ? 0 : classes;
}

/**
 * The oracle: the first exit that is right, or, if none from there on is right, at once (upper bound of every policy).
 */
export function decideByOracle(cascade: Cascade): Int32Array {
  checkKind("decideByOracle", "cascade", cascade);
  const { samples, exits } = cascade;
  const target = eefpTargets(cascade.errors, exits);
  return Int32Array.from({ length: samples }, (_, i) => target.subarray(i * exits, (i + 1) * exits).indexOf(1));
}

/** Everybody leaves at one exit. */
export function decideFixed(cascade: Cascade, exit: number): Int32Array {
  checkKind("decideFixed", "cascade", cascade);
  const isExit = Number.isInteger(exit) && exit >= 0 && exit < cascade.exits;
  check(isExit, "decideFixed", `exit must lie in 0..${cascade.exits - 1}`, exit);
  return new Int32Array(cascade.samples).fill(exit);
}

/** Leaves at exit j with probability `fractions[j]`, whatever the sample: what confidence has to beat. */
export function decideAtRandom(cascade: Cascade, fractions: ArrayLike<number>, seed = 0): Int32Array {
  checkKind("decideAtRandom", "cascade", cascade);
  checkKind("decideAtRandom", "list", fractions, "fractions");
  checkLengths("decideAtRandom", "fractions", fractions.length, "exits", cascade.exits);
  const random = createRandom(seed);
  const early = Float64Array.from(fractions).subarray(0, -1);
  return Int32Array.from({ length: cascade.samples }, () => {
    let left = random.uniform();
    const exit = early.findIndex((share) => {
      if (left < share) return true;
      left -= share;
      return false;
    });
    return exit < 0 ? early.length : exit;
  });
}

/** What the decisions achieve on these samples. */
export interface Achieved {
  readonly accuracy: number;
  /** Mean cost as a share of the full network's. */
  readonly cost: number;
  /** `[K]` share of samples that leave at each exit. */
  readonly fractions: Float64Array;
}

/** Accuracy, cost and exit fractions of given decisions. */
export function achieved(cascade: Cascade, exits: Int32Array): Achieved {
  checkKind("achieved", "cascade", cascade);
  checkKind("achieved", "list", exits, "exits");
  checkLengths("achieved", "decisions", exits.length, "samples", cascade.samples);
  const left = new Tally(cascade.exits);
  left.addAll(exits, inColumns(cascade.errors, cascade.exits, exits));
  const right = cascade.samples - sum(left.sums);
  const fractions = left.counts.map((count) => count / cascade.samples);
  return { accuracy: right / cascade.samples, cost: dot(fractions, cascade.costs), fractions };
}

/** Share of samples that leave before the last exit. @internal */
export const earlyShare = (fractions: Float64Array): number => 1 - lastOf(fractions);

/** The answer each sample is given. */
export function predictionsAt(cascade: Cascade, exits: Int32Array): Int32Array {
  checkKind("predictionsAt", "cascade", cascade);
  checkKind("predictionsAt", "list", exits, "exits");
  return Int32Array.from(inColumns(cascade.predictions, cascade.exits, exits));
}

/** The error rates of a policy, `[K]` each; NaN where nobody is counted. */
export interface ExitRisks {
  readonly fraction: Float64Array;
  /** Among all samples the exit would accept. Not what happens in operation. */
  readonly marginalRisk: Float64Array;
  /** Among the samples that really leave there. */
  readonly operationalRisk: Float64Array;
  /** Among all samples that leave before the last exit. */
  readonly earlyRisk: number;
}

/** Marginal and operational selective risk of every exit under thresholds `[K-1]`; the last exit accepts everybody. */
export function exitRisks(cascade: Cascade, thresholds: ArrayLike<number>): ExitRisks {
  checkKind("exitRisks", "cascade", cascade);
  const { samples, exits, scores, errors } = cascade;
  checkThresholds("exitRisks", thresholds);
  checkLengths("exitRisks", "thresholds", thresholds.length, "early exits", exits - 1);
  const taken = decide(cascade, thresholds);
  const [accepted, left] = [new Tally(exits), new Tally(exits)];
  for (let i = 0; i < samples; i++) {
    for (let j = 0; j < exits; j++) {
      const at = i * exits + j;
      if (j < exits - 1 && scores[at]! < thresholds[j]!) continue;
      accepted.add(j, errors[at]!);
    }
  }
  left.addAll(taken, inColumns(errors, exits, taken));
  const early = (counts: Float64Array) => sum(counts.subarray(0, exits - 1));
  return {
    fraction: left.counts.map((count) => count / samples),
    marginalRisk: accepted.means,
    operationalRisk: left.means,
    earlyRisk: early(left.sums) / early(left.counts),
  };
}
