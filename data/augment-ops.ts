// RandAugment (Cubuk et al. 2020) on bytes, with the fourteen operations and the ranges of torchvision, and to the byte
// what its `RandAugment` makes of a PIL image: magnitudes 0 to 30 are 31 even steps from nothing to the most; geometric
// operations take the nearest pixel and fill with black.

import { type Kinds, lookUp } from "../base/index.ts";
import type { ImageShape } from "./dataset.ts";
import { sinCos } from "./numeric.ts";
import { luma } from "./pictures/channels.ts";
import type { Stream } from "./random.ts";

/** How many operations, and how strong. */
export interface RandAugmentOptions {
  /** Operations per image. */
  readonly count: number;
  /** 0 to 30. */
  readonly magnitude: number;
}

export const RAND_AUGMENT: Kinds<RandAugmentOptions> = { count: "number!", magnitude: "number!" };

/** Changes `image` in place by the strength `m` from 0 to 1 and the sign. */
type Operation = (image: Uint8Array, shape: ImageShape, m: number, sign: number) => void;

const MOST_SHEAR = 0.3;
const MOST_SHIFT = 150 / 331;
const MOST_DEGREES = 30;
/** The largest change of brightness, contrast and so on. */
export const MOST_BLEND = 0.9;
const MOST_BITS_DROPPED = 4;

/** By name, in torchvision's order. */
const OPERATIONS: Readonly<Record<string, Operation>> = {
  identity: () => {},
  // About the upper left corner, not the middle.
  shearX: (image, shape, m, sign) => warp(image, shape, [1, sign * m * MOST_SHEAR, 0, 0, 1, 0]),
  shearY: (image, shape, m, sign) => warp(image, shape, [1, 0, 0, sign * m * MOST_SHEAR, 1, 0]),
  translateX: (image, shape, m, sign) =>
    warp(image, shape, [1, 0, -sign * Math.trunc(m * MOST_SHIFT * shape[1]), 0, 1, 0]),
  translateY: (image, shape, m, sign) =>
    warp(image, shape, [1, 0, 0, 0, 1, -sign * Math.trunc(m * MOST_SHIFT * shape[0])]),
  rotate: (image, shape, m, sign) => {
    const [sin, cos] = sinCos((sign * m * MOST_DEGREES * Math.PI) / 180);
    const [y, x] = [shape[0] / 2, shape[1] / 2];
    warp(image, shape, [cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y]);
  },
  brightness: (image, _, m, sign) => mapBytes(image, (v) => blend(0, v, shareOf(m, sign))),
  color: (image, shape, m, sign) => {
    if (shape[2] !== 3) return;
    const share = shareOf(m, sign);
    for (let i = 0; i < image.length; i += 3) {
      const grey = lumaAt(image, i);
      for (let k = i; k < i + 3; k++) image[k] = blend(grey, image[k]!, share);
    }
  },
  contrast: (image, shape, m, sign) => {
    const mean = meanLuma(image, shape[2]);
    mapBytes(image, (v) => blend(mean, v, shareOf(m, sign)));
  },
  sharpness: (image, shape, m, sign) => {
    const smooth = smoothed(image, shape);
    const share = shareOf(m, sign);
    for (let i = 0; i < image.length; i++) image[i] = blend(smooth[i]!, image[i]!, share);
  },
  posterize: (image, _, m) => {
    const mask = (0xff << Math.round(m * MOST_BITS_DROPPED)) & 0xff;
    mapBytes(image, (v) => v & mask);
  },
  solarize: (image, _, m) => mapBytes(image, (v) => (v >= 255 * (1 - m) ? 255 - v : v)),
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
  lookUp("applyOperation: the name", OPERATIONS, name)(image, shape, strength, sign);
}

/**
 * Turns the hues of `image`, in place, by a share of their circle; saturation and value stay. Grey images have none.
 */
export function turnHues(image: Uint8Array, [, , channels]: ImageShape, turn: number): void {
  if (channels !== 3) return;
  for (let i = 0; i < image.length; i += 3) {
    const [r, g, b] = [image[i]!, image[i + 1]!, image[i + 2]!];
    const value = Math.max(r, g, b);
    const chroma = value - Math.min(r, g, b);
    if (chroma === 0) continue;
    // In sixths of the circle, from red.
    const hue = value === r ? (g - b) / chroma : value === g ? 2 + (b - r) / chroma : 4 + (r - g) / chroma;
    const turned = hue + 6 * turn;
    for (let c = 0; c < 3; c++) {
      const k = (((5 - 2 * c + turned) % 6) + 6) % 6;
      image[i + c] = Math.round(value - chroma * Math.max(0, Math.min(k, 4 - k, 1)));
    }
  }
}

/**
 * `[a, b, c, d, e, f]`: what is shown at (x, y) comes from (a x + b y + c, d x + e y + f), in pixels from the upper
 * left corner.
 */
type Affine = readonly [number, number, number, number, number, number];

/** Coordinates in PIL's fixed point, of 16 bits after the point, at the middle of pixels. */
function warp(image: Uint8Array, [height, width, channels]: ImageShape, [a, b, c, d, e, f]: Affine): void {
  const source = new Uint8Array(image);
  const fixed = (value: number): number => Math.floor(value * 65536 + 0.5);
  const [stepX, stepY, downX, downY] = [fixed(a), fixed(d), fixed(b), fixed(e)];
  let to = 0;
  for (let y = 0; y < height; y++) {
    let fromX = fixed(c + a / 2 + b / 2) + y * downX;
    let fromY = fixed(f + d / 2 + e / 2) + y * downY;
    for (let x = 0; x < width; x++, fromX += stepX, fromY += stepY) {
      const column = fromX >> 16;
      const row = fromY >> 16;
      const isInside = column >= 0 && column < width && row >= 0 && row < height;
      const from = (row * width + column) * channels;
      for (let k = 0; k < channels; k++) image[to++] = isInside ? source[from + k]! : 0;
    }
  }
}

const shareOf = (m: number, sign: number): number => Math.fround(1 + sign * m * MOST_BLEND);

/** `share` of `value` and 1 - share of `base`, cut to a byte as PIL does: in single precision, without rounding. */
function blend(base: number, value: number, share: number): number {
  const mixed = Math.fround(base + Math.fround(share * (value - base)));
  return mixed <= 0 ? 0 : mixed >= 255 ? 255 : Math.trunc(mixed);
}

/** Each byte by a table of what `change` makes of it. */
function mapBytes(image: Uint8Array, change: (value: number) => number): void {
  const table = Uint8Array.from({ length: 256 }, (_, value) => change(value));
  for (let i = 0; i < image.length; i++) image[i] = table[image[i]!]!;
}

/** Of the pixel that begins at `i`. */
const lumaAt = (image: Uint8Array, i: number): number => luma(image[i]!, image[i + 1]!, image[i + 2]!);

function meanLuma(image: Uint8Array, channels: number): number {
  let sum = 0;
  for (let i = 0; i < image.length; i += channels) sum += channels === 3 ? lumaAt(image, i) : image[i]!;
  return Math.trunc((sum * channels) / image.length + 0.5);
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
  const scale = 255 / (high - low);
  return Uint8Array.from(histogram, (_, v) => Math.min(255, Math.max(0, Math.trunc(v * scale - low * scale))));
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
