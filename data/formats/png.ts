// PNG files as plain bytes, by `fast-png`: whatever a file holds comes out with 8 bits and the channels asked for.

import { convertIndexedToRgb, decode, encode } from "fast-png";
import { DataError, ensure } from "../errors.ts";

/** An image of bytes. */
export interface PngImage {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
  /** [height, width, channels] */
  readonly data: Uint8Array;
}

/**
 * Decodes a PNG file. Grey becomes three equal channels where 3 are asked for, colours become luma (Rec. 601) where 1 is;
 * transparency is dropped, 16 bits are cut to 8.
 * @throws DataError naming `file` if it is damaged.
 */
export function decodePng(
  bytes: Uint8Array,
  { file, channels }: { readonly file: string; readonly channels: 1 | 3 },
): PngImage {
  try {
    const png = decode(bytes, { checkCrc: true });
    const isIndexed = png.palette !== undefined;
    const values = isIndexed ? convertIndexedToRgb(png) : png.data;
    const stored = isIndexed ? 3 + (values.length === 4 * png.width * png.height ? 1 : 0) : png.channels;
    const shift = png.depth === 16 ? 8 : 0;
    ensure(isIndexed || png.depth >= 8, () => `the depth must be 8 or 16 bits; got ${png.depth}`);
    const data = new Uint8Array(png.width * png.height * channels);
    const [green, blue] = stored > 2 ? [1, 2] : [0, 0];
    for (let p = 0; p < png.width * png.height; p++) {
      const r = values[p * stored]! >> shift;
      const g = values[p * stored + green]! >> shift;
      const b = values[p * stored + blue]! >> shift;
      if (channels === 1) {
        data[p] = Math.round(0.299 * r + 0.587 * g + 0.114 * b);
      } else {
        data[3 * p] = r;
        data[3 * p + 1] = g;
        data[3 * p + 2] = b;
      }
    }
    return { width: png.width, height: png.height, channels, data };
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new DataError(`decodePng: ${file} must be an intact PNG file; got "${why}".`, { file, cause });
  }
}

/** The bytes of a PNG file. */
export function encodePng({ width, height, channels, data }: PngImage): Uint8Array {
  ensure(
    data.length === width * height * channels,
    () =>
      `encodePng: [${height}, ${width}, ${channels}] must have ${width * height * channels} bytes; got ${data.length}.`,
  );
  return encode({ width, height, channels, data, depth: 8 });
}
