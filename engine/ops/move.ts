// Ops that put elements elsewhere: permute, slice, flip, pad. Each has a gradient of the same kind.

import { type Kinds, what as show } from "../../base/index.ts";
import { MAX_AXES, planCopy, planPlace, unitOf } from "../../kernels/move/index.ts";
import { NUMBER } from "../checks.ts";
import { type DType, floatBits, isFloat, storageType } from "../dtype.ts";
import { ArgumentError, readOptions, ShapeError } from "../errors.ts";
import { defineOp, single } from "../op.ts";
import { checkNumber } from "../promote.ts";
import {
  checkList,
  collapse,
  type Described,
  describe,
  normalizeAxes,
  normalizeAxis,
  type Shape,
  strides,
} from "../shape.ts";
import { positional } from "../signature.ts";
import { checkTensors, type Tensor } from "../tensor.ts";
import { reshape } from "./view.ts";

/** Bits of `value` as kernels that move memory want them: of an f32 for floats, else of the integer. @internal */
export function valueBits(value: number, dtype: DType): number {
  if (dtype === "bool") return value === 0 ? 0 : 1;
  return isFloat(dtype) ? floatBits(value) : value >>> 0;
}

function checkRank(op: string, x: Described, rank: number): void {
  if (rank > MAX_AXES) {
    throw new ShapeError(
      `${op}: at most ${MAX_AXES} axes may be left once neighbours are merged; got ${describe(x)}, which leaves ${rank}.`,
    );
  }
}

/** How the result's elements lie in x. */
interface Reading {
  readonly shape: Shape;
  readonly strides: readonly number[];
  readonly offset: number;
  /** Number of rows if row i of the result is made of row i of x, else 0. */
  readonly rows: number;
}

/** An op whose result is x read by other strides; `reading` is called once shapes are known to fit. */
function readingOp<A>(
  name: string,
  reading: (x: Described, attrs: A) => Reading,
  dx: (g: Tensor, x: Described, attrs: A) => Tensor,
) {
  return single(
    defineOp({
      name,
      operands: { x: "any" },
      infer: ({ x }, attrs: A) => ({ y: { shape: reading(x, attrs).shape, dtype: x.dtype } }),
      run: ({ inputs: { x }, outputs: { y }, attrs, dispatch }) => {
        if (y.size === 0) return;
        const { shape, strides: own, offset, rows } = reading(x, attrs);
        const merged = collapse(shape, [own]);
        checkRank(name, x, merged.shape.length);
        const [xStrides = []] = merged.strides;
        const unit = unitOf(storageType(x.dtype));
        const plan = planCopy({ unit, shape: merged.shape, xStrides, from: offset });
        if (plan.kind === "transpose") dispatch(plan.kernel, plan.spec, { x, y }, plan.dims, { rows });
        else dispatch(plan.kernel, plan.spec, { x, y }, plan.dims, { rows });
      },
      saves: [],
      vjp: (g, at) => ({ x: () => dx(g, at.described("x"), at.attrs) }),
    }),
  );
}

const permuteOp = readingOp<{ readonly dims: readonly number[] }>(
  "permute",
  ({ shape }, { dims }) => {
    const own = strides(shape);
    return {
      shape: dims.map((d) => shape[d]!),
      strides: dims.map((d) => own[d]!),
      offset: 0,
      rows: dims[0] === 0 ? shape[0]! : 0,
    };
  },
  (g, _, { dims }) =>
    permute(
      g,
      dims.map((_, i) => dims.indexOf(i)),
    ),
);

/** The same elements with axis `dims[i]` as axis i. A view where only extents of 1 move. */
export const permute = positional("permute(x, dims)", (x: Tensor, dims: readonly number[]): Tensor => {
  checkTensors("permute", { x });
  checkList("permute", "dims", dims);
  const given = dims.map((d) => normalizeAxis("permute", d, x.rank));
  if (given.length !== x.rank || new Set(given).size !== x.rank) {
    throw new ShapeError(
      `permute: dims must name each of the ${x.rank} axes once; got [${dims.join(", ")}] for ${describe(x)}.`,
    );
  }
  const moving = given.filter((d) => x.shape[d] !== 1);
  const isOrdered = moving.every((d, i) => i === 0 || d > moving[i - 1]!);
  return isOrdered
    ? reshape(
        x,
        given.map((d) => x.shape[d]!),
      )
    : permuteOp({ x }, { dims: given });
});

/** One axis of a slice in full: first index, step, number of elements. */
interface Range {
  readonly start: number;
  readonly step: number;
  readonly count: number;
}

/** A part of x, ranges in full. @internal */
export const sliceOp = readingOp<{ readonly ranges: readonly Range[] }>(
  "slice",
  ({ shape }, { ranges }) => {
    const own = strides(shape);
    return {
      shape: ranges.map(({ count }) => count),
      strides: ranges.map(({ step }, i) => step * own[i]!),
      offset: ranges.reduce((sum, { start }, i) => sum + start * own[i]!, 0),
      rows: isWhole(shape[0], ranges[0]) ? shape[0]! : 0,
    };
  },
  (g, { shape }, { ranges }) => {
    const [lo, step] = [ranges.map(({ start }) => start), ranges.map((range) => range.step)];
    return placeOp({ x: g }, { shape, lo, step, value: 0 });
  },
);

const isWhole = (extent: number | undefined, range: Range | undefined): boolean =>
  range === undefined || (range.start === 0 && range.step === 1 && range.count === extent);

/**
 * Where to start and end (exclusive) along each axis, and by which steps; null or a missing entry means the whole axis.
 */
export interface SliceOptions {
  readonly starts?: readonly (number | null)[];
  readonly ends?: readonly (number | null)[];
  readonly steps?: readonly (number | null)[];
}

