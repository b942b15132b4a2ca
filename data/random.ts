// Random numbers from a counter: Philox 4x32-10 (Salmon et al., SC 2011), bit for bit the same on every platform.
//   block i of stream (seed, purpose, a, b) =
//     philox(counter = (i, a, b, hash(purpose)), key = (seed mod 2^32, seed / 2^32))
// There is no state beyond the position in a stream: what belongs to sample 17 of epoch 3 is drawn from the stream
// ("augment", 3, 17) whatever was drawn before, so a run that is resumed continues as if it had never stopped.

import { philox, SEED, what } from "../base/index.ts";
import { ensure } from "./errors.ts";
import { log, sinCos } from "./numeric.ts";

/** FNV-1a of a short name, 32 bits. */
function hashName(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** A stream of random numbers; equal arguments give equal numbers, different ones independent numbers. */
export class Stream {
  readonly #words = new Uint32Array(4);
  readonly #key0: number;
  readonly #key1: number;
  readonly #a: number;
  readonly #b: number;
  readonly #purpose: number;
  #block = 0;
  #used = 4;
  #spare: number | undefined;

  /**
   * `seed`: an integer from 0 below 2^53; `purpose`: what is drawn; `a`, `b`: for whom, e.g. epoch and sample, below
   * 2^32.
   */
  constructor(seed: number, purpose: string, a = 0, b = 0) {
    for (const [name, value] of Object.entries({ seed, a, b }))
      ensure(SEED.fits(value), () => `Stream: ${name} must be ${SEED.must}; got ${what(value)}.`);
    this.#key0 = seed >>> 0;
    this.#key1 = Math.floor(seed / 2 ** 32);
    this.#a = a;
    this.#b = b;
    this.#purpose = hashName(purpose);
  }

  /** An integer in [0, 2^32). */
  word(): number {
    if (this.#used === 4) {
      const words = this.#words;
      words[0] = this.#block++;
      words[1] = this.#a;
      words[2] = this.#b;
      words[3] = this.#purpose;
      philox(words, this.#key0, this.#key1);
      this.#used = 0;
    }
    return this.#words[this.#used++]!;
  }

  /** In [0, 1), a multiple of 2^-32. */
  uniform(): number {
    return this.word() / 2 ** 32;
  }

  /** In [low, high). */
  between(low: number, high: number): number {
    return low + (high - low) * this.uniform();
  }

  /** An integer in [0, n), n at most 2^32, without bias: words beyond the last multiple of n are refused. */
  integer(n: number): number {
    const limit = 2 ** 32 - (2 ** 32 % n);
    for (;;) {
      const word = this.word();
      if (word < limit) return word % n;
    }
  }

  /** True with probability `p`. */
  chance(p: number): boolean {
    return this.uniform() < p;
  }

  /** Standard normal, by Box and Muller; |z| < 6.7. */
  normal(): number {
    const spare = this.#spare;
    if (spare !== undefined) {
      this.#spare = undefined;
      return spare;
    }
    const radius = Math.sqrt(-2 * log((this.word() + 1) / 2 ** 32));
    const [sin, cos] = sinCos(2 * Math.PI * this.uniform());
    this.#spare = radius * sin;
    return radius * cos;
  }
}

/** The integers 0 .. n - 1 in an order drawn from `stream` (Fisher and Yates). */
export function shuffledOrder(n: number, stream: Stream): Int32Array {
  const order = Int32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = stream.integer(i + 1);
    const moved = order[i]!;
    order[i] = order[j]!;
    order[j] = moved;
  }
  return order;
}
