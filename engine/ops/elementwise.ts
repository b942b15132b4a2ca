// From one line about a function (expression, derivatives) to an op: broadcasting, dtypes, the launch, the vjp.

import {
  MATH,
  type PointwiseFunction,
  type PointwiseSpec,
  type PointwiseUniform,
  plainKernel,
} from "../../kernels/pointwise.ts";
import { type DType, fromHalf, isFloat, toHalf } from "../dtype.ts";
import { ArgumentError, DTypeError } from "../errors.ts";
import type { Backward, KnownFunctions } from "../graph.ts";
import { defineOp, dispatch } from "../op.ts";
import { type DTypeRule, mixedSign, promote, ruled } from "../promote.ts";
import { broadcastShapes, broadcastStrides, collapse, describe, lastOf, type Shape } from "../shape.ts";
import { positional } from "../signature.ts";
import { empty, Tensor } from "../tensor.ts";

/** A function of tensors and numbers, element by element. */
export interface Elementwise {
  readonly name: string;
  /** Operand names, in the order of the call. Each may be a tensor or a number. */
  readonly operands: readonly string[];
  /** WGSL in the operands' names; constants as `T(0.5)`. */
  readonly y: string;
  /** WGSL functions by name that the expressions may call, of T and of U, I, B: u32, i32, bool of its width. */
  readonly functions?: Readonly<Record<string, string>>;
  /** Of those functions the ones that derivatives call, as ops: without, there are no second derivatives. */
  readonly known?: () => KnownFunctions;
  /** Derivatives by operand, in `g`, the operands and `y`. Operands without one get no gradient. */
  readonly grads?: Readonly<Record<string, string>>;
  /** Dtype of the result; default the dtype in which the operands meet. */
  readonly out?: "bool";
  /** Operands that are truth values: bool, and outside the promotion. */
  readonly conditions?: readonly string[];
  /** Expression for i32 and u32 where it differs from `y`; null: floats only (integers are widened to f32). */
  readonly integer?: string | null;
  /** What becomes of the dtype in which the operands meet; default `float` if `integer` is null, else `any`. */
  readonly rule?: DTypeRule;
  /** `integer` is a comparison of the two operands: between u32 and negative numbers it is exact. */
  readonly compares?: boolean;
}

/** An operand of a pointwise op: a tensor, or a number that is broadcast. */
export type Operand = Tensor | number;
interface Attrs {
  /** The numbers among the operands, by position. */
  readonly numbers: readonly (number | undefined)[];
  /** Dtype of the computation. */
  readonly dtype: DType;
  /** Place of the operand that may be negative among u32; -1: none. */
  readonly signed: number;
}

const uses = (expr: string, name: string): boolean => new RegExp(`\\b${name}\\b`).test(expr);

/** The op of a function: call it with its operands in order. */
export function elementwise(fn: Elementwise): (...operands: readonly Operand[]) => Tensor {
  const { name, operands, y, grads, integer = y, compares = false, conditions } = fn;
  const { rule = integer === null ? "float" : "any" } = fn;
  const functions = { ...MATH, ...fn.functions };
  const isCondition = operands.map((operand) => conditions?.includes(operand) ?? false);
  const gradients = Object.entries(grads ?? {});
  const mentioned = (what: string) => gradients.some(([, expr]) => uses(expr, what));
  const op = defineOp({
    name,
    operands: Object.fromEntries(operands.map((operand) => [`${operand}?`, "any"])),
    infer: (inputs, { dtype }: Attrs) => {
      const given = Object.values(inputs);
      return { y: { shape: broadcastShapes(name, given), dtype: fn.out ?? dtype } };
    },
    run: ({ inputs, outputs, attrs: { numbers, dtype, signed } }) => {
      const expr = isFloat(dtype) || integer === null ? y : integer;
      const values = operands.map((operand, i) => inputs[operand] ?? numbers[i]!);
      const [suffix, text] = signed < 0 ? ["int", expr] : [operands[signed], comparedWithSign(expr, operands, signed)];
      launch(
        name,
        { name: text === y ? name : `${name}.${suffix}`, operands, expr: text, functions, isTruth: fn.out === "bool" },
        values,
        outputs.y,
        dtype,
      );
    },
    saves: [...operands, "y"].filter(mentioned),
    ...(grads && {
      vjp: (g: Tensor, at: Backward<Attrs, Readonly<Record<string, Tensor>>>) => {
        const dx = (expr: string, operand: string): Tensor => {
          if (expr === "g") return g;
          const all = ["g", ...operands, "y"];
          const used = all.filter((what) => uses(expr, what));
          const values = used.map((what) => {
            if (what === "g") return g;
            return at.attrs.numbers[operands.indexOf(what)] ?? at.value(what);
          });
          const again = at.express?.(expr, Object.fromEntries(used.map((what, k) => [what, values[k]!])), fn.known?.());
          if (again) return again;
          const target = at.described("y");
          const result = empty(target.shape, { dtype: target.dtype, device: g.device });
          launch(name, { name: `${name}.d${operand}`, operands: used, expr, functions }, values, result, "f32");
          return result;
        };
        return Object.fromEntries(gradients.map(([operand, expr]) => [operand, () => dx(expr, operand)]));
      },
    }),
  });
  return positional(`${name}(${operands.join(", ")})`, (...values: readonly Operand[]): Tensor => {
    const tensors = tensorsAmong(fn, values);
    const met = conditions ? values.filter((_, i) => !isCondition[i]) : values;
    const signed = compares ? mixedSign(name, met) : -1;
    const dtype = signed < 0 ? ruled(name, rule, promote(name, met)) : "u32";
    // What is compared has one dtype; arithmetic takes the number as it is, and rounds its result.
    const isRounded = compares && dtype === "f16";
    const number = (value: number): number => (isRounded ? fromHalf(toHalf(value)) : value);
    const numbers = values.map((value) => (typeof value === "number" ? number(value) : undefined));
    return op(tensors, { numbers, dtype, signed }).y;
  });
}

