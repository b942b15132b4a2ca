// Reductions over any axes: sum, mean, max, min, var, logsumexp, argmax, argmin; and `sumTo`, which undoes
// broadcasting.

import type { Kinds } from "../../base/index.ts";
import { MATH } from "../../kernels/pointwise.ts";
import {
  MAX_STRIDED_AXES,
  planReduce,
  planReduceStrided,
  type ReduceOp,
  type ReduceStep,
  reduceAxes,
  reduceLines,
  type StridedAxis,
} from "../../kernels/reduce/index.ts";
import { type DType, isFloat, storageType } from "../dtype.ts";
import { ArgumentError, DTypeError, readOptions, ShapeError } from "../errors.ts";
import type { Backward } from "../graph.ts";
import { defineOp, type Launcher, single } from "../op.ts";
import { broadcastAxes, checkShape, describe, normalizeAxes, type Shape, sameShape, strides } from "../shape.ts";
import { positional } from "../signature.ts";
import { checkTensors, empty, type Tensor } from "../tensor.ts";
import { launch } from "./elementwise.ts";
import { eq } from "./pointwise.ts";
import { expand, reshape } from "./view.ts";

/** Which axes to reduce, and whether they stay as extents of 1. */
export interface ReduceOptions {
  /** One axis or several, negative ones from the end; null, none or an empty list means all. */
  readonly dim?: number | readonly number[] | null;
  /** @deprecated The name of `dim` before all ops had one. */
  readonly dims?: number | readonly number[] | null;
  readonly keepdim?: boolean;
}

export interface VarOptions extends ReduceOptions {
  /** Divide by n - 1 (the default) rather than n. */
  readonly unbiased?: boolean;
}

/** Which axis to search; null or none means the flattened tensor. */
export interface ArgOptions {
  readonly dim?: number | null;
  readonly keepdim?: boolean;
}

const ARG: Kinds<ArgOptions> = { dim: "any", keepdim: "boolean" };
const REDUCE: Kinds<ReduceOptions> = { ...ARG, dims: "any" };
const VAR: Kinds<VarOptions> = { ...REDUCE, unbiased: "boolean" };

interface Attrs {
  /** Sorted, in 0..rank-1. */
  readonly axes: readonly number[];
  readonly keepdim: boolean;
  readonly correction: number;
}

/** `shape` with extents of 1 where it was reduced. */
const keptShape = (shape: Shape, axes: readonly number[]): number[] =>
  shape.map((extent, i) => (axes.includes(i) ? 1 : extent));

/** Number of elements that meet in one result. */
const reducedCount = (shape: Shape, axes: readonly number[]): number => axes.reduce((n, axis) => n * shape[axis]!, 1);

/** Neighbouring axes of the same fate, merged; extents of 1 dropped. */
function mergedAxes(shape: Shape, axes: readonly number[]): (StridedAxis & { readonly isReduced: boolean })[] {
  const steps = strides(shape);
  const merged: { extent: number; stride: number; isReduced: boolean }[] = [];
  shape.forEach((extent, i) => {
    if (extent === 1) return;
    const isReduced = axes.includes(i);
    const before = merged.at(-1);
    const stride = steps[i]!;
    if (before?.isReduced === isReduced) {
      before.extent *= extent;
      before.stride = stride;
    } else {
      merged.push({ extent, stride, isReduced });
    }
  });
  return merged;
}

/** Appends the launches that reduce `x` over `axes` into `y`. */
function reduceInto(run: Launcher, op: ReduceOp, x: Tensor, y: Tensor, attrs: Attrs): void {
  const { axes, correction } = attrs;
  const dtype = storageType(x.dtype);
  const traits = run.device.info;
  const merged = mergedAxes(x.shape, axes);
  const rows = axes.includes(0) ? 0 : x.shape[0]!;
  const what = { op, dtype, correction, rows };
  let source = x;
  const chain = ({ spec, dims, scratchBytes }: ReduceStep): void => {
    const target = scratchBytes > 0 ? run.temporary([scratchBytes / 4], "u32") : y;
    run.dispatch(reduceLines, spec, { x: source, y: target }, dims, { rows });
    source = target;
  };
  const at = merged.findIndex(({ isReduced }) => isReduced);
  const isRun = merged.filter(({ isReduced }) => isReduced).length <= 1;
  if (isRun) {
    const extent = (list: readonly StridedAxis[]): number => list.reduce((n, axis) => n * axis.extent, 1);
    const [outer, len, inner] =
      at < 0
        ? [y.size, reducedCount(x.shape, axes), 1]
        : [extent(merged.slice(0, at)), extent(merged.slice(at, at + 1)), extent(merged.slice(at + 1))];
    planReduce({ ...what, outer, len, inner }, traits).forEach(chain);
    return;
  }
  const kept = merged.filter(({ isReduced }) => !isReduced);
  const reduced = merged.filter(({ isReduced }) => isReduced);
  const { first, rest } = planReduceStrided({ ...what, kept, reduced }, traits);
  const target = first.scratchBytes > 0 ? run.temporary([first.scratchBytes / 4], "u32") : y;
  run.dispatch(reduceAxes, first.spec, { x, y: target }, first.dims, { rows });
  source = target;
  rest.forEach(chain);
}

