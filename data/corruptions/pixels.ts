// An image as numbers in 0..1, and what corruptions do with it: filters, samples between pixels, zooms.

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

/** The picture of a function of every value; `c` is the channel, `at` the place of the value. */
export const mapped = (x: Pixels, fn: (value: number, c: number, at: number) => number): Pixels => ({
  ...x,
  data: x.data.map((value, at) => fn(value, at % x.channels, at)),
});

/** What lies beyond an edge: its pixel again, or the image mirrored (its edge pixel twice). */
type Edge = "nearest" | "reflect";

function inside(i: number, size: number, edge: Edge): number {
  if (edge === "nearest") return clip(i, 0, size - 1);
  const period = 2 * size;
  const at = ((i % period) + period) % period;
  return at < size ? at : period - 1 - at;
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
  const hard = blank(size, size, 1);
  for (let i = 0; i < size; i++)
    for (let j = 0; j < size; j++)
      if ((i - reach) ** 2 + (j - reach) ** 2 <= radius * radius) hard.data[i * size + j] = 1;
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

/** A value between pixels, linear in both directions; beyond the edges mirrored. */
export function sample(x: Pixels, row: number, column: number, c: number): number {
  const [i, j] = [Math.floor(row), Math.floor(column)];
  const [a, b] = [row - i, column - j];
  const at = (y: number, z: number) =>
    x.data[(inside(y, x.height, "reflect") * x.width + inside(z, x.width, "reflect")) * x.channels + c]!;
  return (1 - a) * ((1 - b) * at(i, j) + b * at(i, j + 1)) + a * ((1 - b) * at(i + 1, j) + b * at(i + 1, j + 1));
}

/** The middle of a picture, `factor` times as large, at the old size. */
export function zoomed(x: Pixels, factor: number): Pixels {
  const { height, width, channels } = x;
  const out = blank(height, width, channels);
  const cut = (size: number) => {
    const kept = Math.ceil(size / factor);
    const grown = Math.max(size, Math.round(kept * factor));
    // Corners lie on corners, as in SciPy's zoom.
    return {
      top: Math.floor((size - kept) / 2),
      trim: Math.floor((grown - size) / 2),
      step: grown > 1 ? (kept - 1) / (grown - 1) : 0,
    };
  };
  const [rows, columns] = [cut(height), cut(width)];
  for (let i = 0, at = 0; i < height; i++)
    for (let j = 0; j < width; j++)
      for (let c = 0; c < channels; c++, at++)
        out.data[at] = sample(
          x,
          rows.top + (i + rows.trim) * rows.step,
          columns.top + (j + columns.trim) * columns.step,
          c,
        );
  return out;
}

/** The mean of each area that a pixel of the new size covers. */
export function boxResized(x: Pixels, height: number, width: number): Pixels {
  const out = blank(height, width, x.channels);
  const shares = (from: number, to: number) =>
    Array.from({ length: to }, (_, i) => {
      const [low, high] = [(i * from) / to, ((i + 1) * from) / to];
      const first = Math.floor(low);
      return Array.from({ length: Math.ceil(high - 1e-9) - first }, (_, k) => {
        const covered = Math.min(high, first + k + 1) - Math.max(low, first + k);
        return [first + k, covered / (high - low)] as const;
      });
    });
  const [rows, columns] = [shares(x.height, height), shares(x.width, width)];
  let at = 0;
  for (const row of rows)
    for (const column of columns)
      for (let c = 0; c < x.channels; c++, at++)
        for (const [i, a] of row)
          for (const [j, b] of column) out.data[at]! += a * b * x.data[(i * x.width + j) * x.channels + c]!;
  return out;
}

/** The mean of the channels, [height, width, 1]; of three, weighted as eyes do. */
export function grey({ height, width, channels, data }: Pixels): Pixels {
  const weights = channels === 3 ? [0.299, 0.587, 0.114] : new Array<number>(channels).fill(1 / channels);
  const out = blank(height, width, 1);
  for (let i = 0; i < out.data.length; i++)
    for (let c = 0; c < channels; c++) out.data[i]! += weights[c]! * data[i * channels + c]!;
  return out;
}
