/**
 * SmoothECE (Blasiok and Nakkiran 2023): binning replaced by a Gaussian kernel reflected at 0 and 1, whose width is
 * chosen where it equals the error it measures. No bin count to choose, continuous in the scores.
 */

import { checkLengths, checkNotEmpty } from "./errors.ts";

const CELLS = 1000;
const REACH = 5; // kernel cut at 5 sigma: 6e-7 of its mass

/** The sigma at which the smoothed error equals sigma, which is the SmoothECE. */
export function smoothEce(scores: ArrayLike<number>, correct: ArrayLike<number>): number {
  checkLengths("smoothEce", "scores", scores.length, "correct", correct.length);
  checkNotEmpty("smoothEce", "scores", scores.length);
  const residuals = residualDensity(scores, correct);
  let low = 1 / CELLS;
  let high = 1;
  if (smoothedError(residuals, low) <= low) return smoothedError(residuals, low);
  // smoothedError falls in sigma while sigma grows, so they cross once
  for (let step = 0; step < 24; step++) {
    const sigma = 0.5 * (low + high);
    if (smoothedError(residuals, sigma) > sigma) low = sigma;
    else high = sigma;
  }
  return 0.5 * (low + high);
}

/** Mean of (correct - score), each put at its score on a grid of cells, shared linearly by the two nearest. */
function residualDensity(scores: ArrayLike<number>, correct: ArrayLike<number>): Float64Array {
  const cells = new Float64Array(CELLS + 1);
  for (let i = 0; i < scores.length; i++) {
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
  const kernel = new Float64Array(radius + 1);
  let mass = 0;
  for (let d = 0; d <= radius; d++) {
    kernel[d] = Math.exp(-0.5 * (d / (sigma * CELLS)) ** 2);
    mass += d === 0 ? kernel[d]! : 2 * kernel[d]!;
  }
  const smooth = new Float64Array(CELLS + 1);
  const period = 2 * CELLS;
  for (let i = 0; i <= CELLS; i++) {
    const value = cells[i]! / mass;
    if (value === 0) continue;
    for (let d = -radius; d <= radius; d++) {
      // reflect at 0 and at 1, as often as needed
      let j = Math.abs(i + d) % period;
      if (j > CELLS) j = period - j;
      smooth[j] = smooth[j]! + value * kernel[Math.abs(d)]!;
    }
  }
  return smooth.reduce((sum, v) => sum + Math.abs(v), 0);
}
