// Elementary functions by additions, multiplications and divisions alone. IEEE 754 fixes those to the last bit, but
// leaves `Math.sin`, `Math.log` and the like to the platform; drawn data and augmentation must be the same everywhere.

/** pi / 2 in two parts: the first has 33 bits, so its product with a small integer is exact. */
const HALF_PI = 1.5707963267341256;
const HALF_PI_REST = 6.077100506506192e-11;
const LN2 = Math.LN2;

/** [sin x, cos x] for |x| < 10^4, within 2e-15. */
export function sinCos(x: number): readonly [sin: number, cos: number] {
  const quadrant = Math.round(x / HALF_PI);
  const r = x - quadrant * HALF_PI - quadrant * HALF_PI_REST;
  const square = r * r;
  let sin = 0;
  let cos = 0;
  // Taylor series by Horner's rule; |r| <= pi / 4, so r^17 / 17! < 5e-17.
  for (let k = 16; k > 0; k -= 2) {
    cos = (1 + cos) * (-square / (k * (k - 1)));
    sin = (1 + sin) * (-square / (k * (k + 1)));
  }
  cos += 1;
  sin = (1 + sin) * r;
  switch (((quadrant % 4) + 4) % 4) {
    case 0:
      return [sin, cos];
    case 1:
      return [cos, -sin];
    case 2:
      return [-sin, -cos];
    default:
      return [-cos, sin];
  }
}

/** The natural logarithm of a finite x > 0, within 1e-15 relative to max(1, |log x|). */
export function log(x: number): number {
  let exponent = 0;
  let m = x;
  for (; m > Math.SQRT2; exponent++) m /= 2;
  for (; m < Math.SQRT1_2; exponent--) m *= 2;
  const s = (m - 1) / (m + 1);
  const square = s * s;
  let sum = 0;
  for (let k = 21; k > 0; k -= 2) sum = sum * square + 1 / k;
  return exponent * LN2 + 2 * s * sum;
}

/** e^x for |x| < 100, within 1e-13 of the value. */
export function exp(x: number): number {
  const exponent = Math.round(x / LN2);
  const r = x - exponent * LN2;
  let sum = 1;
  for (let k = 14; k > 0; k--) sum = 1 + (sum * r) / k;
  for (let i = 0; i < exponent; i++) sum *= 2;
  for (let i = 0; i > exponent; i--) sum /= 2;
  return sum;
}
