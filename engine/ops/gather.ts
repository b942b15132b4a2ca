// Ops that pick by index: indexSelect, gather, embedding, oneHot; scatterRows writes rows back to where they came from.
// An index out of range gives NaN (0 for integers), since the GPU cannot throw; backwards it is left out.

import type { Kinds } from "../../base/index.ts";
import {
  gatherElements,
  gatherRows,
  isScanCheaper,
  linkRows,
  markRows,
  oneHotRows,
  scatterRowsKernel,
  sumElements,
  sumRowsLinked,
  sumRowsScanned,
} from "../../kernels/gather.ts";
import { MAX_AXES, numberedDims, unitOf } from "../../kernels/move/index.ts";
import { checkIs, checkValue, WHOLE } from "../checks.ts";
import { type DType, isFloat, storageType } from "../dtype.ts";
import { readOptions, ShapeError } from "../errors.ts";
import { defineOp, dispatch, single } from "../op.ts";
import { operandsOf } from "../operands.ts";
import { checkRange } from "../ranges.ts";
import { collapse, describe, normalizeAxis, numel, type Shape, strides } from "../shape.ts";
import { positional } from "../signature.ts";
import { checkTensors, type Tensor } from "../tensor.ts";
import { launch } from "./elementwise.ts";
import { floatStorage } from "./floats.ts";
import { valueBits } from "./move.ts";
import { reshape } from "./view.ts";

/** What an index out of range reads. */
const missingBits = (dtype: DType): number => valueBits(isFloat(dtype) ? Number.NaN : 0, dtype);

/** Which axis an index counts along; default 0. */
export interface IndexOptions {
  readonly dim?: number;
}

const INDEX: Kinds<IndexOptions> = { dim: "number" };
const ONE_HOT: Kinds<{ readonly numClasses: number }> = { numClasses: "number!" };
const SCATTER: Kinds<{ readonly count?: Tensor }> = { count: "any" };

/** x [outer, rows, inner] as seen by an index along `axis`, and how wide its items are. */
function rowsOf(shape: Shape, axis: number, count: number) {
  const inner = numel(shape.slice(axis + 1));
  const width: 1 | 4 = inner > 0 && inner % 4 === 0 ? 4 : 1;
  return {
    width,
    dims: { outer: numel(shape.slice(0, axis)), rows: shape[axis]!, count, inner: inner / width },
  };
}

interface RowsAttrs {
  readonly axis: number;
}

/** What a gradient of picking works on: g and the index, for x of `shape`. */
type PickedGradient = (
  inputs: { readonly g: Tensor; readonly index: Tensor },
  attrs: RowsAttrs & { readonly shape: Shape },
) => Tensor;

/** Gradient of `indexSelect`: each row is the sum of the rows of g that were picked from it. */
const selectGradient: PickedGradient = single(
  defineOp({
    name: "indexSelect",
    operands: { g: "float", index: "index N" },
    infer: ({ g }, { shape }: RowsAttrs & { readonly shape: Shape }) => ({ dx: { shape, dtype: g.dtype } }),
    run: ({ inputs: { g, index }, outputs: { dx }, attrs, sizes, dispatch, temporary }) => {
      const { width, dims } = rowsOf(attrs.shape, attrs.axis, sizes.N);
      const spec = { dtype: floatStorage(g), width };
      if (isScanCheaper(dims)) return dispatch(sumRowsScanned, spec, { g, index, dx }, dims);
      const { rows, count } = dims;
      const ends = temporary([2 * rows], "u32");
      const next = temporary([count], "u32");
      launch("indexSelect", { name: "full", operands: ["value"], expr: "value" }, [0], ends, "u32");
      dispatch(markRows, {}, { index, ends }, { rows, count });
      dispatch(linkRows, {}, { index, ends, next }, { rows, count });
      dispatch(sumRowsLinked, spec, { g, ends, next, dx }, dims);
    },
    saves: ["index"],
    vjp: (h, at) => ({ g: () => indexSelectOp({ x: h, index: at.value("index") }, { axis: at.attrs.axis }) }),
  }),
);

