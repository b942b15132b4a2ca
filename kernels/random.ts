// Random numbers from a counter: Philox 4x32-10 (Salmon et al., SC 2011). Element i takes word i % 4 of the block
//   philox(counter = (i / 4, call, step, seed >> 32), key = (seed, stream)),
// so every element can be computed anywhere, again (a dropout mask in the backward pass), and alike on the CPU: the
// twin in engine/random.ts gives the same bits for words, uniforms, integers and masks, and normals equal to float
// rounding. seed, stream and step lie in a buffer, `state` = [seed, stream, step, seed >> 32]; a replayed step draws
// anew once `randomAdvance` has counted `step` up. `call` numbers the draws within a step.
//   uniform    (word >> 8) 2^-24, in [0, 1)
//   integer    low + (word span >> 32); bias below span / 2^32
//   bernoulli  (word >> 8) < threshold = p 2^24
//   dropout    y = x scale where (word >> 8) >= threshold, else 0
//   normal     Box-Muller on words (0, 1) and (2, 3), by polynomials (Cephes), not by WGSL's log and cos, whose
//              error varies from device to device; |z| <= 5.77, since a uniform has 24 bits
// Mapping: a thread per block of 4 elements.

import {
  ceilDiv,
  defineKernel,
  entry,
  type FloatStorage,
  GROUP,
  type Grid,
  LINEAR_GROUP,
  linearGrid,
  type RowAxis,
  reads,
  type StorageType,
  updates,
  writes,
} from "./kernel.ts";
import { bufferType, stored, valueType } from "./shared/storage.ts";

export type RandomKind = "uniform" | "normal" | "integer" | "bernoulli";

/** `width` 4 where the number of elements is a multiple of 4. */
export type RandomSpec = { readonly kind: RandomKind; readonly width: 1 | 4 };
export type DropoutSpec = { readonly width: 1 | 4; readonly dtype: FloatStorage };

/** Words of `state`. */
export const RANDOM_STATE = 4;

const blocks = (n: number): number => ceilDiv(n, 4);
const grid = ({ n }: { readonly n: number }): Grid => linearGrid(ceilDiv(blocks(n), GROUP));
const rows = ({ n }: { readonly n: number }): RowAxis => {
  return { axis: 0, units: n, perGroup: 4 * GROUP, fold: true, blocks: n, apart: { state: 1 } };
};
const STATE = "array<u32>";

/** Declares `philox(counter, key)` and `high_product(a, b)`, the upper half of a 64-bit product. */
const PHILOX = `
fn high_product(a: u32, b: u32) -> u32 {
  let a0 = a & 0xffffu; let a1 = a >> 16u;
  let b0 = b & 0xffffu; let b1 = b >> 16u;
  let cross = a1 * b0 + ((a0 * b0) >> 16u);
  let carry = a0 * b1 + (cross & 0xffffu);
  return a1 * b1 + (cross >> 16u) + (carry >> 16u);
}
fn philox(counter: vec4u, key: vec2u) -> vec4u {
  var c = counter;
  var k = key;
  for (var round = 0; round < 10; round++) {
    let high0 = high_product(0xd2511f53u, c.x);
    let high1 = high_product(0xcd9e8d57u, c.z);
    c = vec4u(high1 ^ c.y ^ k.x, 0xcd9e8d57u * c.z, high0 ^ c.w ^ k.y, 0xd2511f53u * c.x);
    k += vec2u(0x9e3779b9u, 0xbb67ae85u);
  }
  return c;
}
fn draw(block: u32) -> vec4u {
  return philox(vec4u(block, u.call, state[2], state[3]), vec2u(state[0], state[1]));
}`;

