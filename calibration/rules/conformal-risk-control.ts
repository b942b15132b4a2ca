// Conformal risk control (Angelopoulos et al., ICLR 2024) and upper confidence bounds, on a matrix of losses
// `[n, M]` over M settings of one knob in ascending order, larger = safer.

import type { Kinds } from "../../base/index.ts";
import { check, checkNotEmpty, readOptions } from "../errors.ts";
import { addTo, column, sum } from "../numeric/arrays.ts";
import {
  binomialPValue,
  clopperPearson,
  hoeffdingBentkusPValue,
  hoeffdingBentkusUpperBound,
  wsrPValue,
  wsrUpperBound,
} from "../numeric/bounds.ts";
import { createRandom, randomOrder } from "../numeric/random.ts";
import { fewestSamples, type RiskTest, seenOf } from "../numeric/sample-size.ts";
import { RULE_OPTIONS } from "./options.ts";
import { type Guarantee, highProbability, onAverage, type RiskLevels, unproven } from "./result.ts";
import { checkLevels, LEVELS } from "./selective-risk.ts";

/** Losses of n samples at M knob settings. */
export interface LossTable {
  /** `[n, M]`. */
  readonly losses: ArrayLike<number>;
  /** `[M]`, ascending. */
  readonly lambdas: ArrayLike<number>;
}

/** The smallest admissible knob. */
export interface KnobChoice {
  readonly ok: boolean;
  /** -1 if none is admissible. */
  readonly index: number;
  readonly lambda: number | undefined;
  /** `[M]` what was compared with alpha. */
  readonly bound: Float64Array;
  readonly n: number;
  /**
   * Fewest samples at which the safest knob is admissible if its mean loss stays as it is; Infinity if no number is
   * enough.
   */
  readonly neededSamples: number;
  readonly guarantee: Guarantee;
}

/** Options of `conformalRiskControl`. */
export interface RiskControlOptions {
  /** Above 0 and below `lossBound`. */
  readonly alpha: number;
  /** Losses lie in [0, lossBound]; default 1. */
  readonly lossBound?: number;
  /** Default false. */
  readonly monotonize?: boolean;
  /** Take losses that increase in lambda as they are, of which nothing is promised then; default false. */
  readonly anyLosses?: boolean;
}

const CRC: Kinds<RiskControlOptions> = {
  alpha: "number!",
  lossBound: "number",
  monotonize: "boolean",
  anyLosses: "boolean",
};

/**
 * Smallest lambda with `n/(n+1) * mean + B/(n+1) <= alpha`. For losses in [0, B] that do not increase in lambda the
 * expected loss of a new sample is then at most alpha (over calibration and test draws together, "marginal").
 * `monotonize` replaces each loss by its maximum over all larger lambdas first: valid for any losses, conservative.
 */
export function conformalRiskControl(table: LossTable, options: RiskControlOptions): KnobChoice {
  const op = "conformalRiskControl";
  const { alpha, lossBound = 1, monotonize = false, anyLosses = false } = readOptions(op, options, CRC);
  check(lossBound > 0 && Number.isFinite(lossBound), op, "lossBound must be above 0", lossBound);
  check(alpha > 0 && alpha < lossBound, op, `alpha must lie strictly between 0 and ${lossBound}`, alpha);
  const { n, m } = extents(op, table, lossBound);
  const isProven = monotonize || isMonotone(table, m, anyLosses);
  const sums = new Float64Array(m);
  for (let i = 0; i < n; i++) {
    let worst = Number.NEGATIVE_INFINITY;
    for (let k = m - 1; k >= 0; k--) {
      const loss = table.losses[i * m + k]!;
      worst = monotonize ? Math.max(worst, loss) : loss;
      addTo(sums, k, worst);
    }
  }
  const bound = sums.map((sum) => (sum + lossBound) / (n + 1));
  const index = bound.findIndex((b) => b <= alpha);
  const guarantee = onAverage("the expected loss", alpha);
  const assumptions = [...guarantee.assumptions, within(lossBound)];
  const needed = monotonize ? assumptions : [...assumptions, "no sample's loss increases in lambda"];
  const trial = { test: "expectation", alpha: alpha / lossBound, level: 1, delta: 1 } as const;
  const neededSamples = fewestSamples(trial, sums[m - 1]! / (n * lossBound));
  const promised = { ...guarantee, assumptions: needed };
  return {
    ...choose(table, bound, index),
    ...{ n, neededSamples, guarantee: isProven ? promised : unproven(promised, "some loss increases in lambda") },
  };
}

/** Betting or Hoeffding-Bentkus for any losses in [0, 1]; Clopper-Pearson, exact and the tightest, for 0/1 losses. */
export type UpperBound = "wsr" | "hoeffdingBentkus" | "clopperPearson";

/** Options of `ucbThreshold`. */
export interface UpperBoundOptions extends RiskLevels {
  /** Default wsr. */
  readonly bound?: UpperBound;
  /** Draws the order in which wsr bets. Default: as the samples come, which must not be sorted by their losses. */
  readonly seed?: number;
}

