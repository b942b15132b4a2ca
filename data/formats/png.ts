// PNG files as plain bytes: whatever a file holds comes out with 8 bits and the channels asked for. Read by hand,
// because what is unpacked is then bounded by the size that the header names, and no other chunk is looked at; written
// by `fast-png`.

import { encode } from "fast-png";
import { firstOf, type Kinds } from "../../base/index.ts";
import { DataError, ensure, readOptions } from "../errors.ts";
import { luma } from "../pictures/channels.ts";
import { ensurePixels, PICTURE_LIMITS, type PictureLimits } from "./picture-limits.ts";
import { bytesFor, crc32, unpackLimit, unzlibWithin } from "./unpack.ts";

/** An image of bytes. */
export interface PngImage {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
  /** [height, width, channels] */
  readonly data: Uint8Array;
}

/** How an image is called, what is wanted of it, and what may come out of it. */
export interface PngOptions extends PictureLimits {
  readonly file: string;
  readonly channels: 1 | 3;
}

const PNG: Kinds<PngOptions> = { ...PICTURE_LIMITS, file: "string!", channels: "number!" };

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
/** Samples of a pixel, by colour type: grey, colour, palette, grey with alpha, colour with alpha. */
const SAMPLES: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
const DEPTHS: Readonly<Record<number, readonly number[]>> = {
  0: [1, 2, 4, 8, 16],
  2: [8, 16],
  3: [1, 2, 4, 8],
  4: [8, 16],
  6: [8, 16],
};
const PALETTE = 3;
/** Where the passes of Adam7 begin, and their steps: x, y, dx, dy. */
const PASSES = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

/** What the chunks of a file say. */
interface Parts {
  readonly width: number;
  readonly height: number;
  readonly depth: number;
  readonly type: number;
  readonly isInterlaced: boolean;
  readonly palette: Uint8Array;
  readonly packed: Uint8Array;
}

/**
 * Decodes a PNG file. Grey becomes three equal channels where 3 are asked for, colours become luma (Rec. 601) where 1
 * is; transparency is dropped, 16 bits are cut to 8, and grey of 1, 2 or 4 bits is spread over 0 to 255.
 * @throws DataError naming `file` if it is damaged, or holds more than `maxBytes` or `maxPixels`.
 */
export function decodePng(bytes: Uint8Array, options: PngOptions): PngImage {
  const { file, channels, ...limits } = readOptions("decodePng", options, PNG);
  const fail: Fail = (got) => {
    throw new DataError(`decodePng: ${file} must be an intact PNG file; got "${got}".`, { file });
  };
  const parts = partsOf(bytes, fail);
  const { width, height } = parts;
  ensurePixels("decodePng", file, [height, width], limits.maxPixels);
  const passes = passesOf(parts);
  const raw = passes.reduce((sum, { rows, bytes }) => sum + rows * (1 + bytes), 0);
  const size = `[${height}, ${width}]`;
  const limit = unpackLimit(bytes.length, limits);
  if (Math.max(raw, channels * width * height) > limit) {
    const hint = "If it is to be trusted, raise maxBytes.";
    throw new DataError(`decodePng: ${file} must unpack to at most ${limit} bytes; got an image of ${size}. ${hint}`, {
      file,
      isTooLarge: true,
    });
  }
  // Deflate makes at most 1,032 bytes of one: nothing is allocated for a size that the data cannot fill.
  if (raw > 1032 * parts.packed.length) fail(`an image of ${size} in ${parts.packed.length} packed bytes`);
  const lines = unzlibWithin(parts.packed, `decodePng: ${file}`, file, raw);
  if (lines?.length !== raw) return fail(`${lines?.length ?? "too many"} bytes for an image of ${size}, not ${raw}`);
  const data = bytesFor(width * height * channels, file);
  let at = 0;
  for (const pass of passes) {
    unfilter(lines, at, pass, fail);
    put(lines, at, pass, parts, { channels, data }, fail);
    at += pass.rows * (1 + pass.bytes);
  }
  return { width, height, channels, data };
}

type Fail = (got: string) => never;

