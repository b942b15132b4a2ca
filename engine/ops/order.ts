// Ops along one axis: argsort, sort, topk by where elements stand in order, and cumsum.

import type { Kinds } from "../../base/index.ts";
import { cumsumLines, orderLines } from "../../kernels/order.ts";
import { checkValue, WHOLE } from "../checks.ts";
import { storageType } from "../dtype.ts";
import { readOptions } from "../errors.ts";
import { defineOp, single } from "../op.ts";
import { ruled } from "../promote.ts";
import { normalizeAxis, numel, type Shape } from "../shape.ts";
import { positional } from "../signature.ts";
import { checkTensors, type Tensor } from "../tensor.ts";
import { gather } from "./gather.ts";
import { cast } from "./view.ts";

/** How `sort` and `argsort` order. */
export interface SortOptions {
  /** Default the last axis. */
  readonly dim?: number;
  /** The largest first; default false. */
  readonly descending?: boolean;
}

/** Which elements `topk` picks. */
export interface TopkOptions {
  /** Default the last axis. */
  readonly dim?: number;
  /** The largest, by default, or the smallest. */
  readonly largest?: boolean;
}

/** Elements in order, and where along the axis they stood, i32. */
export interface Sorted {
  readonly values: Tensor;
  readonly indices: Tensor;
}

const ALONG: Kinds<{ readonly dim?: number }> = { dim: "number" };
const SORT: Kinds<SortOptions> = { ...ALONG, descending: "boolean" };
const TOPK: Kinds<TopkOptions> = { ...ALONG, largest: "boolean" };

/** x as [outer, len, inner] around an axis. */
const around = (shape: Shape, axis: number) => ({
  outer: numel(shape.slice(0, axis)),
  len: shape[axis]!,
  inner: numel(shape.slice(axis + 1)),
});

/** Rows that a launch along `axis` can follow. */
const rowsOf = (shape: Shape, axis: number) => ({ rows: axis > 0 ? shape[0]! : 0 });

interface OrderAttrs {
  readonly axis: number;
  readonly count: number;
  readonly descending: boolean;
}

const orderOp = single(
  defineOp({
    name: "argsort",
    operands: { x: "any" },
    infer: ({ x }, { axis, count }: OrderAttrs) => ({ index: { shape: x.shape.with(axis, count), dtype: "i32" } }),
    run: ({ inputs: { x }, outputs: { index }, attrs: { axis, count, descending }, dispatch }) => {
      if (index.size === 0) return;
      const dims = { ...around(x.shape, axis), count };
      dispatch(orderLines, { dtype: storageType(x.dtype), descending }, { x, index }, dims, rowsOf(x.shape, axis));
    },
  }),
);

/**
 * Where the elements along `dim` stand in order: i32 of the shape of x. Equal elements keep their order; NaN is larger
 * than all numbers. Each element is compared with its whole line, which suits lines of up to some thousands.
 */
export const argsort = positional("argsort(x, options)", (x: Tensor, options: SortOptions = {}): Tensor => {
  const { dim = -1, descending = false } = readOptions("argsort", options, SORT);
  checkTensors("argsort", { x });
  const axis = normalizeAxis("argsort", dim, x.rank);
  return orderOp({ x: x.detach() }, { axis, count: x.shape[axis]!, descending });
});

/** The elements along `dim` in order, as `argsort` says, and their places. Gradients go back to those places. */
export const sort = positional("sort(x, options)", (x: Tensor, options: SortOptions = {}): Sorted => {
  readOptions("sort", options, SORT);
  checkTensors("sort", { x });
  const dim = normalizeAxis("sort", options.dim ?? -1, x.rank);
  const indices = argsort(x, options);
  return { values: gather(x, indices, { dim }), indices };
});

/**
 * The k largest (or smallest) elements along `dim`, the first of them in front, and their places.
 *
 * @example
 * ```ts
 * import { tensor, topk } from "sortie/engine";
 *
 * const { values, indices } = topk(tensor([1, 9, 5]), 2);
 * console.log(await values.read()); // Float32Array(2) [9, 5]
 * console.log(await indices.read()); // Int32Array(2) [1, 2]
 * ```
 */
export const topk = positional("topk(x, k, options)", (x: Tensor, k: number, options: TopkOptions = {}): Sorted => {
  const { dim = -1, largest = true } = readOptions("topk", options, TOPK);
  checkTensors("topk", { x });
  const axis = normalizeAxis("topk", dim, x.rank);
  const extent = x.shape[axis]!;
  checkValue("topk", "k", k, { must: `an integer in 0..${extent}`, fits: (n) => WHOLE.fits(n) && k <= extent });
  const indices = orderOp({ x: x.detach() }, { axis, count: k, descending: largest });
  return { values: gather(x, indices, { dim: axis }), indices };
});

interface SumAttrs {
  readonly axis: number;
  readonly reversed: boolean;
}

const cumsumOp: (inputs: { readonly x: Tensor }, attrs: SumAttrs) => Tensor = single(
  defineOp({
    name: "cumsum",
    operands: { x: "any" },
    infer: ({ x }, _: SumAttrs) => ({ y: x }),
    run: ({ inputs: { x }, outputs: { y }, attrs: { axis, reversed }, dispatch }) => {
      if (x.size === 0) return;
      const spec = { dtype: storageType(x.dtype), reversed };
      dispatch(cumsumLines, spec, { x, y }, around(x.shape, axis), rowsOf(x.shape, axis));
    },
    saves: [],
    vjp: (g, at) => ({ x: () => cumsumOp({ x: g }, { ...at.attrs, reversed: !at.attrs.reversed }) }),
  }),
);

/** Sums of the elements up to each, along `dim` (default the last). Integers wrap; bools are counted in i32. */
export const cumsum = positional("cumsum(x, options)", (x: Tensor, options: { readonly dim?: number } = {}): Tensor => {
  const { dim = -1 } = readOptions("cumsum", options, ALONG);
  checkTensors("cumsum", { x });
  const axis = normalizeAxis("cumsum", dim, x.rank);
  return cumsumOp({ x: cast(x, ruled("cumsum", "counting", x.dtype)) }, { axis, reversed: false });
});