/**
 * The tensors among the operands, by name. @throws ArgumentError for what is neither tensor nor number, DTypeError for
 * conditions that are no bool.
 */
function tensorsAmong({ name, operands, conditions }: Elementwise, values: readonly unknown[]): Record<string, Tensor> {
  const tensors: Record<string, Tensor> = {};
  operands.forEach((operand, i) => {
    const value = values[i];
    const isTensor = value instanceof Tensor;
    if (isTensor) tensors[operand] = value;
    else if (typeof value !== "number") {
      throw new ArgumentError(
        `${name}: ${operand} must be a tensor or a number; got ${value === null ? "null" : typeof value}.`,
      );
    }
    if (conditions?.includes(operand) && !(isTensor && value.dtype === "bool")) {
      const got = isTensor ? describe(value) : "a number";
      throw new DTypeError(`${name}: ${operand} must be bool; got ${got}. Compare first, as in ne(${operand}, 0).`);
    }
  });
  return tensors;
}

/** A comparison in u32 where operand `signed` may be negative: then the answer is that of -1 and 0. */
function comparedWithSign(expr: string, operands: readonly string[], signed: number): string {
  const own = operands[signed]!;
  const constant = expr.replace(/\w+/g, (word) => (operands.includes(word) ? (word === own ? "-1" : "0") : word));
  return `select((${expr}), B((${constant})), (${own} > T(0x7fffffff)))`;
}

/**
 * Dispatches a pointwise function, with all the functions that it calls, into `out`, whose shape is the operands'
 * common one. @internal
 */
export function launch(
  op: string,
  fn: PointwiseFunction,
  operands: readonly Operand[],
  out: Tensor,
  compute: DType,
): void {
  const shaped = operands.map((operand) => (typeof operand === "number" ? undefined : operand.shape));
  const layout = layoutOf(shaped, out.shape);
  const { shape, strides, inner, width, rank } = layout;
  const dims: Record<PointwiseUniform, number> = { n: out.size / width };
  const bindings: Record<`in_${string}`, Tensor> & { out: Tensor } = { out };
  for (let i = 0; i < rank; i++) dims[`d${i}`] = shape[i] ?? 1;
  fn.operands.forEach((name, k) => {
    const operand = operands[k];
    const isTensor = operand instanceof Tensor;
    dims[`num_${name}`] = isTensor ? 0 : (operand ?? 0);
    for (let i = 0; i < rank; i++) dims[`${name}_${i}`] = isTensor ? (strides[k]?.[i] ?? 0) : 0;
    if (isTensor) bindings[`in_${name}`] = operand;
  });
  const spec: PointwiseSpec = {
    types: operands.map((operand) => (typeof operand === "number" ? "number" : operand.dtype)).join(","),
    compute: compute === "f16" ? "f32" : compute === "bool" ? "u32" : compute,
    out: out.dtype,
    inner,
    width,
  };
  if (spec.compute !== "f32" && isFloat(out.dtype) && compute !== "bool") {
    throw new DTypeError(`${op}: an integer expression must have an integer result; got ${describe(out)}.`);
  }
  dispatch(out.device, op, plainKernel(fn, rank, spec.compute), spec, bindings, dims);
}

/** Merged extents and strides; rank 0 where every operand is contiguous or a single element. */
function layoutOf(shapes: readonly (Shape | undefined)[], out: Shape) {
  const given = shapes.map((shape) => broadcastStrides(shape ?? [], out));
  const collapsed = collapse(out, given);
  const { strides } = collapsed;
  const extent = collapsed.shape.at(-1) ?? 1;
  const inner = shapes
    .map((shape, k) =>
      shape === undefined ? "s" : collapsed.shape.length === 0 || lastOf(strides[k]!) === 1 ? "1" : "0",
    )
    .join("");
  const rank = collapsed.shape.length <= 1 ? 0 : collapsed.shape.length;
  const aligned = strides.every((list, k) => inner[k] !== "1" || list.slice(0, -1).every((stride) => stride % 4 === 0));
  const width: 1 | 4 = extent % 4 === 0 && extent > 0 && aligned ? 4 : 1;
  return { shape: collapsed.shape, strides, inner, width, rank };
}