const selectOp = (name: "indexSelect" | "embedding") =>
  single(
    defineOp({
      name,
      operands: { x: "any", index: "index N" },
      infer: ({ x }, { axis }: RowsAttrs, { N }) => ({ y: { shape: x.shape.with(axis, N), dtype: x.dtype } }),
      run: ({ inputs: { x, index }, outputs: { y }, attrs, sizes, dispatch }) => {
        const { width, dims } = rowsOf(x.shape, attrs.axis, sizes.N);
        const spec = { unit: unitOf(storageType(x.dtype)), width };
        dispatch(gatherRows, spec, { x, index, y }, { ...dims, missing: missingBits(x.dtype) });
      },
      saves: ["index"],
      vjp: (g, at) => ({
        x: () => {
          const { shape } = at.described("x");
          return selectGradient({ g, index: at.value("index") }, { axis: at.attrs.axis, shape });
        },
      }),
    }),
  );
const indexSelectOp = selectOp("indexSelect");
const embeddingOp = selectOp("embedding");

/**
 * The slices `index[0], index[1], ...` (i32[n]) of x along `dim`.
 *
 * @example
 * ```ts
 * import { indexSelect, tensor } from "sortie/engine";
 *
 * const rows = indexSelect(tensor([[1, 2], [3, 4], [5, 6]]), tensor(Int32Array.of(2, 0)));
 * console.log(await rows.read()); // Float32Array(4) [5, 6, 1, 2]
 * ```
 */
export const indexSelect = positional(
  "indexSelect(x, index, options)",
  (x: Tensor, index: Tensor, options: IndexOptions = {}): Tensor => {
    const { dim = 0 } = readOptions("indexSelect", options, INDEX);
    checkTensors("indexSelect", { x, index });
    const axis = normalizeAxis("indexSelect", dim, x.rank);
    checkRange("indexSelect", "the index", index, x.shape[axis]!);
    return indexSelectOp({ x, index }, { axis });
  },
);

const checkTable = operandsOf({ weight: "any V D", index: "any" });

/** Rows of `weight` [V, D] by an index of any shape: [..., D]. */
export const embedding = positional("embedding(weight, index)", (weight: Tensor, index: Tensor): Tensor => {
  const { V, D } = checkTable("embedding", { weight, index });
  checkRange("embedding", "the index", index, V);
  const rows = embeddingOp({ x: weight, index: reshape(index, [index.size]) }, { axis: 0 });
  return reshape(rows, [...index.shape, D]);
});

const gatherGradient: PickedGradient = single(
  defineOp({
    name: "gather",
    operands: { g: "float", index: "index" },
    infer: ({ g }, { shape }: RowsAttrs & { readonly shape: Shape }) => ({ dx: { shape, dtype: g.dtype } }),
    run: ({ inputs: { g, index }, outputs: { dx }, attrs: { axis, shape }, dispatch }) => {
      const steps = strides(index.shape);
      const dims = {
        size: numel(shape),
        count: index.shape[axis]!,
        stride: steps[axis]!,
        axis,
        ...numberedDims("n", shape, 1),
        ...numberedDims("m", index.shape, 1),
        ...numberedDims("s", steps.with(axis, 0), 0),
      };
      dispatch(sumElements, { dtype: floatStorage(g), rank: shape.length }, { g, index, dx }, dims);
    },
    saves: ["index"],
    vjp: (h, at) => ({ g: () => gatherOp({ x: h, index: at.value("index") }, { axis: at.attrs.axis }) }),
  }),
);

