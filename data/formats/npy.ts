// NumPy's files: npy, one array behind a header written as a Python dictionary, and npz, a zip archive of them.

import { unzipSync, zipSync } from "fflate";
import { DataError } from "../errors.ts";
import { type NumericArray, type NumericKind, toNumbers, widthOf } from "./bytes.ts";

/** A numeric array in C order. */
export interface NpyArray {
  readonly shape: readonly number[];
  readonly data: NumericArray;
}

const MAGIC = "\x93NUMPY";

/**
 * Decodes an npy file of integers, floats or booleans (as bytes).
 * @throws DataError naming `file` for another type, Fortran order, or a length that does not fit the shape.
 */
export function decodeNpy(bytes: Uint8Array, file: string): NpyArray {
  const fail = (must: string, got: string): DataError =>
    new DataError(`decodeNpy: ${file}: ${must}; got ${got}.`, { file });
  if (bytes.length < 12 || latin(bytes.subarray(0, 6)) !== MAGIC) {
    throw fail("the file must begin with the npy magic", `"${latin(bytes.subarray(0, 6)).replace(/[^ -~]/g, "?")}"`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isVersion1 = bytes[6] === 1;
  const start = (isVersion1 ? 10 : 12) + (isVersion1 ? view.getUint16(8, true) : view.getUint32(8, true));
  const header = latin(bytes.subarray(isVersion1 ? 10 : 12, start));
  const descr = /'descr':\s*'([^']*)'/.exec(header)?.[1];
  const extents = /'shape':\s*\(([^)]*)\)/.exec(header)?.[1];
  if (descr === undefined || extents === undefined)
    throw fail("the header must name descr and shape", `"${header.trim()}"`);
  const [, order, type] = /^([<>|=])([uif][1248]|b1)$/.exec(descr) ?? [];
  if (!type || type === "f1" || type === "f2") throw fail("the type must be an integer, f4, f8 or b1", `"${descr}"`);
  const shape = extents.split(",").flatMap((text) => (text.trim() === "" ? [] : [Number(text)]));
  if (/'fortran_order':\s*True/.test(header) && shape.length > 1)
    throw fail("the array must be in C order", "Fortran order");
  const kind = (type === "b1" ? "u1" : type) as NumericKind;
  const expected = shape.reduce((product, extent) => product * extent, 1) * widthOf(kind);
  if (bytes.length - start !== expected)
    throw fail(`[${shape.join(", ")}] of ${descr} must have ${expected} bytes`, `${bytes.length - start}`);
  return { shape, data: toNumbers(bytes.subarray(start), kind, order !== ">") };
}

/** Decodes all arrays of an npz archive by their names. @throws DataError naming `file` and the array. */
export function decodeNpz(bytes: Uint8Array, file: string): Map<string, NpyArray> {
  let entries: Record<string, Uint8Array>;
  try {
    entries = unzipSync(bytes);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new DataError(`decodeNpz: ${file} must be an intact npz archive; got "${why}".`, { file, cause });
  }
  return new Map(
    Object.entries(entries).map(([entry, content]) => [
      entry.replace(/\.npy$/, ""),
      decodeNpy(content, `${file}/${entry}`),
    ]),
  );
}

/** The bytes of an npy file (version 1.0). */
export function encodeNpy({ shape, data }: NpyArray): Uint8Array {
  const kind = kindOf(data);
  const order = kind[1] === "1" ? "|" : "<";
  const text = `{'descr': '${order}${kind}', 'fortran_order': False, 'shape': (${shape.map((n) => `${n},`).join(" ")}), }`;
  // The data begin at a multiple of 64, after a newline.
  const length = Math.ceil((10 + text.length + 1) / 64) * 64;
  const bytes = new Uint8Array(length + data.byteLength);
  bytes.set(Uint8Array.from(`${MAGIC}\x01\x00`, (c) => c.charCodeAt(0)));
  new DataView(bytes.buffer).setUint16(8, length - 10, true);
  bytes.set(
    Uint8Array.from(`${text.padEnd(length - 11)}\n`, (c) => c.charCodeAt(0)),
    10,
  );
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), length);
  return bytes;
}

/** The bytes of an npz archive, compressed. */
export function encodeNpz(arrays: ReadonlyMap<string, NpyArray>): Uint8Array {
  return zipSync(Object.fromEntries([...arrays].map(([name, array]) => [`${name}.npy`, encodeNpy(array)])));
}

function kindOf(data: NumericArray): NumericKind {
  const letter = data.constructor.name.startsWith("Float") ? "f" : /Uint/.test(data.constructor.name) ? "u" : "i";
  return `${letter}${data.BYTES_PER_ELEMENT}` as NumericKind;
}

const latin = (bytes: Uint8Array): string => String.fromCharCode(...bytes);
