// Student's t with whole degrees of freedom, whose distribution is a finite sum.

/** P(|T| <= sqrt(freedom) tan(angle)), 0 <= angle <= pi/2 (Abramowitz and Stegun, 26.7.3 and 26.7.4). */
function shareWithin(angle: number, freedom: number): number {
  const [sin, cos] = [Math.sin(angle), Math.cos(angle)];
  const odd = freedom % 2;
  let sum = 0;
  for (let power = odd, term = odd ? cos : 1; power <= freedom - 2; power += 2) {
    sum += term;
    term *= (cos * cos * (power + 1)) / (power + 2);
  }
  return odd ? (2 / Math.PI) * (angle + sin * sum) : sin * sum;
}

/** What T lies below with probability p, 0.5 <= p < 1, by halving angles. */
export function studentQuantile(p: number, freedom: number): number {
  let [low, high] = [0, Math.PI / 2];
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (shareWithin(middle, freedom) < 2 * p - 1) low = middle;
    else high = middle;
  }
  return Math.sqrt(freedom) * Math.tan(low);
}
