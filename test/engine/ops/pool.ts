// Pooling and resizing against plain loops in float64.

import {
  type AvgPoolOptions,
  adaptiveAvgPool2d,
  avgPool2d,
  type InterpolateOptions,
  interpolate,
  type MaxPoolOptions,
  maxPool2d,
} from "../../../engine/index.ts";
import { type OpCase, type OpRow, type Ref, ref } from "./row.ts";

type Two = readonly [number, number];
const two = (value: number | Two): Two => (typeof value === "number" ? [value, value] : value);

/** A cell that an output reads along one axis, and its weight. Padding has the cell -1. */
type Tap = readonly [cell: number, weight: number];

/** y[b, oy, ox, c] from the taps of its row and its column. */
function image(
  x: Ref,
  rows: readonly Tap[][],
  cols: readonly Tap[][],
  combine: (values: number[], weights: number[]) => number,
): Ref {
  const shape = x.shape.length === 4 ? x.shape : [1, ...x.shape];
  const [, h, w, c] = shape as [number, number, number, number];
  const out = [...x.shape.slice(0, -3), rows.length, cols.length, c];
  return ref(out, (i) => {
    const [ch, ox, oy] = [i % c, Math.floor(i / c) % cols.length, Math.floor(i / c / cols.length) % rows.length];
    const b = Math.floor(i / c / cols.length / rows.length);
    const taps = rows[oy]!.flatMap(([y, wy]) => cols[ox]!.map(([at, wx]) => [y, at, wy * wx] as const));
    const inside = taps.filter(([y, at]) => y >= 0 && y < h && at >= 0 && at < w);
    return combine(
      inside.map(([y, at]) => x.data[((b * h + y) * w + at) * c + ch] as number),
      inside.map(([, , weight]) => weight),
    );
  });
}

const span = (from: number, to: number): Tap[] => Array.from({ length: to - from }, (_, i) => [from + i, 1]);
const list = <T>(n: number, make: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => make(i));
const weighted = (values: number[], weights: number[]): number =>
  values.reduce((sum, v, i) => sum + v * (weights[i] as number), 0);
const sides = ({ shape }: Ref): Two => [shape.at(-3) as number, shape.at(-2) as number];

/** Windows that start in the image or in the padding before it; `ceilMode` also takes one that reaches too far. */
function fixed(x: Ref, options: MaxPoolOptions): readonly [Tap[][], Tap[][]] {
  const { kernel, stride = kernel, padding = 0, dilation = 1, ceilMode = false } = options;
  const [kernels, strides, pads, apart] = [two(kernel), two(stride), two(padding), two(dilation)];
  const axis = (a: 0 | 1): Tap[][] => {
    const [size, k, s, p, d] = [sides(x)[a], kernels[a], strides[a], pads[a], apart[a]];
    const starts = list(size + p, (at) => at).filter((at) => at % s === 0);
    const last = size + 2 * p - (k - 1) * d - 1;
    const fitting = starts.filter((at) => at <= last).length;
    const count = ceilMode ? Math.min(starts.length, fitting + Number(last % s !== 0)) : fitting;
    return list(count, (o) => list(k, (i) => [o * s - p + i * d, 1]));
  };
  return [axis(0), axis(1)];
}

const maxCase = (shape: readonly number[], options: MaxPoolOptions): OpCase => ({
  label: `[${shape}] ${JSON.stringify(options)}`,
  inputs: { x: { shape } },
  call: ({ x }) => maxPool2d(x!, options),
  oracle: ({ x }) => image(x!, ...fixed(x!, options), (values) => Math.max(...values)),
  grads: ["x"],
});

const avgCase = (shape: readonly number[], options: AvgPoolOptions): OpCase => ({
  label: `[${shape}] ${JSON.stringify(options)}`,
  inputs: { x: { shape } },
  call: ({ x }) => avgPool2d(x!, options),
  oracle: ({ x }) => {
    const [h, w] = sides(x!);
    const [pt, pl] = two(options.padding ?? 0);
    const [rows, cols] = fixed(x!, options);
    // Zeros around the image are cells as its own are; what lies beyond them is none.
    const within = (taps: Tap[][], size: number, p: number) =>
      taps.map((all) => all.filter(([cell]) => cell < size + p).map(([cell]): Tap => [cell, 1]));
    const [all, across] = [within(rows, h, pt), within(cols, w, pl)];
    if (options.countIncludePad === false)
      return image(x!, all, across, (values, weights) => weighted(values, weights) / values.length);
    const mean = (taps: Tap[][]) => taps.map((one) => one.map(([cell]): Tap => [cell, 1 / one.length]));
    return image(x!, mean(all), mean(across), weighted);
  },
  grads: ["x"],
});

