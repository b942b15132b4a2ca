// Pictures that a caller gives to be classified - canvases, videos, files - as bytes. They are copied at once; what
// decodes and resizes them is loaded with the first.

import type { PictureFit } from "../../data/fit.ts";
import { grab, isPictureSource, type PictureSource, type Rgba } from "../../data/grab.ts";
import type { Images } from "./images.ts";

/** What pictures become. */
export interface PictureSite {
  /** [H, W, C] */
  readonly input: readonly number[];
  readonly fit: PictureFit;
}

/** Pictures that a call of `classify` is given, as bytes; undefined for images, which are then copied at once. */
export function bytesOfPictures(given: Images, { input, fit }: PictureSite): Promise<Uint8Array> | undefined {
  const pictures = picturesIn(given, input);
  return pictures && bytesOf(pictures.map(grab), input, fit);
}

/** The pictures among what can be classified, or undefined for anything else. */
function picturesIn(given: Images, input: readonly number[]): readonly PictureSource[] | undefined {
  // A network of four channels takes RGBA as it is.
  if (input[2] !== 1 && input[2] !== 3) return undefined;
  if (isPictureSource(given)) return [given];
  return Array.isArray(given) && given.length > 0 && given.every(isPictureSource) ? given : undefined;
}

/** Pictures as bytes [N, H, W, C]. @throws DataError for an empty picture, and for a file that cannot be read */
async function bytesOf(
  grabbed: readonly (Rgba | Blob)[],
  input: readonly number[],
  fit: PictureFit,
): Promise<Uint8Array> {
  const { fromPixels } = await import("../../data/pictures/index.ts");
  const size = input.reduce((product, extent) => product * extent, 1);
  const bytes = new Uint8Array(grabbed.length * size);
  for (const [i, picture] of grabbed.entries()) bytes.set(await fromPixels(picture, { input, ...fit }), i * size);
  return bytes;
}
