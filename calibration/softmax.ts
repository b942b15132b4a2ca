/** Softmax of one row of logits and all that is read off it. The only place of calibration that exponentiates logits. */

import type { Values } from "./table.ts";

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
  /** Largest probability. */
  maxProb = 0;
  /** Difference of the two largest probabilities. */
  margin = 0;
  /** Entropy in nats. */
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
    let sum = 0;
    let weighted = 0;
    let squares = 0;
    for (let c = 0; c < classes; c++) {
      const shifted = z[at + c]! - max;
      const e = Math.exp(shifted);
      sum += e;
      weighted += e * shifted;
      squares += e * e;
    }
    this.prediction = prediction;
    this.max = max;
    this.second = second;
    this.logSumExp = max + Math.log(sum);
    this.maxProb = 1 / sum;
    this.margin = (1 - Math.exp(second - max)) / sum;
    this.entropy = Math.max(0, Math.log(sum) - weighted / sum);
    this.squares = squares / (sum * sum);
  }
}

/** Writes the softmax of one row into `out` from `to` on. */
export function softmaxInto(z: Values, at: number, classes: number, out: Float64Array, to = 0): void {
  let max = z[at]!;
  for (let c = 1; c < classes; c++) if (z[at + c]! > max) max = z[at + c]!;
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
  for (let c = 1; c < count; c++) if (values[at + c]! > values[at + best]!) best = c;
  return best;
}
