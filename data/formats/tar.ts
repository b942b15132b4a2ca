// Reads tar archives entry by entry from a stream of chunks, so that an archive larger than memory can be read.

import { DataError } from "../errors.ts";

/** A regular file of an archive. */
export interface TarEntry {
  readonly name: string;
  readonly content: Uint8Array;
}

const BLOCK = 512;
const GNU_LONG_NAME = "L";
const PAX_HEADER = "x";

/**
 * The regular files of an archive (ustar, with the long names of GNU tar and pax), in order.
 * @throws DataError naming `file` if a header's checksum is wrong or the archive ends within an entry.
 */
export async function* readTar(
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  file: string,
): AsyncGenerator<TarEntry> {
  const source = new ByteSource(chunks);
  let longName: string | undefined;
  for (;;) {
    const header = await source.take(BLOCK);
    // Two empty blocks end an archive; some writers leave them out.
    if (!header || header.every((byte) => byte === 0)) return;
    if (sumOf(header) !== octal(header, 148, 8)) {
      throw new DataError(
        `readTar: ${file}: a header must have the checksum ${octal(header, 148, 8)}; got ${sumOf(header)}.`,
        { file },
      );
    }
    const size = octal(header, 124, 12);
    const kind = String.fromCharCode(header[156]!);
    const content = await source.take(size);
    if (!content || (await source.take(-size & (BLOCK - 1))) === undefined) {
      throw new DataError(
        `readTar: ${file}: the entry ${text(header, 0, 100)} must have ${size} bytes; got the end of the archive.`,
        { file },
      );
    }
    if (kind === GNU_LONG_NAME) longName = text(content, 0, content.length);
    else if (kind === PAX_HEADER) longName = /\d+ path=([^\n]*)\n/.exec(new TextDecoder().decode(content))?.[1];
    else {
      const prefix = text(header, 257, 5) === "ustar" ? text(header, 345, 155) : "";
      const name = longName ?? (prefix ? `${prefix}/${text(header, 0, 100)}` : text(header, 0, 100));
      longName = undefined;
      if (kind === "0" || kind === "\0") yield { name, content };
    }
  }
}

/** Cuts a stream of chunks to the lengths asked for. */
class ByteSource {
  readonly #chunks: AsyncIterator<Uint8Array> | Iterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>) {
    this.#chunks = Symbol.asyncIterator in chunks ? chunks[Symbol.asyncIterator]() : chunks[Symbol.iterator]();
  }

  /** The next `count` bytes, or undefined if the stream ends before. */
  async take(count: number): Promise<Uint8Array | undefined> {
    const taken = new Uint8Array(count);
    for (let filled = 0; filled < count; ) {
      if (this.#rest.length === 0) {
        const { done, value } = await this.#chunks.next();
        if (done) return undefined;
        this.#rest = value;
      }
      const part = this.#rest.subarray(0, count - filled);
      taken.set(part, filled);
      filled += part.length;
      this.#rest = this.#rest.subarray(part.length);
    }
    return taken;
  }
}

/** The sum of a header's bytes, with the checksum field itself read as spaces. */
function sumOf(header: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? 32 : header[i]!;
  return sum;
}

const octal = (bytes: Uint8Array, at: number, length: number): number =>
  Number.parseInt(text(bytes, at, length).trim() || "0", 8);

function text(bytes: Uint8Array, at: number, length: number): string {
  const field = bytes.subarray(at, at + length);
  const end = field.indexOf(0);
  return new TextDecoder().decode(end < 0 ? field : field.subarray(0, end));
}