const UCB: Kinds<UpperBoundOptions> = { ...LEVELS, bound: "string", seed: RULE_OPTIONS.levels.seed };

/**
 * Smallest lambda such that it and all larger ones have an upper bound of at most alpha. For losses in [0, 1] whose
 * mean does not increase in lambda, `P(risk > alpha) <= delta`.
 */
export function ucbThreshold(table: LossTable, options: UpperBoundOptions): KnobChoice {
  const { alpha, delta, bound = "wsr", seed } = readOptions("ucbThreshold", options, UCB);
  checkLevels("ucbThreshold", { alpha, delta });
  const { n, m } = extents("ucbThreshold", table, 1);
  const order = seed === undefined ? undefined : randomOrder(n, createRandom(seed));
  const ucb = Float64Array.from({ length: m }, (_, k) => upperBound(column(table.losses, m, k, order), delta, bound));
  const index = ucb.findLastIndex((upper) => !(upper <= alpha)) + 1;
  const guarantee = highProbability("the expected loss", { alpha, delta });
  const assumptions = [
    ...guarantee.assumptions,
    ...(bound === "wsr" && order === undefined
      ? ["the samples come in an order that their losses did not choose"]
      : []),
    ...[within(1), "the expected loss does not increase in lambda"],
  ];
  const safest = seenOf(column(table.losses, m, m - 1));
  const trial = { test: testOf(bound), alpha, level: delta, delta };
  const neededSamples = fewestSamples(trial, safest.sum / n, safest.squares / n);
  return { ...choose(table, ucb, index < m ? index : -1), n, neededSamples, guarantee: { ...guarantee, assumptions } };
}

/** The test that a bound inverts. */
export function testOf(bound: UpperBound): RiskTest {
  return bound === "clopperPearson" ? "binomial" : bound;
}

/** Upper confidence bound on the mean of losses in [0, 1] at level 1 - delta. */
export function upperBound(losses: Float64Array, delta: number, bound: UpperBound): number {
  const n = losses.length;
  if (bound === "wsr") return wsrUpperBound(losses, delta);
  if (bound === "hoeffdingBentkus") return hoeffdingBentkusUpperBound(sum(losses) / n, n, delta);
  checkBinary("upperBound", losses);
  return clopperPearson(sum(losses), n, { alpha: delta, side: "upper" }).upper;
}

/** The p-value of "the mean is above alpha" that `upperBound` inverts; `delta` only tunes the bets of `wsr`. */
export function meanPValue(losses: Float64Array, { alpha, delta }: RiskLevels, bound: UpperBound): number {
  if (bound === "wsr") return wsrPValue(losses, alpha, delta);
  const n = losses.length;
  if (bound === "hoeffdingBentkus") return hoeffdingBentkusPValue({ risk: sum(losses) / n }, n, alpha);
  checkBinary("meanPValue", losses);
  return binomialPValue(sum(losses), n, alpha);
}

function checkBinary(op: string, losses: Float64Array): void {
  const isBinary = losses.every((x) => x === 0 || x === 1);
  check(isBinary, op, "clopperPearson needs losses of 0 or 1", "other values");
}

function choose(
  { lambdas }: LossTable,
  bound: Float64Array,
  index: number,
): Pick<KnobChoice, "ok" | "index" | "lambda" | "bound"> {
  return { ok: index >= 0, index, lambda: index >= 0 ? lambdas[index] : undefined, bound };
}

const within = (lossBound: number): string => `every loss lies in 0..${lossBound}`;

/** Whether no sample's loss increases in lambda. @throws CalibrationError where one does, unless all are taken */
function isMonotone({ losses, lambdas }: LossTable, m: number, areAllTaken: boolean): boolean {
  let wrong = -1;
  for (let at = 1; at < losses.length && wrong < 0; at++) if (at % m > 0 && losses[at]! > losses[at - 1]!) wrong = at;
  const place = `at sample ${Math.floor(wrong / m)} ${losses[wrong - 1]} before ${losses[wrong]}, lambda ${lambdas[wrong % m]}`;
  const must = "losses must not increase in lambda (monotonize: true makes them so)";
  check(wrong < 0 || areAllTaken, "conformalRiskControl", must, place);
  return wrong < 0;
}

function extents(
  op: string,
  { losses, lambdas }: LossTable,
  lossBound: number,
): { readonly n: number; readonly m: number } {
  const m = lambdas.length;
  checkNotEmpty(op, "losses", losses.length);
  check(losses.length % m === 0, op, `losses must hold ${m} values a sample`, losses.length);
  const values = Float64Array.from(lambdas);
  const falling = values.findIndex((lambda, k) => k > 0 && !(lambda >= values[k - 1]!));
  check(falling < 0, op, "lambdas must ascend", `${lambdas[falling - 1]} before ${lambdas[falling]}`);
  const strange = Array.from(losses).findIndex((loss) => !(loss >= 0 && loss <= lossBound));
  const place = `${losses[strange]} at sample ${Math.floor(strange / m)} (counted from 0)`;
  check(strange < 0, op, `losses must lie in 0..${lossBound}`, place);
  return { n: losses.length / m, m };
}
