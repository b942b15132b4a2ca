// SmoothECE (Blasiok and Nakkiran 2023): binning replaced by a Gaussian kernel reflected at 0 and 1, whose width is
// chosen where it equals the error it measures. No bin count to choose, continuous in the scores.

import { check, checkScored } from "../errors.ts";

import { addTo, sum } from "../numeric/arrays.ts";

const CELLS = 1000;
/** Waves damped below exp(-DAMPED) are left out. */
const DAMPED = 30;
/** cos(pi k / CELLS) over one period. */
const COSINES = Float64Array.from({ length: 2 * CELLS }, (_, k) => Math.cos((Math.PI * k) / CELLS));

/** The sigma at which the smoothed error equals sigma, which is the SmoothECE; to 1e-7. */
export function smoothEce(scores: ArrayLike<number>, correct: ArrayLike<number>): number {
  checkScored("smoothEce", scores, correct);
  const cells = residualDensity(scores, correct);
  const error = (sigma: number) => smoothedError(cells, sigma);
  // smoothing only lowers the error, and more of it lowers it more: it meets sigma between error(high) and high
  let high = Math.max(1 / CELLS, sum(cells.map(Math.abs)));
  let below = error(high) - high;
  let low = Math.max(1 / CELLS, below + high);
  let above = error(low) - low;
  if (above <= 0) return above + low;
  // false position, with the Illinois rule against a stuck end
  for (let step = 0; step < 60 && high - low > 1e-7; step++) {
    const sigma = below === above ? high : low + ((high - low) * above) / (above - below);
    const excess = error(sigma) - sigma;
    if (Math.abs(excess) < 1e-9) return sigma;
    if (excess > 0) {
      low = sigma;
      above = excess;
      below /= 2;
    } else {
      high = sigma;
      below = excess;
      above /= 2;
    }
  }
  return 0.5 * (low + high);
}

/** Mean of (correct - score), each put at its score on a grid of cells, shared linearly by the two nearest. */
function residualDensity(scores: ArrayLike<number>, correct: ArrayLike<number>): Float64Array {
  const cells = new Float64Array(CELLS + 1);
  for (let i = 0; i < scores.length; i++) {
    const score = scores[i]!;
    check(score >= 0 && score <= 1, "smoothEce", "scores must be probabilities in [0, 1]", `${score} at ${i}`);
    const position = score * CELLS;
    const cell = Math.min(CELLS - 1, Math.floor(position));
    const residual = (correct[i]! - score) / scores.length;
    const share = position - cell;
    addTo(cells, cell, residual * (1 - share));
    addTo(cells, cell + 1, residual * share);
  }
  return cells;
}

/**
 * Integral over [0, 1] of the absolute residual smoothed by a Gaussian. Mirrors at 0 and 1 leave waves cos(pi k x)
 * only, and the Gaussian damps wave k by exp(-(pi k sigma)^2 / 2).
 */
function smoothedError(cells: Float64Array, sigma: number): number {
  const last = Math.min(CELLS, Math.ceil(Math.sqrt(2 * DAMPED) / (Math.PI * sigma)));
  const smooth = new Float64Array(CELLS + 1);
  for (let k = 0; k <= last; k++) {
    let amplitude = 0;
    for (let i = 0, at = 0; i <= CELLS; i++, at = next(at, k)) amplitude += cells[i]! * COSINES[at]!;
    amplitude *= (k === 0 ? 1 : 2) * Math.exp(-0.5 * (Math.PI * k * sigma) ** 2);
    for (let i = 0, at = 0; i <= CELLS; i++, at = next(at, k)) addTo(smooth, i, amplitude * COSINES[at]!);
  }
  const sizes = smooth.map(Math.abs);
  const ends = (sizes[0]! + sizes[CELLS]!) / 2;
  return (sum(sizes) - ends) / CELLS;
}

/** k cells further round the period of `COSINES`. */
const next = (at: number, k: number) => (at + k < 2 * CELLS ? at + k : at + k - 2 * CELLS);
