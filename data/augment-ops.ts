// RandAugment (Cubuk et al. 2020) on bytes, with the fourteen operations and the ranges of torchvision: magnitudes 0 to 30 are 31
// even steps from nothing to the most; geometric operations take the nearest pixel and fill with black.

import type { ImageShape } from "./dataset.ts";
import { sinCos } from "./numeric.ts";
import type { Stream } from "./random.ts";

/** How many operations, and how strong. */
export interface RandAugmentOptions {
  /** Operations per image. */
  readonly count: number;
  /** 0 to 30. */
  readonly magnitude: number;
}

/** Changes `image` in place by the strength `m` from 0 to 1 and the sign. */
type Operation = (image: Uint8Array, shape: ImageShape, m: number, sign: number) => void;

const MOST_SHEAR = 0.3;
const MOST_SHIFT = 150 / 331;
const MOST_DEGREES = 30;
const MOST_BLEND = 0.9;
const MOST_BITS_DROPPED = 4;

/** By name, in torchvision's order. */
const OPERATIONS: Readonly<Record<string, Operation>> = {
  identity: () => {},
  shearX: (image, shape, m, sign) => warp(image, shape, (x, y) => [x + sign * m * MOST_SHEAR * y, y]),
  shearY: (image, shape, m, sign) => warp(image, shape, (x, y) => [x, y + sign * m * MOST_SHEAR * x]),
  translateX: (image, shape, m, sign) =>
    warp(image, shape, (x, y) => [x + Math.round(sign * m * MOST_SHIFT * shape[1]), y]),
  translateY: (image, shape, m, sign) =>
    warp(image, shape, (x, y) => [x, y + Math.round(sign * m * MOST_SHIFT * shape[0])]),
  rotate: (image, shape, m, sign) => {
    const [sin, cos] = sinCos((sign * m * MOST_DEGREES * Math.PI) / 180);
    warp(image, shape, (x, y) => [x * cos + y * sin, y * cos - x * sin]);
  },
  brightness: (image, _, m, sign) => blend(image, () => 0, 1 + sign * m * MOST_BLEND),
  color: (image, shape, m, sign) => {
    if (shape[2] === 3) blend(image, (i) => luma(image, i - (i % 3)), 1 + sign * m * MOST_BLEND, true);
  },
  contrast: (image, shape, m, sign) => {
    const mean = meanLuma(image, shape[2]);
    blend(image, () => mean, 1 + sign * m * MOST_BLEND);
  },
  sharpness: (image, shape, m, sign) => {
    const smooth = smoothed(image, shape);
    blend(image, (i) => smooth[i]!, 1 + sign * m * MOST_BLEND);
  },
  posterize: (image, _, m) => {
    const mask = (0xff << Math.round(m * MOST_BITS_DROPPED)) & 0xff;
    for (let i = 0; i < image.length; i++) image[i] = image[i]! & mask;
  },
  solarize: (image, _, m) => {
    const threshold = 255 * (1 - m);
    for (let i = 0; i < image.length; i++) if (image[i]! >= threshold) image[i] = 255 - image[i]!;
  },
  autoContrast: (image, shape) => mapChannels(image, shape, stretchTable),
  equalize: (image, shape) => mapChannels(image, shape, equalizeTable),
};

/** Names of the operations. */
export const RAND_AUGMENT_OPERATIONS: readonly string[] = Object.keys(OPERATIONS);

const LIST = Object.values(OPERATIONS);

/** Applies `count` operations, each drawn anew, to `image` in place. */
export function randAugment(
  image: Uint8Array,
  shape: ImageShape,
  { count, magnitude }: RandAugmentOptions,
  stream: Stream,
): void {
  for (let i = 0; i < count; i++) {
    const operation = LIST[stream.integer(LIST.length)]!;
    operation(image, shape, magnitude / 30, stream.chance(0.5) ? 1 : -1);
  }
}

/** Applies one operation by name, of strength 0 to 1 and sign 1 or -1, to `image` in place. */
export function applyOperation(
  name: string,
  image: Uint8Array,
  shape: ImageShape,
  strength: number,
  sign: number,
): void {
  OPERATIONS[name]!(image, shape, strength, sign);
}

