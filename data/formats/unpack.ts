// Packed bytes: gzip with any number of members, zlib, and the raw deflate data of zip archives. Deflate by `fflate`,
// which streams and runs everywhere; what it leaves out is done here: the checksums inside, and a bound on what comes
// out.

import { Gunzip, Inflate } from "fflate";
import { type Kinds, LIMIT, messageOf, option } from "../../base/index.ts";
import { DataError, readOptions } from "../errors.ts";

/** How much may come out of packed data. */
export interface UnpackOptions {
  /** Bytes at most; default 1,000 times the packed size, but at least 64 MiB and at most 4 GiB. */
  readonly maxBytes?: number | undefined;
}

/** The same as a flag. */
export const MAX_UNPACKED = option.whole(
  undefined,
  "bytes that a compressed array may unpack to (default: 1,000 times the file, from 64 MiB to 4 GiB)",
  { min: 1 },
);

export const UNPACK: Kinds<UnpackOptions> = { maxBytes: LIMIT };

/** Nobody's memory ends here, so that a small file of equal values need not ask. */
const LEAST_LIMIT = 2 ** 26;
const LARGEST_LIMIT = 2 ** 32;
/** Deflate makes at most 1,032 bytes of one: whatever is pushed at once comes out in less than 70 MB. */
const CHUNK = 1 << 16;

/** Bytes that may come out of `packed` bytes. */
export const unpackLimit = (packed: number, { maxBytes }: UnpackOptions = {}): number =>
  maxBytes ?? Math.min(LARGEST_LIMIT, Math.max(LEAST_LIMIT, 1000 * packed));

/** True if `bytes` begin like a gzip file. */
export const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;

/**
 * Unpacks gzip data of one or more members.
 * @throws DataError naming `file` if they are damaged, end early, or hold more than `maxBytes`.
 */
export async function gunzip(bytes: Uint8Array, file: string, options: UnpackOptions = {}): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  const limit = unpackLimit(bytes.length, readOptions("gunzip", options, UNPACK));
  for await (const chunk of gunzipStream([bytes], file, { maxBytes: limit })) chunks.push(chunk);
  return joined(chunks, file);
}

/** Unpacks gzip data chunk by chunk, so that an archive need not fit into memory; see `gunzip`. */
export async function* gunzipStream(
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  file: string,
  { maxBytes = LARGEST_LIMIT }: UnpackOptions = {},
): AsyncGenerator<Uint8Array> {
  const members = new Members(file, maxBytes);
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += CHUNK) yield* members.push(chunk.subarray(at, at + CHUNK));
  }
  yield* members.end();
}

/** The members of a gzip file, one after the other, each with the CRC-32 and the length at its end. */
class Members {
  readonly #file: string;
  readonly #gunzip: Gunzip;
  #out: Uint8Array[] = [];
  #total = 0;
  #pushed = 0;
  /** The last bytes that were pushed, where a member's trailer is found. */
  #tail: Uint8Array = new Uint8Array(0);
  #crc = 0;
  #size = 0;

  constructor(file: string, limit: number) {
    this.#file = file;
    this.#gunzip = new Gunzip((chunk) => {
      this.#total += chunk.length;
      if (this.#total > limit) throw tooMuch("gunzip", file, limit);
      this.#crc = crc32(chunk, this.#crc);
      this.#size += chunk.length;
      if (chunk.length > 0) this.#out.push(chunk);
    });
    this.#gunzip.onmember = (start) => this.#checkTrailer(start);
  }

  push(chunk: Uint8Array): Uint8Array[] {
    this.#tail = tailOf(this.#tail, chunk);
    this.#pushed += chunk.length;
    return this.#step(() => this.#gunzip.push(chunk, false));
  }

  end(): Uint8Array[] {
    const rest = this.#step(() => this.#gunzip.push(new Uint8Array(0), true));
    this.#checkTrailer(this.#pushed);
    return rest;
  }

  #step(push: () => void): Uint8Array[] {
    try {
      push();
    } catch (cause) {
      if (cause instanceof DataError) throw cause;
      throw this.#damaged(messageOf(cause), cause);
    }
    const out = this.#out;
    this.#out = [];
    return out;
  }

  /** The eight bytes before `end` belong to what has come out since the last ones. */
  #checkTrailer(end: number): void {
    const at = this.#tail.length - (this.#pushed - end) - 8;
    if (at < 0) throw this.#damaged("an early end");
    const view = new DataView(this.#tail.buffer, this.#tail.byteOffset + at, 8);
    const isWhole = view.getUint32(0, true) === this.#crc && view.getUint32(4, true) === this.#size % 2 ** 32;
    if (!isWhole) throw this.#damaged("another checksum or length than it says");
    this.#crc = 0;
    this.#size = 0;
  }

  #damaged(got: string, cause?: unknown): DataError {
    const file = this.#file;
    return new DataError(`gunzip: ${file} must be intact gzip data; got "${got}".`, { file, cause });
  }
}

