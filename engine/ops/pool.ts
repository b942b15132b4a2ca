// Max, average and adaptive average pooling over NHWC images [B, H, W, C] (or one image [H, W, C]).

import type { Kinds } from "../../base/index.ts";
import {
  averageCandidates,
  avgPool,
  avgPoolBackward,
  MAX_PACKED_WINDOW,
  maxPool,
  maxPoolBackward,
  type PoolSpec,
  placeWords,
  type WindowSpec,
} from "../../kernels/pool.ts";
import { COUNT, type Pair, pairOf, WHOLE } from "../checks.ts";
import { ArgumentError, readOptions, ShapeError } from "../errors.ts";
import { defineOp, isTaped, single } from "../op.ts";
import { type Described, describe, lastOf } from "../shape.ts";
import { positional } from "../signature.ts";
import { checkTensors, type Tensor } from "../tensor.ts";
import { floatStorage, sizeClass } from "./floats.ts";

/** Windows of a pool. */
export interface PoolOptions {
  readonly kernel: Pair;
  /** Default: the kernel. */
  readonly stride?: Pair;
  /** Rows and columns added on each side; at most half the kernel. Default 0. */
  readonly padding?: Pair;
  /** Whether a last window that starts in the image, but reaches beyond the padding, counts; default false. */
  readonly ceilMode?: boolean;
}

export interface MaxPoolOptions extends PoolOptions {
  /** Rows and columns from one cell of a window to the next; default 1. */
  readonly dilation?: Pair;
}

export interface AvgPoolOptions extends PoolOptions {
  /** Whether padding counts as cells of value 0; default true. */
  readonly countIncludePad?: boolean;
}

interface Image {
  readonly n: number;
  readonly h: number;
  readonly w: number;
  readonly c: number;
  readonly oh: number;
  readonly ow: number;
}

interface Windows extends Image {
  readonly kh: number;
  readonly kw: number;
  readonly sh: number;
  readonly sw: number;
  readonly pt: number;
  readonly pl: number;
}

/** Windows of a maximum: how far their cells are apart. */
interface MaxWindows extends Windows {
  readonly dh: number;
  readonly dw: number;
}

/** Windows of an average: whether padding counts, 0 or 1. */
interface AverageWindows extends Windows {
  readonly includePad: number;
}

const POOL: Kinds<PoolOptions> = { kernel: "any!", stride: "any", padding: "any", ceilMode: "boolean" };
const MAX: Kinds<MaxPoolOptions> = { ...POOL, dilation: "any" };
const AVERAGE: Kinds<AvgPoolOptions> = { ...POOL, countIncludePad: "boolean" };

/** Attributes of a gradient: the sizes of the pool, and the shape that comes out. */
type Grad<D> = { readonly dims: D; readonly to: Described };

/** Batch, height, width and channels of an image tensor [B, H, W, C] or [H, W, C]. @internal */
export function imageOf(op: string, x: Tensor): { n: number; h: number; w: number; c: number } {
  checkTensors(op, { x });
  if (x.rank !== 4 && x.rank !== 3) {
    throw new ShapeError(`${op}: x must have the shape [B, H, W, C] or [H, W, C]; got ${describe(x)}.`);
  }
  const [n = 0, h = 0, w = 0, c = 0] = x.rank === 4 ? x.shape : [1, ...x.shape];
  return { n, h, w, c };
}

/** The image shape of `like` with other height and width. @internal */
export const resized = ({ shape, dtype }: Described, oh: number, ow: number): Described => {
  return { shape: [...shape.slice(0, -3), oh, ow, lastOf(shape)], dtype };
};

const specOf = (x: Described, { c }: Image): PoolSpec => ({ width: c % 4 === 0 ? 4 : 1, dtype: floatStorage(x) });

