// Element types of tensors: names, sizes, typed arrays, WGSL storage types.

import { type WordCheck, wordCheck } from "../base/index.ts";
import type { StorageType } from "../kernels/index.ts";
import { DTypeError } from "./errors.ts";

/** Element types. `bool` is stored as u32 holding 0 or 1; `f16` needs the adapter feature `shader-f16`. */
export type DType = "f32" | "f16" | "i32" | "u32" | "bool";

/** What `read()` resolves to; f16 is widened to f32, bool becomes 0/1 in a Uint8Array. */
export interface DTypeArrays {
  f32: Float32Array<ArrayBuffer>;
  f16: Float32Array<ArrayBuffer>;
  i32: Int32Array<ArrayBuffer>;
  u32: Uint32Array<ArrayBuffer>;
  bool: Uint8Array<ArrayBuffer>;
}

export type TensorData = DTypeArrays[DType];

const checkWord: WordCheck = wordCheck(DTypeError);

/** Checks that `dtype` is one. @throws DTypeError */
export const checkDType = (op: string, dtype: DType): void =>
  checkWord(op, "dtype", dtype, ["f32", "f16", "i32", "u32", "bool"]);

/** Bytes of one stored element. */
export const elementBytes = (dtype: DType): number => (dtype === "f16" ? 2 : 4);

/** WGSL element type in storage. */
export const storageType = (dtype: DType): StorageType => (dtype === "bool" ? "u32" : dtype);

export const isFloat = (dtype: DType): boolean => dtype === "f32" || dtype === "f16";

/** Bytes that a tensor of `n` elements occupies: at least one vec4, so that any kernel may bind it. */
export const storageBytes = (n: number, dtype: DType): number =>
  Math.max(16, Math.ceil((n * elementBytes(dtype)) / 16) * 16);

const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);

/** Bits of the f32 nearest to `value`. */
export function floatBits(value: number): number {
  scratch[0] = value;
  return scratchBits[0]!;
}

/** The IEEE half nearest to `value` (ties to even), as its 16 bits. */
export function toHalf(value: number): number {
  const bits = floatBits(value);
  const sign = (bits >>> 16) & 0x8000;
  const rest = bits & 0x7fffffff;
  if (rest > 0x7f800000) return sign | 0x7e00;
  if (rest >= 0x477ff000) return sign | 0x7c00;
  // Subnormal: a multiple of 2^-24, to which f32 rounds what lies above 0.5.
  if (rest < 0x38800000) return sign | (floatBits(Math.abs(Math.fround(value)) + 0.5) - 0x3f000000);
  const rounded = rest + 0x0fff + ((rest >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

/** The number that 16 bits of an IEEE half stand for. */
export function fromHalf(bits: number): number {
  // Exponent and fraction where an f32 has them, and the difference of the exponents' biases.
  scratchBits[0] = (bits & 0x7fff) << 13;
  const size = scratch[0]! * 2 ** 112;
  const special = bits & 1023 ? Number.NaN : Number.POSITIVE_INFINITY;
  return (bits & 0x8000 ? -1 : 1) * (size < 65536 ? size : special);
}

/** Typed array of the `n` elements that `bytes` hold. */
export function decode<D extends DType>(bytes: ArrayBuffer, n: number, dtype: D): DTypeArrays[D] {
  const decoded = (): TensorData => {
    switch (dtype) {
      case "f32":
        return new Float32Array(bytes, 0, n);
      case "i32":
        return new Int32Array(bytes, 0, n);
      case "u32":
        return new Uint32Array(bytes, 0, n);
      case "bool":
        return Uint8Array.from(new Uint32Array(bytes, 0, n));
      default:
        return Float32Array.from(new Uint16Array(bytes, 0, n), fromHalf);
    }
  };
  return decoded() as DTypeArrays[D];
}