/** Takes each pixel from where `origin` says; coordinates count from the image's middle. */
function warp(image: Uint8Array, shape: ImageShape, origin: (x: number, y: number) => readonly [number, number]): void {
  const [height, width, channels] = shape;
  const source = new Uint8Array(image);
  const middleX = (width - 1) / 2;
  const middleY = (height - 1) / 2;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [fromX, fromY] = origin(x - middleX, y - middleY);
      const column = Math.round(fromX + middleX);
      const row = Math.round(fromY + middleY);
      const isInside = column >= 0 && column < width && row >= 0 && row < height;
      for (let c = 0; c < channels; c++) {
        image[(y * width + x) * channels + c] = isInside ? source[(row * width + column) * channels + c]! : 0;
      }
    }
  }
}

/** `share` of the image and 1 - share of `other`, cut to bytes. `perPixel`: `other` reads a pixel's channels together. */
function blend(image: Uint8Array, other: (index: number) => number, share: number, perPixel = false): void {
  const step = perPixel ? 3 : 1;
  for (let i = 0; i < image.length; i += step) {
    const base = other(i);
    for (let k = i; k < i + step; k++) {
      image[k] = Math.min(255, Math.max(0, Math.round(base + (image[k]! - base) * share)));
    }
  }
}

/** Rec. 601, of the pixel that begins at `i`. */
const luma = (image: Uint8Array, i: number): number =>
  0.299 * image[i]! + 0.587 * image[i + 1]! + 0.114 * image[i + 2]!;

function meanLuma(image: Uint8Array, channels: number): number {
  let sum = 0;
  for (let i = 0; i < image.length; i += channels) sum += channels === 3 ? luma(image, i) : image[i]!;
  return Math.round((sum * channels) / image.length);
}

/** The image under the kernel 1 1 1 / 1 5 1 / 1 1 1 over 13; the border is left as it is. */
function smoothed(image: Uint8Array, [height, width, channels]: ImageShape): Uint8Array {
  const result = new Uint8Array(image);
  for (let y = 1; y < height - 1; y++) {
    for (let x = 1; x < width - 1; x++) {
      for (let c = 0; c < channels; c++) {
        const at = (y * width + x) * channels + c;
        let sum = 4 * image[at]!;
        for (let dy = -1; dy <= 1; dy++) {
          for (let dx = -1; dx <= 1; dx++) sum += image[at + (dy * width + dx) * channels]!;
        }
        result[at] = Math.round(sum / 13);
      }
    }
  }
  return result;
}

/** Maps each channel by the table that `tableOf` makes of its histogram. */
function mapChannels(image: Uint8Array, shape: ImageShape, tableOf: (histogram: Int32Array) => Uint8Array | undefined) {
  const channels = shape[2];
  for (let c = 0; c < channels; c++) {
    const histogram = new Int32Array(256);
    for (let i = c; i < image.length; i += channels) histogram[image[i]!]!++;
    const table = tableOf(histogram);
    if (table) for (let i = c; i < image.length; i += channels) image[i] = table[image[i]!]!;
  }
}

/** The darkest value becomes 0, the brightest 255. */
function stretchTable(histogram: Int32Array): Uint8Array | undefined {
  const low = histogram.findIndex((n) => n > 0);
  const high = histogram.findLastIndex((n) => n > 0);
  if (high <= low) return undefined;
  return Uint8Array.from(histogram, (_, v) => Math.min(255, Math.max(0, Math.round(((v - low) * 255) / (high - low)))));
}

/** Values spread so that each is about as frequent as the others (the rounding is PIL's). */
function equalizeTable(histogram: Int32Array): Uint8Array | undefined {
  const last = histogram[histogram.findLastIndex((n) => n > 0)]!;
  const step = Math.floor((histogram.reduce((sum, n) => sum + n, 0) - last) / 255);
  if (step === 0) return undefined;
  let below = Math.floor(step / 2);
  return Uint8Array.from(histogram, (n) => {
    const value = Math.min(255, Math.floor(below / step));
    below += n;
    return value;
  });
}
