// An image as numbers in 0..1, and what corruptions do with it: filters, samples between pixels, zooms.

import { permuted } from "../../base/index.ts";
import { sinCos } from "../numeric.ts";

/** One image, or one layer of it: [height, width, channels], values mostly in 0..1. */
export interface Pixels {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly data: Float64Array;
}

export const blank = (height: number, width: number, channels: number): Pixels => ({
  height,
  width,
  channels,
  data: new Float64Array(height * width * channels),
});

export const clip = (x: number, low = 0, high = 1): number => Math.min(high, Math.max(low, x));

/** The picture of a function of every place: row, column and channel. */
export function drawn(
  height: number,
  width: number,
  channels: number,
  fn: (i: number, j: number, c: number) => number,
): Pixels {
  const out = blank(height, width, channels);
  for (let i = 0, at = 0; i < height; i++)
    for (let j = 0; j < width; j++) for (let c = 0; c < channels; c++, at++) out.data[at] = fn(i, j, c);
  return out;
}

/** The picture of a function of every value; `c` is the channel, `at` the place of the value. */
export const mapped = (x: Pixels, fn: (value: number, c: number, at: number) => number): Pixels => ({
  ...x,
  data: x.data.map((value, at) => fn(value, at % x.channels, at)),
});

/** The same in whole bytes, cut as the published code cuts them. */
export const inBytes = (x: Pixels): Pixels => mapped(x, (value) => Math.floor(value * 255 + 1e-9) / 255);

/** The same in whole bytes, rounded as Pillow and ImageMagick, which the published code calls, round theirs. */
export const rounded = (x: Pixels): Pixels => mapped(x, (value) => Math.round(value * 255 + 1e-9) / 255);

/**
 * What lies beyond an edge: its pixel again, or the image mirrored, with its edge pixel twice or once (OpenCV's way).
 */
type Edge = "nearest" | "reflect" | "mirror";

function inside(i: number, size: number, edge: Edge): number {
  if (edge === "nearest" || size === 1) return clip(i, 0, size - 1);
  const twice = edge === "reflect" ? 1 : 0;
  const period = 2 * size - 2 + 2 * twice;
  const at = ((i % period) + period) % period;
  return at < size ? at : period - twice - at;
}

/** Weighted sum of pixels around each: `[dy, dx, weight]`. */
export function filtered(
  x: Pixels,
  taps: readonly (readonly [number, number, number])[],
  edge: Edge = "nearest",
): Pixels {
  const { height, width, channels } = x;
  const out = blank(height, width, channels);
  for (let i = 0, at = 0; i < height; i++) {
    for (let j = 0; j < width; j++, at += channels) {
      for (const [dy, dx, weight] of taps) {
        const from = (inside(i + dy, height, edge) * width + inside(j + dx, width, edge)) * channels;
        for (let c = 0; c < channels; c++) out.data[at + c]! += weight * x.data[from + c]!;
      }
    }
  }
  return out;
}

/** A normalised Gaussian at whole distances, up to `reach`. */
function bell(sigma: number, reach: number): number[] {
  const values = Array.from({ length: 2 * reach + 1 }, (_, i) => Math.exp(-((i - reach) ** 2) / (2 * sigma * sigma)));
  const sum = values.reduce((a, b) => a + b, 0);
  return values.map((value) => value / sum);
}

/** Gaussian filter, cut off at `truncate` deviations. */
export function gaussian(x: Pixels, sigma: number, { truncate = 4, edge = "nearest" as Edge } = {}): Pixels {
  const reach = Math.floor(truncate * sigma + 0.5);
  if (!(sigma > 0) || reach === 0) return x;
  const weights = bell(sigma, reach);
  const down = filtered(
    x,
    weights.map((weight, i) => [i - reach, 0, weight] as const),
    edge,
  );
  return filtered(
    down,
    weights.map((weight, i) => [0, i - reach, weight] as const),
    edge,
  );
}

/** A disk as a kernel, its rim softened by a Gaussian of 3x3 pixels. */
export function disk(radius: number, softness: number): (readonly [number, number, number])[] {
  const reach = Math.max(8, Math.ceil(radius)) + 1;
  const size = 2 * reach + 1;
  const hard = drawn(size, size, 1, (i, j) => ((i - reach) ** 2 + (j - reach) ** 2 <= radius * radius ? 1 : 0));
  const count = hard.data.reduce((a, b) => a + b, 0);
  const weights = bell(softness, 1);
  const soft = filtered(
    hard,
    weights.flatMap((a, i) => weights.map((b, j) => [i - 1, j - 1, a * b] as const)),
  );
  return Array.from(soft.data).flatMap((weight, at) =>
    weight === 0 ? [] : [[Math.floor(at / size) - reach, (at % size) - reach, weight / count] as const],
  );
}

