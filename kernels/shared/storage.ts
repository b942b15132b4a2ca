// WGSL types of what lies in buffers, an element or four at a time, and of the same values in registers.

import type { FloatStorage, StorageType } from "../kernel.ts";

/** WGSL type of `width` neighbours in memory. */
export const elementType = (type: StorageType, width: 1 | 4): string => (width === 4 ? `vec4<${type}>` : type);

/** WGSL type of a buffer that is accessed by quads, or by elements. */
export const arrayType = (type: StorageType, isVec: boolean): string =>
  isVec ? `array<vec4<${type}>>` : `array<${type}>`;

/** The same, by the number of elements. */
export const bufferType = (type: StorageType, width: 1 | 4): string => arrayType(type, width === 4);

/** WGSL type of `width` floats in registers. */
export const valueType = (width: 1 | 4): string => (width === 4 ? "vec4f" : "f32");

/** WGSL expression for the stored form of `value`. */
export function stored(value: string, dtype: FloatStorage, width: 1 | 4): string {
  if (dtype === "f32") return value;
  return width === 4 ? `vec4h(${value})` : `f16(${value})`;
}
