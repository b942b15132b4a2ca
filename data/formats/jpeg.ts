// JPEG files as plain bytes, by `@jsquash/jpeg`: libjpeg-turbo as WebAssembly, so pixels are those of Pillow and djpeg,
// in Node and in pages. What it would pass over in silence - a file that ends early, another colour space - is refused
// here. It is loaded when the first file is decoded.

import { isNode, type Kinds, readWhole } from "../../base/index.ts";
import { DataError, readOptions } from "../errors.ts";
import { fromRgba } from "../pictures/channels.ts";
import { orientationOf } from "../pictures/orientation.ts";
import type { Raster } from "../pictures/resize.ts";
import { ensurePixels, PICTURE_LIMITS, type PictureLimits } from "./picture-limits.ts";
import { unpackLimit } from "./unpack.ts";

/** How a file is called, what is wanted of it, and what may come out of it. */
export interface JpegOptions extends PictureLimits {
  readonly file: string;
  readonly channels: 1 | 3;
}

/** A picture as it lies in its file, and the EXIF orientation, 1 to 8, that says which side is up. */
export interface JpegImage extends Raster {
  readonly channels: 1 | 3;
  readonly orientation: number;
}

const JPEG: Kinds<JpegOptions> = { ...PICTURE_LIMITS, file: "string!", channels: "number!" };

/** What the head of a file says. */
interface Head {
  readonly width: number;
  readonly height: number;
  readonly orientation: number;
}

type Fail = (must: string, got: string) => never;

/**
 * Decodes a JPEG file, baseline or progressive, grey or in colour; of colours comes luma where 1 channel is asked for.
 * To the byte as Pillow does it, but for files of half the vertical colour resolution alone (4:4:0), where libjpeg
 * interpolates since 2.1.
 * @throws DataError naming `file` if it is damaged, ends early, is in CMYK, or holds more than `maxBytes` or
 * `maxPixels`.
 */
export async function decodeJpeg(bytes: Uint8Array, options: JpegOptions): Promise<JpegImage> {
  const { file, channels, ...limits } = readOptions("decodeJpeg", options, JPEG);
  const fail: Fail = (must, got) => {
    throw new DataError(`decodeJpeg: ${file} must be ${must}; got ${got}`, { file });
  };
  const { width, height, orientation } = headOf(bytes, fail);
  ensurePixels("decodeJpeg", file, [height, width], limits.maxPixels);
  const limit = unpackLimit(bytes.length, limits);
  if (3 * width * height > limit)
    throw new DataError(
      `decodeJpeg: ${file} must be at most ${limit} bytes unpacked; got an image of [${height}, ${width}]. If it is to be trusted, raise maxBytes.`,
      { file, isTooLarge: true },
    );
  const found = await decodeRgba(bytes);
  if (!found.rgba) return fail("an intact JPEG file", `"${found.fault}".`);
  return { width, height, channels, orientation, data: fromRgba(found.rgba, channels) };
}

/** Frames: baseline, extended and progressive with Huffman codes; other ones are lossless or arithmetic. */
const FRAMES = [0xc0, 0xc1, 0xc2];
const OTHER_FRAMES = [0xc3, 0xc5, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcd, 0xce, 0xcf];

/** Reads the segments up to the frame's head. */
function headOf(bytes: Uint8Array, fail: Fail): Head {
  const early = (): never => fail("an intact JPEG file", '"an early end of its head".');
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) fail("a JPEG file", "another signature.");
  let orientation = 1;
  for (let at = 2; ; ) {
    // Any number of 0xff may stand before a marker.
    while (bytes[at] === 0xff && bytes[at + 1] === 0xff) at++;
    if (at + 4 > bytes.length || bytes[at] !== 0xff) early();
    const marker = bytes[at + 1]!;
    const length = (bytes[at + 2]! << 8) | bytes[at + 3]!;
    const end = at + 2 + length;
    const segment = bytes.subarray(at + 4, end);
    if (length < 2 || end > bytes.length) early();
    if (OTHER_FRAMES.includes(marker))
      fail("a baseline or progressive JPEG file", "arithmetic codes or a lossless file.");
    if (FRAMES.includes(marker)) return { ...frameOf(segment, fail), orientation };
    // 0xda begins the pixels, which must come after the frame.
    if (marker === 0xda || marker === 0xd9) early();
    const isExif = marker === 0xe1 && String.fromCharCode(...segment.subarray(0, 6)) === "Exif\0\0";
    if (isExif) orientation = orientationOf(segment.subarray(6));
    at = end;
  }
}

