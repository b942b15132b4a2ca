/** Numeric arrays that stay in their file: a range of values is a range of bytes, converted as it is read. */

import { closeSync, openSync, readSync } from "node:fs";
import type { Values } from "../calibration/index.ts";
import { fromHalf } from "../engine/index.ts";
import { reading, sizeOf } from "./files.ts";

/** An array in a file. */
export interface StoredArray {
  readonly shape: readonly number[];
  /** Values `first .. first + count - 1` of the flattened array; float32 stays float32. */
  read(first: number, count: number): Values;
  /** All values. */
  all(): Values;
}

/** Bytes of the array's data, `from` counted from its first. */
export type ReadBytes = (from: number, count: number) => DataView;

const readers: Readonly<Record<string, { readonly bytes: number; at(view: DataView, offset: number): number }>> = {
  F64: { bytes: 8, at: (view, offset) => view.getFloat64(offset, true) },
  F32: { bytes: 4, at: (view, offset) => view.getFloat32(offset, true) },
  F16: { bytes: 2, at: (view, offset) => fromHalf(view.getUint16(offset, true)) },
  BF16: { bytes: 2, at: (view, offset) => bfloatToNumber(view.getUint16(offset, true)) },
  I64: { bytes: 8, at: (view, offset) => Number(view.getBigInt64(offset, true)) },
  U64: { bytes: 8, at: (view, offset) => Number(view.getBigUint64(offset, true)) },
  I32: { bytes: 4, at: (view, offset) => view.getInt32(offset, true) },
  U32: { bytes: 4, at: (view, offset) => view.getUint32(offset, true) },
  I16: { bytes: 2, at: (view, offset) => view.getInt16(offset, true) },
  U16: { bytes: 2, at: (view, offset) => view.getUint16(offset, true) },
  I8: { bytes: 1, at: (view, offset) => view.getInt8(offset) },
  U8: { bytes: 1, at: (view, offset) => view.getUint8(offset) },
  BOOL: { bytes: 1, at: (view, offset) => view.getUint8(offset) },
};

/** Bytes of one value of a dtype as safetensors calls it; undefined for a dtype that is no number here. */
export function bytesOf(dtype: string): number | undefined {
  return readers[dtype]?.bytes;
}

/** The common case is then a view on the bytes as read. */
const IS_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** An array of a dtype that `bytesOf` knows, little-endian. */
export function storedArray(dtype: string, shape: readonly number[], bytes: ReadBytes): StoredArray {
  const reader = readers[dtype]!;
  const size = shape.reduce((a, b) => a * b, 1);
  const read = (first: number, count: number): Values => {
    const view = bytes(first * reader.bytes, count * reader.bytes);
    if (dtype === "F32" && IS_LITTLE_ENDIAN) return new Float32Array(view.buffer, view.byteOffset, count);
    return Float64Array.from({ length: count }, (_, i) => reader.at(view, i * reader.bytes));
  };
  return { shape, read, all: () => read(0, size) };
}

/** Part of a file. @throws Error if the file is shorter. */
export function readBytes(path: string, from: number, count: number): DataView {
  const bytes = new Uint8Array(count);
  const file = reading(path, () => openSync(path, "r"));
  try {
    for (let done = 0; done < count; ) {
      const got = reading(path, () => readSync(file, bytes, done, count - done, from + done));
      if (got === 0) throw new Error(`${path} must have ${from + count} bytes; got ${sizeOf(path)}. It is cut off.`);
      done += got;
    }
  } finally {
    closeSync(file);
  }
  return new DataView(bytes.buffer);
}

function bfloatToNumber(bits: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint16(0, bits);
  return view.getFloat32(0);
}
