// Loads and stores of four neighbours, as WGSL functions.

import { type StorageType, unroll } from "../kernel.ts";

/** Places in a quad. */
export const QUAD = [0, 1, 2, 3] as const;

/**
 * `fn <name>(at: u32, left: i32) -> vec4f`: the quad that begins at element `at` of `buffer`, as f32. Only its first
 * `left` values exist; the others read as 0. With `isVec`, `at` is a multiple of 4 and a quad exists wholly or not at
 * all; with `exists` it does wherever its result is stored, and nobody has to look.
 */
export function quadLoad(name: string, buffer: string, isVec: boolean, exists = false): string {
  const scalar = (e: number): string => `select(0.0, f32(${buffer}[at + ${e}u]), left > ${e})`;
  const quad = `vec4f(${buffer}[at / 4u])`;
  const body = !isVec ? `vec4f(${QUAD.map(scalar).join(", ")})` : exists ? quad : `select(vec4f(), ${quad}, left > 0)`;
  return `fn ${name}(at: u32, left: i32) -> vec4f { return ${body}; }`;
}

/**
 * `fn <name>(at: i32, first: i32, last: i32) -> vec4f`: the quad that begins at element `at` of `buffer`, of which the
 * values first <= e < last exist and the others read as 0: a window over an image row with padding on both sides.
 */
export function quadWindow(name: string, buffer: string, isVec: boolean): string {
  const scalar = (e: number): string =>
    `select(0.0, f32(${buffer}[u32(at${e > 0 ? ` + ${e}` : ""})]), first <= ${e} && last > ${e})`;
  const body = isVec
    ? `select(vec4f(), vec4f(${buffer}[u32(at) / 4u]), first <= 0 && last > 0)`
    : `vec4f(${QUAD.map(scalar).join(", ")})`;
  return `fn ${name}(at: i32, first: i32, last: i32) -> vec4f { return ${body}; }`;
}

/**
 * `fn <name>(at: u32, left: i32, value: vec4f)`: writes the first `left` values of a quad to `buffer` from element
 * `at`.
 */
export function quadStore(name: string, buffer: string, dtype: StorageType, isVec: boolean): string {
  const body = isVec
    ? `${buffer}[at / 4u] = vec4<${dtype}>(value);`
    : unroll(4, (e) => `if (left > ${e}) { ${buffer}[at + ${e}u] = ${dtype}(value[${e}]); }`);
  return `fn ${name}(at: u32, left: i32, value: vec4f) {\n${body}\n}`;
}
