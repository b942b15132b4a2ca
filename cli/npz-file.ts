/**
 * Arrays of a NumPy npz archive, read where they lie: np.savez stores without compression, so a range of an array is a
 * range of the file and an archive may be larger than memory. Compressed entries (np.savez_compressed) are unpacked whole.
 */

import { inflateSync } from "fflate";
import { NPY_HEADER_BYTES, npyHeader } from "../data/index.ts";
import { sizeOf } from "./files.ts";
import { bytesOf, type ReadBytes, readBytes, type StoredArray, storedArray } from "./stored-array.ts";

/** Where an entry of the archive lies. */
interface Place {
  readonly name: string;
  readonly isCompressed: boolean;
  readonly at: number;
  readonly packed: number;
  readonly size: number;
}

const END = 0x06054b50;
const END_64 = 0x06064b50;
const CENTRAL = 0x02014b50;
/** Says that the true number stands in the zip64 field. */
const ELSEWHERE = 0xffffffff;

/** Arrays by name, each opened when it is asked for: those that nobody needs may be of any type. */
export interface StoredArrays {
  keys(): Iterable<string>;
  /** Texts come as a list. */
  get(name: string): StoredArray | readonly string[] | undefined;
}

/** The arrays of an archive. @throws Error that names the file, or the array, of another kind. */
export function npzArrays(path: string): StoredArrays {
  const entries = new Map(placesOrFault(path).map((place) => [place.name.replace(/\.npy$/, ""), place]));
  return {
    keys: () => entries.keys(),
    get(name) {
      const place = entries.get(name);
      return place && openEntry(path, place);
    },
  };
}

/** Damage shows as numbers that lead out of the file. */
function placesOrFault(path: string): readonly Place[] {
  try {
    return places(path);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new Error(`${path}: must be an intact npz archive; got a damaged zip directory.`, { cause });
  }
}

/** The central directory, found from the end of the file. */
function places(path: string): readonly Place[] {
  const size = sizeOf(path);
  const tail = readBytes(path, Math.max(0, size - 65_557), Math.min(size, 65_557));
  let end = tail.byteLength - 22;
  while (end >= 0 && tail.getUint32(end, true) !== END) end--;
  if (end < 0) throw new Error(`${path}: must be an npz archive; got a file without a zip directory.`);
  let directory = { at: tail.getUint32(end + 16, true), bytes: tail.getUint32(end + 12, true) };
  if (directory.at === ELSEWHERE || directory.bytes === ELSEWHERE) {
    const end64 = readBytes(path, Number(tail.getBigUint64(end - 20 + 8, true)), 56);
    if (end64.getUint32(0, true) !== END_64) throw new Error(`${path}: the zip64 directory is damaged.`);
    directory = { at: Number(end64.getBigUint64(48, true)), bytes: Number(end64.getBigUint64(40, true)) };
  }
  const view = readBytes(path, directory.at, directory.bytes);
  const found: Place[] = [];
  for (let at = 0; at + 46 <= view.byteLength && view.getUint32(at, true) === CENTRAL; ) {
    const lengths = [28, 30, 32].map((offset) => view.getUint16(at + offset, true)) as [number, number, number];
    found.push(placeOf(view, at, lengths));
    at += 46 + lengths[0] + lengths[1] + lengths[2];
  }
  return found;
}

function placeOf(view: DataView, at: number, [nameLength, extraLength]: readonly number[]): Place {
  const name = new TextDecoder().decode(new Uint8Array(view.buffer, view.byteOffset + at + 46, nameLength));
  let extra = at + 46 + nameLength!;
  const extraEnd = extra + extraLength!;
  while (extra < extraEnd && view.getUint16(extra, true) !== 1) extra += 4 + view.getUint16(extra + 2, true);
  extra += 4;
  // size, packed size and offset; each moves to the zip64 field if it does not fit
  const [size, packed, offset] = [24, 20, 42].map((field) => {
    const value = view.getUint32(at + field, true);
    if (value !== ELSEWHERE) return value;
    extra += 8;
    return Number(view.getBigUint64(extra - 8, true));
  }) as [number, number, number];
  return { name, isCompressed: view.getUint16(at + 10, true) !== 0, at: offset, packed, size };
}

function openEntry(path: string, { name, isCompressed, at, packed, size }: Place): StoredArray | readonly string[] {
  const local = readBytes(path, at, 30);
  const start = at + 30 + local.getUint16(26, true) + local.getUint16(28, true);
  let bytes: ReadBytes = (from, count) => readBytes(path, start + from, count);
  if (isCompressed) {
    const whole = inflateEntry(`${path}/${name}`, readBytes(path, start, packed), size);
    bytes = (from, count) => new DataView(whole.slice(from, from + count).buffer);
  }
  return npyArray(`${path}/${name}`, bytes, size);
}

function inflateEntry(name: string, stored: DataView, size: number): Uint8Array<ArrayBuffer> {
  try {
    return inflateSync(new Uint8Array(stored.buffer), { out: new Uint8Array(size) });
  } catch (cause) {
    throw new Error(`${name}: must be intact compressed data; got "${(cause as Error).message}".`, { cause });
  }
}

/** NumPy's letters for the dtypes of safetensors. */
const LETTERS: Readonly<Record<string, string>> = { f: "F", i: "I", u: "U" };

function npyArray(name: string, bytes: ReadBytes, size: number): StoredArray | readonly string[] {
  const head = bytes(0, Math.min(size, NPY_HEADER_BYTES));
  const header = npyHeader(new Uint8Array(head.buffer, head.byteOffset, head.byteLength), name);
  const { shape, descr, type, start, bytes: expected, isLittleEndian } = header;
  const [letter = "", digits] = [type[0], type.slice(1)];
  const dtype = letter === "b" ? "BOOL" : `${LETTERS[letter]}${8 * Number(digits)}`;
  if (!isLittleEndian || (letter !== "U" && bytesOf(dtype) === undefined))
    throw new Error(`${name}: the type must be a little-endian number or text; got "${descr}".`);
  if (size - start !== expected)
    throw new Error(`${name}: [${shape.join(", ")}] of ${descr} must have ${expected} bytes; got ${size - start}.`);
  const data: ReadBytes = (from, count) => bytes(start + from, count);
  if (letter !== "U") return storedArray(dtype, shape, data);
  return textArray(
    data(0, expected),
    shape.reduce((a, b) => a * b, 1),
    4 * Number(digits),
  );
}

/** UTF-32 texts of equal width, padded with zeros. */
function textArray(view: DataView, count: number, width: number): readonly string[] {
  return Array.from({ length: count }, (_, i) => {
    const codes = Array.from({ length: width / 4 }, (_code, k) => view.getUint32(i * width + 4 * k, true));
    return String.fromCodePoint(...codes).replace(/\0+$/, "");
  });
}
