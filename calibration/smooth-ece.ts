/**
 * SmoothECE (Blasiok and Nakkiran 2023): binning replaced by a Gaussian kernel reflected at 0 and 1, whose width is
 * chosen where it equals the error it measures. No bin count to choose, continuous in the scores.
 */

import { check, checkLengths, checkNotEmpty } from "./errors.ts";

const CELLS = 1000;
const REACH = 5; // kernel cut at 5 sigma: 6e-7 of its mass

/** The sigma at which the smoothed error equals sigma, which is the SmoothECE; to 1e-7. */
export function smoothEce(scores: ArrayLike<number>, correct: ArrayLike<number>): number {
  checkLengths("smoothEce", "scores", scores.length, "correct", correct.length);
  checkNotEmpty("smoothEce", "scores", scores.length);
  const residuals = residualDensity(scores, correct);
  // the smoothed error falls while sigma grows, so they cross once, between the narrowest kernel and its error
  let low = 1 / CELLS;
  let high = smoothedError(residuals, low);
  if (high <= low) return high;
  let above = high - low;
  let below = smoothedError(residuals, high) - high;
  // false position, with the Illinois rule against a stuck end
  for (let step = 0; step < 60 && high - low > 1e-7; step++) {
    const sigma = below === above ? high : low + ((high - low) * above) / (above - below);
    const excess = smoothedError(residuals, sigma) - sigma;
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
    const isProbability = scores[i]! >= 0 && scores[i]! <= 1;
    check(isProbability, "smoothEce", "scores must be probabilities in [0, 1]", `${scores[i]} at ${i}`);
    const position = scores[i]! * CELLS;
    const cell = Math.min(CELLS - 1, Math.floor(position));
    const residual = (correct[i]! - scores[i]!) / scores.length;
    const share = position - cell;
    cells[cell] = cells[cell]! + residual * (1 - share);
    cells[cell + 1] = cells[cell + 1]! + residual * share;
  }
  return cells;
}

/** Integral over [0, 1] of the absolute smoothed residual. */
function smoothedError(cells: Float64Array, sigma: number): number {
  const radius = Math.ceil(REACH * sigma * CELLS);
  const kernel = Float64Array.from({ length: radius + 1 }, (_, d) => Math.exp(-0.5 * (d / (sigma * CELLS)) ** 2));
  const mass = 2 * kernel.reduce((sum, v) => sum + v, 0) - kernel[0]!;
  const reflected = reflect(cells, radius);
  let total = 0;
  for (let i = radius; i <= radius + CELLS; i++) {
    let sum = kernel[0]! * reflected[i]!;
    for (let d = 1; d <= radius; d++) sum += kernel[d]! * (reflected[i - d]! + reflected[i + d]!);
    total += i === radius || i === radius + CELLS ? Math.abs(sum) / 2 : Math.abs(sum);
  }
  return total / mass;
}

/** The cells continued by `radius` on both sides as mirrors at 0 and 1 show them. */
function reflect(cells: Float64Array, radius: number): Float64Array {
  const period = 2 * CELLS;
  return Float64Array.from({ length: CELLS + 1 + 2 * radius }, (_, k) => {
    const folded = Math.abs(k - radius) % period;
    const at = folded > CELLS ? period - folded : folded;
    // a cell on a mirror coincides with its image
    return at === 0 || at === CELLS ? 2 * cells[at]! : cells[at]!;
  });
}
