// Numbers in files: element types by their size and kind, and byte order.

import { DataError } from "../errors.ts";

/** The values of a numeric array, as they were stored. */
export type NumericArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | BigUint64Array
  | BigInt64Array
  | Float32Array
  | Float64Array;

/** Unsigned, signed or floating, and bytes per value. */
export type NumericKind = "u1" | "i1" | "u2" | "i2" | "u4" | "i4" | "u8" | "i8" | "f4" | "f8";

const ARRAYS = {
  u1: Uint8Array,
  i1: Int8Array,
  u2: Uint16Array,
  i2: Int16Array,
  u4: Uint32Array,
  i4: Int32Array,
  u8: BigUint64Array,
  i8: BigInt64Array,
  f4: Float32Array,
  f8: Float64Array,
} as const;

const isLittleEndianHere = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** Bytes per value. */
export const widthOf = (kind: NumericKind): number => Number(kind[1]);

/** Copies `bytes`, which lie in a file of that byte order, into numbers of this platform's. */
export function toNumbers(bytes: Uint8Array, kind: NumericKind, isLittleEndian: boolean): NumericArray {
  const width = widthOf(kind);
  // Not slice: that of a Buffer is a view of the same memory.
  const copy = new Uint8Array(bytes);
  if (width > 1 && isLittleEndian !== isLittleEndianHere) {
    for (let i = 0; i < copy.length; i += width) copy.subarray(i, i + width).reverse();
  }
  return new ARRAYS[kind](copy.buffer);
}

/** Values as int32, e.g. labels that were stored as int64. @throws DataError for a value that is no int32. */
export function toInt32(values: NumericArray, what: string): Int32Array {
  const result = new Int32Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const value = Number(values[i]);
    result[i] = value;
    if (result[i] !== value) throw new DataError(`toInt32: ${what} must be integers; got ${value} at ${i}.`);
  }
  return result;
}
