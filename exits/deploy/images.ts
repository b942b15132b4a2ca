// Images that a caller gives to be classified, on the host: checked, and copied at once, since the caller's own may
// change while the answers are waited for.

import { type ImageBytes, isStored, what } from "../../base/index.ts";
import type { PictureSource, Rgba } from "../../data/grab.ts";
import { ArgumentError, describe, numel, sameShape, type Tensor } from "../../engine/functions.ts";

/**
 * Images to classify: [N, H, W, C], normalised as f32, or as bytes where `deploy` was told how to normalise; or
 * pictures of any size, which are brought to the network's: canvases, images, videos, ImageData, files.
 */
export type Images = PixelImages | PictureSource | readonly PictureSource[];

/** Images of the network's size; a picture in RGBA for networks of four channels. */
export type PixelImages = Tensor | Float32Array | Uint8Array | Uint8ClampedArray | ImageBytes | Rgba;

/** Mean and standard deviation of each channel, for pixels in 0..1. */
export interface Normalisation {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** What images are of. */
export interface PixelSite {
  /** [H, W, C] */
  readonly input: readonly number[];
  readonly normalise?: Normalisation | undefined;
}

/** Images on the host, [N, H, W, C]: a copy of those in memory, in which images that are no numbers are zeros. */
export interface HostImages {
  readonly size: number;
  /** Normalised, or bytes. */
  readonly values: Float32Array | ImageBytes;
  readonly strange: readonly number[];
}

/** Copies images that are no tensor. @throws ArgumentError for images that the network does not take. */
export function copyImages(given: Exclude<PixelImages, Tensor>, site: PixelSite): HostImages {
  const wanted = `[N, ${site.input.join(", ")}]`;
  const bytes = bytesOf(given, site);
  const pixels = numel(site.input);
  const length = bytes ? bytes.length : given instanceof Float32Array ? given.length : undefined;
  if (length === undefined) {
    const kinds = "a Float32Array, a Uint8Array or a tensor";
    throw new ArgumentError(`classify: images ${wanted} must be ${kinds}; got ${what(given)}.${hintFor(given)}`);
  }
  if (isRgba(given, site.input)) {
    throw new ArgumentError(
      `classify: images must be ${wanted}; got a Uint8ClampedArray of ${length} bytes, the RGBA of one picture. Give the ImageData that it is of, or, if they are images, a Uint8Array.`,
    );
  }
  if (length % pixels !== 0)
    throw new ArgumentError(`classify: images must be ${wanted}; got ${length} values, no multiple of ${pixels}.`);
  const size = length / pixels;
  // What lies in a file is not the caller's to change.
  if (bytes) return { size, values: bytes instanceof Uint8Array ? bytes.slice() : bytes, strange: [] };
  const values = (given as Float32Array).slice();
  return { size, values, strange: zeroStrange(values, size) };
}

/** Whether values are the `data` of an ImageData of the network's size, which has other channels. */
const isRgba = (given: unknown, [height = 0, width = 0, channels]: readonly number[]): boolean =>
  given instanceof Uint8ClampedArray && channels !== 4 && given.length === 4 * height * width;

/** Puts zeros in the place of images with a NaN or infinite pixel; which these are. */
function zeroStrange(values: Float32Array, size: number): readonly number[] {
  const pixels = values.length / size;
  const strange: number[] = [];
  for (let i = 0; i < size; i++) {
    const image = values.subarray(i * pixels, (i + 1) * pixels);
    if (image.every(Number.isFinite)) continue;
    strange.push(i);
    image.fill(0);
  }
  return strange;
}

/** Pixels as bytes: of any bytes, and of a picture in RGBA where the network takes four channels. */
function bytesOf(given: unknown, { input, normalise }: PixelSite): ImageBytes | undefined {
  const picture = given as { readonly data?: unknown; readonly width?: unknown; readonly height?: unknown } | null;
  const isPicture = typeof picture === "object" && picture?.data instanceof Uint8ClampedArray;
  if (isPicture && (picture.height !== input[0] || picture.width !== input[1] || input[2] !== 4)) {
    const size = `${String(picture.height)} x ${String(picture.width)}`;
    throw new ArgumentError(
      `classify: images must be [N, ${input.join(", ")}]; got a picture of ${size} pixels in RGBA. Scale it, and give its channels.`,
    );
  }
  const values = isPicture ? picture.data : given;
  const isArray = values instanceof Uint8Array || values instanceof Uint8ClampedArray;
  if (!isArray && !isStored(values)) return undefined;
  if (!normalise) {
    throw new ArgumentError(
      "classify: for bytes deploy must know how to normalise; it was not told. Pass { normalise: { mean, std } } there.",
    );
  }
  return isArray ? new Uint8Array(values.buffer, values.byteOffset, values.length) : values;
}

function hintFor(given: unknown): string {
  if (Array.isArray(given)) return " Use Float32Array.from(pixels.flat(Infinity)), or Uint8Array for bytes.";
  return ArrayBuffer.isView(given) ? " Use Float32Array.from(pixels) for normalised pixels, Uint8Array for bytes." : "";
}

/** @throws ArgumentError for a tensor that holds no images of that shape. */
export function checkImages(images: Tensor, input: readonly number[]): void {
  const isFit = images.rank === 4 && images.dtype === "f32" && sameShape(images.shape.slice(1), input);
  if (isFit) return;
  throw new ArgumentError(`classify: images must be f32[N, ${input.join(", ")}]; got ${describe(images)}.`);
}
