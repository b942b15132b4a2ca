// Softmax of one row of logits and all that is read off it. The only place of calibration that exponentiates logits.

import type { Values } from "../table/table.ts";
import { orderedEntropy, orderedProbability } from "./certainty.ts";

/** Odds against the largest class from which on a double may be too coarse for the order of samples. */
const SURE = 2 ** -20;

/** Statistics of one row, overwritten by every `read`: one object serves a whole table without allocation. */
export class SoftmaxRow {
  /** Lowest class with the largest logit. */
  prediction = 0;
  /** Largest logit. */
  max = 0;
  /** Second largest logit; -Infinity for a single class. */
  second = 0;
  /** log sum exp. */
  logSumExp = 0;
  /** Largest probability, ordered near 1 (certainty.ts). */
  maxProb = 0;
  /** Difference of the two largest probabilities, ordered near 1. */
  margin = 0;
  /** Entropy in nats, ordered near 0. */
  entropy = 0;
  /** Sum of squared probabilities. */
  squares = 0;

  read(z: Values, at: number, classes: number): void {
    let max = z[at]!;
    let second = Number.NEGATIVE_INFINITY;
    let prediction = 0;
    for (let c = 1; c < classes; c++) {
      const x = z[at + c]!;
      if (x > max) {
        second = max;
        max = x;
        prediction = c;
      } else if (x > second) second = x;
    }
    // All but the largest, relative to the second: what makes the difference to certainty must not be a difference to
    // 1.
    const gap = second - max;
    let rest = 0;
    let mass = 0;
    let restSquares = 0;
    for (let c = 0; c < classes; c++) {
      if (c === prediction) continue;
      const x = z[at + c]!;
      const e = Math.exp(x - second);
      rest += e;
      mass += e * (max - x);
      restSquares += e * e;
    }
    const p2 = Math.exp(gap);
    const odds = p2 * rest;
    const total = 1 + odds;
    const logTotal = Math.log1p(odds);
    this.prediction = prediction;
    this.max = max;
    this.second = second;
    this.logSumExp = max + Math.log(total);
    this.maxProb = 1 / total;
    this.margin = (1 - p2) / total;
    const perSecond = rest * (odds > 0 ? logTotal / odds : 1) + mass / total;
    this.entropy = p2 * perSecond;
    if (odds < SURE) {
      this.maxProb = orderedProbability(this.maxProb, gap + Math.log(rest) - logTotal);
      this.margin = orderedProbability(this.margin, gap + Math.log(rest + 1) - logTotal);
      this.entropy = orderedEntropy(this.entropy, gap + Math.log(perSecond));
    }
    this.squares = (1 + p2 * p2 * restSquares) / (total * total);
  }
}

/** Writes the softmax of one row into `out` from `to` on. */
export function softmaxInto(z: Values, at: number, classes: number, out: Float64Array, to = 0): void {
  const max = z[at + argmax(z, at, classes)]!;
  let sum = 0;
  for (let c = 0; c < classes; c++) {
    const e = Math.exp(z[at + c]! - max);
    out[to + c] = e;
    sum += e;
  }
  for (let c = 0; c < classes; c++) out[to + c] = out[to + c]! / sum;
}

/** Index of the largest of `count` values from `at` on; the lowest index wins a tie. */
export function argmax(values: ArrayLike<number>, at: number, count: number): number {
  let best = 0;
  let most = Number.NEGATIVE_INFINITY;
  for (let c = 0; c < count; c++) {
    const x = values[at + c]!;
    if (x > most) {
      most = x;
      best = c;
    }
  }
  return best;
}
