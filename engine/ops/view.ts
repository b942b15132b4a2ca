// Ops that change a tensor's shape or dtype, or its gradient, and nothing else: all but cast and expand share memory.

import { MATH } from "../../kernels/pointwise.ts";
import { checkValue, FINITE } from "../checks.ts";
import type { DType } from "../dtype.ts";
import { checkDType, isFloat } from "../dtype.ts";
import { ShapeError } from "../errors.ts";
import { defineOp, single } from "../op.ts";
import { checkList, describe, formatShape, normalizeAxis, numel, type Shape } from "../shape.ts";
import { positional } from "../signature.ts";
import { checkTensors, type Tensor } from "../tensor.ts";
import { launch } from "./elementwise.ts";
import { mul } from "./pointwise.ts";

const reshapeOp = single(
  defineOp({
    name: "reshape",
    operands: { x: "any" },
    infer: ({ x }, { shape }: { readonly shape: Shape }) => ({ y: { shape, dtype: x.dtype } }),
    saves: [],
    vjp: (g, at) => ({ x: () => reshape(g, at.described("x").shape) }),
  }),
);

/** The same elements in another shape; one extent may be -1. Shares memory. */
export const reshape = positional("reshape(x, shape)", (x: Tensor, shape: Shape): Tensor => {
  checkTensors("reshape", { x });
  checkList("reshape", "the new shape", shape);
  const known = shape.reduce((n, extent) => (extent === -1 ? n : n * extent), 1);
  const unknown = shape.filter((extent) => extent === -1).length;
  const extent = unknown === 1 ? x.size / known : 0;
  const full = shape.map((given) => (given === -1 ? extent : given));
  const isWhole = unknown <= 1 && full.every((given) => Number.isInteger(given) && given >= 0);
  if (!isWhole || numel(full) !== x.size) {
    throw new ShapeError(
      `reshape: the new shape must hold ${x.size} elements, with at most one -1; got ${describe(x)} -> ${formatShape(shape)}.`,
    );
  }
  return reshapeOp({ x }, { shape: full });
});

/** Inserts an axis of extent 1 before `axis` of the result. */
export const unsqueeze = positional("unsqueeze(x, axis)", (x: Tensor, axis: number): Tensor => {
  checkTensors("unsqueeze", { x });
  const at = normalizeAxis("unsqueeze", axis, x.rank + 1);
  return reshape(x, [...x.shape.slice(0, at), 1, ...x.shape.slice(at)]);
});

/** Drops an axis of extent 1, or all of them. */
export const squeeze = positional("squeeze(x, axis)", (x: Tensor, axis?: number): Tensor => {
  checkTensors("squeeze", { x });
  if (axis === undefined)
    return reshape(
      x,
      x.shape.filter((extent) => extent !== 1),
    );
  const at = normalizeAxis("squeeze", axis, x.rank);
  if (x.shape[at] !== 1) throw new ShapeError(`squeeze: axis ${axis} must have extent 1; got ${describe(x)}.`);
  return reshape(
    x,
    x.shape.filter((_, i) => i !== at),
  );
});

/** Merges the axes from `start` to `end` (inclusive) into one. */
export const flattenAxes = positional(
  "flattenAxes(x, start, end)",
  (x: Tensor, start: number = 0, end: number = -1): Tensor => {
    checkTensors("flattenAxes", { x });
    if (x.rank === 0) return reshape(x, [1]);
    const [from, to] = [normalizeAxis("flattenAxes", start, x.rank), normalizeAxis("flattenAxes", end, x.rank)];
    if (from > to)
      throw new ShapeError(`flattenAxes: start must not come after end; got ${start} and ${end} for ${describe(x)}.`);
    return reshape(x, [...x.shape.slice(0, from), numel(x.shape.slice(from, to + 1)), ...x.shape.slice(to + 1)]);
  },
);