// u1 = 1 - uniform lies in (0, 1], exactly; its logarithm keeps its digits near 1, where z is small.
const NORMAL = `
fn natural_log(x: vec2f) -> vec2f {
  let bits = bitcast<vec2u>(x);
  let mantissa = bitcast<vec2f>((bits & vec2u(0x007fffffu)) | vec2u(0x3f800000u));
  let big = mantissa > vec2f(1.41421356);
  let f = select(mantissa, 0.5 * mantissa, big) - 1.0;
  let e = vec2f(vec2i(bits >> vec2u(23u)) - 127 + select(vec2i(0), vec2i(1), big));
  let z = f * f;
  var p = ((7.0376836292e-2 * f - 1.1514610310e-1) * f + 1.1676998740e-1) * f - 1.2420140846e-1;
  p = (((p * f + 1.4249322787e-1) * f - 1.6668057665e-1) * f + 2.0000714765e-1) * f - 2.4999993993e-1;
  p = (p * f + 3.3333331174e-1) * f * z;
  return f + (p - 2.12194440e-4 * e - 0.5 * z) + 0.693359375 * e;
}
fn normals(words: vec4u) -> vec4f {
  let r = sqrt(-2.0 * natural_log(vec2f(vec2u(1u << 24u) - (words.xz >> vec2u(8u))) * 5.9604644775390625e-8));
  let turns = vec2f(words.yw >> vec2u(8u)) * 2.384185791015625e-7;
  let quarter = floor(turns + 0.5);
  let a = (turns - quarter) * 1.5707963267948966;
  let z = a * a;
  let s = ((-1.9515295891e-4 * z + 8.3321608736e-3) * z - 1.6666654611e-1) * z * a + a;
  let c = ((2.443315711809948e-5 * z - 1.388731625493765e-3) * z + 4.166664568298827e-2) * z * z - 0.5 * z + 1.0;
  let q = vec2u(quarter);
  let odd = (q & vec2u(1u)) == vec2u(1u);
  let cosine = select(c, s, odd) * select(vec2f(1.0), vec2f(-1.0), ((q + 1u) & vec2u(2u)) == vec2u(2u));
  let sine = select(s, c, odd) * select(vec2f(1.0), vec2f(-1.0), (q & vec2u(2u)) == vec2u(2u));
  return vec4f(r.x * cosine.x, r.x * sine.x, r.y * cosine.y, r.y * sine.y);
}`;

const VALUE: Record<RandomKind, string> = {
  uniform: "vec4f(words >> vec4u(8u)) * 5.9604644775390625e-8",
  normal: "normals(words)",
  integer:
    "bitcast<vec4i>(vec4u(high_product(words.x, u.span), high_product(words.y, u.span), high_product(words.z, u.span), high_product(words.w, u.span))) + vec4i(u.low)",
  bernoulli: "select(vec4u(0u), vec4u(1u), (words >> vec4u(8u)) < vec4u(u.threshold))",
};
const ELEMENT: Record<RandomKind, StorageType> = { uniform: "f32", normal: "f32", integer: "i32", bernoulli: "u32" };

/** Entry point that runs `body` for `block`, one block of 4 elements, with its `words`. */
const perBlock = (body: string): string => `
${entry()} {
  let block = ${LINEAR_GROUP} * ${GROUP}u + li;
  if (block >= (u.n + 3u) / 4u) { return; }
  let words = draw(block);
  ${body}
}`;

/** y [n] = random values; integers in [low, low + span), `threshold` of bernoulli = p 2^24. */
export const randomFill = defineKernel({
  name: "random",
  bindings: ({ kind, width }: RandomSpec) => ({
    state: reads(STATE),
    y: writes(bufferType(ELEMENT[kind], width)),
  }),
  uniforms: { n: "u32", call: "u32", low: "i32", span: "u32", threshold: "u32" },
  grid,
  rows,
  source: ({ kind, width }) => `${PHILOX}
${kind === "normal" ? NORMAL : ""}
${perBlock(`let values = ${VALUE[kind]};
  ${
    width === 4
      ? "y[block] = values;"
      : "for (var k = 0u; k < min(4u, u.n - 4u * block); k++) { y[4u * block + k] = values[k]; }"
  }`)}`,
});

/** y [n] = x scale where kept, else 0: the forward pass, and on g with the same counters the backward pass. */
export const dropoutKernel = defineKernel({
  name: "dropout",
  bindings: ({ width, dtype }: DropoutSpec) => ({
    state: reads(STATE),
    x: reads(bufferType(dtype, width)),
    y: writes(bufferType(dtype, width)),
  }),
  uniforms: { n: "u32", call: "u32", threshold: "u32", scale: "f32" },
  grid,
  rows,
  source: ({ width, dtype }) => {
    const type = valueType(width);
    const kept = `select(${type}(), ${type}(x[at]) * u.scale, KEEPS)`;
    const store = `y[at] = ${stored("value", dtype, width)};`;
    return `${PHILOX}
${perBlock(`let keeps = (words >> vec4u(8u)) >= vec4u(u.threshold);
  ${
    width === 4
      ? `let at = block; let value = ${kept.replace("KEEPS", "keeps")}; ${store}`
      : `for (var k = 0u; k < min(4u, u.n - 4u * block); k++) {
    let at = 4u * block + k; let value = ${kept.replace("KEEPS", "keeps[k]")}; ${store}
  }`
  }`)}`;
  },
});

/** step += 1. Runs before the draws of a step, as no draw can tell when all others have read the counter. */
export const randomAdvance = defineKernel({
  name: "randomAdvance",
  bindings: () => ({ state: updates(STATE) }),
  uniforms: {},
  grid: () => [1, 1, 1],
  source: () => "@compute @workgroup_size(1) fn main() { state[2] += 1u; }",
});
