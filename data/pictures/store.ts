// Decoded pictures in a file: all of one size, one after the other, with what is known of each behind them. They are
// read where they lie, so that a set need not fit into memory.

import { type ImageBytes, take } from "../../base/index.ts";
import { DataError } from "../errors.ts";
import { node } from "../files.ts";

/** A file that is closed when nobody reads it any more. */
class OpenStore {
  readonly fd: number;
  readonly path: string;

  constructor(fd: number, path: string) {
    this.fd = fd;
    this.path = path;
    CLOSING.register(this, fd);
  }
}

const CLOSING = new FinalizationRegistry<number>((fd) => node("node:fs").closeSync(fd));

/** Reads from `at` on until `bytes` is full or the file ends; how many were read. A system may give fewer at a time. */
function readAt(fd: number, bytes: Uint8Array, at: number): number {
  const { readSync } = node("node:fs");
  let done = 0;
  for (let n = 1; n > 0 && done < bytes.length; done += n)
    n = readSync(fd, bytes, done, bytes.length - done, at + done);
  return done;
}

/** Some rows of a file of images, each `pixels` bytes. */
export class StoredImages implements ImageBytes {
  readonly length: number;
  readonly #store: OpenStore;
  readonly #pixels: number;
  readonly #rows: Int32Array;

  /** @internal */
  constructor(store: OpenStore, pixels: number, rows: Int32Array) {
    this.#store = store;
    this.#pixels = pixels;
    this.#rows = rows;
    this.length = rows.length * pixels;
  }

  /** @throws DataError for a file that has been cut since it was opened. */
  subarray(start: number, end: number): Uint8Array {
    const [first, last] = [start / this.#pixels, end / this.#pixels];
    const { fd, path } = this.#store;
    const bytes = new Uint8Array(end - start);
    for (let i = first; i < last; ) {
      // Rows that are neighbours in the file too are read at once.
      let n = 1;
      while (i + n < last && this.#rows[i + n] === this.#rows[i]! + n) n++;
      const rows = bytes.subarray((i - first) * this.#pixels, (i - first + n) * this.#pixels);
      const read = readAt(fd, rows, this.#rows[i]! * this.#pixels);
      if (read < rows.length) {
        const fault = `must stay as it was written; got ${read} of ${rows.length} bytes. Load again.`;
        throw new DataError(`pictures: ${path} ${fault}`, { file: path });
      }
      i += n;
    }
    return bytes;
  }

  /** The images at `indices`, in that order. */
  pick(indices: Int32Array): StoredImages {
    return new StoredImages(this.#store, this.#pixels, Int32Array.from(take(this.#rows, indices)));
  }
}

/** What is known of the pictures of a file. */
export interface StoreIndex {
  /** Of everything that decided what is in it. */
  readonly key: string;
  /** Of each picture's bytes: equal ones are the same picture. */
  readonly digests: readonly string[];
}

/** At the end of a file: the length of the index, and what it is. */
const TRAILER = 12;
const MAGIC = "sortiepx";

/** The images of a file, and its index, if it is whole and has this key. */
export async function openStore(
  path: string,
  key: string,
  pixels: number,
): Promise<{ readonly images: StoredImages; readonly index: StoreIndex } | undefined> {
  const { openSync, closeSync } = node("node:fs");
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch {
    return undefined;
  }
  let isKept = false;
  try {
    const index = readIndex(fd, key, pixels);
    if (!index) return undefined;
    isKept = true;
    const rows = Int32Array.from(index.digests, (_, row) => row);
    return { images: new StoredImages(new OpenStore(fd, path), pixels, rows), index };
  } finally {
    if (!isKept) closeSync(fd);
  }
}

/** The index of an open file, if that is whole and has this key: what damage leaves is none. */
function readIndex(fd: number, key: string, pixels: number): StoreIndex | undefined {
  const { size } = node("node:fs").fstatSync(fd);
  const read = (length: number, at: number) => {
    const bytes = new Uint8Array(Math.max(0, length));
    return bytes.subarray(0, at >= 0 ? readAt(fd, bytes, at) : 0);
  };
  const end = read(TRAILER, size - TRAILER);
  if (end.length < TRAILER || new TextDecoder().decode(end.subarray(4)) !== MAGIC) return undefined;
  const length = new DataView(end.buffer).getUint32(0, true);
  const start = size - TRAILER - length;
  if (start < 0) return undefined;
  try {
    const index = JSON.parse(new TextDecoder().decode(read(length, start))) as Partial<StoreIndex> | null;
    const { digests } = index ?? {};
    const isWhole = index?.key === key && Array.isArray(digests) && digests.length * pixels === start;
    return isWhole ? { key, digests } : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** What stands behind the pictures of a file. */
export function indexBytes(index: StoreIndex): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(index));
  const bytes = new Uint8Array(text.length + TRAILER);
  bytes.set(text);
  new DataView(bytes.buffer).setUint32(text.length, text.length, true);
  bytes.set(new TextEncoder().encode(MAGIC), text.length + 4);
  return bytes;
}
