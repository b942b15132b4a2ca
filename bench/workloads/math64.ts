// Float64 arithmetic on typed arrays behind the reference nets: row products, erf, standardisation, with gradients.

/** y[yo..] += sum over i of x[xo + i] * w[wo + i * n ..], a row times a matrix. */
export function rowTimes(
  x: Float64Array,
  xo: number,
  k: number,
  w: Float64Array,
  wo: number,
  n: number,
  y: Float64Array,
  yo: number,
): void {
  for (let i = 0; i < k; i++) {
    const value = x[xo + i] as number;
    const base = wo + i * n;
    for (let j = 0; j < n; j++) y[yo + j] = (y[yo + j] as number) + value * (w[base + j] as number);
  }
}

/** The gradients of `rowTimes` in x and w. */
export function rowTimesBackward(
  x: Float64Array,
  xo: number,
  k: number,
  w: Float64Array,
  wo: number,
  n: number,
  g: Float64Array,
  go: number,
  dx: Float64Array,
  dw: Float64Array,
): void {
  for (let i = 0; i < k; i++) {
    const value = x[xo + i] as number;
    const base = wo + i * n;
    let sum = 0;
    for (let j = 0; j < n; j++) {
      const gj = g[go + j] as number;
      sum += gj * (w[base + j] as number);
      dw[base + j] = (dw[base + j] as number) + value * gj;
    }
    dx[xo + i] = (dx[xo + i] as number) + sum;
  }
}

/** erf by its series of positive terms, or by the continued fraction of erfc for large arguments. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a > 6) return Math.sign(x);
  if (a < 3) {
    let term = x;
    let sum = x;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum) && n < 200; n++) {
      term *= (2 * x * x) / (2 * n + 1);
      sum += term;
    }
    return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
  }
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (a + fraction);
  return Math.sign(x) * (1 - Math.exp(-a * a) / (Math.sqrt(Math.PI) * (a + fraction)));
}

/** x times the normal distribution function. */
export const gelu = (v: number): number => 0.5 * v * (1 + erf(v / Math.SQRT2));

/** The derivative of `gelu`. */
export const geluSlope = (v: number): number =>
  0.5 * (1 + erf(v / Math.SQRT2)) + (v * Math.exp(-0.5 * v * v)) / Math.sqrt(2 * Math.PI);

/** `into[i] += from[i]`. */
export function accumulate(into: Float64Array, from: Float64Array): void {
  for (let i = 0; i < into.length; i++) into[i] = (into[i] as number) + (from[i] as number);
}

/**
 * Standardises groups of entries; entry j of group i is at `at(i, j)`.
 * @returns The standardised values, and the gradient in the input of a gradient in them.
 */
export function standardise(
  x: Float64Array,
  groups: number,
  n: number,
  eps: number,
  at: (group: number, j: number) => number,
) {
  const hat = new Float64Array(x.length);
  const rstd = new Float64Array(groups);
  for (let i = 0; i < groups; i++) {
    let sum = 0;
    for (let j = 0; j < n; j++) sum += x[at(i, j)] as number;
    let squares = 0;
    for (let j = 0; j < n; j++) squares += ((x[at(i, j)] as number) - sum / n) ** 2;
    rstd[i] = 1 / Math.sqrt(squares / n + eps);
    for (let j = 0; j < n; j++) hat[at(i, j)] = ((x[at(i, j)] as number) - sum / n) * (rstd[i] as number);
  }
  const backward = (g: Float64Array, dx: Float64Array) => {
    for (let i = 0; i < groups; i++) {
      let sum = 0;
      let sumHat = 0;
      for (let j = 0; j < n; j++) {
        const index = at(i, j);
        sum += g[index] as number;
        sumHat += (g[index] as number) * (hat[index] as number);
      }
      for (let j = 0; j < n; j++) {
        const index = at(i, j);
        const centred = (g[index] as number) - (sum + (hat[index] as number) * sumHat) / n;
        dx[index] = (dx[index] as number) + (rstd[i] as number) * centred;
      }
    }
  };
  return { hat, backward };
}