// Places are packed four to a word, a byte each, so large windows go one channel at a time.
const maxSpec = (x: Described, dims: MaxWindows): WindowSpec => {
  const dilated = dims.dh > 1 || dims.dw > 1;
  return dims.kh * dims.kw > MAX_PACKED_WINDOW
    ? { width: 1, dtype: floatStorage(x), dilated }
    : { ...specOf(x, dims), dilated };
};

/** Windows along an axis of `size` cells that reach over `reach` each, in steps of `stride`. */
function countWindows(size: number, { reach, stride, padding, ceilMode }: Axis): number {
  const beyond = size + 2 * padding - reach;
  const count = (ceilMode ? Math.ceil(beyond / stride) : Math.floor(beyond / stride)) + 1;
  // A window that starts in the padding behind the image would hold nothing.
  return ceilMode && (count - 1) * stride >= size + padding ? count - 1 : count;
}

interface Axis {
  readonly reach: number;
  readonly stride: number;
  readonly padding: number;
  readonly ceilMode: boolean;
}

/** @throws ArgumentError, ShapeError */
function windowsOf(op: string, x: Tensor, options: MaxPoolOptions): MaxWindows {
  const { ceilMode = false } = options;
  const image = imageOf(op, x);
  const [kh, kw] = pairOf(op, "kernel", options.kernel, COUNT);
  const [sh, sw] = pairOf(op, "stride", options.stride ?? options.kernel, COUNT);
  const [pt, pl] = pairOf(op, "padding", options.padding ?? 0, WHOLE);
  const [dh, dw] = pairOf(op, "dilation", options.dilation ?? 1, COUNT);
  const [rows, cols] = [(kh - 1) * dh + 1, (kw - 1) * dw + 1];
  const dilation = dh * dw > 1 ? `, dilation [${dh}, ${dw}]` : "";
  if (2 * pt > rows || 2 * pl > cols) {
    throw new ArgumentError(
      `${op}: padding must be at most half the kernel; got padding [${pt}, ${pl}] for kernel [${kh}, ${kw}]${dilation}.`,
    );
  }
  const oh = countWindows(image.h, { reach: rows, stride: sh, padding: pt, ceilMode });
  const ow = countWindows(image.w, { reach: cols, stride: sw, padding: pl, ceilMode });
  if (oh < 1 || ow < 1 || image.h === 0 || image.w === 0) {
    throw new ShapeError(
      `${op}: the kernel must fit in the padded image; got kernel [${kh}, ${kw}], padding [${pt}, ${pl}]${dilation} and ${describe(x)}.`,
    );
  }
  return { ...image, oh, ow, kh, kw, sh, sw, pt, pl, dh, dw };
}

const maxGrad = single(
  defineOp({
    name: "maxPool2dBackward",
    operands: { g: "float", places: "u32" },
    infer: (_, { to }: Grad<MaxWindows>) => ({ dx: to }),
    run: ({ inputs, outputs, attrs: { dims, to }, dispatch }) =>
      dispatch(maxPoolBackward, maxSpec(to, dims), { ...inputs, ...outputs }, dims),
  }),
);

const maxOp = defineOp({
  name: "maxPool2d",
  operands: { x: "float" },
  infer: ({ x }, dims: MaxWindows) => {
    const words = placeWords(dims.n * dims.oh * dims.ow * dims.c, maxSpec(x, dims));
    const places = { shape: [words], dtype: "u32" } as const;
    return { y: resized(x, dims.oh, dims.ow), places: isTaped({ x }) ? places : undefined };
  },
  run: ({ inputs: { x }, outputs, attrs, dispatch }) => {
    const spec = { ...maxSpec(x, attrs), places: outputs.places !== undefined };
    dispatch(maxPool, spec, { x, ...outputs }, attrs);
  },
  saves: ["places"],
  vjp: (g, at) => ({
    x: () => maxGrad({ g, places: at.value("places") as Tensor }, { dims: at.attrs, to: at.described("x") }),
  }),
});

/** Fixed windows, or windows that adapt to the sizes. */
type Average = { readonly adaptive: boolean; readonly dims: AverageWindows };

