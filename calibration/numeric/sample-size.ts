// The tests of "the mean loss is above alpha" as seen by somebody who plans: which of them would pass on given counts,
// what is the smallest alpha within reach, and how many samples it takes. All advice on missing samples comes from
// here.

import { binomialPValue, clopperPearson, hoeffdingBentkusPValue } from "./bounds.ts";

/** The p-value. Errors are 0/1, for which the binomial test is exact; the others are for comparison. */
export type RiskTest = "binomial" | "hoeffdingBentkus" | "wsr";

/** One test as it is really made. */
export interface Trial {
  /** `expectation` is no test but the comparison of conformal risk control. */
  readonly test: RiskTest | "expectation";
  readonly alpha: number;
  /** The p-value has to be at most this. */
  readonly level: number;
  /** The level that the bets of `wsr` are tuned to. */
  readonly delta: number;
}

/** What a test sees of losses in [0, 1]; for 0/1 losses both sums are the number of errors. */
export interface Seen {
  readonly n: number;
  readonly sum: number;
  readonly squares: number;
}

/** What a test sees of these losses. */
export function seenOf(losses: Float64Array): Seen {
  return {
    n: losses.length,
    sum: losses.reduce((sum, x) => sum + x, 0),
    squares: losses.reduce((sum, x) => sum + x * x, 0),
  };
}

/** Whether the test passes; for `wsr`, whose answer depends on the order, whether it does in an average one. */
export function passes({ test, alpha, level, delta }: Trial, seen: Seen): boolean {
  const { n, sum, squares } = seen;
  if (n === 0) return false;
  if (test === "expectation") return (sum + 1) / (n + 1) <= alpha;
  if (test === "wsr") return expectedLogWealth(seen, alpha, delta) >= -Math.log(level);
  if (test === "binomial") return binomialPValue(Math.round(sum), n, alpha) <= level;
  const losses = squares === sum ? { errors: Math.round(sum) } : { risk: sum / n };
  return hoeffdingBentkusPValue(losses, n, alpha) <= level;
}

/** The smallest alpha at which the test passes; 1 if none. */
export function smallestAlpha(trial: Trial, seen: Seen): number {
  const { n, sum } = seen;
  if (n === 0) return 1;
  if (trial.test === "expectation") return (sum + 1) / (n + 1);
  if (trial.test === "binomial") return clopperPearson(Math.round(sum), n, { alpha: trial.level, side: "upper" }).upper;
  let [low, high] = [sum / n, 1];
  for (let step = 0; step < 40; step++) {
    const alpha = (low + high) / 2;
    if (passes({ ...trial, alpha }, seen)) high = alpha;
    else low = alpha;
  }
  return high;
}

/** Losses of size alpha among so many samples; beyond, a mean is as good as alpha. */
const TOO_MANY = 1e9;

/** Samples of this mean loss and mean square that the test needs; Infinity if no number is enough. */
export function fewestSamples(trial: Trial, mean: number, square = mean): number {
  if (mean >= trial.alpha) return Number.POSITIVE_INFINITY;
  const isEnough = (n: number) => passes(trial, { n, sum: mean * n, squares: square * n });
  let high = 1;
  while (!isEnough(high)) {
    high *= 2;
    if (high * trial.alpha > TOO_MANY) return Number.POSITIVE_INFINITY;
  }
  let low = Math.floor(high / 2);
  for (;;) {
    const middle = Math.floor((low + high) / 2);
    // Beyond 2^53 neighbours are further apart than 1.
    if (middle <= low || middle >= high) return high;
    if (isEnough(middle)) high = middle;
    else low = middle;
  }
}

/**
 * The log wealth of the betting test (`wsrPValue`) to be expected after n losses with these moments, taken for losses
 * of two values. What the bets know of the variance grows sample by sample; blocks of samples are played at once.
 */
function expectedLogWealth({ n, sum, squares }: Seen, alpha: number, delta: number): number {
  const mean = sum / n;
  const size = sum > 0 ? squares / sum : 1;
  const chance = mean / size;
  const variance = squares / n - mean ** 2;
  let wealth = 0;
  for (let i = 0; i < n; ) {
    const block = Math.min(n - i, 1 + (i >> 4));
    const before = i + (block - 1) / 2;
    // The test starts from a variance of 1/4 and a mean of 1/2, whose share in the squares sums to 0.16.
    const known = (0.25 + (0.16 * before) / (before + 1) + before * variance) / (before + 1);
    const bet = Math.min(1, Math.sqrt((-2 * Math.log(delta)) / (n * known)));
    wealth += block * ((1 - chance) * Math.log1p(bet * alpha) + chance * Math.log1p(-bet * (size - alpha)));
    i += block;
  }
  return wealth;
}
