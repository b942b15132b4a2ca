// The answers of calibration: certified, with its guarantee, or refused, with what it would take. Never a bare number.

import type { PolicyOrigin } from "../table/origin.ts";
import type { SampleMarks } from "../table/same-samples.ts";
import type { Score } from "../table/scores.ts";
import type { Table } from "../table/table.ts";

/** Target risk and failure probability. */
export interface RiskLevels {
  readonly alpha: number;
  readonly delta: number;
}

/** What kind of promise a result makes. */
export type GuaranteeKind = "marginal" | "with probability 1 - delta" | "none";

/** A promise in words, and what it rests on. */
export interface Guarantee {
  readonly kind: GuaranteeKind;
  /** One English sentence with the numbers in it; for kind "none", what is known instead of a promise. */
  readonly promise: string;
  readonly assumptions: readonly string[];
}

/** Samples that share one promise, usually those that leave at one exit. */
export interface PromisedGroup {
  /** For people, who count from 1: "exit 1" is the exit of index 0. */
  readonly name: string;
  /** Index of the exit, from 0; absent where the group is of all early exits. */
  readonly exit?: number;
  readonly accepted: number;
  readonly errors: number;
}

/** A group of calibration samples, tested. */
export interface TestedGroup extends PromisedGroup {
  /** Null hypothesis: the group's true error rate is above alpha. */
  readonly pValue: number;
}

/** What both answers have in common. */
interface Answer {
  /** For instance "learn then test, path, binomial". */
  readonly method: string;
  readonly alpha: number;
  readonly delta: number | undefined;
  /** Calibration samples that entered the tests. */
  readonly n: number;
  readonly guarantee: Guarantee;
  /** Of which network, scaled how; undefined for scores computed elsewhere. */
  readonly origin: PolicyOrigin | undefined;
}

/** What a classifier decides by, and which samples and network it came from. */
export interface ChosenThresholds {
  readonly score: Score | "given";
  /** `[K-1]`, or `[K-1, C]` for class-wise rules; leave when score >= threshold. +Infinity: the exit stays closed. */
  readonly thresholds: Float64Array;
  /** Ids of the samples used, so that evaluating on them is refused. */
  readonly ids: Table["ids"];
  /** Of each set: marks by which the same samples are known again. */
  readonly marks?: readonly SampleMarks[];
  /** Of which network, scaled how; undefined for scores computed elsewhere. */
  readonly origin: PolicyOrigin | undefined;
}

/** Thresholds that keep the promise. */
export interface Certified extends Answer, ChosenThresholds {
  readonly ok: true;
  /** The largest controlled risk as observed on the calibration samples (an estimate, not the bound). */
  readonly risk: number;
  /** Share of calibration samples that leave early. */
  readonly coverage: number;
  /** Mean cost on calibration samples as a share of the full network's. */
  readonly cost: number;
  readonly tests: readonly TestedGroup[];
}

/** Nothing could be certified. */
export interface Refused extends Answer {
  readonly ok: false;
  /** Why, in one sentence. */
  readonly reason: string;
  /** The smallest alpha that these samples could have certified somewhere; 1 if none. */
  readonly smallestRisk: number;
  /**
   * Calibration samples to hand over for this alpha if error rates stay about as observed, those included that lay out
   * the thresholds where there is no validation set; Infinity if no threshold can, with any number.
   */
  readonly neededSamples: number;
  /** The set that is too small; absent where no threshold can. */
  readonly short?: "calibration" | "validation";
}

/** Certified or refused. */
export type Calibration = Certified | Refused;

/** 1 - level as one would write it: 0.3, not 0.30000000000000004. */
export function complement(level: number): number {
  return Number((1 - level).toPrecision(12));
}

/** i.i.d., as every test here assumes. */
export const independentSamples = "calibration and future samples are independent draws from one distribution";

/** Exchangeability, enough for marginal promises. */
export const exchangeableSamples = "calibration and future samples are exchangeable";

/** What every rule without a guarantee rests on. */
export const similarSamples = "the samples used and future samples come from one distribution";

/** Thresholds and scores were fixed without the labels of the tested samples, and so were risk, rule and seed. */
export const fixedBeforehand =
  "the model, its scaling, the tried thresholds and what was asked for were fixed without the tested samples";

/** A promise, or what is left of it where samples were used twice, or are there several times: nothing. */
export const provenUnless = (isReused: boolean, guarantee: Guarantee): Guarantee =>
  isReused ? unproven(guarantee, "samples were used twice or are there several times") : guarantee;

/** What is left of a promise for a reason: nothing. */
export function unproven({ promise, assumptions }: Guarantee, why: string): Guarantee {
  const known = `nothing is proven, since ${why}; otherwise this would hold: ${promise}`;
  return { kind: "none", promise: known, assumptions };
}

/** The promise of a high-probability rule about `what`, for instance "the mean loss". */
export function highProbability(what: string, { alpha, delta }: RiskLevels): Guarantee {
  return {
    kind: "with probability 1 - delta",
    promise: `With probability at least ${complement(delta)} over the calibration samples, ${what} is at most ${alpha}.`,
    assumptions: [independentSamples, fixedBeforehand],
  };
}

/** The promise of a rule that holds on average only. */
export function onAverage(what: string, alpha: number): Guarantee {
  return {
    kind: "marginal",
    promise: `On average over calibration sets and future samples, ${what} is at most ${alpha}; a single calibration may exceed it.`,
    assumptions: [exchangeableSamples, fixedBeforehand],
  };
}