const SLICE: Kinds<SliceOptions> = { starts: "any", ends: "any", steps: "any" };

/** A part of x by Python's rules: negative numbers count from the end, ranges are clipped, steps are positive. */
export const slice = positional("slice(x, options)", (x: Tensor, options: SliceOptions): Tensor => {
  checkTensors("slice", { x });
  const { starts = [], ends = [], steps = [] } = readOptions("slice", options, SLICE);
  for (const [what, list] of Object.entries({ starts, ends, steps })) {
    const isList = Array.isArray(list) && list.every((entry) => entry === null || Number.isInteger(entry));
    if (!isList || list.length > x.rank) {
      const got = isList ? `[${list.join(", ")}]` : show(list);
      throw new ArgumentError(`slice: ${what} must hold at most ${x.rank} integers for ${describe(x)}; got ${got}.`);
    }
  }
  const ranges = x.shape.map((extent, i): Range => {
    const step = steps[i] ?? 1;
    if (step < 1)
      throw new ArgumentError(
        `slice: steps must be positive; got ${step} for axis ${i} of ${describe(x)}. Use flip().`,
      );
    const at = (index: number): number => Math.min(extent, Math.max(0, index < 0 ? index + extent : index));
    const start = at(starts[i] ?? 0);
    return { start, step, count: Math.max(0, Math.ceil((at(ends[i] ?? extent) - start) / step)) };
  });
  if (ranges.every((range, i) => isWhole(x.shape[i], range))) return reshape(x, x.shape);
  return sliceOp({ x }, { ranges });
});

const flipOp = readingOp<{ readonly axes: readonly number[] }>(
  "flip",
  ({ shape }, { axes }) => {
    const own = strides(shape);
    return {
      shape,
      strides: own.map((step, i) => (axes.includes(i) ? -step : step)),
      offset: axes.reduce((sum, axis) => sum + (shape[axis]! - 1) * own[axis]!, 0),
      rows: axes.includes(0) ? 0 : shape[0]!,
    };
  },
  (g, _, { axes }) => flip(g, axes),
);

/** x with the order along `dim`, one axis or several, reversed. */
export const flip = positional("flip(x, dim)", (x: Tensor, dim: number | readonly number[]): Tensor => {
  checkTensors("flip", { x });
  const dims = typeof dim === "number" ? [dim] : dim;
  checkList("flip", "dim", dims);
  return flipOp({ x }, { axes: normalizeAxes("flip", dims, x.rank) });
});

/**
 * x laid into `shape`: element k of axis d at `lo[d] + k step[d]`, what does not fit is dropped, the rest is `value`.
 */
interface Place {
  readonly shape: Shape;
  readonly lo: readonly number[];
  readonly step: readonly number[];
  readonly value: number;
}

const placeOp: (inputs: { readonly x: Tensor }, attrs: Place) => Tensor = single(
  defineOp({
    name: "pad",
    operands: { x: "any" },
    infer: ({ x }, { shape }: Place) => ({ y: { shape, dtype: x.dtype } }),
    run: ({ inputs: { x }, outputs: { y }, attrs: { shape: yShape, lo, step, value }, dispatch }) => {
      const unit = unitOf(storageType(x.dtype));
      const rows = x.shape[0] === yShape[0] && lo[0] === 0 && step[0] === 1 ? x.shape[0]! : 0;
      const plan = planPlace({ unit, shape: x.shape, yShape, lo, step, valueBits: valueBits(value, x.dtype) });
      checkRank("pad", x, plan.spec.rank);
      dispatch(plan.kernel, plan.spec, { x, y }, plan.dims, { rows });
    },
    saves: [],
    vjp: (g, at) => ({
      x: () => {
        const { shape } = at.described("x");
        const { lo, step } = at.attrs;
        if (step.every((by) => by === 1))
          return placeOp({ x: g }, { shape, lo: lo.map((by) => 0 - by), step, value: 0 });
        // Steps come from the gradient of a slice, which is what they pick again.
        const ranges = shape.map((count, i) => ({ start: lo[i]!, step: step[i]!, count }));
        return sliceOp({ x: g }, { ranges });
      },
    }),
  }),
);

/** Options of `pad`. */
export interface PadOptions {
  /** What is added; default 0. */
  readonly value?: number;
}

// NaN is a value, too.
const PAD: Kinds<PadOptions> = { value: NUMBER };

/**
 * x with `[before, after]` elements of `value` (which x's dtype must hold) added along each axis; negative numbers take
 * elements away.
 */
export const pad = positional(
  "pad(x, padding, options)",
  (x: Tensor, padding: readonly (readonly [number, number])[], options: PadOptions = {}): Tensor => {
    checkTensors("pad", { x });
    const { value = 0 } = readOptions("pad", options, PAD);
    if (!Array.isArray(padding) || !padding.every((pair) => Array.isArray(pair))) {
      throw new ShapeError(`pad: padding must hold [before, after] for each axis; got ${show(padding)}.`);
    }
    const isList =
      padding.length === x.rank && padding.every((pair) => pair.length === 2 && pair.every(Number.isInteger));
    const shape = isList ? x.shape.map((extent, i) => extent + padding[i]![0] + padding[i]![1]) : [];
    if (!isList || shape.some((extent) => extent < 0)) {
      const list = padding.map((pair) => `[${pair.join(", ")}]`).join(", ");
      throw new ShapeError(
        `pad: padding must hold [before, after] for each axis and leave no extent below 0; got [${list}] for ${describe(x)}.`,
      );
    }
    checkNumber("pad", value, x.dtype);
    if (padding.every(([before, after]) => before === 0 && after === 0)) return reshape(x, x.shape);
    return placeOp({ x }, { shape, lo: padding.map(([before]) => before), step: padding.map(() => 1), value });
  },
);
