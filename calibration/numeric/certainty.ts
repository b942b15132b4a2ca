// Confidences that keep their order near certainty. A double has no digits for a probability of 1 - 1e-17, but samples
// that sure still differ, and a threshold must be able to fall between them. Only here is said how such numbers are
// written.

/** Beyond 1 - 2^-23, the last step of a 32-bit float, the rest of the way to 1 is shared out by -log(1 - p). */
const REST = 2 ** -23;
const NEPERS = -Math.log(REST);

/** Entropies below this one, which soon would be 0, are shared out by their logarithm. */
const ENTROPY = 1e-300;
const ENTROPY_NEPERS = -Math.log(ENTROPY);

/**
 * A probability `p` whose complement has the logarithm `logRest`: `p` itself, or above 1 - 2^-23 a number less than
 * 2^-23 away from it that tells apart what a double could not: it rises with -logRest as 1 - c / -logRest.
 */
export function orderedProbability(p: number, logRest: number): number {
  return logRest < -NEPERS ? 1 - (REST * NEPERS) / -logRest : p;
}

/** The ordered probability whose log odds are `x`. */
export function orderedSigmoid(x: number): number {
  const logRest = -Math.max(x, 0) - Math.log1p(Math.exp(-Math.abs(x)));
  return orderedProbability(1 / (1 + Math.exp(-x)), logRest);
}

/** The way back: log(1 - p) of an ordered probability; -Infinity for 1 and above. */
export function logRestOf(ordered: number): number {
  if (ordered >= 1) return Number.NEGATIVE_INFINITY;
  return ordered > 1 - REST ? -(REST * NEPERS) / (1 - ordered) : Math.log1p(-ordered);
}

/** The log odds of an ordered probability, with their digits near 0 too; -Infinity for 0 and below. */
export function logOddsOf(ordered: number): number {
  if (ordered <= 0) return Number.NEGATIVE_INFINITY;
  if (ordered <= 0.5) return Math.log(ordered) - Math.log1p(-ordered);
  const logRest = logRestOf(ordered);
  return Math.log1p(-Math.exp(logRest)) - logRest;
}

/** An entropy `h` of logarithm `logH`: `h` itself, or below 1e-300 a number that keeps the order. */
export function orderedEntropy(h: number, logH: number): number {
  return logH < -ENTROPY_NEPERS ? (ENTROPY * ENTROPY_NEPERS) / -logH : h;
}

/** The way back: the logarithm of an ordered entropy; -Infinity for 0 and below. */
export function logEntropyOf(ordered: number): number {
  if (ordered <= 0) return Number.NEGATIVE_INFINITY;
  return ordered < ENTROPY ? -(ENTROPY * ENTROPY_NEPERS) / ordered : Math.log(ordered);
}
