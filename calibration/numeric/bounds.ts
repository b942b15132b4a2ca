// Confidence bounds and p-values for the mean of losses in [0, 1].
// A p-value here is for the null hypothesis "the risk is above alpha": small means safe.

import { check, checkLevel, checkNotEmpty, checkOneOf, fail, readOptions } from "../errors.ts";
import { binomialCdf, binomialCdfRoot } from "./special.ts";

/** A confidence interval. */
export interface Interval {
  readonly lower: number;
  readonly upper: number;
}

/**
 * Clopper-Pearson interval for a binomial rate after `errors` among `n`, exact coverage at least 1 - alpha.
 * One-sided intervals put alpha on one side and 0 or 1 on the other; `n = 0` gives [0, 1].
 */
export function clopperPearson(
  errors: number,
  n: number,
  options: { readonly alpha: number; readonly side?: "two" | "upper" | "lower" },
): Interval {
  const { alpha, side = "two" } = readOptions("clopperPearson", options, { alpha: "number!", side: "string" });
  checkOneOf("clopperPearson", "side", side, ["two", "upper", "lower"]);
  checkLevel("clopperPearson", "alpha", alpha);
  checkCounts("clopperPearson", errors, n);
  const tail = side === "two" ? alpha / 2 : alpha;
  return {
    lower: side === "upper" || errors === 0 ? 0 : 1 - binomialCdfRoot(n - errors, n, tail),
    upper: side === "lower" || errors === n ? 1 : binomialCdfRoot(errors, n, tail),
  };
}

/** Exact binomial p-value `P(Bin(n, alpha) <= errors)`. */
export function binomialPValue(errors: number, n: number, alpha: number): number {
  checkShare("binomialPValue", "alpha", alpha);
  checkCounts("binomialPValue", errors, n);
  return binomialCdf(errors, n, alpha);
}

/** Fewest accepted samples at which zero errors give a binomial p-value of at most delta. */
export function smallestTestable(alpha: number, delta: number): number {
  checkLevel("smallestTestable", "alpha", alpha);
  checkLevel("smallestTestable", "delta", delta);
  return Math.ceil(Math.log(delta) / Math.log1p(-alpha));
}

/** Binary relative entropy `h1(a, b) = a log(a/b) + (1-a) log((1-a)/(1-b))`. */
export function binaryRelativeEntropy(a: number, b: number): number {
  checkShare("binaryRelativeEntropy", "a", a);
  checkShare("binaryRelativeEntropy", "b", b);
  const first = a > 0 ? a * Math.log(a / b) : 0;
  const second = a < 1 ? (1 - a) * Math.log((1 - a) / (1 - b)) : 0;
  return first + second;
}

/**
 * Hoeffding-Bentkus p-value (Bates et al. 2021) for losses in [0, 1] with mean `risk` over `n`:
 * the smaller of the Chernoff-Hoeffding and e times the binomial tail.
 * For 0/1 losses pass `errors`, which avoids rounding `n * risk` up.
 * @throws CalibrationError for counts, shares and levels out of range.
 */
export function hoeffdingBentkusPValue(
  losses: { readonly risk: number } | { readonly errors: number },
  n: number,
  alpha: number,
): number {
  checkShare("hoeffdingBentkusPValue", "alpha", alpha);
  if ("errors" in losses) checkCounts("hoeffdingBentkusPValue", losses.errors, n);
  else checkMean("hoeffdingBentkusPValue", losses.risk, n);
  const risk = "errors" in losses ? (n > 0 ? losses.errors / n : 1) : losses.risk;
  const count = "errors" in losses ? losses.errors : Math.ceil(n * losses.risk);
  const hoeffding = Math.exp(-n * binaryRelativeEntropy(Math.min(risk, alpha), alpha));
  const bentkus = Math.E * binomialCdf(count, n, alpha);
  return Math.min(hoeffding, bentkus);
}

/** Hoeffding's upper bound `mean + sqrt(log(1/delta) / 2n)` for losses in [0, 1], clipped at 1. */
export function hoeffdingUpperBound(mean: number, n: number, delta: number): number {
  checkMean("hoeffdingUpperBound", mean, n);
  checkLevel("hoeffdingUpperBound", "delta", delta);
  return n > 0 ? Math.min(1, mean + Math.sqrt(Math.log(1 / delta) / (2 * n))) : 1;
}

