// Overthinking (Kaya et al., ICML 2019): samples that would have been answered rightly, sooner.

import { checkFlags } from "../errors.ts";

/** Shares of all samples. */
export interface Overthinking {
  /** Right at some earlier exit and at the last: the rest of the work was wasted. */
  readonly wasteful: number;
  /** Right at some earlier exit and wrong at the last: the rest of the work did harm. */
  readonly destructive: number;
  /** Accuracy of an oracle that leaves at the first right exit. */
  readonly oracleAccuracy: number;
}

/** From the error flags of all exits, `[N, K]`. */
export function overthinking(errors: Uint8Array, exits: number): Overthinking {
  checkFlags("overthinking", "errors", errors);
  let wasteful = 0;
  let destructive = 0;
  let right = 0;
  const n = errors.length / exits;
  for (let i = 0; i < errors.length; i += exits) {
    const isFinalRight = errors[i + exits - 1] === 0;
    const isEarlierRight = errors.subarray(i, i + exits - 1).includes(0);
    if (isEarlierRight && isFinalRight) wasteful++;
    if (isEarlierRight && !isFinalRight) destructive++;
    if (isEarlierRight || isFinalRight) right++;
  }
  return { wasteful: wasteful / n, destructive: destructive / n, oracleAccuracy: right / n };
}