function checkAxes(name: string, x: Tensor, axes: readonly number[]): void {
  const merged = mergedAxes(x.shape, axes);
  const reduced = merged.filter(({ isReduced }) => isReduced).length;
  if (reduced > MAX_STRIDED_AXES || (reduced > 1 && merged.length - reduced > MAX_STRIDED_AXES)) {
    throw new ShapeError(
      `${name}: kept and reduced axes must form at most ${2 * MAX_STRIDED_AXES} alternating groups; got ${describe(x)} over axes [${axes.join(", ")}]. Permute first.`,
    );
  }
}

/** The values of a reduction, by name. */
type Reduced = { readonly x: Tensor; readonly y: Tensor };

/** What sets one reduction apart: operand dtypes, the result's dtype, what it saves, its gradient. */
interface Trait {
  readonly name: ReduceOp;
  readonly isFloatOnly?: boolean;
  /** Whether there is no result for an empty axis. */
  readonly needsElements?: boolean;
  readonly out?: (dtype: DType) => DType;
  /** Default both. */
  readonly saves?: readonly (keyof Reduced)[];
  readonly dx?: (g: Tensor, at: Backward<Attrs, Reduced>) => Tensor;
}

function reduction({ name, isFloatOnly = false, needsElements = false, out = (dtype) => dtype, saves, dx }: Trait) {
  return single(
    defineOp({
      name,
      operands: { x: "any" },
      infer: ({ x }, { axes, keepdim }: Attrs) => {
        if (isFloatOnly && !isFloat(x.dtype)) {
          throw new DTypeError(`${name}: the dtype must be f32 or f16; got ${describe(x)}. Use cast().`);
        }
        if (needsElements && reducedCount(x.shape, axes) === 0) {
          throw new ShapeError(
            `${name}: reduced axes must not be empty; got ${describe(x)} over axes [${axes.join(", ")}].`,
          );
        }
        checkAxes(name, x, axes);
        const shape = keepdim ? keptShape(x.shape, axes) : x.shape.filter((_, i) => !axes.includes(i));
        return { y: { shape, dtype: out(x.dtype) } };
      },
      run: (run) => reduceInto(run, name, run.inputs.x, run.outputs.y, run.attrs),
      ...(saves && { saves }),
      ...(dx && { vjp: (g: Tensor, at: Backward<Attrs, Reduced>) => ({ x: () => dx(g, at) }) }),
    }),
  );
}

/** An expression over tensors of x's shape, or of the result's, which are then broadcast. */
function gradient(
  name: string,
  at: Backward<Attrs, Reduced>,
  values: Readonly<Record<string, Tensor | number>>,
  expr: string,
): Tensor {
  const { shape, dtype } = at.described("x");
  const kept = keptShape(shape, at.attrs.axes);
  const operands = Object.values(values).map((value) => {
    if (typeof value === "number" || sameShape(value.shape, shape)) return value;
    return reshape(value, kept);
  });
  const names = Object.keys(values);
  const again = at.express?.(expr, Object.fromEntries(names.map((name, i) => [name, operands[i]!])));
  if (again) return expand(again, shape);
  const device = (values.g as Tensor).device;
  const dx = empty(shape, { dtype, device });
  launch(name, { name: `${name}.dx`, operands: names, expr, functions: MATH }, operands, dx, "f32");
  return dx;
}

const countOf = (at: Backward<Attrs, Reduced>): number => reducedCount(at.described("x").shape, at.attrs.axes);

const sumOp = reduction({
  name: "sum",
  out: (dtype) => (dtype === "bool" ? "i32" : dtype),
  saves: [],
  dx: (g, at) => gradient("sum", at, { g }, "g"),
});

const meanOp = reduction({
  name: "mean",
  isFloatOnly: true,
  saves: [],
  dx: (g, at) => gradient("mean", at, { g, n: countOf(at) }, "g / n"),
});

// Tied entries share: each gets g / (number of ties).
function extreme(name: "max" | "min") {
  return reduction({
    name,
    needsElements: true,
    dx: (g, at) => {
      const x = at.value("x");
      const y = reshape(at.value("y"), keptShape(x.shape, at.attrs.axes));
      const ties = sumOp({ x: eq(x, y) }, { ...at.attrs, keepdim: true });
      return gradient(name, at, { g, x, y, ties }, "select(T(0.0), g, eq(x, y)) / ties");
    },
  });
}
const maxOp = extreme("max");
const minOp = extreme("min");

const varOp = reduction({
  name: "var",
  isFloatOnly: true,
  saves: ["x"],
  dx: (g, at) => {
    const x = at.value("x");
    const center = meanOp({ x }, { axes: at.attrs.axes, keepdim: true, correction: 0 });
    const scale = 2 / Math.max(0, countOf(at) - at.attrs.correction);
    // An infinite scale would make 0 * inf of the single element's zero deviation: NaN, as in PyTorch.
    return gradient(
      "var",
      at,
      { g, x, center, scale: Number.isFinite(scale) ? scale : Number.NaN },
      "g * scale * (x - center)",
    );
  },
});

