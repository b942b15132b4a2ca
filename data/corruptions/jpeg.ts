// What JPEG loses: the standard's tables applied to 8x8 cosine transforms, chroma at half the resolution. Its entropy
// coding loses nothing, and is left out.

import { exactly } from "../../base/index.ts";
import { sinCos } from "../numeric.ts";
import { blank, clip, drawn, type Pixels, rounded } from "./pixels.ts";

// biome-ignore format: a table as the standard prints it (ITU-T T.81, Annex K)
const LUMINANCE = [
  16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
  18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
];
// biome-ignore format: as above
const CHROMINANCE = [
  17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,
  99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
];

/** The orthonormal cosine transform of eight values: [frequency][place]. */
const COSINES = Array.from({ length: 8 }, (_, u) =>
  Array.from({ length: 8 }, (_, i) => (u === 0 ? Math.SQRT1_2 : 1) * 0.5 * sinCos(((2 * i + 1) * u * Math.PI) / 16)[1]),
);

/** A table at a quality from 1 to 100, as libjpeg scales it. */
function scaled(table: readonly number[], quality: number): number[] {
  const scale = quality < 50 ? 5000 / quality : 200 - 2 * quality;
  return table.map((step) => clip(Math.floor((step * scale + 50) / 100), 1, 255));
}

/** a m b, 8x8 each; `t` transposes. */
function product(a: (i: number, k: number) => number, b: (k: number, j: number) => number): Float64Array {
  const out = new Float64Array(64);
  for (let i = 0; i < 8; i++)
    for (let j = 0; j < 8; j++) for (let k = 0; k < 8; k++) out[i * 8 + j]! += a(i, k) * b(k, j);
  return out;
}

/**
 * One channel in 0..255 through the transform, rounded to the table's steps, and back. Edges repeat up to whole blocks.
 */
function quantised({ height, width, data }: Pixels, table: readonly number[]): Pixels {
  const out = blank(height, width, 1);
  const basis = (u: number, i: number) => COSINES[u]![i]!;
  for (let top = 0; top < height; top += 8) {
    for (let left = 0; left < width; left += 8) {
      const place = (i: number, j: number) => Math.min(height - 1, top + i) * width + Math.min(width - 1, left + j);
      const rows = product(basis, (k, j) => data[place(k, j)]! - 128);
      const found = product(
        (i, k) => rows[i * 8 + k]!,
        (k, v) => basis(v, k),
      );
      const kept = found.map((value, at) => Math.round(value / table[at]!) * table[at]!);
      const columns = product(
        (i, u) => basis(u, i),
        (u, v) => kept[u * 8 + v]!,
      );
      const block = product((i, v) => columns[i * 8 + v]!, basis);
      for (let i = 0; i < 8 && top + i < height; i++)
        for (let j = 0; j < 8 && left + j < width; j++)
          out.data[(top + i) * width + left + j] = clip(Math.round(block[i * 8 + j]! + 128), 0, 255);
    }
  }
  return out;
}

/** Of one channel, means of two by two; the last row or column twice where a side is odd. */
const halved = ({ height, width, data }: Pixels): Pixels =>
  drawn(Math.ceil(height / 2), Math.ceil(width / 2), 1, (i, j) => {
    const row = (k: number) => width * Math.min(2 * i + k, height - 1);
    const [left, right] = [2 * j, Math.min(2 * j + 1, width - 1)];
    return (data[row(0) + left]! + data[row(0) + right]! + data[row(1) + left]! + data[row(1) + right]!) / 4;
  });

/** Back again, by three parts of what is nearest and one of what lies beyond, along each side, as decoders do it. */
const doubled = (x: Pixels, height: number, width: number): Pixels =>
  drawn(height, width, 1, (i, j) => {
    const [near, far] = nearest(i, x.height).map((row) => row * x.width) as [number, number];
    const [left, right] = nearest(j, x.width);
    return (9 * x.data[near + left]! + 3 * (x.data[near + right]! + x.data[far + left]!) + x.data[far + right]!) / 16;
  });

/** The places of half a side that lie nearest to a place of all of it, and next to that. */
const nearest = (at: number, side: number): [number, number] => {
  const near = Math.floor(at / 2);
  return [near, clip(near + (at % 2 === 0 ? -1 : 1), 0, side - 1)];
};

/** A picture as JPEG of that quality gives it back; of other than three channels each by itself, as luminance. */
export function jpegQuantised(x: Pixels, quality: number): Pixels {
  const { height, width, channels } = x;
  const [fine, coarse] = [scaled(LUMINANCE, quality), scaled(CHROMINANCE, quality)];
  const layer = (of: (at: number) => number) => drawn(height, width, 1, (i, j) => of((i * width + j) * channels));
  const value = (at: number) => 255 * clip(x.data[at]!);
  const merged = (layers: readonly Pixels[], of: (parts: readonly number[], c: number) => number) =>
    rounded(
      drawn(height, width, channels, (i, j, c) => {
        const parts = layers.map(({ data }) => data[i * width + j]!);
        return of(parts, c) / 255;
      }),
    );
  if (channels !== 3) {
    const layers = Array.from({ length: channels }, (_, c) =>
      quantised(
        layer((at) => value(at + c)),
        fine,
      ),
    );
    return merged(layers, (parts, c) => parts[c]!);
  }
  const luma = layer((at) => 0.299 * value(at) + 0.587 * value(at + 1) + 0.114 * value(at + 2));
  const chroma = [2, 0].map((c) => {
    const share = c === 2 ? 1.772 : 1.402;
    const full = layer((at) => (value(at + c) - luma.data[at / 3]!) / share + 128);
    return doubled(quantised(halved(full), coarse), height, width);
  });
  return merged([quantised(luma, fine), ...chroma], (parts, c) => {
    const [y, cb, cr] = exactly(parts, 3);
    const [blue, red] = [cb - 128, cr - 128];
    return [y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue][c]!;
  });
}