function frameOf(segment: Uint8Array, fail: Fail): Omit<Head, "orientation"> {
  const [bits, samples] = [segment[0], segment[5]];
  const [height, width] = [1, 3].map((at) => (segment[at]! << 8) | segment[at + 1]!) as [number, number];
  if (bits !== 8) fail("a JPEG file of 8 bits", `${bits}.`);
  if (samples === 4)
    fail(
      "grey or in RGB",
      "CMYK, four inks whose colours are the printer's. Convert it to RGB first, in an image editor.",
    );
  if (samples !== 1 && samples !== 3) fail("grey or in RGB", `${samples} channels.`);
  if (width === 0 || height === 0) fail("an intact JPEG file", `"an image of [${height}, ${width}]".`);
  return { width, height };
}

/** What of the decoder's module is used. */
interface Codec {
  decode(bytes: Uint8Array, keepsOrientation: boolean): { readonly data: Uint8ClampedArray } | null;
}

/** Makes a decoder; `said` hears what it complains of. */
type MakeCodec = (said: (text: string) => void) => Promise<Codec>;

let making: Promise<MakeCodec> | undefined;
let codec: Promise<Codec> | undefined;
let complaints: string[] = [];

/** Bytes between segments belong to nothing, and many cameras leave some. */
const HARMLESS = /extraneous bytes before marker/;

/** RGBA, or what is wrong. */
async function decodeRgba(
  bytes: Uint8Array,
): Promise<{ readonly rgba: Uint8ClampedArray } | { readonly rgba?: undefined; readonly fault: string }> {
  making ??= codecMaker();
  const make = await making.catch((error: unknown) => {
    making = undefined;
    throw error;
  });
  codec ??= make((text) => void complaints.push(text)).catch((error: unknown) => {
    codec = undefined;
    throw error;
  });
  const { decode } = await codec;
  complaints = [];
  try {
    const rgba = decode(bytes, false)?.data;
    const fault = complaints.find((text) => !HARMLESS.test(text));
    return rgba && fault === undefined ? { rgba } : { fault: fault ?? "no picture" };
  } catch {
    // A decoder that has given up is of no use any more: the next picture gets another one.
    codec = undefined;
    return { fault: complaints.at(-1) ?? "data that cannot be decoded" };
  }
}

/**
 * In a page the package fetches its code from beside itself, where bundlers put it. Node has no fetch for files: there
 * it is read here.
 */
async function codecMaker(): Promise<MakeCodec> {
  const { default: factory } = (await import("@jsquash/jpeg/codec/dec/mozjpeg_dec.js")) as unknown as {
    readonly default: (options: object) => Promise<Codec>;
  };
  const module = isNode() ? await WebAssembly.compile(await readCode()) : undefined;
  const instantiateWasm = (imports: WebAssembly.Imports, done: (instance: WebAssembly.Instance) => void) => {
    const instance = new WebAssembly.Instance(module as WebAssembly.Module, imports);
    done(instance);
    return instance.exports;
  };
  return (printErr) =>
    factory({ noInitialRun: true, print: () => {}, printErr, ...(module !== undefined && { instantiateWasm }) });
}

function readCode(): Promise<Uint8Array<ArrayBuffer>> {
  const codec = import.meta.resolve("@jsquash/jpeg/codec/dec/mozjpeg_dec.js");
  const { fileURLToPath } = process.getBuiltinModule("node:url");
  return readWhole(fileURLToPath(new URL("mozjpeg_dec.wasm", codec))) as Promise<Uint8Array<ArrayBuffer>>;
}