function partsOf(file: Uint8Array, fail: Fail): Parts {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (!SIGNATURE.every((byte, i) => file[i] === byte)) fail("another signature");
  const packed: Uint8Array[] = [];
  let header: DataView | undefined;
  let palette: Uint8Array = new Uint8Array(0);
  for (let at = 8, type = ""; type !== "IEND"; ) {
    const length = at + 12 <= file.length ? view.getUint32(at) : Number.NaN;
    if (!(at + 12 + length <= file.length)) return fail(`${file.length} bytes, which end within a chunk`);
    type = String.fromCharCode(...file.subarray(at + 4, at + 8));
    const data = file.subarray(at + 8, at + 8 + length);
    if (crc32(file.subarray(at + 4, at + 8 + length)) !== view.getUint32(at + 8 + length))
      fail("a chunk of another checksum");
    if (type === "IHDR" && length === 13) header ??= new DataView(data.buffer, data.byteOffset, 13);
    else if (type === "PLTE") palette = data;
    else if (type === "IDAT") packed.push(data);
    at += 12 + length;
  }
  if (!header) return fail("no header");
  const [width, height, depth, type] = [
    header.getUint32(0),
    header.getUint32(4),
    header.getUint8(8),
    header.getUint8(9),
  ];
  const [compression, filter, interlace] = [header.getUint8(10), header.getUint8(11), header.getUint8(12)];
  if (width === 0 || height === 0) fail(`an image of [${height}, ${width}]`);
  if (!DEPTHS[type]?.includes(depth)) fail(`colour type ${type} of ${depth} bits`);
  if (compression + filter > 0 || interlace > 1)
    fail(`methods ${compression}, ${filter} and ${interlace}, which are not known`);
  return { width, height, depth, type, isInterlaced: interlace === 1, palette, packed: joined(packed) };
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  if (chunks.length === 1) return firstOf(chunks);
  const all = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

/** A part of the image: its pixels, where they lie, and the bytes of one line and one pixel. */
interface Pass {
  readonly x: number;
  readonly y: number;
  readonly dx: number;
  readonly dy: number;
  readonly columns: number;
  readonly rows: number;
  readonly bytes: number;
  readonly step: number;
}

function passesOf({ width, height, depth, type, isInterlaced }: Parts): readonly Pass[] {
  const bits = depth * SAMPLES[type]!;
  return (isInterlaced ? PASSES : [[0, 0, 1, 1] as const]).flatMap(([x, y, dx, dy]) => {
    const [columns, rows] = [Math.ceil((width - x) / dx), Math.ceil((height - y) / dy)];
    if (columns < 1 || rows < 1) return [];
    return { x, y, dx, dy, columns, rows, bytes: Math.ceil((columns * bits) / 8), step: Math.max(1, bits >> 3) };
  });
}

/** Undoes the filters of a pass in place. A line is its filter's number, then its bytes. */
function unfilter(lines: Uint8Array, start: number, { rows, bytes, step }: Pass, fail: Fail): void {
  for (let row = 0; row < rows; row++) {
    const at = start + row * (bytes + 1) + 1;
    const filter = lines[at - 1]!;
    if (filter > 4) fail(`filter ${filter}`);
    if (filter === 0) continue;
    for (let i = 0; i < bytes; i++) {
      const left = i >= step ? lines[at + i - step]! : 0;
      const up = row > 0 ? lines[at + i - bytes - 1]! : 0;
      const corner = row > 0 && i >= step ? lines[at + i - step - bytes - 1]! : 0;
      const guess = filter === 1 ? left : filter === 2 ? up : filter === 3 ? (left + up) >> 1 : paeth(left, up, corner);
      lines[at + i] = lines[at + i]! + guess;
    }
  }
}

function paeth(left: number, up: number, corner: number): number {
  const guess = left + up - corner;
  const [a, b, c] = [Math.abs(guess - left), Math.abs(guess - up), Math.abs(guess - corner)];
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

/** Puts the pixels of a pass to their places. */
function put(
  lines: Uint8Array,
  start: number,
  pass: Pass,
  parts: Parts,
  out: Pick<PngImage, "channels" | "data">,
  fail: Fail,
): void {
  const { depth, type, palette, width } = parts;
  const samples = SAMPLES[type]!;
  const [green, blue] = type === PALETTE || samples > 2 ? [1, 2] : [0, 0];
  const scale = type === PALETTE || depth >= 8 ? 1 : 255 / (2 ** depth - 1);
  const colours = Math.floor(palette.length / 3);
  for (let row = 0; row < pass.rows; row++) {
    const line = start + row * (pass.bytes + 1) + 1;
    for (let column = 0; column < pass.columns; column++) {
      let source = lines;
      // 16 bits are big-endian: the first byte is the upper one.
      let at = line + column * pass.step;
      let step = depth >> 3;
      if (depth < 8) {
        const bit = column * depth;
        const value = (lines[line + (bit >> 3)]! >> (8 - depth - (bit & 7))) & (2 ** depth - 1);
        SMALL[0] = value * scale;
        [source, at, step] = [SMALL, 0, 1];
      }
      if (type === PALETTE) {
        const colour = source[at]!;
        if (colour >= colours) fail(`colour ${colour} of a palette of ${colours}`);
        [source, at, step] = [palette, 3 * colour, 1];
      }
      const pixel = (pass.y + row * pass.dy) * width + pass.x + column * pass.dx;
      const [r, g, b] = [source[at]!, source[at + green * step]!, source[at + blue * step]!];
      if (out.channels === 1) {
        out.data[pixel] = luma(r, g, b);
      } else {
        out.data[3 * pixel] = r;
        out.data[3 * pixel + 1] = g;
        out.data[3 * pixel + 2] = b;
      }
    }
  }
}

/** The value of a pixel of few bits. */
const SMALL = new Uint8Array(1);

/** The bytes of a PNG file. */
export function encodePng({ width, height, channels, data }: PngImage): Uint8Array {
  ensure(
    data.length === width * height * channels,
    () =>
      `encodePng: [${height}, ${width}, ${channels}] must have ${width * height * channels} bytes; got ${data.length}.`,
  );
  return encode({ width, height, channels, data, depth: 8 });
}
