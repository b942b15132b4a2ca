// Exact binomial tails and the root finder on top of them.
// Every sum has positive terms only, so small p-values keep their relative accuracy (about 1e-13).

const STIRLING_TABLE = 16;
const LOG_TWO_PI = Math.log(2 * Math.PI);

/** log n! minus Stirling's formula, for whole n: a table for small n, an asymptotic series beyond (Loader 2000). */
const stirlingError: (n: number) => number = (() => {
  const table = new Float64Array(STIRLING_TABLE);
  let logFactorial = 0;
  for (let n = 1; n < STIRLING_TABLE; n++) {
    logFactorial += Math.log(n);
    table[n] = logFactorial - (0.5 * (LOG_TWO_PI + Math.log(n)) + n * Math.log(n) - n);
  }
  return (n) => {
    const known = table[n];
    if (known !== undefined) return known;
    const s = 1 / (n * n);
    return (1 / 12 - s * (1 / 360 - s * (1 / 1260 - s * (1 / 1680 - s / 1188)))) / n;
  };
})();

/** x log(x/m) + m - x without cancellation where x is close to m (Loader 2000, `bd0`). */
function devianceTerm(x: number, m: number): number {
  if (Math.abs(x - m) >= 0.1 * (x + m)) return x * Math.log(x / m) + m - x;
  const v = (x - m) / (x + m);
  let sum = (x - m) * v;
  let term = 2 * x * v;
  for (let j = 1; ; j++) {
    term *= v * v;
    const next = sum + term / (2 * j + 1);
    if (next === sum) return sum;
    sum = next;
  }
}

/** log P(Bin(n, p) = k), by Loader's saddle-point expansion; -Infinity where impossible. */
function binomialLogPmf(k: number, n: number, p: number): number {
  if (k < 0 || k > n) return Number.NEGATIVE_INFINITY;
  if (p <= 0) return k === 0 ? 0 : Number.NEGATIVE_INFINITY;
  if (p >= 1) return k === n ? 0 : Number.NEGATIVE_INFINITY;
  if (k === 0) return n * Math.log1p(-p);
  if (k === n) return n * Math.log(p);
  const correction = stirlingError(n) - stirlingError(k) - stirlingError(n - k);
  const deviance = devianceTerm(k, n * p) + devianceTerm(n - k, n * (1 - p));
  return correction - deviance - 0.5 * (LOG_TWO_PI + Math.log(k) + Math.log1p(-k / n));
}

/** sum over i <= k of P(i) / P(k): terms fall geometrically below the mean. */
function lowerTailRatio(k: number, n: number, p: number): number {
  const odds = (1 - p) / p;
  let term = 1;
  let sum = 1;
  for (let i = k; i > 0 && term > sum * 1e-17; i--) {
    term *= (i / (n - i + 1)) * odds;
    sum += term;
  }
  return sum;
}

/** P(Bin(n, p) <= k), exact to about 1e-13 relative, also deep in the lower tail. */
export function binomialCdf(k: number, n: number, p: number): number {
  if (k < 0) return 0;
  if (k >= n) return 1;
  if (p <= 0) return 1;
  if (p >= 1) return 0;
  if (k <= n * p) return Math.min(1, Math.exp(binomialLogPmf(k, n, p)) * lowerTailRatio(k, n, p));
  const above = n - k - 1; // P(Bin(n, 1-p) <= n-k-1) is the upper tail
  return 1 - Math.exp(binomialLogPmf(above, n, 1 - p)) * lowerTailRatio(above, n, 1 - p);
}

/**
 * The p in [0, 1] at which P(Bin(n, p) <= k) = level, for 0 <= k < n; equals BetaInv(1 - level; k + 1, n - k).
 * Newton steps inside a bracket that bisection keeps shrinking.
 */
export function binomialCdfRoot(k: number, n: number, level: number): number {
  let low = 0;
  let high = 1;
  let p = (k + 1) / (n + 1);
  for (let step = 0; step < 200; step++) {
    const excess = binomialCdf(k, n, p) - level;
    if (excess > 0) low = p;
    else high = p;
    // d/dp P(Bin(n, p) <= k) = -(n-k) P(Bin(n, p) = k) / (1-p)
    const slope = ((n - k) * Math.exp(binomialLogPmf(k, n, p))) / (1 - p);
    let next = p + excess / slope;
    if (!(next > low && next < high)) next = 0.5 * (low + high);
    if (Math.abs(next - p) <= 1e-15 * p) return next;
    p = next;
  }
  return p;
}

/**
 * Standard normal distribution function, to about 1e-15 absolute (West 2005, Hart's rational approximation of 1968).
 */
export function normalCdf(x: number): number {
  const z = Math.abs(x);
  if (z > 37) return x > 0 ? 1 : 0;
  const e = Math.exp((-z * z) / 2);
  let tail: number;
  if (z < 7.07106781186547) {
    const top = [
      3.52624965998911e-2, 0.700383064443688, 6.37396220353165, 33.912866078383, 112.079291497871, 221.213596169931,
      220.206867912376,
    ].reduce((sum, c) => sum * z + c, 0);
    const bottom = [
      8.83883476483184e-2, 1.75566716318264, 16.064177579207, 86.7807322029461, 296.564248779674, 637.333633378831,
      793.826512519948, 440.413735824752,
    ].reduce((sum, c) => sum * z + c, 0);
    tail = (e * top) / bottom;
  } else {
    // Laplace's continued fraction, from the inside out
    let fraction = z;
    for (let k = 40; k > 0; k--) fraction = z + k / fraction;
    tail = e / fraction / Math.sqrt(2 * Math.PI);
  }
  return x > 0 ? 1 - tail : tail;
}
