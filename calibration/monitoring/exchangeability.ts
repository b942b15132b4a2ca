// Do live confidences still look like calibration confidences? Neither test needs labels. As a stream: a conformal test
// martingale (Vovk et al. 2021, "simple jumper"), which may be looked at at any time and raises a false alarm with
// probability at most delta in an unlimited run. As one batch: a permutation test, valid for one look.

import { SEED, what } from "../../base/index.ts";
import { check, checkKind, checkLevel, checkNotEmpty, checkPositiveCount, readOptions } from "../errors.ts";
import { firstWhere } from "../numeric/arrays.ts";
import { createRandom, type Random, shuffle } from "../numeric/random.ts";
import { argsort } from "../numeric/ranks.ts";
import { alarmAfter, RestartedBets } from "./restarted-bets.ts";

/** What the test says after an observation. */
export interface ExchangeabilityState {
  /** Live samples so far. */
  readonly n: number;
  /**
   * Conformal p-value of the last sample: the share of all samples seen that are less confident, ties broken at random.
   */
  readonly pValue: number;
  /** Evidence against exchangeability: a martingale started at 1, part of which is laid anew at every step. */
  readonly eValue: number;
  readonly isAlarm: boolean;
  /** Live sample at which the alarm was raised; -1 if none. */
  readonly alarmAt: number;
}

/** Watches a stream of confidences. */
export interface ExchangeabilityMonitor {
  /** Adds the confidence of one live sample, in order of arrival. */
  observe(score: number): ExchangeabilityState;
  readonly state: ExchangeabilityState;
}

/** How far a p-value is from the middle, less what that is on average if p is uniform. */
const spread = (p: number) => (2 * p - 1) ** 2 - 1 / 3;

/**
 * Bets on p-values: that they are uniform; too small, too large; too far apart, too close to the middle. Over uniform
 * ones each is 1 on average, and none is ever negative, so a mixture of them is fair. @internal
 */
export const FAIR_BETS: readonly ((p: number) => number)[] = [
  () => 1,
  (p) => 1.5 - p,
  (p) => 0.5 + p,
  (p) => 1 + 1.5 * spread(p),
  (p) => 1 - spread(p),
];
/** Share of the wealth that moves to the other bets at every step, so that a change of another kind is noticed. */
const JUMP = 0.01;

/**
 * A monitor started from the confidences of the calibration samples (of one exit, all of them, or its survivors; the
 * live ones must be selected alike). It bets on scores that become lower or higher, and on scores that spread more or
 * less about the same middle.
 * @throws CalibrationError for no scores, or NaN among them.
 */
export function createExchangeabilityMonitor(
  calibrationScores: ArrayLike<number>,
  options: { readonly delta: number; readonly seed?: number },
): ExchangeabilityMonitor {
  const { delta, seed = 0 } = readOptions("createExchangeabilityMonitor", options, {
    delta: "number!",
    seed: SEED,
  });
  checkLevel("createExchangeabilityMonitor", "delta", delta);
  checkKind("createExchangeabilityMonitor", "list", calibrationScores, "the calibration scores");
  checkNotEmpty("createExchangeabilityMonitor", "the calibration scores", calibrationScores.length);
  const ranks = new SortedScores(calibrationScores);
  // NaN is sorted to the end.
  const last = ranks.largest;
  check(!Number.isNaN(last), "createExchangeabilityMonitor", "scores must be numbers", last);
  const random: Random = createRandom(seed);
  const goal = Math.log(1 / delta);
  const bets = new RestartedBets(FAIR_BETS.length);
  let state: ExchangeabilityState = { n: 0, pValue: Number.NaN, eValue: 1, isAlarm: false, alarmAt: -1 };
  return {
    observe(score) {
      const isScore = typeof score === "number" && !Number.isNaN(score);
      check(isScore, "monitor.observe", "the score must be a number", what(score));
      const { below, equal } = ranks.insert(score);
      // the sample itself is among the equal ones, so the p-value is exactly uniform
      const pValue = (below + random.uniform() * equal) / ranks.size;
      const evidence = bets.step((own, k, total) => {
        const share = (JUMP * total) / FAIR_BETS.length;
        return ((1 - JUMP) * own + share) * FAIR_BETS[k]!(pValue);
      });
      state = { ...alarmAfter(state, evidence, goal), pValue };
      return state;
    },
    get state() {
      return state;
    },
  };
}