const adaptiveCase = (shape: readonly number[], outputSize: number | Two): OpCase => ({
  label: `[${shape}] to ${JSON.stringify(outputSize)}`,
  inputs: { x: { shape } },
  call: ({ x }) => adaptiveAvgPool2d(x!, { outputSize }),
  oracle: ({ x }) => {
    const cells = (n: number, m: number) => list(m, (i) => span(Math.floor((i * n) / m), Math.ceil(((i + 1) * n) / m)));
    const [h, w] = sides(x!);
    const [oh, ow] = two(outputSize);
    return image(x!, cells(h, oh), cells(w, ow), (values, weights) => weighted(values, weights) / values.length);
  },
  grads: ["x"],
});

function taps(size: number, out: number, ratio: number, { mode, alignCorners }: InterpolateOptions): Tap[][] {
  return list(out, (o) => {
    if (mode !== "bilinear") return [[Math.floor(o * ratio + 1e-9), 1]];
    const aligned = out > 1 ? (o * (size - 1)) / (out - 1) : 0;
    const at = alignCorners ? aligned : Math.max((o + 0.5) * ratio - 0.5, 0);
    const cell = Math.floor(at);
    return [
      [cell, 1 - (at - cell)],
      [Math.min(cell + 1, size - 1), at - cell],
    ];
  });
}

const resizeCase = (shape: readonly number[], options: InterpolateOptions): OpCase => ({
  label: `[${shape}] ${JSON.stringify(options)}`,
  inputs: { x: { shape } },
  call: ({ x }) => interpolate(x!, options),
  oracle: ({ x }) => {
    const axis = (size: number, k: 0 | 1): Tap[][] => {
      const scale = options.scale === undefined ? undefined : two(options.scale)[k];
      const out = scale === undefined ? two(options.size as Two)[k] : Math.floor(size * scale);
      return taps(size, out, scale === undefined ? size / out : 1 / scale, options);
    };
    const [h, w] = sides(x!);
    return image(x!, axis(h, 0), axis(w, 1), weighted);
  },
  grads: ["x"],
});

export const rows: OpRow[] = [
  {
    op: "maxPool2d",
    live: "some",
    cases: [
      maxCase([2, 6, 8, 4], { kernel: 2 }),
      maxCase([1, 7, 9, 33], { kernel: 3, stride: 2, padding: 1 }),
      maxCase([5, 4, 31], { kernel: [3, 2], stride: [1, 2], padding: [1, 0] }),
      maxCase([0, 4, 4, 4], { kernel: 2 }),
      maxCase([1, 17, 17, 4], { kernel: 17, stride: 1, padding: 8 }),
      maxCase([2, 7, 10, 8], { kernel: [3, 2], stride: 2, padding: 1, ceilMode: true }),
      maxCase([1, 13, 11, 33], { kernel: 3, stride: [2, 1], padding: [2, 1], dilation: [2, 3], ceilMode: true }),
    ],
  },
  {
    op: "avgPool2d",
    live: "some",
    cases: [
      avgCase([2, 6, 8, 4], { kernel: 2 }),
      avgCase([1, 7, 9, 33], { kernel: 3, stride: 2, padding: 1, countIncludePad: false }),
      avgCase([5, 4, 31], { kernel: [3, 2], stride: [1, 2], padding: [1, 1] }),
      avgCase([1, 8, 8, 257], { kernel: 8 }),
      avgCase([2, 7, 10, 8], { kernel: [3, 2], stride: [2, 4], padding: 1, ceilMode: true }),
      avgCase([1, 6, 7, 33], { kernel: 3, stride: 2, padding: 1, ceilMode: true, countIncludePad: false }),
      avgCase([0, 4, 4, 4], { kernel: 2 }),
    ],
  },
  {
    op: "adaptiveAvgPool2d",
    live: "some",
    cases: [
      adaptiveCase([2, 8, 8, 64], 1),
      adaptiveCase([1, 7, 5, 33], [1, 3]),
      adaptiveCase([7, 10, 4], [3, 4]),
      adaptiveCase([2, 3, 2, 1], [5, 7]),
      adaptiveCase([0, 4, 4, 4], 2),
    ],
  },
  {
    op: "interpolate",
    live: "some",
    cases: [
      resizeCase([2, 5, 3, 4], { scale: 2 }),
      resizeCase([2, 5, 3, 4], { scale: 2, mode: "bilinear" }),
      resizeCase([7, 4, 33], { size: [3, 31], mode: "bilinear", alignCorners: true }),
      resizeCase([1, 13, 11, 1], { scale: [1.5, 0.7], mode: "bilinear" }),
      resizeCase([1, 6, 8, 8], { size: [4, 11] }),
      resizeCase([0, 4, 4, 4], { size: 3 }),
    ],
  },
];
