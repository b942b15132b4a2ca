// Zip archives, read where they lie: an entry is a range of the file, and only a packed one is unpacked, whole. Nothing
// is allocated for a number in a header before the file was seen to be that long.

import { exactly, type Kinds } from "../../base/index.ts";
import { DataError, readOptions } from "../errors.ts";
import { crc32, inflateRaw, UNPACK, type UnpackOptions, unpackLimit } from "./unpack.ts";

/** Where the bytes come from: memory, or a file. */
export interface ByteSource {
  readonly size: number;
  /** Bytes `from .. from + count - 1`, which lie within the size. */
  read(from: number, count: number): Uint8Array;
}

/** A file in an archive. */
export interface ZipEntry {
  readonly name: string;
  /** Unpacked. */
  readonly size: number;
  /** Its content. Stored entries are read in place, a range at a time, and nothing checks their checksum. */
  open(): ByteSource;
  /** All of it, checked against the checksum in the directory. */
  all(): Uint8Array;
}

/** The bytes of an array as a source. */
export const memorySource = (bytes: Uint8Array): ByteSource => ({
  size: bytes.length,
  read: (from, count) => bytes.subarray(from, from + count),
});

const END = 0x06054b50;
const END_64 = 0x06064b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
/** Says that the true number stands in the zip64 field. */
const ELSEWHERE = 0xffffffff;
/** The directory's end is followed by a comment of at most so many bytes. */
const TAIL = 65_557;

/** How an archive is called, and what may come out of it. */
export interface ZipOptions extends UnpackOptions {
  /** Begins the messages. */
  readonly where: string;
  /** The archive's path. */
  readonly file: string;
}

const ZIP: Kinds<ZipOptions> = { ...UNPACK, where: "string!", file: "string!" };

/** The entries of an archive, in the order of its directory. @throws DataError that names the file. */
export function zipEntries(source: ByteSource, options: ZipOptions): readonly ZipEntry[] {
  const { where, file } = readOptions("zipEntries", options, ZIP);
  const fail = (got: string): never => {
    throw new DataError(`${where}: must be an intact npz archive; got ${got}.`, { file });
  };
  const view = (from: number, count: number): DataView => {
    if (!(from >= 0 && from + count <= source.size))
      fail(`a directory that leads ${count} bytes from ${from}, of ${source.size}`);
    return viewOf(source.read(from, count));
  };
  const tail = view(Math.max(0, source.size - TAIL), Math.min(source.size, TAIL));
  let end = tail.byteLength - 22;
  while (end >= 0 && tail.getUint32(end, true) !== END) end--;
  if (end < 0) fail("a file without a zip directory");
  let [at, bytes] = [tail.getUint32(end + 16, true), tail.getUint32(end + 12, true)];
  if (at === ELSEWHERE || bytes === ELSEWHERE) {
    if (end < 20) fail("a damaged zip directory");
    const end64 = view(Number(tail.getBigUint64(end - 20 + 8, true)), 56);
    if (end64.getUint32(0, true) !== END_64) fail("a damaged zip64 directory");
    [at, bytes] = [Number(end64.getBigUint64(48, true)), Number(end64.getBigUint64(40, true))];
  }
  const directory = view(at, bytes);
  const places: Place[] = [];
  for (let next = 0; next < bytes; ) {
    if (next + 46 > bytes || directory.getUint32(next, true) !== CENTRAL) return fail("a damaged zip directory");
    const place = placeOf(directory, next) ?? fail("a damaged zip directory");
    places.push(place);
    next = place.next;
  }
  return places.map((place) => ({
    name: place.name,
    size: place.size,
    open: () => openPlace(source, place, options),
    all: () => {
      const whole = openPlace(source, place, options).read(0, place.size);
      if (crc32(whole) === place.crc) return whole;
      throw new DataError(
        `${where}/${place.name}: the entry must be intact; got another checksum than the directory says.`,
        { file },
      );
    },
  }));
}

/** What the directory says of an entry. */
interface Place {
  readonly name: string;
  readonly flags: number;
  readonly method: number;
  readonly crc: number;
  readonly at: number;
  readonly packed: number;
  readonly size: number;
  /** Where the directory goes on. */
  readonly next: number;
}

/** Undefined if the record leads out of the directory. */
function placeOf(view: DataView, at: number): Place | undefined {
  const word = (offset: number) => view.getUint32(at + offset, true);
  const half = (offset: number) => view.getUint16(at + offset, true);
  const extraAt = at + 46 + half(28);
  const extraEnd = extraAt + half(30);
  const next = extraEnd + half(32);
  if (next > view.byteLength) return undefined;
  let extra = extraAt;
  while (extra + 4 <= extraEnd && view.getUint16(extra, true) !== 1) extra += 4 + view.getUint16(extra + 2, true);
  extra += 4;
  // Size, packed size and offset; each moves to the zip64 field if it does not fit.
  const numbers = [24, 20, 42].map((offset) => {
    if (word(offset) !== ELSEWHERE) return word(offset);
    extra += 8;
    return extra <= extraEnd ? Number(view.getBigUint64(extra - 8, true)) : Number.NaN;
  });
  const [size, packed, start] = exactly(numbers, 3);
  if (!numbers.every(Number.isSafeInteger)) return undefined;
  const name = new TextDecoder().decode(new Uint8Array(view.buffer, view.byteOffset + at + 46, half(28)));
  return { name, flags: half(8), method: half(10), crc: word(16), at: start, packed, size, next };
}

function openPlace(source: ByteSource, place: Place, { where, file, ...options }: ZipOptions): ByteSource {
  const { name, at, packed, size, crc } = place;
  const entry = `${where}/${name}`;
  const fail = (must: string, got: string): never => {
    throw new DataError(`${entry}: ${must}; got ${got}.`, { file });
  };
  if (at + 30 > source.size) fail("the entry must lie within the archive", `${at} of ${source.size}`);
  const local = viewOf(source.read(at, 30));
  if (local.getUint32(0, true) !== LOCAL) fail("the entry must begin with its header", "something else");
  const start = at + 30 + local.getUint16(26, true) + local.getUint16(28, true);
  if (start + packed > source.size) fail(`the entry must have ${packed} bytes`, `${Math.max(0, source.size - start)}`);
  if (place.flags & 1) fail("the entry must not be encrypted", "one that is");
  if (place.method === 0) {
    if (packed !== size) fail(`the stored entry must have ${size} bytes`, `${packed}`);
    return { size, read: (from, count) => source.read(start + from, count) };
  }
  if (place.method !== 8) fail("the entry must be stored or deflated", `method ${place.method}`);
  const limit = unpackLimit(source.size, options);
  if (size > limit) {
    fail(
      `the entry must unpack to at most ${limit} bytes`,
      `${size}. If it is to be trusted, raise maxBytes (--max-unpacked), or store it unpacked (np.savez)`,
    );
  }
  const whole = inflateRaw(source.read(start, packed), entry, file, size);
  if (whole?.length === size && crc32(whole) === crc) return memorySource(whole);
  return fail("the packed data must be intact", "another checksum or length than the directory says");
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