/** Upper bound on a mean by inverting the Hoeffding-Bentkus p-value. */
export function hoeffdingBentkusUpperBound(mean: number, n: number, delta: number): number {
  checkMean("hoeffdingBentkusUpperBound", mean, n);
  checkLevel("hoeffdingBentkusUpperBound", "delta", delta);
  if (mean === 1) return 1;
  let low = mean;
  let high = 1;
  for (let step = 0; step < 60; step++) {
    const mid = 0.5 * (low + high);
    if (hoeffdingBentkusPValue({ risk: mean }, n, mid) <= delta) high = mid;
    else low = mid;
  }
  return high;
}

/** The predictable bets `nu_i` of the Waudby-Smith and Ramdas bound; losses in the order of observation. */
function bets(losses: ArrayLike<number>, delta: number): Float64Array {
  const n = losses.length;
  const nu = new Float64Array(n);
  let sum = 0.5;
  let squares = 0.25;
  let variance = 0.25;
  for (let i = 0; i < n; i++) {
    nu[i] = Math.min(1, Math.sqrt((2 * Math.log(1 / delta)) / (n * variance)));
    const x = losses[i]!;
    sum += x;
    squares += (x - sum / (i + 2)) ** 2;
    variance = squares / (i + 2);
  }
  return nu;
}

/** `K(m)`: the largest log wealth reached when betting against a mean above m. Increases in m. */
function largestLogWealth(losses: ArrayLike<number>, nu: Float64Array, m: number): number {
  let wealth = 0;
  let best = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < nu.length; i++) {
    wealth += Math.log(1 - nu[i]! * (losses[i]! - m));
    if (wealth > best) best = wealth;
  }
  return best;
}

/**
 * Betting upper confidence bound of Waudby-Smith and Ramdas (in the form of Bates et al. 2021) for the mean of losses
 * in [0, 1]; usually the tightest for losses that are not 0/1. The order of the losses matters and must not be chosen.
 */
export function wsrUpperBound(losses: ArrayLike<number>, delta: number): number {
  checkLevel("wsrUpperBound", "delta", delta);
  checkLosses("wsrUpperBound", losses);
  const nu = bets(losses, delta);
  const goal = Math.log(1 / delta);
  if (largestLogWealth(losses, nu, 1) < goal) return 1;
  let low = 0;
  let high = 1;
  for (let step = 0; step < 52; step++) {
    const mid = 0.5 * (low + high);
    if (largestLogWealth(losses, nu, mid) < goal) low = mid;
    else high = mid;
  }
  return high;
}

/**
 * P-value of the betting test that `wsrUpperBound` inverts: `exp(-K(alpha))`, at most 1.
 * The bets are tuned to `delta`; the p-value is valid at every level.
 */
export function wsrPValue(losses: ArrayLike<number>, alpha: number, delta: number): number {
  checkShare("wsrPValue", "alpha", alpha);
  checkLevel("wsrPValue", "delta", delta);
  checkLosses("wsrPValue", losses);
  return Math.min(1, Math.exp(-largestLogWealth(losses, bets(losses, delta), alpha)));
}

function checkShare(op: string, name: string, value: number): void {
  check(value >= 0 && value <= 1, op, `${name} must lie in [0, 1]`, value);
}

function checkMean(op: string, mean: number, n: number): void {
  checkShare(op, "the mean loss", mean);
  check(Number.isInteger(n) && n >= 0, op, "n must be a whole number", n);
}

function checkLosses(op: string, losses: ArrayLike<number>): void {
  checkNotEmpty(op, "losses", losses.length);
  for (let i = 0; i < losses.length; i++) {
    const x = losses[i]!;
    if (!(x >= 0 && x <= 1)) fail(op, "losses must lie in [0, 1]", `${x} at ${i}`);
  }
}

function checkCounts(op: string, errors: number, n: number): void {
  const isCount = Number.isInteger(errors) && Number.isInteger(n) && errors >= 0 && errors <= n;
  check(isCount, op, "errors and n must be whole numbers with 0 <= errors <= n", `${errors} of ${n}`);
}