/** What was pushed last, a member's header with its names included. */
function tailOf(before: Uint8Array, chunk: Uint8Array): Uint8Array {
  const kept = before.subarray(Math.max(0, before.length - 4096));
  const tail = new Uint8Array(kept.length + chunk.length);
  tail.set(kept);
  tail.set(chunk, kept.length);
  return tail;
}

/**
 * Unpacks zlib data; `where` begins the messages.
 * @throws DataError naming `file` if they are damaged, end early, or hold more than `maxBytes`.
 */
export function unzlib(bytes: Uint8Array, where: string, file: string, options: UnpackOptions = {}): Uint8Array {
  const limit = unpackLimit(bytes.length, options);
  const unpacked = unzlibWithin(bytes, where, file, limit);
  if (unpacked) return unpacked;
  throw tooMuch(where, file, limit);
}

/** The same, but undefined if there are more than `limit` bytes. */
export function unzlibWithin(bytes: Uint8Array, where: string, file: string, limit: number): Uint8Array | undefined {
  const isHeader = (bytes[0]! & 15) === 8 && ((bytes[0]! << 8) | bytes[1]!) % 31 === 0 && (bytes[1]! & 32) === 0;
  if (bytes.length < 6 || !isHeader) {
    throw new DataError(`${where}: the packed data must be intact; got no zlib header.`, { file });
  }
  const unpacked = inflateRaw(bytes.subarray(2, bytes.length - 4), where, file, limit);
  if (!unpacked) return undefined;
  const sum = new DataView(bytes.buffer, bytes.byteOffset + bytes.length - 4, 4).getUint32(0);
  if (sum === adler32(unpacked)) return unpacked;
  throw new DataError(`${where}: the packed data must be intact; got another checksum than they say.`, { file });
}

/** Unpacks raw deflate data; undefined if there are more than `limit` bytes. Whoever calls knows their checksum. */
export function inflateRaw(bytes: Uint8Array, where: string, file: string, limit: number): Uint8Array | undefined {
  const chunks: Uint8Array[] = [];
  let total = 0;
  const inflate = new Inflate((chunk) => {
    total += chunk.length;
    chunks.push(chunk);
  });
  try {
    for (let at = 0; at < bytes.length; at += CHUNK) {
      inflate.push(bytes.subarray(at, at + CHUNK), false);
      if (total > limit) return undefined;
    }
    inflate.push(new Uint8Array(0), true);
    if (total > limit) return undefined;
  } catch (cause) {
    const why = messageOf(cause);
    throw new DataError(`${where}: the packed data must be intact; got "${why}".`, { file, cause });
  }
  return joined(chunks, file);
}

function tooMuch(where: string, file: string, limit: number): DataError {
  const hint =
    "So few packed bytes rarely hold so much. If the file is to be trusted, raise maxBytes (--max-unpacked), or unpack it first.";
  const at = where.includes(file) ? where : `${where}: ${file}`;
  return new DataError(`${at} must unpack to at most ${limit} bytes; got more. ${hint}`, { file, isTooLarge: true });
}

function joined(chunks: readonly Uint8Array[], file: string): Uint8Array {
  const total = chunks.reduce((sum, { length }) => sum + length, 0);
  const all = bytesFor(total, file);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

/** Zeros. @throws DataError naming `file` if there is no memory for so many. */
export function bytesFor(count: number, file: string): Uint8Array {
  try {
    return new Uint8Array(count);
  } catch (cause) {
    throw new DataError(`data: ${file} must fit into memory; got ${count} bytes.`, { file, cause });
  }
}

/** A CRC of 32 bits by its reversed polynomial, carried on from that of the bytes before. */
export function crcBy(polynomial: number): (bytes: Uint8Array, before?: number) => number {
  const table = Uint32Array.from({ length: 256 }, (_, byte) => {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? polynomial ^ (crc >>> 1) : crc >>> 1;
    return crc;
  });
  return (bytes, before = 0) => {
    let crc = ~before;
    for (let i = 0; i < bytes.length; i++) crc = table[(crc ^ bytes[i]!) & 255]! ^ (crc >>> 8);
    return ~crc >>> 0;
  };
}

/** CRC-32 of gzip, zip and PNG. */
export const crc32 = crcBy(0xedb88320);

function adler32(bytes: Uint8Array): number {
  let [a, b] = [1, 0];
  for (let start = 0; start < bytes.length; start += 3800) {
    // So many sums stay within 32 bits.
    const end = Math.min(bytes.length, start + 3800);
    for (let i = start; i < end; i++) b += a += bytes[i]!;
    a %= 65521;
    b %= 65521;
  }
  return ((b << 16) | a) >>> 0;
}
