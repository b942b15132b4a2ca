// IDX, the format of MNIST and its kin: 0, 0, type, rank; the extents; then the values, all big-endian.

import { DataError, ensure, readOptions } from "../errors.ts";

/** An array of bytes with its shape. */
export interface IdxArray {
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

const UNSIGNED_BYTE = 8;

/**
 * Decodes an uncompressed IDX file of unsigned bytes; `data` is a view of `bytes`.
 * @throws DataError naming `file` for another type, another rank than `rank`, or a length that does not fit the
 * extents.
 */
export function decodeIdx(bytes: Uint8Array, options: { readonly file: string; readonly rank: number }): IdxArray {
  const { file, rank } = readOptions("decodeIdx", options, { file: "string!", rank: "number!" });
  const fail = (must: string, got: string): DataError =>
    new DataError(`decodeIdx: ${file}: ${must}; got ${got}.`, { file });
  const header = 4 + 4 * rank;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 4) throw fail(`the file must have at least ${header} bytes`, `${bytes.length}`);
  const magic = view.getUint32(0);
  const expected = (UNSIGNED_BYTE << 8) | rank;
  if (magic !== expected) throw fail(`the magic number must be ${hex(expected)} (bytes, rank ${rank})`, hex(magic));
  if (bytes.length < header) throw fail(`the file must have at least ${header} bytes`, `${bytes.length}`);
  const shape = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i));
  const size = shape.reduce((product, extent) => product * extent, 1);
  if (bytes.length !== header + size) {
    throw fail(`the shape [${shape.join(", ")}] must be followed by ${size} bytes`, `${bytes.length - header}`);
  }
  return { shape, data: bytes.subarray(header) };
}

/** The bytes of an IDX file of unsigned bytes. */
export function encodeIdx({ shape, data }: IdxArray): Uint8Array {
  const size = shape.reduce((product, extent) => product * extent, 1);
  ensure(
    data.length === size,
    () => `encodeIdx: the shape [${shape.join(", ")}] must have ${data.length} values; got ${size}.`,
  );
  const bytes = new Uint8Array(4 + 4 * shape.length + size);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, (UNSIGNED_BYTE << 8) | shape.length);
  shape.forEach((extent, i) => {
    view.setUint32(4 + 4 * i, extent);
  });
  bytes.set(data, 4 + 4 * shape.length);
  return bytes;
}

const hex = (word: number): string => `0x${word.toString(16).padStart(8, "0")}`;
