// Numeric arrays that stay in their file: a range of values is a range of bytes, converted as it is read.

import { closeSync, readSync } from "node:fs";
import { lookUp, openFileSync, SortieError } from "../../base/index.ts";
import type { Values } from "../../calibration/index.ts";
import type { ByteSource } from "../../data/index.ts";
import { fromHalf } from "../../engine/index.ts";
import { reading, sizeOf } from "./whole.ts";

/** An array in a file. */
export interface StoredArray {
  readonly shape: readonly number[];
  /** Values `first .. first + count - 1` of the flattened array; what float32 can hold exactly comes as float32. */
  read(first: number, count: number): Values;
  /** All values. */
  all(): Values;
  /** All values as names, no two of them alike by rounding: integers beyond 2^53 come as text. */
  names(): readonly (string | number)[];
}

/** Bytes of the array's data, `from` counted from its first. */
export type ReadBytes = (from: number, count: number) => Uint8Array;

type Place = readonly [buffer: ArrayBufferLike, byteOffset: number, length: number];

/** How values of a dtype are made of aligned bytes. Files are little-endian, as every platform with WebGPU is. */
const readers: Readonly<Record<string, { readonly bytes: number; values(place: Place): Values }>> = {
  F64: { bytes: 8, values: (place) => new Float64Array(...place) },
  F32: { bytes: 4, values: (place) => new Float32Array(...place) },
  F16: { bytes: 2, values: (place) => halves(new Uint16Array(...place)) },
  BF16: { bytes: 2, values: (place) => brainFloats(new Uint16Array(...place)) },
  I64: { bytes: 8, values: (place) => wide(new BigInt64Array(...place)) },
  U64: { bytes: 8, values: (place) => wide(new BigUint64Array(...place)) },
  I32: { bytes: 4, values: (place) => new Float64Array(new Int32Array(...place)) },
  U32: { bytes: 4, values: (place) => new Float64Array(new Uint32Array(...place)) },
  I16: { bytes: 2, values: (place) => new Float32Array(new Int16Array(...place)) },
  U16: { bytes: 2, values: (place) => new Float32Array(new Uint16Array(...place)) },
  I8: { bytes: 1, values: (place) => new Float32Array(new Int8Array(...place)) },
  U8: { bytes: 1, values: (place) => new Float32Array(new Uint8Array(...place)) },
  BOOL: { bytes: 1, values: (place) => new Float32Array(new Uint8Array(...place)) },
};

/** The value of every half float by its bits, made when the first is read. */
let halfValues: Float32Array | undefined;

function halves(bits: Uint16Array): Float32Array {
  halfValues ??= Float32Array.from({ length: 65536 }, (_, bits) => fromHalf(bits));
  const values = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) values[i] = halfValues[bits[i]!]!;
  return values;
}

function brainFloats(bits: Uint16Array): Float32Array {
  return new Float32Array(Uint32Array.from(bits, (half) => half << 16).buffer);
}

function wide(integers: BigInt64Array | BigUint64Array): Float64Array {
  const values = new Float64Array(integers.length);
  for (let i = 0; i < integers.length; i++) values[i] = Number(integers[i]);
  return values;
}

/** Bytes of one value of a dtype as safetensors calls it; undefined for a dtype that is no number here. */
export function bytesOf(dtype: string): number | undefined {
  return Object.hasOwn(readers, dtype) ? readers[dtype]?.bytes : undefined;
}

/** An array of a dtype that `bytesOf` knows, little-endian. */
export function storedArray(dtype: string, shape: readonly number[], bytes: ReadBytes): StoredArray {
  const reader = lookUp("the dtype of numbers", readers, dtype);
  const size = shape.reduce((a, b) => a * b, 1);
  const read = (first: number, count: number): Values => {
    const found = bytes(first * reader.bytes, count * reader.bytes);
    const aligned = found.byteOffset % reader.bytes === 0 ? found : found.slice();
    return reader.values([aligned.buffer, aligned.byteOffset, count]);
  };
  const names = (): readonly (string | number)[] => {
    if (dtype !== "I64" && dtype !== "U64") return Array.from(read(0, size));
    const { buffer } = bytes(0, 8 * size).slice();
    const integers = dtype === "I64" ? new BigInt64Array(buffer) : new BigUint64Array(buffer);
    return Array.from(integers, (id) => (Number.isSafeInteger(Number(id)) ? Number(id) : String(id)));
  };
  return { shape, read, all: () => read(0, size), names };
}

/** A file as a source of bytes. */
export const fileSource = (path: string): ByteSource => ({
  size: sizeOf(path),
  read: (from, count) => readBytes(path, from, count),
});

/** Part of a file. @throws Error if the file is shorter. */
export function readBytes(path: string, from: number, count: number): Uint8Array {
  const size = sizeOf(path);
  if (!(from >= 0 && from + count <= size)) {
    throw new SortieError(`${path} must have ${from + count} bytes; got ${size}. It is cut off.`);
  }
  const bytes = reading(path, () => new Uint8Array(count));
  const file = reading(path, () => openFileSync(path));
  try {
    for (let done = 0; done < count; ) {
      const got = reading(path, () => readSync(file, bytes, done, count - done, from + done));
      if (got === 0)
        throw new SortieError(`${path} must have ${from + count} bytes; got ${sizeOf(path)}. It is cut off.`);
      done += got;
    }
  } finally {
    closeSync(file);
  }
  return bytes;
}