const logsumexpOp = reduction({
  name: "logsumexp",
  isFloatOnly: true,
  dx: (g, at) => gradient("logsumexp", at, { g, x: at.value("x"), y: at.value("y") }, "g * exact_exp(x - y)"),
});

const argmaxOp = reduction({ name: "argmax", needsElements: true, out: () => "i32" });
const argminOp = reduction({ name: "argmin", needsElements: true, out: () => "i32" });

function attrsOf(op: string, x: Tensor, options: VarOptions, kinds: Kinds<ReduceOptions> = REDUCE): Attrs {
  checkTensors(op, { x });
  const read = readOptions<VarOptions>(op, options, kinds as typeof VAR);
  const { dims, dim = dims ?? null, keepdim = false, unbiased = true } = read;
  if (dims !== undefined && read.dim !== undefined)
    throw new ArgumentError(`${op}: axes must be given once; got both dim and dims, its former name.`);
  const list = typeof dim === "number" ? [dim] : dim;
  const axes = normalizeAxes(op, list?.length === 0 ? null : list, x.rank);
  return { axes, keepdim, correction: kinds === VAR && unbiased ? 1 : 0 };
}

/**
 * Sum over axes; 0 for an empty sum. Integers keep their dtype (and wrap), bools count as i32.
 *
 * @example
 * ```ts
 * import { sum, tensor } from "sortie/engine";
 *
 * const x = tensor([[1, 2], [3, 4]]);
 * console.log(await sum(x).item()); // 10
 * console.log(await sum(x, { dim: 1 }).read()); // Float32Array(2) [3, 7]
 * ```
 */
export const sum = positional("sum(x, options)", (x: Tensor, options: ReduceOptions = {}): Tensor => {
  return sumOp({ x }, attrsOf("sum", x, options));
});

/** Mean over axes; NaN for none. */
export const mean = positional("mean(x, options)", (x: Tensor, options: ReduceOptions = {}): Tensor => {
  return meanOp({ x }, attrsOf("mean", x, options));
});

/** Largest element over axes. NaN wins; tied entries share the gradient equally. */
export const max = positional("max(x, options)", (x: Tensor, options: ReduceOptions = {}): Tensor => {
  return maxOp({ x }, attrsOf("max", x, options));
});

/** Smallest element over axes. NaN wins; tied entries share the gradient equally. */
export const min = positional("min(x, options)", (x: Tensor, options: ReduceOptions = {}): Tensor => {
  return minOp({ x }, attrsOf("min", x, options));
});

/**
 * Variance over axes, by n - 1 unless `unbiased` is false; NaN where the divisor is 0. Named so, for `var` is reserved.
 */
export const variance = positional("variance(x, options)", (x: Tensor, options: VarOptions = {}): Tensor => {
  return varOp({ x }, attrsOf("var", x, options, VAR));
});

/** log of the sum of exponentials over axes, without overflow; -inf where all are -inf. */
export const logsumexp = positional("logsumexp(x, options)", (x: Tensor, options: ReduceOptions = {}): Tensor => {
  return logsumexpOp({ x }, attrsOf("logsumexp", x, options));
});

function argAttrs(op: string, x: Tensor, options: ArgOptions): Attrs {
  checkTensors(op, { x });
  const { dim = null, keepdim = false } = readOptions<ArgOptions>(op, options, ARG);
  const axes = normalizeAxes(op, dim === null ? null : [dim], x.rank);
  return { axes, keepdim, correction: 0 };
}

/**
 * Index (i32) of the largest element along `dim`, or in the flattened tensor; the lowest of tied ones, the first NaN if
 * any.
 *
 * @example
 * ```ts
 * import { argmax, tensor } from "sortie/engine";
 *
 * console.log(await argmax(tensor([[1, 5], [4, 2]]), { dim: 1 }).read()); // Int32Array(2) [1, 0]
 * ```
 */
export const argmax = positional("argmax(x, options)", (x: Tensor, options: ArgOptions = {}): Tensor => {
  return argmaxOp({ x }, argAttrs("argmax", x, options));
});

/**
 * Index (i32) of the smallest element along `dim`, or in the flattened tensor; the lowest of tied ones, the first NaN
 * if any.
 */
export const argmin = positional("argmin(x, options)", (x: Tensor, options: ArgOptions = {}): Tensor => {
  return argminOp({ x }, argAttrs("argmin", x, options));
});

/** `x` summed over the axes along which `shape` was broadcast to x's shape; x itself if there are none. */
export const sumTo = positional("sumTo(x, shape)", (x: Tensor, shape: Shape): Tensor => {
  checkTensors("sumTo", { x });
  checkShape("sumTo", shape);
  if (sameShape(x.shape, shape)) return x;
  const axes = broadcastAxes(shape, x.shape);
  return reshape(axes.length === 0 ? x : sumOp({ x }, { axes, keepdim: false, correction: 0 }), shape);
});