/**
 * A blur along a line: weights fall as a Gaussian's half, `radius` and deviation `sigma` in pixels, `angle` in degrees.
 */
export function motion(x: Pixels, { radius, sigma, angle }: { radius: number; sigma: number; angle: number }): Pixels {
  const [sin, cos] = sinCos((angle * Math.PI) / 180);
  const weights = Array.from({ length: 2 * radius + 1 }, (_, i) => Math.exp(-(i * i) / (2 * sigma * sigma)));
  const sum = weights.reduce((a, b) => a + b, 0);
  return filtered(
    x,
    weights.map((weight, i) => [Math.round(i * sin), Math.round(i * cos), weight / sum] as const),
  );
}

/** A value between pixels, linear in both directions. */
export function sample(x: Pixels, row: number, column: number, c: number, edge: Edge = "reflect"): number {
  const [i, j] = [Math.floor(row), Math.floor(column)];
  const [a, b] = [row - i, column - j];
  const at = (y: number, z: number) =>
    x.data[(inside(y, x.height, edge) * x.width + inside(z, x.width, edge)) * x.channels + c]!;
  return (1 - a) * ((1 - b) * at(i, j) + b * at(i, j + 1)) + a * ((1 - b) * at(i + 1, j) + b * at(i + 1, j + 1));
}

/** The middle of a picture, `factor` times as large, at the old size. */
export function zoomed(x: Pixels, factor: number): Pixels {
  const { height, width, channels } = x;
  const cut = (size: number) => {
    const kept = Math.ceil(size / factor);
    // SciPy rounds as Python does: halves to even.
    const [low, over] = [Math.floor(kept * factor), (kept * factor) % 1];
    const grown = Math.max(size, over > 0.5 || (over === 0.5 && low % 2 === 1) ? low + 1 : low);
    // Corners lie on corners, as in SciPy's zoom.
    return {
      top: Math.floor((size - kept) / 2),
      trim: Math.floor((grown - size) / 2),
      step: grown > 1 ? (kept - 1) / (grown - 1) : 0,
    };
  };
  const [rows, columns] = [cut(height), cut(width)];
  return drawn(height, width, channels, (i, j, c) =>
    sample(x, rows.top + (i + rows.trim) * rows.step, columns.top + (j + columns.trim) * columns.step, c),
  );
}

/**
 * A box filter as Pillow has it: the mean of the pixels whose centres lie under the new one, which is one pixel where
 * the picture grows.
 */
export function boxResized(x: Pixels, height: number, width: number): Pixels {
  return transposed(rounded(boxColumns(transposed(rounded(boxColumns(x, width))), height)));
}

/** Rows become columns. */
function transposed({ height, width, channels, data }: Pixels): Pixels {
  const shape = [height, width, channels];
  return { height: width, width: height, channels, data: permuted(data, shape, [1, 0, 2], data.slice()) };
}

function boxColumns(x: Pixels, width: number): Pixels {
  const out = blank(x.height, width, x.channels);
  const scale = x.width / width;
  const reach = Math.max(1, scale) / 2;
  for (let j = 0; j < width; j++) {
    const centre = (j + 0.5) * scale;
    const [first, end] = [Math.floor(centre - reach + 0.5), Math.min(x.width, Math.floor(centre + reach + 0.5))];
    for (let i = 0; i < x.height; i++)
      for (let c = 0; c < x.channels; c++) {
        let sum = 0;
        for (let k = first; k < end; k++) sum += x.data[(i * x.width + k) * x.channels + c]!;
        out.data[(i * width + j) * x.channels + c] = sum / (end - first);
      }
  }
  return out;
}

/** The mean of the channels, [height, width, 1]; of three, weighted as eyes do. */
export function grey({ height, width, channels, data }: Pixels): Pixels {
  const weights = channels === 3 ? [0.299, 0.587, 0.114] : new Array<number>(channels).fill(1 / channels);
  return drawn(height, width, 1, (i, j) => {
    const first = (i * width + j) * channels;
    return weights.reduce((sum, weight, c) => sum + weight * data[first + c]!, 0);
  });
}
