// How large a picture may be that its file's header promises: asked before anything is unpacked.

import { type Kinds, LIMIT } from "../../base/index.ts";
import { DataError } from "../errors.ts";
import { UNPACK, type UnpackOptions } from "./unpack.ts";

/** What may come out of a picture's file. */
export interface PictureLimits extends UnpackOptions {
  /** Pixels at most, height x width, by the file's header; default: as many as `maxBytes` allows. */
  readonly maxPixels?: number | undefined;
}

export const PICTURE_LIMITS: Kinds<PictureLimits> = { ...UNPACK, maxPixels: LIMIT };

/** Refuses a picture of more than `maxPixels`; `where` begins the message. @throws DataError that `isTooLarge` */
export function ensurePixels(
  where: string,
  file: string,
  [height, width]: readonly [number, number],
  maxPixels = Infinity,
): void {
  if (height * width <= maxPixels) return;
  throw new DataError(
    `${where}: ${file} must have at most ${maxPixels} pixels; got an image of [${height}, ${width}]. Make it smaller, or raise maxPixels.`,
    { file, isTooLarge: true },
  );
}