/**
 * Scores in order, with counts below and equal at each insertion. Insertion moves memory, which is fast to 1e6 scores.
 */
class SortedScores {
  #values: Float64Array;
  size: number;

  constructor(scores: ArrayLike<number>) {
    this.#values = Float64Array.from(scores).sort();
    this.size = this.#values.length;
  }

  get largest(): number {
    return this.#values[this.size - 1]!;
  }

  insert(score: number): { readonly below: number; readonly equal: number } {
    if (this.size === this.#values.length) {
      const larger = new Float64Array(Math.max(64, 2 * this.size));
      larger.set(this.#values);
      this.#values = larger;
    }
    const below = firstWhere(0, this.size, (at) => this.#values[at]! >= score);
    const upTo = firstWhere(below, this.size, (at) => this.#values[at]! > score);
    this.#values.copyWithin(upTo + 1, upTo, this.size);
    this.#values[upTo] = score;
    this.size++;
    return { below, equal: upTo + 1 - below };
  }
}

/** What the batch test says. */
export interface ExchangeabilityTest {
  /** Largest distance between the two distribution functions (Kolmogorov and Smirnov), 0 to 1. */
  readonly distance: number;
  /** Probability of such a distance or a larger one if live and calibration samples are exchangeable. */
  readonly pValue: number;
}

/**
 * Compares two sets of confidences once. The p-value comes from random relabellings of the samples, so it is valid at
 * every size and with ties; the smallest possible is 1 / (permutations + 1).
 */
export function testExchangeability(
  calibrationScores: ArrayLike<number>,
  liveScores: ArrayLike<number>,
  options: { readonly permutations?: number; readonly seed?: number } = {},
): ExchangeabilityTest {
  const { permutations = 999, seed = 0 } = readOptions("testExchangeability", options, {
    permutations: "number",
    seed: SEED,
  });
  checkPositiveCount("testExchangeability", "permutations", permutations);
  checkKind("testExchangeability", "list", calibrationScores, "the calibration scores");
  checkKind("testExchangeability", "list", liveScores, "the live scores");
  checkNotEmpty("testExchangeability", "the calibration scores", calibrationScores.length);
  checkNotEmpty("testExchangeability", "the live scores", liveScores.length);
  const n = calibrationScores.length;
  const pooled = new Float64Array(n + liveScores.length);
  pooled.set(calibrationScores);
  pooled.set(liveScores, n);
  const bad = pooled.findIndex(Number.isNaN);
  check(bad < 0, "testExchangeability", "scores must be numbers", `NaN at ${bad}`);
  const order = argsort(pooled);
  const isTied = Uint8Array.from(order, (i, k) => (pooled[i] === pooled[order[k + 1] ?? -1] ? 1 : 0));
  const isLive = Uint8Array.from(order, (i) => (i < n ? 0 : 1));
  const distance = largestGap(isLive, isTied, n);
  const random = createRandom(seed);
  let asLarge = 0;
  for (let r = 0; r < permutations; r++) {
    shuffle(isLive, random);
    if (largestGap(isLive, isTied, n) >= distance - 1e-12) asLarge++;
  }
  return { distance, pValue: (asLarge + 1) / (permutations + 1) };
}

/** Largest difference of the two distribution functions over sorted samples; inside a tie nothing is compared. */
function largestGap(isLive: Uint8Array, isTied: Uint8Array, nCalibration: number): number {
  const [up, down] = [1 / (isLive.length - nCalibration), 1 / nCalibration];
  let gap = 0;
  let largest = 0;
  for (let k = 0; k < isLive.length; k++) {
    gap += isLive[k] === 1 ? up : -down;
    if (isTied[k] === 0) largest = Math.max(largest, Math.abs(gap));
  }
  return largest;
}
