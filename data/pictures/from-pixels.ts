// Whatever a page or a script has of a picture, as the bytes that a network takes.

import { type Kinds, LIMIT, what } from "../../base/index.ts";
import { complete, DataError, readOptions } from "../errors.ts";
import { FIT, type PictureFit } from "../fit.ts";
import { ensurePixels } from "../formats/picture-limits.ts";
import { grab, isPictureSource, type PictureSource, type Rgba } from "../grab.ts";
import { fromRgba } from "./channels.ts";
import { type DecodeOptions, decodePicture, formatOf } from "./decode.ts";
import { fitTo, type Raster } from "./resize.ts";

/** What a network takes, and how pictures of another size come to it. */
export interface FromPixelsOptions extends PictureFit {
  /** [H, W, C], with 1 or 3 channels. */
  readonly input: readonly number[];
  /** Pixels that the picture may have, height x width; of a JPEG or PNG file by its header, before it is decoded. */
  readonly maxPixels?: number | undefined;
}

const KINDS: Kinds<FromPixelsOptions> = { ...FIT, input: "any!", maxPixels: LIMIT };

/**
 * A picture as bytes [H, W, C]: a canvas, an image, a bitmap, a video's frame, ImageData, or a file. JPEG and PNG files
 * are decoded alike in Node and in pages; a page reads other files too, as far as its browser does.
 * @throws DataError for what is no picture, an empty one, a larger one than `maxPixels`, or a file that is damaged or
 *   in CMYK.
 */
export async function fromPixels(source: PictureSource, options: FromPixelsOptions): Promise<Uint8Array> {
  const { input, maxPixels, ...given } = readOptions("fromPixels", options, KINDS);
  const [height = 0, width = 0, channels] = input;
  if (input.length !== 3 || !input.every((n) => Number.isSafeInteger(n) && n > 0) || (channels !== 1 && channels !== 3))
    throw new DataError(`fromPixels: input must be [height, width, 1 or 3]; got ${what(input)}.`);
  if (!isPictureSource(source))
    throw new DataError(
      `fromPixels: the picture must be a canvas, an image, a bitmap, a video, ImageData or a file; got ${what(source)}.`,
    );
  const fit = complete("fromPixels", FIT, given);
  return fitTo(await rasterOf(grab(source), { channels, maxPixels }), [height, width], fit).data;
}

type Wanted = Pick<DecodeOptions, "channels" | "maxPixels">;

async function rasterOf(grabbed: Rgba | Blob, wanted: Wanted): Promise<Raster> {
  if (grabbed instanceof Blob) return fileOf(grabbed, wanted);
  const { channels, maxPixels } = wanted;
  const { width, height, data } = grabbed;
  if (width * height === 0 || data.length !== 4 * width * height)
    throw new DataError(`fromPixels: the picture must have pixels; got ${width} x ${height} and ${data.length} bytes.`);
  ensurePixels("fromPixels", "the picture", [height, width], maxPixels);
  return { width, height, channels, data: fromRgba(data, channels) };
}

async function fileOf(blob: Blob, wanted: Wanted): Promise<Raster> {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  const file = (blob as Partial<File>).name ?? "the file";
  if (formatOf(bytes) !== undefined || typeof globalThis.createImageBitmap !== "function")
    return decodePicture(bytes, { file, ...wanted });
  const bitmap = await createImageBitmap(blob).catch((cause: unknown) => {
    throw new DataError(`fromPixels: ${file} must be a picture that this browser reads; got another file.`, {
      file,
      cause,
    });
  });
  try {
    return await rasterOf(grab(bitmap), wanted);
  } finally {
    bitmap.close();
  }
}
