/**
 * Cached logits from a file, whoever wrote it: safetensors (also by PyTorch) or npz (NumPy). Arrays by name:
 * `logits` [samples, exits, classes], `labels` [samples], and optionally `macs` [exits] and `ids` [samples].
 */

import { closeSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import { createTable, type Table, type Values } from "../calibration/index.ts";
import { decodeNpz } from "../data/index.ts";

/** A stored array before its values are read. */
interface Stored {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Elements `first .. first + count - 1` of the flattened array. */
  read(first: number, count: number): ArrayLike<number>;
}

/** Options of `readLogits`. */
export interface LogitsOptions {
  /** The arrays hold probabilities. */
  readonly isProbabilities?: boolean;
}

/** Opens a table. Logits of a safetensors file are read a chunk at a time, so that a file may be larger than memory. */
export function readLogits(path: string, { isProbabilities = false }: LogitsOptions = {}): Table {
  const arrays = path.endsWith(".npz") ? npzArrays(path) : safetensorsArrays(path);
  const logits = need(arrays, "logits", path);
  const labels = need(arrays, "labels", path);
  const { shape } = logits;
  if (shape.length !== 3) {
    throw new Error(
      `${path}: logits must have shape [samples, exits, classes]; got [${shape.join(", ")}]. One exit is [samples, 1, classes].`,
    );
  }
  const [samples, exits, classes] = shape as [number, number, number];
  const width = exits * classes;
  const all = (stored: Stored | undefined) =>
    stored &&
    Array.from(
      stored.read(
        0,
        stored.shape.reduce((a, b) => a * b, 1),
      ),
    );
  const macs = all(arrays.get("macs"));
  const ids = all(arrays.get("ids"));
  return createTable({
    shape: [samples, exits, classes],
    labels: all(labels) ?? [],
    logits: (first, count) => logits.read(first * width, count * width) as Values,
    values: isProbabilities ? "probabilities" : "logits",
    ...(macs && { macs }),
    ...(ids && { ids }),
  });
}

function need(arrays: ReadonlyMap<string, Stored>, name: string, path: string): Stored {
  const found = arrays.get(name);
  if (!found)
    throw new Error(`${path}: the file must hold an array "${name}"; got ${[...arrays.keys()].join(", ") || "none"}.`);
  return found;
}

const readers: Readonly<Record<string, { readonly bytes: number; at(view: DataView, offset: number): number }>> = {
  F64: { bytes: 8, at: (view, offset) => view.getFloat64(offset, true) },
  F32: { bytes: 4, at: (view, offset) => view.getFloat32(offset, true) },
  F16: { bytes: 2, at: (view, offset) => halfToNumber(view.getUint16(offset, true)) },
  BF16: { bytes: 2, at: (view, offset) => bfloatToNumber(view.getUint16(offset, true)) },
  I64: { bytes: 8, at: (view, offset) => Number(view.getBigInt64(offset, true)) },
  I32: { bytes: 4, at: (view, offset) => view.getInt32(offset, true) },
  I16: { bytes: 2, at: (view, offset) => view.getInt16(offset, true) },
  U8: { bytes: 1, at: (view, offset) => view.getUint8(offset) },
};

/** The common case is then a view on the bytes as read. */
const IS_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** Longer headers are an attack or not a header (the limit of the reference implementation). */
const LONGEST_HEADER = 100_000_000;

function safetensorsArrays(path: string): ReadonlyMap<string, Stored> {
  const size = statSync(path).size;
  const length = size >= 8 ? Number(readBytes(path, 0, 8).getBigUint64(0, true)) : 0;
  if (length < 2 || length > LONGEST_HEADER || 8 + length > size)
    throw new Error(`${path}: is not a safetensors file.`);
  const header = JSON.parse(new TextDecoder().decode(readBytes(path, 8, length))) as Record<string, HeaderEntry>;
  const arrays = new Map<string, Stored>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const { dtype, shape, data_offsets: offsets } = entry;
    const reader = readers[dtype];
    if (!reader) continue; // an array of another kind that nobody asks for
    const start = 8 + length + offsets[0];
    const isWhole = offsets[1] - offsets[0] === reader.bytes * shape.reduce((a, b) => a * b, 1);
    if (!isWhole || 8 + length + offsets[1] > size) throw new Error(`${path}: array "${name}" is cut off.`);
    arrays.set(name, {
      dtype,
      shape,
      read: (first, count) => {
        const view = readBytes(path, start + first * reader.bytes, count * reader.bytes);
        if (dtype === "F32" && IS_LITTLE_ENDIAN) return new Float32Array(view.buffer);
        return Float64Array.from({ length: count }, (_, i) => reader.at(view, i * reader.bytes));
      },
    });
  }
  return arrays;
}

interface HeaderEntry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

function readBytes(path: string, from: number, count: number): DataView {
  const bytes = new Uint8Array(count);
  const file = openSync(path, "r");
  try {
    let done = 0;
    while (done < count) {
      const got = readSync(file, bytes, done, count - done, from + done);
      if (got === 0) throw new Error(`${path}: the file ended early.`);
      done += got;
    }
  } finally {
    closeSync(file);
  }
  return new DataView(bytes.buffer);
}

function npzArrays(path: string): ReadonlyMap<string, Stored> {
  const arrays = decodeNpz(new Uint8Array(readFileSync(path)), path);
  return new Map(
    [...arrays].map(([name, { shape, data }]) => [
      name,
      {
        dtype: "npy",
        shape,
        read: (first: number, count: number) =>
          Float64Array.from(data.subarray(first, first + count) as Float64Array, Number),
      },
    ]),
  );
}

function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function bfloatToNumber(bits: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint16(0, bits);
  return view.getFloat32(0);
}
