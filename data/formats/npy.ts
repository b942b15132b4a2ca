// NumPy's files: npy, one array behind a header written as a Python dictionary, and npz, a zip archive of them.

import { zipSync } from "fflate";
import { DataError, ensure, readOptions } from "../errors.ts";
import { type NumericArray, type NumericKind, toNumbers } from "./bytes.ts";
import { UNPACK, type UnpackOptions } from "./unpack.ts";
import { memorySource, zipEntries } from "./zip.ts";

/** A numeric array in C order. */
export interface NpyArray {
  readonly shape: readonly number[];
  readonly data: NumericArray;
}

const MAGIC = "\x93NUMPY";

/** A header of version 1 ends within so many bytes; a longer one of a later version is an attack or not a header. */
export const NPY_HEADER_BYTES = 10 + 0xffff;

/** What the header of an npy file says. */
export interface NpyHeader {
  readonly shape: readonly number[];
  /** As it stands there: `<f4`. */
  readonly descr: string;
  /** NumPy's letter and number, without the byte order: `f4`. */
  readonly type: string;
  readonly isLittleEndian: boolean;
  /** Where the values begin, and how many bytes they take. */
  readonly start: number;
  readonly bytes: number;
}

/**
 * Reads the header from the first bytes of an npy file; `where` begins the messages.
 * @throws DataError for another kind of file, a structured type, Fortran order, or a malformed shape.
 */
export function npyHeader(first: Uint8Array, where: string, file?: string): NpyHeader {
  const fail = (must: string, got: string): DataError => new DataError(`${where}: ${must}; got ${got}.`, { file });
  if (first.length < 12 || ascii(first.subarray(0, 6)) !== "?NUMPY" || first[0] !== 0x93) {
    throw fail("the file must begin with the npy magic", `"${ascii(first.subarray(0, 6))}"`);
  }
  if (first[6]! < 1 || first[6]! > 3) throw fail("the version must be 1, 2 or 3", `${first[6]}`);
  const view = new DataView(first.buffer, first.byteOffset, first.byteLength);
  const begin = first[6] === 1 ? 10 : 12;
  const start = begin + (begin === 10 ? view.getUint16(8, true) : view.getUint32(8, true));
  if (start > NPY_HEADER_BYTES) throw fail(`the header must end within ${NPY_HEADER_BYTES} bytes`, `${start}`);
  if (start > first.length) throw fail(`the header must have ${start} bytes`, `${first.length}`);
  const header = ascii(first.subarray(begin, start));
  const descr = /'descr':\s*'([^']*)'/.exec(header)?.[1];
  const extents = /'shape':\s*\(((?:[^()]|\([^()]*\))*)\)/.exec(header)?.[1];
  if (descr === undefined || extents === undefined)
    throw fail("the header must name descr and shape", `"${header.trim().slice(0, 80)}"`);
  const [, order, letter, digits] = /^([<>|=])([a-zA-Z])(\d{1,9})$/.exec(descr) ?? [];
  if (!letter) throw fail("the type must be a plain one", `"${descr.slice(0, 40)}"`);
  const shape = extentsOf(extents);
  if (!shape) throw fail("the shape must be a list of non-negative integers", `(${extents.slice(0, 60)})`);
  if (/'fortran_order':\s*True/.test(header) && shape.length > 1) {
    throw fail("the array must be in C order", "Fortran order. Save np.ascontiguousarray of it");
  }
  // Of texts the number counts characters of four bytes.
  const width = Number(digits) * (letter === "U" ? 4 : 1);
  if (width === 0) throw fail("a value must take a byte at least", `"${descr}"`);
  const bytes = shape.reduce((product, extent) => product * extent, 1) * width;
  return { shape, descr, type: `${letter}${digits}`, isLittleEndian: order !== ">", start, bytes };
}

/** Python writes `3`, Python 2 on Windows `3L`, and some writers the call of a NumPy type: `np.int64(3)`. */
function extentsOf(tuple: string): number[] | undefined {
  const texts = tuple.split(",").map((text) => text.trim());
  if (texts.at(-1) === "") texts.pop();
  const shape = texts.map((text) =>
    Number(/^(?:(?:np|numpy)\.\w+\(\s*(\d+)\s*\)|(\d+)L?)$/.exec(text)?.slice(1).join("") ?? Number.NaN),
  );
  return shape.length <= 64 && shape.every(Number.isSafeInteger) ? shape : undefined;
}

/**
 * Decodes an npy file of integers, floats or booleans (as bytes).
 * @throws DataError naming `file` for another type, Fortran order, or a length that does not fit the shape.
 */
export function decodeNpy(bytes: Uint8Array, file: string): NpyArray {
  const where = `decodeNpy: ${file}`;
  const { shape, descr, type, isLittleEndian, start, bytes: expected } = npyHeader(bytes, where);
  ensure(
    /^([ui][1248]|f[48]|b1)$/.test(type),
    () => `${where}: the type must be an integer, f4, f8 or b1; got "${descr}".`,
    { file },
  );
  ensure(
    bytes.length - start === expected,
    () => `${where}: [${shape.join(", ")}] of ${descr} must have ${expected} bytes; got ${bytes.length - start}.`,
    { file },
  );
  const kind = (type === "b1" ? "u1" : type) as NumericKind;
  return { shape, data: toNumbers(bytes.subarray(start), kind, isLittleEndian) };
}

/** The arrays of an npz archive, each decoded when it is asked for: those of no use here may be of any type. */
export interface NpzArchive {
  readonly names: readonly string[];
  /** @throws DataError naming the file and the array. */
  get(name: string): NpyArray;
}

/** Opens the bytes of an npz archive. @throws DataError naming `file` if they are none. */
export function openNpz(bytes: Uint8Array, file: string, options: UnpackOptions = {}): NpzArchive {
  const { maxBytes } = readOptions("openNpz", options, UNPACK);
  const entries = zipEntries(memorySource(bytes), { where: `openNpz: ${file}`, file, maxBytes });
  const names = entries.map(({ name }) => name.replace(/\.npy$/, ""));
  return {
    names,
    get(name) {
      const entry = entries[names.indexOf(name)];
      if (entry) return decodeNpy(entry.all(), `${file}/${entry.name}`);
      throw new DataError(`openNpz: ${file} must have the array "${name}"; got ${names.join(", ") || "none"}.`, {
        file,
      });
    },
  };
}

/**
 * The bytes of an npy file (version 1.0).
 *
 * @example
 * ```ts
 * import { decodeNpy, encodeNpy } from "sortie/data";
 *
 * const bytes = encodeNpy({ shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) }); // as np.save writes them
 * console.log(decodeNpy(bytes, "x.npy").shape); // [2, 2]
 * ```
 */
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

/** Bytes as text: a line break as a space, and what else is not printable as a question mark. */
function ascii(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte === 10 ? " " : byte >= 32 && byte < 127 ? String.fromCharCode(byte) : "?";
  return text;
}