const gatherOp = single(
  defineOp({
    name: "gather",
    operands: { x: "any", index: "index" },
    infer: ({ x, index }, { axis }: RowsAttrs) => {
      const fits = index.rank === x.rank && index.shape.every((extent, i) => i === axis || extent <= x.shape[i]!);
      if (!fits || x.rank > MAX_AXES) {
        throw new ShapeError(
          `gather: the index must have the rank of x (at most ${MAX_AXES}), and no larger extent but along axis ${axis}; got ${describe(x)} by ${describe(index)}.`,
        );
      }
      return { y: { shape: index.shape, dtype: x.dtype } };
    },
    run: ({ inputs: { x, index }, outputs: { y }, attrs: { axis }, dispatch }) => {
      if (index.size === 0) return;
      const steps = strides(x.shape);
      const merged = collapse(index.shape, [steps.with(axis, 0)]);
      const dims = {
        size: index.size,
        rows: x.shape[axis]!,
        stride: steps[axis]!,
        missing: missingBits(x.dtype),
        ...numberedDims("n", merged.shape, 1),
        ...numberedDims("s", merged.strides[0]!, 0),
      };
      const spec = { unit: unitOf(storageType(x.dtype)), rank: merged.shape.length };
      const rows = axis > 0 && index.shape[0] === x.shape[0] ? x.shape[0]! : 0;
      dispatch(gatherElements, spec, { x, index, y }, dims, { rows });
    },
    saves: ["index"],
    vjp: (g, at) => ({
      x: () => {
        const { shape } = at.described("x");
        const { axis } = at.attrs;
        const index = at.value("index");
        // A single line is a list of rows of one element: chaining equal indices beats scanning it for each element.
        if (numel(shape) !== shape[axis]) return gatherGradient({ g, index }, { axis, shape });
        const line = { g, index: reshape(index, [index.size]) };
        return reshape(selectGradient(line, { axis: 0, shape: [numel(shape)] }), shape);
      },
    }),
  }),
);

/** Elements of x with the coordinate along `dim` replaced by `index`; the result has the shape of `index`. */
export const gather = positional(
  "gather(x, index, options)",
  (x: Tensor, index: Tensor, options: IndexOptions = {}): Tensor => {
    const { dim = 0 } = readOptions("gather", options, INDEX);
    checkTensors("gather", { x, index });
    const axis = normalizeAxis("gather", dim, x.rank);
    checkRange("gather", "the index", index, x.shape[axis]!);
    return gatherOp({ x, index }, { axis });
  },
);

const oneHotOp = single(
  defineOp({
    name: "oneHot",
    operands: { index: "index" },
    infer: ({ index }, { classes }: { readonly classes: number }) => ({
      y: { shape: [...index.shape, classes], dtype: "f32" },
    }),
    run: ({ inputs: { index }, outputs: { y }, attrs: { classes }, dispatch }) =>
      dispatch(oneHotRows, {}, { index, y }, { count: index.size, classes }),
  }),
);

/** f32[..., numClasses]: 1 at each index, 0 elsewhere; all 0 for an index out of range. */
export const oneHot = positional(
  "oneHot(index, options)",
  (index: Tensor, options: { readonly numClasses: number }): Tensor => {
    const { numClasses } = readOptions("oneHot", options, ONE_HOT);
    checkTensors("oneHot", { index });
    checkValue("oneHot", "numClasses", numClasses, WHOLE);
    return oneHotOp({ index }, { classes: numClasses });
  },
);

const checkScatter = operandsOf({ target: "any rows ...", index: "index N", x: "any", "count?": "u32 1" });

/**
 * Overwrites the rows `index` (distinct) of `target` by the rows of x, in place and without a gradient. With `count`
 * (u32[1], on the GPU), only the first `count` rows of x are written.
 */
export const scatterRows = positional(
  "scatterRows(target, index, x, options)",
  (target: Tensor, index: Tensor, x: Tensor, options: { readonly count?: Tensor } = {}): void => {
    const { count } = readOptions("scatterRows", options, SCATTER);
    const { N } = checkScatter("scatterRows", { target, index, x, count });
    checkIs("scatterRows", "x", x, { shape: [N, ...target.shape.slice(1)], dtype: target.dtype });
    const { width, dims } = rowsOf(target.shape, 0, N);
    const { outer: _, ...sizes } = dims;
    const spec = { unit: unitOf(storageType(x.dtype)), width, live: count !== undefined };
    dispatch(target.device, "scatterRows", scatterRowsKernel, spec, { x, index, y: target, live: count }, sizes);
  },
);
