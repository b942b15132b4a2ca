// Decoded pictures in a file: all of one size, one after the other, with what is known of each behind them. They are
// read where they lie, so that a set need not fit into memory.

import { type ImageBytes, take } from "../../base/index.ts";
import { node } from "../files.ts";

/** A file that is closed when nobody reads it any more. */
class OpenStore {
  readonly fd: number;

  constructor(fd: number) {
    this.fd = fd;
    CLOSING.register(this, fd);
  }
}

const CLOSING = new FinalizationRegistry<number>((fd) => node("node:fs").closeSync(fd));

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

  subarray(start: number, end: number): Uint8Array {
    const [first, last] = [start / this.#pixels, end / this.#pixels];
    const { readSync } = node("node:fs");
    const bytes = new Uint8Array(end - start);
    for (let i = first; i < last; ) {
      // Rows that are neighbours in the file too are read at once.
      let n = 1;
      while (i + n < last && this.#rows[i + n] === this.#rows[i]! + n) n++;
      readSync(this.#store.fd, bytes, (i - first) * this.#pixels, n * this.#pixels, this.#rows[i]! * this.#pixels);
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
  const { openSync, closeSync, fstatSync, readSync } = node("node:fs");
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch {
    return undefined;
  }
  const { size } = fstatSync(fd);
  const read = (length: number, at: number) => {
    const bytes = new Uint8Array(Math.max(0, length));
    if (at >= 0) readSync(fd, bytes, 0, bytes.length, at);
    return bytes;
  };
  const end = read(TRAILER, size - TRAILER);
  const length = new DataView(end.buffer).getUint32(0, true);
  const start = size - TRAILER - length;
  const isWhole = new TextDecoder().decode(end.subarray(4)) === MAGIC && start >= 0;
  const index = isWhole ? (JSON.parse(new TextDecoder().decode(read(length, start))) as StoreIndex) : undefined;
  if (index?.key !== key || index.digests.length * pixels !== start) {
    closeSync(fd);
    return undefined;
  }
  const rows = Int32Array.from(index.digests, (_, row) => row);
  return { images: new StoredImages(new OpenStore(fd), pixels, rows), index };
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
