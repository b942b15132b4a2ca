// Pictures of any size to one size, to the byte as Pillow's `Image.resize` does it: two passes with an antialiasing
// filter, in fixed point with 22 bits after the point, rounded to bytes in between. And what of a picture is shown: as
// torchvision's Resize and CenterCrop do it, stretched, or whole on black.

import type { OptionValues } from "../../base/index.ts";
import type { FIT } from "../fit.ts";
import { sinCos } from "../numeric.ts";

/** Bytes of one picture. */
export interface Raster {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  /** [height, width, channels] */
  readonly data: Uint8Array;
}

type Fit = OptionValues<typeof FIT>;
type Filter = Fit["filter"];

/** Half the width of each filter at scale 1, and its value. */
const FILTERS: Readonly<Record<Filter, { readonly support: number; readonly at: (x: number) => number }>> = {
  box: { support: 0.5, at: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, at: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: { support: 2, at: (x) => cubic(Math.abs(x)) },
  lanczos: { support: 3, at: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

/** Keys 1981 with a = -0.5. */
function cubic(x: number): number {
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
}

function sinc(x: number): number {
  if (x === 0) return 1;
  return sinCos(x * Math.PI)[0] / (x * Math.PI);
}

/** Digits after the point: a byte and a sign leave 22 of 32 bits, with one to spare for lobes below 0. */
const BITS = 22;

/** For each output pixel, where its inputs begin, how many there are, and their weights. */
interface Weights {
  readonly first: Int32Array;
  readonly count: Int32Array;
  readonly width: number;
  readonly values: Int32Array;
}

function weightsOf(from: number, to: number, { support, at }: (typeof FILTERS)[Filter]): Weights {
  const scale = from / to;
  const stretch = Math.max(1, scale);
  const reach = support * stretch;
  const width = Math.ceil(reach) * 2 + 1;
  const [first, count] = [new Int32Array(to), new Int32Array(to)];
  const values = new Int32Array(to * width);
  const row = new Float64Array(width);
  for (let x = 0; x < to; x++) {
    const centre = (x + 0.5) * scale;
    const begin = Math.max(0, Math.trunc(centre - reach + 0.5));
    const n = Math.min(from, Math.trunc(centre + reach + 0.5)) - begin;
    let sum = 0;
    for (let i = 0; i < n; i++) sum += row[i] = at((i + begin - centre + 0.5) * (1 / stretch));
    for (let i = 0; i < n; i++) {
      const weight = (sum === 0 ? row[i]! : row[i]! / sum) * 2 ** BITS;
      values[x * width + i] = Math.trunc(weight < 0 ? weight - 0.5 : weight + 0.5);
    }
    first[x] = begin;
    count[x] = n;
  }
  return { first, count, width, values };
}

const clip = (sum: number): number => Math.min(255, Math.max(0, sum >> BITS));

/**
 * Resizes along one axis: `data` is [outer, from, inner], and inner values are those of neighbours or of channels.
 */
function pass(data: Uint8Array, outer: number, from: number, inner: number, to: number, filter: Filter): Uint8Array {
  if (from === to) return data;
  const { first, count, width, values } = weightsOf(from, to, FILTERS[filter]);
  const result = new Uint8Array(outer * to * inner);
  const sums = new Int32Array(inner);
  for (let o = 0; o < outer; o++) {
    for (let x = 0; x < to; x++) {
      sums.fill(1 << (BITS - 1));
      for (let i = 0; i < count[x]!; i++) {
        const weight = values[x * width + i]!;
        const at = (o * from + first[x]! + i) * inner;
        for (let k = 0; k < inner; k++) sums[k]! += data[at + k]! * weight;
      }
      const put = (o * to + x) * inner;
      for (let k = 0; k < inner; k++) result[put + k] = clip(sums[k]!);
    }
  }
  return result;
}

/** A picture of `height` x `width`. */
export function resize(picture: Raster, height: number, width: number, filter: Filter = "bilinear"): Raster {
  const { channels } = picture;
  const wide = pass(picture.data, picture.height, picture.width, channels, width, filter);
  const data = pass(wide, 1, picture.height, width * channels, height, filter);
  return { width, height, channels, data };
}

/** A picture as a network takes it, [height, width], by the rule of `FIT`. */
export function fitTo(picture: Raster, [height, width]: readonly [number, number], { fit, filter, keep }: Fit): Raster {
  if (fit === "stretch") return resize(picture, height, width, filter);
  if (fit === "pad") {
    const [h, w] = within(picture, height, width);
    return place(resize(picture, h, w, filter), height, width);
  }
  const [h, w] = around(picture, Math.floor(height / keep), Math.floor(width / keep));
  return place(resize(picture, h, w, filter), height, width);
}

/** The least size of the picture's aspect ratio that covers [height, width]; the longer side is cut to whole pixels. */
function around(picture: Raster, height: number, width: number): readonly [number, number] {
  const isTall = picture.height * width > picture.width * height;
  if (isTall) return [Math.max(height, Math.trunc((width * picture.height) / picture.width)), width];
  return [height, Math.max(width, Math.trunc((height * picture.width) / picture.height))];
}

/** The largest size of the picture's aspect ratio within [height, width]. */
function within(picture: Raster, height: number, width: number): readonly [number, number] {
  const scale = Math.min(height / picture.height, width / picture.width);
  const side = (extent: number, most: number) => Math.min(most, Math.max(1, Math.round(extent * scale)));
  return [side(picture.height, height), side(picture.width, width)];
}

/** The middle of a picture, or black around it. */
function place(picture: Raster, height: number, width: number): Raster {
  if (picture.height === height && picture.width === width) return picture;
  const { channels } = picture;
  const [top, left] = [toEven((picture.height - height) / 2), toEven((picture.width - width) / 2)];
  const data = new Uint8Array(height * width * channels);
  const [from, to] = [Math.max(0, left), Math.min(picture.width, left + width)];
  for (let y = Math.max(0, -top); y < Math.min(height, picture.height - top); y++) {
    const row = (y + top) * picture.width;
    data.set(
      picture.data.subarray((row + from) * channels, (row + to) * channels),
      (y * width + from - left) * channels,
    );
  }
  return { width, height, channels, data };
}

/** Rounds halves to even numbers, as Python does. */
function toEven(x: number): number {
  const low = Math.floor(x);
  if (x - low !== 0.5) return Math.round(x);
  return low % 2 === 0 ? low : low + 1;
}
