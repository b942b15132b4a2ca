// NumPy's files: npy, one array behind a header written as a Python dictionary, and npz, a zip archive of them.

import { unzipSync, zipSync } from "fflate";
import { DataError, ensure } from "../errors.ts";
import { type NumericArray, type NumericKind, toNumbers } from "./bytes.ts";

/** A numeric array in C order. */
export interface NpyArray {
  readonly shape: readonly number[];
  readonly data: NumericArray;
}

const MAGIC = "\x93NUMPY";

/** A header of version 1 ends within so many bytes. */
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
 * @throws DataError for another kind of file, a structured type, or Fortran order.
 */
export function npyHeader(first: Uint8Array, where: string): NpyHeader {
  const fail = (must: string, got: string): DataError => new DataError(`${where}: ${must}; got ${got}.`);
  if (first.length < 12 || latin(first.subarray(0, 6)) !== MAGIC) {
    throw fail("the file must begin with the npy magic", `"${latin(first.subarray(0, 6)).replace(/[^ -~]/g, "?")}"`);
  }
  const view = new DataView(first.buffer, first.byteOffset, first.byteLength);
  const begin = first[6] === 1 ? 10 : 12;
  const start = begin + (begin === 10 ? view.getUint16(8, true) : view.getUint32(8, true));
  const header = latin(first.subarray(begin, start));
  const descr = /'descr':\s*'([^']*)'/.exec(header)?.[1];
  const extents = /'shape':\s*\(([^)]*)\)/.exec(header)?.[1];
  if (descr === undefined || extents === undefined)
    throw fail("the header must name descr and shape", `"${header.trim().slice(0, 80)}"`);
  const [, order, letter, digits] = /^([<>|=])([a-zA-Z])(\d+)$/.exec(descr) ?? [];
  if (!letter) throw fail("the type must be a plain one", `"${descr}"`);
  const shape = extents.split(",").flatMap((text) => (text.trim() === "" ? [] : [Number(text)]));
  if (/'fortran_order':\s*True/.test(header) && shape.length > 1) {
    throw fail("the array must be in C order", "Fortran order. Save np.ascontiguousarray of it");
  }
  // Of texts the number counts characters of four bytes.
  const width = Number(digits) * (letter === "U" ? 4 : 1);
  const bytes = shape.reduce((product, extent) => product * extent, 1) * width;
  return { shape, descr, type: `${letter}${digits}`, isLittleEndian: order !== ">", start, bytes };
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
export function openNpz(bytes: Uint8Array, file: string): NpzArchive {
  const unzip = (filter: (name: string) => boolean): Record<string, Uint8Array> => {
    try {
      return unzipSync(bytes, { filter: ({ name }) => filter(name) });
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new DataError(`openNpz: ${file} must be an intact npz archive; got "${why}".`, { file, cause });
    }
  };
  const entries: string[] = [];
  unzip((entry) => {
    entries.push(entry);
    return false;
  });
  const names = entries.map((entry) => entry.replace(/\.npy$/, ""));
  return {
    names,
    get(name) {
      const entry = entries[names.indexOf(name)];
      const content = entry === undefined ? undefined : unzip((each) => each === entry)[entry];
      if (content) return decodeNpy(content, `${file}/${entry}`);
      throw new DataError(`openNpz: ${file} must have the array "${name}"; got ${names.join(", ") || "none"}.`, {
        file,
      });
    },
  };
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
