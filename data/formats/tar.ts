// Reads tar archives entry by entry from a stream of chunks, so that an archive larger than memory can be read.

import { DataError } from "../errors.ts";
import { bytesFor, type UnpackOptions, unpackLimit } from "./unpack.ts";

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
 * @throws DataError naming `file` if a header's checksum or size is wrong, an entry has more than `maxBytes` (default 4
 *   GiB), or the archive ends within one.
 */
export async function* readTar(
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  file: string,
  { maxBytes = unpackLimit(Number.POSITIVE_INFINITY) }: UnpackOptions = {},
): AsyncGenerator<TarEntry> {
  const source = new ByteSource(chunks, file);
  try {
    yield* entriesOf(source, file, maxBytes);
  } finally {
    // An archive may end before its file does: whoever reads that must let go of it.
    await source.close();
  }
}

async function* entriesOf(source: ByteSource, file: string, maxBytes: number): AsyncGenerator<TarEntry> {
  let longName: string | undefined;
  let longSize: number | undefined;
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
    const size = longSize ?? sizeIn(header);
    longSize = undefined;
    const entry = `the entry ${printable(text(header, 0, 100))}`;
    if (!(Number.isSafeInteger(size) && size >= 0 && size <= maxBytes)) {
      const got = Number.isNaN(size) ? `"${printable(text(header, 124, 12))}"` : size;
      throw new DataError(`readTar: ${file}: ${entry} must have a size of 0 to ${maxBytes} bytes; got ${got}.`, {
        file,
      });
    }
    const kind = String.fromCharCode(header[156]!);
    const content = await source.take(size);
    if (!content || (await source.take(-size & (BLOCK - 1))) === undefined) {
      throw new DataError(`readTar: ${file}: ${entry} must have ${size} bytes; got the end of the archive.`, { file });
    }
    if (kind === GNU_LONG_NAME) longName = text(content, 0, content.length);
    else if (kind === PAX_HEADER) {
      const records = new TextDecoder().decode(content);
      longName = /^\d+ path=([^\n]*)\n/m.exec(records)?.[1] ?? longName;
      const given = /^\d+ size=([^\n]*)\n/m.exec(records)?.[1];
      if (given !== undefined) longSize = /^\d+$/.test(given) ? Number(given) : Number.NaN;
    } else {
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
  readonly #file: string;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>, file: string) {
    this.#chunks = Symbol.asyncIterator in chunks ? chunks[Symbol.asyncIterator]() : chunks[Symbol.iterator]();
    this.#file = file;
  }

  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  /**
   * The next `count` bytes, or undefined if the stream ends before. Nothing is allocated for bytes that do not come.
   */
  async take(count: number): Promise<Uint8Array | undefined> {
    const parts: Uint8Array[] = [];
    for (let missing = count; missing > 0; ) {
      if (this.#rest.length === 0) {
        const { done, value } = await this.#chunks.next();
        if (done) return undefined;
        this.#rest = value;
      }
      const part = this.#rest.subarray(0, missing);
      parts.push(part);
      missing -= part.length;
      this.#rest = this.#rest.subarray(part.length);
    }
    const taken = bytesFor(count, this.#file);
    let at = 0;
    for (const part of parts) {
      taken.set(part, at);
      at += part.length;
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

/** NaN for a field that is no octal number; an empty one is 0. */
function octal(bytes: Uint8Array, at: number, length: number): number {
  const digits = text(bytes, at, length).trim();
  return /^[0-7]*$/.test(digits) ? Number.parseInt(digits || "0", 8) : Number.NaN;
}

/** The size field: octal digits, or for large files, by GNU tar, a binary number behind a set bit. */
function sizeIn(header: Uint8Array): number {
  const field = header.subarray(124, 136);
  if (!(field[0]! & 0x80)) return octal(header, 124, 12);
  // A second set bit is a sign.
  const first = field[0]! & 0x40 ? field[0]! - 256 : field[0]! & 0x3f;
  return field.subarray(1).reduce((value, byte) => 256 * value + byte, first);
}

const printable = (name: string): string => name.replace(/[^ -~]/g, "?");

function text(bytes: Uint8Array, at: number, length: number): string {
  const field = bytes.subarray(at, at + length);
  const end = field.indexOf(0);
  return new TextDecoder().decode(end < 0 ? field : field.subarray(0, end));
}
