/**
 * Arrays of a NumPy npz archive, read where they lie: np.savez stores without compression, so a range of an array is a
 * range of the file and an archive may be larger than memory. Compressed entries (np.savez_compressed) are unpacked whole.
 */

import { statSync } from "node:fs";
import { inflateSync } from "fflate";
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

/** Arrays by name. Text arrays come as lists of strings. @throws Error for another kind of file or array. */
export function npzArrays(path: string): ReadonlyMap<string, StoredArray | readonly string[]> {
  return new Map(places(path).map((place) => [place.name.replace(/\.npy$/, ""), openEntry(path, place)]));
}

/** The central directory, found from the end of the file. */
function places(path: string): readonly Place[] {
  const size = statSync(path).size;
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
    const stored = readBytes(path, start, packed);
    const whole = inflateSync(new Uint8Array(stored.buffer), { out: new Uint8Array(size) });
    bytes = (from, count) => new DataView(whole.slice(from, from + count).buffer);
  }
  return npyArray(`${path}/${name}`, bytes, size);
}

/** NumPy's letters for the dtypes of safetensors. */
const LETTERS: Readonly<Record<string, string>> = { f: "F", i: "I", u: "U" };

/** An npy file: magic, version, a Python dictionary as header, then the values. */
function npyArray(name: string, bytes: ReadBytes, size: number): StoredArray | readonly string[] {
  const fail = (must: string, got: string, hint = "") =>
    new Error(`${name}: ${must}; got ${got}.${hint && ` ${hint}`}`);
  const head = bytes(0, Math.min(size, 12));
  if (size < 12 || head.getUint32(0) !== 0x934e554d) throw fail("must be an npy file", "something else");
  const isVersion1 = head.getUint8(6) === 1;
  const begin = isVersion1 ? 10 : 12;
  const start = begin + (isVersion1 ? head.getUint16(8, true) : head.getUint32(8, true));
  const text = new TextDecoder("latin1").decode(bytes(begin, start - begin));
  const descr = /'descr':\s*'([^']*)'/.exec(text)?.[1] ?? "a structure";
  const extents = /'shape':\s*\(([^)]*)\)/.exec(text)?.[1] ?? "";
  const shape = extents.split(",").flatMap((extent) => (extent.trim() === "" ? [] : [Number(extent)]));
  if (/'fortran_order':\s*True/.test(text) && shape.length > 1) {
    throw fail("the array must be in C order", "Fortran order", "Save np.ascontiguousarray of it.");
  }
  const data: ReadBytes = (from, count) => bytes(start + from, count);
  const count = shape.reduce((a, b) => a * b, 1);
  const [, letter = "", digits = ""] = /^[<|]([fiubU])(\d+)$/.exec(descr) ?? [];
  const dtype = letter === "b" ? "BOOL" : `${LETTERS[letter]}${8 * Number(digits)}`;
  const width = letter === "U" ? 4 * Number(digits) : bytesOf(dtype);
  if (width === undefined) throw fail("the type must be a little-endian number or text", `"${descr}"`);
  if (size - start !== count * width)
    throw fail(`[${shape.join(", ")}] of ${descr} needs ${count * width} bytes`, `${size - start}`);
  return letter === "U" ? textArray(data(0, count * width), count, width) : storedArray(dtype, shape, data);
}

/** UTF-32 texts of equal width, padded with zeros. */
function textArray(view: DataView, count: number, width: number): readonly string[] {
  return Array.from({ length: count }, (_, i) => {
    const codes = Array.from({ length: width / 4 }, (_code, k) => view.getUint32(i * width + 4 * k, true));
    return String.fromCodePoint(...codes).replace(/\0+$/, "");
  });
}
