// Arrays of a NumPy npz archive, read where they lie: np.savez stores without compression, so a range of an array is a
// range of the file and an archive may be larger than memory. Compressed entries (np.savez_compressed) are unpacked
// whole.

import { SortieError } from "../../base/index.ts";
import { type ByteSource, NPY_HEADER_BYTES, npyHeader, zipEntries } from "../../data/index.ts";
import { bytesOf, fileSource, type StoredArray, storedArray } from "./stored-array.ts";

/** Arrays by name, each opened when it is asked for: those that nobody needs may be of any type. */
export interface StoredArrays {
  keys(): Iterable<string>;
  /** Texts come as a list. */
  get(name: string): StoredArray | readonly string[] | undefined;
}

/** The arrays of an archive. @throws DataError or Error that names the file, or the array, of another kind. */
export function npzArrays(path: string, maxBytes?: number): StoredArrays {
  const entries = zipEntries(fileSource(path), { where: path, file: path, maxBytes });
  const byName = new Map(entries.map((entry) => [entry.name.replace(/\.npy$/, ""), entry]));
  return {
    keys: () => byName.keys(),
    get(name) {
      const entry = byName.get(name);
      return entry && npyArray(`${path}/${entry.name}`, path, entry.open());
    },
  };
}

/** NumPy's letters for the dtypes of safetensors. */
const LETTERS: Readonly<Record<string, string>> = { f: "F", i: "I", u: "U" };

function npyArray(name: string, path: string, source: ByteSource): StoredArray | readonly string[] {
  const { size } = source;
  const header = npyHeader(source.read(0, Math.min(size, NPY_HEADER_BYTES)), name, path);
  const { shape, descr, type, start, bytes: expected, isLittleEndian } = header;
  const [letter = "", digits] = [type[0], type.slice(1)];
  const dtype = letter === "b" ? "BOOL" : `${LETTERS[letter]}${8 * Number(digits)}`;
  if (!isLittleEndian || (letter !== "U" && bytesOf(dtype) === undefined))
    throw new SortieError(`${name}: the type must be a little-endian number or text; got "${descr}".`);
  if (size - start !== expected)
    throw new SortieError(
      `${name}: [${shape.join(", ")}] of ${descr} must have ${expected} bytes; got ${size - start}.`,
    );
  if (letter !== "U") return storedArray(dtype, shape, (from, count) => source.read(start + from, count));
  const count = shape.reduce((a, b) => a * b, 1);
  return textArray(source.read(start, expected), count, 4 * Number(digits), name);
}

/** UTF-32 texts of equal width, padded with zeros. */
function textArray(bytes: Uint8Array, count: number, width: number, name: string): readonly string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const texts: string[] = [];
  for (let i = 0; i < count; i++) {
    let text = "";
    for (let at = i * width; at < (i + 1) * width; at += 4) {
      const code = view.getUint32(at, true);
      if (code > 0x10ffff)
        throw new SortieError(`${name}: texts must be of Unicode characters; got the number ${code}.`);
      text += String.fromCodePoint(code);
    }
    texts.push(text.replace(/\0+$/, ""));
  }
  return texts;
}
