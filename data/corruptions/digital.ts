// Light, shape and compression, by the parameters published for CIFAR-10-C.

import { exactly } from "../../base/index.ts";
import type { Stream } from "../random.ts";
import { jpegQuantised } from "./jpeg.ts";
import { type Corruption, graded } from "./kind.ts";
import { blank, boxResized, clip, drawn, gaussian, mapped, type Pixels, sample } from "./pixels.ts";

const BRIGHTNESS = [0.05, 0.1, 0.15, 0.2, 0.3];
const CONTRAST = [0.75, 0.5, 0.4, 0.3, 0.15];
/** [factor, addend] */
const SATURATE = [
  [0.3, 0],
  [0.1, 0],
  [1.5, 0],
  [2, 0.1],
  [2.5, 0.2],
] as const;
/** In sides of the image: [strength, smoothness of the field, shift of three corners] */
const ELASTIC = [
  [0, 0, 0.08],
  [0.05, 0.2, 0.07],
  [0.08, 0.06, 0.06],
  [0.1, 0.04, 0.05],
  [0.1, 0.03, 0.03],
] as const;
const PIXELATE = [0.95, 0.9, 0.85, 0.75, 0.65];
const QUALITY = [80, 65, 58, 50, 40];

/** Pixels of three channels changed by their value and saturation as of HSV; others by their value alone. */
function inHsv(x: Pixels, change: (s: number, v: number) => readonly [s: number, v: number]): Pixels {
  const { channels, data } = x;
  if (channels !== 3) return mapped(x, (value) => clip(change(0, value)[1]));
  const out = new Float64Array(data.length);
  for (let at = 0; at < data.length; at += 3) {
    const pixel = [data[at]!, data[at + 1]!, data[at + 2]!];
    const v = Math.max(...pixel);
    const chroma = v - Math.min(...pixel);
    const s = v === 0 ? 0 : chroma / v;
    const [s2, v2] = change(s, v);
    // The hue stays: each channel keeps its place between the largest and the smallest.
    for (let c = 0; c < 3; c++) {
      const below = chroma === 0 ? (c === 0 ? 0 : 1) : (v - pixel[c]!) / chroma;
      out[at + c] = clip(v2) * (1 - clip(s2) * below);
    }
  }
  return { ...x, data: out };
}

function contrasted(x: Pixels, factor: number): Pixels {
  const pixels = x.height * x.width;
  const means = Array.from({ length: x.channels }, (_, c) => {
    let sum = 0;
    for (let i = 0; i < pixels; i++) sum += x.data[i * x.channels + c]!;
    return sum / pixels;
  });
  return mapped(x, (value, c) => (value - means[c]!) * factor + means[c]!);
}

type Point = readonly [x: number, y: number];

type Triangle = readonly [Point, Point, Point];

/** The affine map of three points to three others, as [xx, xy, x0, yx, yy, y0]. */
function affine([p, q, r]: Triangle, [a, b, c]: Triangle): readonly [number, number, number, number, number, number] {
  const [ux, uy, vx, vy] = [q[0] - p[0], q[1] - p[1], r[0] - p[0], r[1] - p[1]];
  const det = ux * vy - uy * vx;
  const row = (k: 0 | 1): [number, number, number] => {
    const [du, dv] = [b[k] - a[k], c[k] - a[k]];
    const [x, y] = [(du * vy - dv * uy) / det, (dv * ux - du * vx) / det];
    return [x, y, a[k] - x * p[0] - y * p[1]];
  };
  return [...row(0), ...row(1)];
}

function elastic(x: Pixels, shares: (typeof ELASTIC)[number], stream: Stream): Pixels {
  const { height, width, channels } = x;
  const side = Math.min(height, width);
  const [strength, smoothness, shift] = exactly(
    shares.map((share) => share * side),
    3,
  );
  const [cx, cy, third] = [Math.floor(width / 2), Math.floor(height / 2), Math.floor(side / 3)];
  const from: Triangle = [
    [cx + third, cy + third],
    [cx + third, cy - third],
    [cx - third, cy - third],
  ];
  const shaken = ([px, py]: Point): Point => [px + stream.between(-shift, shift), py + stream.between(-shift, shift)];
  const to: Triangle = [shaken(from[0]), shaken(from[1]), shaken(from[2])];
  const [xx, xy, x0, yx, yy, y0] = affine(to, from);
  const field = () =>
    gaussian(
      mapped(blank(height, width, 1), () => stream.between(-1, 1)),
      smoothness,
      { truncate: 3, edge: "reflect" },
    );
  const [dx, dy] = [field(), field()];
  const moved = drawn(height, width, channels, (i, j, c) =>
    sample(x, yx * j + yy * i + y0, xx * j + xy * i + x0, c, "mirror"),
  );
  return drawn(height, width, channels, (i, j, c) => {
    const pixel = i * width + j;
    return sample(moved, i + strength * dy.data[pixel]!, j + strength * dx.data[pixel]!, c);
  });
}

function pixelated(x: Pixels, share: number): Pixels {
  const small = (size: number) => Math.max(1, Math.floor(size * share));
  return boxResized(boxResized(x, small(x.height), small(x.width)), x.height, x.width);
}

export const DIGITAL: readonly Corruption[] = [
  { name: "brightness", about: "more light", apply: graded(BRIGHTNESS, (x, by) => inHsv(x, (s, v) => [s, v + by])) },
  { name: "contrast", about: "less contrast", apply: graded(CONTRAST, contrasted) },
  { name: "elastic_transform", about: "small stretches", apply: graded(ELASTIC, elastic) },
  { name: "pixelate", about: "fewer pixels", apply: graded(PIXELATE, pixelated) },
  {
    name: "jpeg_compression",
    about: "the losses of JPEG",
    synthetic: "JPEG's quantisation by an own cosine transform; its coding, which loses nothing, is left out",
    apply: graded(QUALITY, jpegQuantised),
  },
  {
    name: "saturate",
    about: "paler, then stronger colours; images without colour stay",
    isExtra: true,
    apply: graded(SATURATE, (x, [factor, shift]) => inHsv(x, (s, v) => [s * factor + shift, v])),
  },
];
