// A small seeded generator (xoshiro128**) for bootstraps and splits: the same seed, the same numbers, everywhere.

import { SEED, what } from "../../base/index.ts";
import { check } from "../errors.ts";
import { type Integers, indices } from "./arrays.ts";

/** A stream of random numbers. */
export interface Random {
  /** Uniform in [0, 1) with 53 bits. */
  uniform(): number;
  /** Whole number in 0 .. n-1. */
  below(n: number): number;
  /** Standard normal. */
  normal(): number;
}

/** A generator started from a whole number of at least 0. @throws CalibrationError for anything else */
export function createRandom(seed: number): Random {
  check(SEED.fits(seed), "createRandom", `the seed must be ${SEED.must}`, what(seed));
  let state = (seed ^ Math.imul(Math.floor(seed / 2 ** 32), 0x9e3779b1)) >>> 0;
  const splitMix = () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return (z ^ (z >>> 16)) >>> 0;
  };
  let a = splitMix();
  let b = splitMix();
  let c = splitMix();
  let d = splitMix();
  const next = () => {
    const x = Math.imul(b, 5);
    const result = Math.imul((x << 7) | (x >>> 25), 9) >>> 0;
    const t = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = (d << 11) | (d >>> 21);
    return result;
  };
  const uniform = () => ((next() >>> 5) * 67108864 + (next() >>> 6)) / 9007199254740992;
  return {
    uniform,
    below: (n) => Math.floor(uniform() * n),
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
  };
}

/** The numbers 0 .. n-1 in random order. */
export function randomOrder(n: number, random: Random): Int32Array {
  const order = indices(n);
  shuffle(order, random);
  return order;
}

/** Puts values in random order (Fisher-Yates). @internal */
export function shuffle(values: Integers, random: Random): void {
  for (let i = values.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const kept = values[i]!;
    values[i] = values[j]!;
    values[j] = kept;
  }
}
