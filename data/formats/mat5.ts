// MATLAB level 5 MAT files: a 128-byte header, then elements of a type, a byte count and data padded to 8 bytes. An
// element is a matrix, or a zlib-compressed one; a matrix is made of elements: flags, extents, name, values. Values lie
// column-major.

import { DataError, readOptions } from "../errors.ts";
import { type NumericArray, type NumericKind, toNumbers, widthOf } from "./bytes.ts";
import { UNPACK, type UnpackOptions, unzlib } from "./unpack.ts";

/** A numeric matrix; the first extent runs fastest. */
export interface MatArray {
  readonly shape: readonly number[];
  readonly data: NumericArray;
}

/** Storage types of elements, by their number in the file. */
const KINDS: Readonly<Record<number, NumericKind>> = {
  1: "i1",
  2: "u1",
  3: "i2",
  4: "u2",
  5: "i4",
  6: "u4",
  7: "f4",
  9: "f8",
  12: "i8",
  13: "u8",
};
const INT32 = 5;
const UINT32 = 6;
const MATRIX = 14;
const COMPRESSED = 15;
/** Matrix classes below this number (cell, struct, object, char, sparse) hold no plain numbers. */
const FIRST_NUMERIC_CLASS = 6;
const COMPLEX_FLAG = 0x800;
const HEADER_BYTES = 128;
/** MATLAB's own limit is 63. */
const LONGEST_NAME = 4096;

interface Element {
  readonly type: number;
  readonly data: Uint8Array;
  /** Where the next element begins. */
  readonly next: number;
}

/**
 * Decodes the real numeric matrices of a MAT file by name; matrices of other classes are passed over.
 * @throws DataError naming `file` if it is no level 5 file (level 7.3 is HDF5), is cut off, or holds more than
 * `maxBytes`.
 */
export async function decodeMat5(
  bytes: Uint8Array,
  file: string,
  options: UnpackOptions = {},
): Promise<Map<string, MatArray>> {
  readOptions("decodeMat5", options, UNPACK);
  const mark = String.fromCharCode(...bytes.subarray(126, HEADER_BYTES));
  if (mark !== "IM" && mark !== "MI") {
    const got = bytes.length < HEADER_BYTES ? `${bytes.length} bytes` : `byte order mark "${printable(mark)}"`;
    throw new DataError(`decodeMat5: ${file} must begin with the header of a level 5 MAT file; got ${got}.`, { file });
  }
  const reader = new ElementReader(file, mark === "IM");
  const version = reader.view(bytes).getUint16(124, reader.isLittle);
  if (version !== 0x0100) {
    const hint = version === 0x0200 ? " Save it with -v7." : "";
    throw new DataError(`decodeMat5: ${file}: the version must be 0x100; got 0x${version.toString(16)}.${hint}`, {
      file,
    });
  }
  const arrays = new Map<string, MatArray>();
  for (let at = HEADER_BYTES; at < bytes.length; ) {
    const element = reader.element(bytes, at);
    at = element.next;
    const inner =
      element.type === COMPRESSED
        ? reader.element(unzlib(element.data, `decodeMat5: ${file}`, file, options), 0)
        : element;
    const named = inner.type === MATRIX ? reader.matrix(inner.data) : undefined;
    if (named) arrays.set(named.name, named);
  }
  return arrays;
}

/** The matrix called `name`. @throws DataError naming the file and the matrices it has. */
export function matArray(arrays: ReadonlyMap<string, MatArray>, name: string, file: string): MatArray {
  const array = arrays.get(name);
  if (array) return array;
  throw new DataError(
    `decodeMat5: ${file} must have the matrix "${name}"; got ${[...arrays.keys()].join(", ") || "none"}.`,
    { file },
  );
}

class ElementReader {
  readonly isLittle: boolean;
  readonly #file: string;

  constructor(file: string, isLittle: boolean) {
    this.#file = file;
    this.isLittle = isLittle;
  }

  view(bytes: Uint8Array): DataView {
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  element(bytes: Uint8Array, at: number): Element {
    if (at + 8 > bytes.length) throw this.#cutOff(at, 8, bytes.length);
    const view = this.view(bytes);
    const type = view.getUint32(at, this.isLittle);
    // A small element packs its count into the upper half of the type and its data into the next four bytes.
    const smallCount = type >>> 16;
    const count = smallCount || view.getUint32(at + 4, this.isLittle);
    const start = smallCount ? at + 4 : at + 8;
    if (start + count > bytes.length) throw this.#cutOff(start, count, bytes.length);
    const isPadded = !smallCount && type !== COMPRESSED;
    const next = smallCount ? at + 8 : start + (isPadded ? Math.ceil(count / 8) * 8 : count);
    return { type: type & 0xffff, data: bytes.subarray(start, start + count), next };
  }

  /** A real numeric matrix, or undefined for another class. */
  matrix(bytes: Uint8Array): (MatArray & { readonly name: string }) | undefined {
    const flags = this.element(bytes, 0);
    if (flags.type !== UINT32 || flags.data.length < 8) {
      throw this.#fail("a matrix must begin with 8 bytes of flags", `${flags.data.length} of type ${flags.type}`);
    }
    const word = this.view(flags.data).getUint32(0, this.isLittle);
    if ((word & 0xff) < FIRST_NUMERIC_CLASS || word & COMPLEX_FLAG) return undefined;
    const extents = this.element(bytes, flags.next);
    const title = this.element(bytes, extents.next);
    const values = this.element(bytes, title.next);
    if (title.data.length > LONGEST_NAME) {
      throw this.#fail(`a name must have at most ${LONGEST_NAME} bytes`, `${title.data.length}`);
    }
    const name = printable(String.fromCharCode(...title.data));
    if (extents.type !== INT32 || extents.data.length % 4 !== 0) {
      throw this.#fail(
        `${name}: extents must be 32-bit integers`,
        `${extents.data.length} bytes of type ${extents.type}`,
      );
    }
    const shape = Array.from(toNumbers(extents.data, "i4", this.isLittle), Number);
    if (shape.some((extent) => extent < 0)) {
      throw this.#fail(`${name}: extents must not be negative`, `[${shape.slice(0, 8).join(", ")}]`);
    }
    const kind = KINDS[values.type];
    if (!kind) throw this.#fail(`${name}: values must be of a numeric type`, `type ${values.type}`);
    const size = shape.reduce((product, extent) => product * extent, 1);
    if (values.data.length !== size * widthOf(kind)) {
      throw this.#fail(
        `${name}: [${shape.join(", ")}] must have ${size * widthOf(kind)} bytes`,
        `${values.data.length}`,
      );
    }
    return { name, shape, data: toNumbers(values.data, kind, this.isLittle) };
  }

  #cutOff(at: number, count: number, length: number): DataError {
    return this.#fail(`${count} bytes must follow at ${at}`, `${Math.max(0, length - at)}`);
  }

  #fail(must: string, got: string): DataError {
    return new DataError(`decodeMat5: ${this.#file}: ${must}; got ${got}.`, { file: this.#file });
  }
}

const printable = (text: string): string => text.replace(/[^ -~]/g, "?");