const averageGrad: (inputs: { readonly g: Tensor }, attrs: Average & Grad<AverageWindows>) => Tensor = single(
  defineOp({
    name: "avgPool2dBackward",
    operands: { g: "float" },
    infer: (_, { to }: Average & Grad<AverageWindows>) => ({ dx: to }),
    run: ({ inputs: { g }, outputs: { dx }, attrs: { adaptive, dims, to }, dispatch }) =>
      dispatch(avgPoolBackward, { ...specOf(to, dims), adaptive }, { g, dx }, dims),
    saves: [],
    vjp: (h, { attrs: { adaptive, dims } }) => ({ g: () => averageOp({ x: h }, { adaptive, dims }) }),
  }),
);

const averageOp = single(
  defineOp({
    name: "avgPool2d",
    operands: { x: "float" },
    infer: ({ x }, { dims }: Average) => ({ y: resized(x, dims.oh, dims.ow) }),
    run: ({ device, inputs: { x }, outputs: { y }, attrs: { adaptive, dims }, dispatch, choose }) => {
      const [outputs, window] = [y.size, dims.kh * dims.kw];
      const spec = { ...specOf(x, dims), adaptive };
      const key = `avgPool2d:${x.dtype}:${sizeClass(outputs, window)}:${spec.width}:${adaptive}`;
      dispatch(avgPool, choose(key, averageCandidates(spec, { outputs, window }, device.info)), { x, y }, dims);
    },
    saves: [],
    vjp: (g, at) => ({ x: () => averageGrad({ g }, { ...at.attrs, to: at.described("x") }) }),
  }),
);

/** Largest value of each window. Padding counts as -inf; of equal maxima the first, row by row, takes the gradient. */
export const maxPool2d = positional("maxPool2d(x, options)", (x: Tensor, options: MaxPoolOptions): Tensor => {
  const { y, places } = maxOp({ x }, windowsOf("maxPool2d", x, readOptions("maxPool2d", options, MAX)));
  places?.dispose();
  return y;
});

/** Mean of each window. What a window of `ceilMode` reaches beyond the padding never counts. */
export const avgPool2d = positional("avgPool2d(x, options)", (x: Tensor, options: AvgPoolOptions): Tensor => {
  const { countIncludePad = true, ...windows } = readOptions("avgPool2d", options, AVERAGE);
  const { dh, dw, ...fixed } = windowsOf("avgPool2d", x, windows);
  const dims = { ...fixed, includePad: Number(countIncludePad) };
  return averageOp({ x }, { adaptive: false, dims });
});

/** Options of `adaptiveAvgPool2d`. */
export interface AdaptivePoolOptions {
  /** Rows and columns of the grid. */
  readonly outputSize: Pair;
}

const ADAPTIVE: Kinds<AdaptivePoolOptions> = { outputSize: "any!" };

/**
 * Means over a grid of `outputSize` cells that cover the image: cell i of m over n rows takes rows
 * floor(i n / m) .. ceil((i + 1) n / m) - 1. `outputSize: 1` is the global average.
 */
export const adaptiveAvgPool2d = positional(
  "adaptiveAvgPool2d(x, options)",
  (x: Tensor, options: AdaptivePoolOptions): Tensor => {
    const op = "adaptiveAvgPool2d";
    const { outputSize } = readOptions(op, options, ADAPTIVE);
    const image = imageOf(op, x);
    const [oh, ow] = pairOf(op, "outputSize", outputSize, COUNT);
    if (image.h === 0 || image.w === 0)
      throw new ShapeError(`${op}: the image must have rows and columns; got ${describe(x)}.`);
    const [sh, sw] = [Math.floor(image.h / oh), Math.floor(image.w / ow)];
    const adaptive = image.h % oh !== 0 || image.w % ow !== 0;
    return averageOp(
      { x },
      { adaptive, dims: { ...image, oh, ow, kh: sh, kw: sw, sh, sw, pt: 0, pl: 0, includePad: 1 } },
    );
  },
);
