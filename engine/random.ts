// Random numbers on the CPU, by the same counters as on the GPU (kernels/random.ts): Philox 4x32-10.
// Words, uniforms, integers and masks are equal bit for bit; normals are equal to float rounding. Knows no tensor.

import { highProduct, philox, SEED, what } from "../base/index.ts";
import { ArgumentError } from "./errors.ts";

/** Names a sequence of random numbers: same key, same numbers, on every machine. */
export interface RandomKey {
  /** Whole number in [0, 2^53). */
  readonly seed: number;
  /** Independent sequence of the same seed; default 0. */
  readonly stream?: number;
  /** Step of a training run; default 0. */
  readonly step?: number;
  /** Draw within the step; default 0. */
  readonly call?: number;
}

/** Refuses a key of which a part would be cut to 32 bits. @throws ArgumentError that begins with `op` */
export function checkKey(op: string, key: RandomKey): void {
  const { seed, ...counters } = (key ?? {}) as RandomKey;
  if (!SEED.fits(seed)) {
    const hint = typeof seed === "number" ? "" : " Pass { seed: 1 }.";
    throw new ArgumentError(`${op}: seed must be ${SEED.must}; got ${what(seed)}.${hint}`);
  }
  for (const name of ["stream", "step", "call"] as const) {
    const value = counters[name] ?? 0;
    if (value === value >>> 0) continue;
    throw new ArgumentError(`${op}: ${name} must be a whole number in 0..2^32 - 1; got ${what(value)}.`);
  }
}

/** The four words `state` of a generator on the GPU. */
export function randomState(key: RandomKey, op = "random"): Uint32Array<ArrayBuffer> {
  checkKey(op, key);
  const { seed, stream = 0, step = 0 } = key;
  return Uint32Array.of(seed >>> 0, stream, step, Math.floor(seed / 2 ** 32));
}

/** `n` random 32-bit words. */
export function randomWords(n: number, key: RandomKey): Uint32Array<ArrayBuffer> {
  if (!Number.isSafeInteger(n) || n < 0)
    throw new ArgumentError(`random: n must be a whole number of at least 0; got ${what(n)}.`);
  const [seed, stream, step, high] = randomState(key) as unknown as [number, number, number, number];
  const words = new Uint32Array(Math.ceil(n / 4) * 4);
  for (let i = 0; i < words.length; i += 4) {
    const block = words.subarray(i, i + 4);
    block.set([i / 4, key.call ?? 0, step, high]);
    philox(block, seed, stream);
  }
  return words.subarray(0, n);
}

/** `n` numbers uniform in [0, 1), multiples of 2^-24. */
export function randomUniform(n: number, key: RandomKey): Float32Array<ArrayBuffer> {
  return Float32Array.from(randomWords(n, key), (word) => (word >>> 8) * 2 ** -24);
}

/** `n` standard normal numbers (Box-Muller; at most 5.77 from 0). */
export function randomNormal(n: number, key: RandomKey): Float32Array<ArrayBuffer> {
  const words = randomWords(Math.ceil(n / 2) * 2, key);
  const result = new Float32Array(words.length);
  for (let i = 0; i < words.length; i += 2) {
    const radius = Math.sqrt(-2 * Math.log(1 - (words[i]! >>> 8) * 2 ** -24));
    const angle = 2 * Math.PI * (words[i + 1]! >>> 8) * 2 ** -24;
    result[i] = radius * Math.cos(angle);
    result[i + 1] = radius * Math.sin(angle);
  }
  return result.subarray(0, n);
}

/**
 * `n` whole numbers in [low, high), by multiplication: no number is likelier than another by more than (high - low) /
 * 2^32.
 */
export function randomIntegers(n: number, low: number, high: number, key: RandomKey): Int32Array<ArrayBuffer> {
  if (!(low < high)) throw new ArgumentError(`randomIntegers: low must be below high; got ${low} and ${high}.`);
  // As on the GPU, of all 2^32 numbers the topmost is never drawn.
  const span = Math.min(high - low, 2 ** 32 - 1);
  return Int32Array.from(randomWords(n, key), (word) => low + highProduct(word, span));
}

/** `n` times 1 with probability p, else 0; p counts in multiples of 2^-24. */
export function randomBernoulli(n: number, p: number, key: RandomKey): Uint32Array<ArrayBuffer> {
  const threshold = chance(p);
  return randomWords(n, key).map((word) => (word >>> 8 < threshold ? 1 : 0));
}

/** A probability as the threshold that random 24-bit numbers are compared with. */
export const chance = (p: number): number => Math.ceil(p * 2 ** 24);

/** The numbers 0 .. n - 1 in random order: sorted by 53-bit random keys, so every machine finds the same order. */
export function randomPermutation(n: number, key: RandomKey): Int32Array<ArrayBuffer> {
  const words = randomWords(2 * n, key);
  const keys = Float64Array.from({ length: n }, (_, i) => {
    return words[2 * i]! * 2 ** 21 + (words[2 * i + 1]! >>> 11);
  });
  return Int32Array.from({ length: n }, (_, i) => i).sort((a, b) => keys[a]! - keys[b]! || a - b);
}
