// Pictures decoded once: the first load of a folder writes them at the network's size into a file of the cache, one
// after the other, so that no more than one is in memory; later loads open that file, as long as nothing has changed.

import { cacheFolder, diskFull, isDiskFull, leftovers, type OptionValues, partOf } from "../../base/index.ts";
import type { ImageShape } from "../dataset.ts";
import { DataError } from "../errors.ts";
import { node, readBytes } from "../files.ts";
import type { FIT } from "../fit.ts";
import { decodePicture } from "./decode.ts";
import type { Listing } from "./listing.ts";
import { fitTo } from "./resize.ts";
import { indexBytes, openStore, type StoredImages, type StoreIndex } from "./store.ts";

/** How far decoding is. */
export interface DecodeProgress {
  readonly file: string;
  readonly done: number;
  readonly total: number;
}

/** What decoded pictures are made by, and where they are kept. */
export interface CacheOptions {
  readonly shape: ImageShape;
  readonly fit: OptionValues<typeof FIT>;
  /** Default: `pictures` in `cacheFolder()`. */
  readonly cache?: string | undefined;
  /** Decode all pictures, whatever is kept. */
  readonly redecode?: boolean | undefined;
  readonly onDecoded?: ((progress: DecodeProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Raised when pictures come out otherwise than before. */
const VERSION = 1;
/** Bytes that are written at once. */
const BLOCK = 1 << 20;

/** The decoded pictures of a folder, in the order of its listing. @throws DataError naming a damaged file. */
export async function decodedPictures(
  dir: string,
  listing: Listing,
  options: CacheOptions,
): Promise<{ readonly images: StoredImages; readonly digests: readonly string[] }> {
  const { shape, fit, redecode = false, cache = node("node:path").join(cacheFolder(), "pictures") } = options;
  const { resolve, basename, join } = node("node:path");
  const files = listing.files.map(({ path, bytes, changed }) => [path, bytes, changed]);
  const key = hash(JSON.stringify([VERSION, shape, fit, files]));
  // One file for each folder and size: what is outdated is replaced.
  const name = `${basename(resolve(dir))}-${hash(JSON.stringify([resolve(dir), shape, fit])).slice(0, 16)}.pixels`;
  const path = join(cache, name);
  const pixels = shape[0] * shape[1] * shape[2];
  const kept = redecode ? undefined : await openStore(path, key, pixels);
  if (!kept) await write(path, key, dir, listing, options);
  const opened = kept ?? (await openStore(path, key, pixels));
  if (opened) return { images: opened.images, digests: opened.index.digests };
  throw new DataError(`pictures: ${path} must stay as it was written; it has changed. Load again.`, { file: path });
}

const hash = (content: string | Uint8Array): string =>
  node("node:crypto").createHash("sha256").update(content).digest("hex");

async function write(path: string, key: string, dir: string, listing: Listing, options: CacheOptions): Promise<void> {
  const fs = node("node:fs/promises");
  await fs.mkdir(node("node:path").dirname(path), { recursive: true });
  for (const left of await leftovers(path)) await fs.rm(left, { force: true });
  const part = partOf(path);
  try {
    const file = await fs.open(part, "wx");
    try {
      const out = new Blocks((bytes) => file.appendFile(bytes));
      const digests: string[] = [];
      for await (const image of decoded(dir, listing, options)) {
        digests.push(hash(image).slice(0, 24));
        await out.add(image);
      }
      await out.add(indexBytes({ key, digests } satisfies StoreIndex));
      await out.end();
      await file.sync();
    } finally {
      await file.close();
    }
    await fs.rename(part, path);
  } catch (cause) {
    await fs.rm(part, { force: true });
    if (!isDiskFull(cause)) throw cause;
    throw new DataError(`pictures: ${diskFull(path, "the decoded pictures")}, or name another cache folder.`, {
      file: path,
      cause,
    });
  }
}

/** The pictures of a folder at their size, one after the other. */
async function* decoded(
  dir: string,
  { files }: Listing,
  { shape, fit, onDecoded, signal }: CacheOptions,
): AsyncGenerator<Uint8Array> {
  const [height, width, channels] = shape;
  for (const [i, { path }] of files.entries()) {
    signal?.throwIfAborted();
    const file = `${dir}/${path}`;
    const picture = await decodePicture(await readBytes(file), { file, channels: channels as 1 | 3 });
    yield fitTo(picture, [height, width], fit).data;
    onDecoded?.({ file, done: i + 1, total: files.length });
  }
}

/** Collects bytes into larger blocks. */
class Blocks {
  readonly #write: (bytes: Uint8Array) => Promise<void>;
  #waiting: Uint8Array[] = [];
  #size = 0;

  constructor(write: (bytes: Uint8Array) => Promise<void>) {
    this.#write = write;
  }

  async add(bytes: Uint8Array): Promise<void> {
    this.#waiting.push(bytes);
    this.#size += bytes.length;
    if (this.#size >= BLOCK) await this.end();
  }

  async end(): Promise<void> {
    const block = new Uint8Array(this.#size);
    let at = 0;
    for (const bytes of this.#waiting) {
      block.set(bytes, at);
      at += bytes.length;
    }
    this.#waiting = [];
    this.#size = 0;
    await this.#write(block);
  }
}