const expandOp = single(
  defineOp({
    name: "expand",
    operands: { x: "any" },
    infer: ({ x }, { shape }: { readonly shape: Shape }) => ({ y: { shape, dtype: x.dtype } }),
    run: ({ inputs: { x }, outputs: { y } }) =>
      launch("expand", { name: "copy", expr: "x", operands: ["x"] }, [x], y, x.dtype),
    saves: [],
    vjp: (g) => ({ x: g }),
  }),
);

/** x repeated along axes of extent 1, and along new leading axes, up to `shape`; -1 keeps an extent. */
export const expand = positional("expand(x, shape)", (x: Tensor, shape: Shape): Tensor => {
  checkTensors("expand", { x });
  checkList("expand", "the new shape", shape);
  const lead = shape.length - x.rank;
  const full = shape.map((extent, i) => (extent === -1 && i >= lead ? x.shape[i - lead]! : extent));
  const fits =
    lead >= 0 &&
    full.every(
      (extent, i) =>
        Number.isInteger(extent) &&
        extent >= 0 &&
        (i < lead || x.shape[i - lead] === 1 || x.shape[i - lead] === extent),
    );
  if (!fits) {
    throw new ShapeError(`expand: extents must be kept, or grow from 1; got ${describe(x)} -> ${formatShape(shape)}.`);
  }
  return numel(full) === x.size ? reshape(x, full) : expandOp({ x }, { shape: full });
});

const castOp = single(
  defineOp({
    name: "cast",
    operands: { x: "any" },
    infer: ({ x }, { dtype }: { readonly dtype: DType }) => ({ y: { shape: x.shape, dtype } }),
    run: ({ inputs: { x }, outputs: { y }, attrs }) => convert(x, y, attrs.dtype),
    saves: [],
    vjp: (g, at) => ({ x: () => cast(g, at.described("x").dtype) }),
  }),
);

/**
 * From floats: bool by the bits, so that NaN is true; integers stop at their ends, which WGSL leaves to the driver, and
 * NaN is 0.
 */
const FROM_FLOAT: Partial<Record<DType, string>> = {
  bool: "magnitude(x) != U(0u)",
  i32: "select(select(I(x), I(0x7fffffff), x >= T(2147483648.0)), I(0), is_nan(x))",
  u32: "select(select(U(x), ~U(0u), x >= T(4294967296.0)), U(0u), is_nan(x))",
};

function convert(x: Tensor, y: Tensor, to: DType): void {
  const expr = isFloat(x.dtype) ? FROM_FLOAT[to] : to === "bool" ? "x != T(0)" : undefined;
  const compute = expr ? x.dtype : isFloat(to) ? "f32" : to;
  const name = expr ? `cast.${to}${isFloat(x.dtype) ? ".float" : ""}` : "cast";
  launch(
    "cast",
    { name, operands: ["x"], expr: expr ?? "x", functions: MATH, isTruth: to === "bool" },
    [x],
    y,
    compute,
  );
}

/**
 * The elements as another dtype: floats are cut towards zero on the way to integers, and stop at their ends; bool is
 * `!= 0`.
 */
export const cast = positional("cast(x, dtype)", (x: Tensor, dtype: DType): Tensor => {
  checkTensors("cast", { x });
  checkDType("cast", dtype);
  return x.dtype === dtype ? x : castOp({ x }, { dtype });
});

const scaleGradientOp = single(
  defineOp({
    name: "scaleGradient",
    operands: { x: "any" },
    infer: ({ x }, _: { readonly factor: number }) => ({ y: x }),
    saves: [],
    vjp: (g, { attrs }) => ({ x: () => mul(g, attrs.factor) }),
  }),
);

/** x as it is, whose gradient is multiplied by `factor` on its way back. Shares memory. */
export const scaleGradient = positional("scaleGradient(x, factor)", (x: Tensor, factor: number): Tensor => {
  checkValue("scaleGradient", "the factor", factor, FINITE);
  return scaleGradientOp({ x }, { factor });
});
