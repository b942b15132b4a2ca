// A picture's file to pixels as they are to be seen: JPEG or PNG by its first bytes, turned as its camera was held.

import type { Kinds } from "../../base/index.ts";
import { DataError, readOptions } from "../errors.ts";
import { decodeJpeg } from "../formats/jpeg.ts";
import { PICTURE_LIMITS, type PictureLimits } from "../formats/picture-limits.ts";
import { decodePng } from "../formats/png.ts";
import { orientationOf, upright } from "./orientation.ts";
import type { Raster } from "./resize.ts";

/** How a file is called, and the channels wanted of it. */
export interface DecodeOptions extends PictureLimits {
  readonly file: string;
  readonly channels: 1 | 3;
}

const DECODE: Kinds<DecodeOptions> = { ...PICTURE_LIMITS, file: "string!", channels: "number!" };

/** The format that a file's first bytes say. */
export function formatOf(bytes: Uint8Array): "jpeg" | "png" | undefined {
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return "jpeg";
  return bytes[0] === 0x89 && bytes[1] === 0x50 && bytes[2] === 0x4e ? "png" : undefined;
}

/** Decodes a JPEG or PNG file. @throws DataError naming a file that is neither, or damaged. */
export async function decodePicture(bytes: Uint8Array, options: DecodeOptions): Promise<Raster> {
  const { file } = readOptions("decodePicture", options, DECODE);
  switch (formatOf(bytes)) {
    case "jpeg": {
      const { orientation, ...picture } = await decodeJpeg(bytes, options);
      return upright(picture, orientation);
    }
    case "png":
      return upright(decodePng(bytes, options), pngOrientation(bytes));
    default:
      throw new DataError(
        `decodePicture: ${file} must be a JPEG or PNG file; got ${bytes.length === 0 ? "an empty one" : "another kind"}.`,
        { file },
      );
  }
}

/** The orientation that the EXIF chunk of an intact PNG file says. */
function pngOrientation(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 8; at + 12 <= bytes.length; at += 12 + view.getUint32(at)) {
    if (view.getUint32(at + 4) === EXIF) return orientationOf(bytes.subarray(at + 8, at + 8 + view.getUint32(at)));
  }
  return 1;
}

/** `eXIf` */
const EXIF = 0x65584966;
