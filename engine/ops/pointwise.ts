// The pointwise ops, a line each: expression, derivatives by operand (in g, the operands and y). PyTorch's conventions
// at kinks.

import { type Kinds, what } from "../../base/index.ts";
import { ACTIVATIONS, type Activated } from "../../kernels/index.ts";
import { POWERS } from "../../kernels/pointwise.ts";
import { isFloat } from "../dtype.ts";
import { ArgumentError, checkOneOf, readOptions } from "../errors.ts";
import type { DTypeRule } from "../promote.ts";
import { positional } from "../signature.ts";
import { Tensor } from "../tensor.ts";
import { elementwise, type Operand } from "./elementwise.ts";

/** A pointwise op of one tensor. */
export type Unary = (x: Tensor) => Tensor;
/** A pointwise op of two operands. */
export type Binary = (a: Operand, b: Operand) => Tensor;

const unary = (
  name: string,
  y: string,
  dx: string,
  integer: string | null = null,
  rule: DTypeRule = integer === null ? "float" : "numeric",
): Unary => elementwise({ name, operands: ["x"], y, grads: { x: dx }, integer, rule });

const activation = (name: Activated): Unary => unary(name, ACTIVATIONS[name].y, ACTIVATIONS[name].dx);

/** -x; u32 wraps, bool is refused. */
export const neg: Unary = unary("neg", "-x", "-g", "T(0) - x");
export const abs: Unary = unary(
  "abs",
  "abs(x)",
  "select(select(T(0.0), -g, lt(x, T(0.0))), g, lt(T(0.0), x))",
  "abs(x)",
);
export const square: Unary = unary("square", "x * x", "T(2.0) * g * x", "x * x", "counting");
export const exp: Unary = unary("exp", "exact_exp(x)", "g * y");
export const log: Unary = unary("log", "exact_log(x)", "g / x");
export const sqrt: Unary = unary("sqrt", "sqrt(x)", "T(0.5) * g / y");
export const rsqrt: Unary = unary("rsqrt", "T(1.0) / sqrt(x)", "T(-0.5) * g * y * y * y");
export const relu: Unary = unary("relu", ACTIVATIONS.relu.y, ACTIVATIONS.relu.dy, "max(x, T(0))");
// Gradients by x, not by y: 1 - y loses its digits where y is near 1.
export const sigmoid: Unary = activation("sigmoid");
export const tanh: Unary = activation("tanh");
export const silu: Unary = activation("silu");
/** clamp(x / 6 + 1/2, 0, 1); the gradient is 0 at both kinks. */
export const hardsigmoid: Unary = activation("hardsigmoid");
/** x * hardsigmoid(x). */
export const hardswish: Unary = activation("hardswish");
export const softplus: Unary = unary("softplus", "softplus(x)", "g * sigmoid(x)");
export const erf: Unary = unary("erf", "erf(x)", "g * T(1.1283791670955126) * exact_exp(-x * x)");

const geluErf = activation("gelu");
const geluTanh = activation("geluTanh");

/** Options of `gelu`. */
export interface GeluOptions {
  readonly approximate?: "none" | "tanh";
}

const GELU: Kinds<GeluOptions> = { approximate: "string" };

/** x times the normal distribution function (`none`), or its tanh approximation. */
export const gelu = positional("gelu(x, options)", (x: Tensor, options: GeluOptions = {}): Tensor => {
  const { approximate = "none" } = readOptions("gelu", options, GELU);
  checkOneOf("gelu", "approximate", approximate, ["none", "tanh"]);
  return approximate === "tanh" ? geluTanh(x) : geluErf(x);
});

const leaky = elementwise({
  name: "leakyRelu",
  operands: ["x", "slope"],
  y: "select(slope * x, x, lt(T(0.0), x))",
  grads: { x: "select(slope * g, g, lt(T(0.0), x))" },
  integer: null,
});

/** Options of `leakyRelu`. */
export interface LeakyReluOptions {
  readonly negativeSlope?: number;
}

const LEAKY: Kinds<LeakyReluOptions> = { negativeSlope: "number" };

/** x where positive, else `negativeSlope` times x. */
export const leakyRelu = positional("leakyRelu(x, options)", (x: Tensor, options: LeakyReluOptions = {}): Tensor => {
  return leaky(x, readOptions("leakyRelu", options, LEAKY).negativeSlope ?? 0.01);
});

const clampBoth = elementwise({
  name: "clamp",
  operands: ["x", "low", "high"],
  y: "lowest(highest(x, low), high)",
  grads: { x: "select(T(0.0), g, le(low, x) & le(x, high))" },
  integer: "min(max(x, low), high)",
  rule: "numeric",
});
const clampLow = elementwise({
  name: "clampMin",
  operands: ["x", "low"],
  y: "highest(x, low)",
  grads: { x: "select(T(0.0), g, le(low, x))" },
  integer: "max(x, low)",
  rule: "numeric",
});
const clampHigh = elementwise({
  name: "clampMax",
  operands: ["x", "high"],
  y: "lowest(x, high)",
  grads: { x: "select(T(0.0), g, le(x, high))" },
  integer: "min(x, high)",
  rule: "numeric",
});

/** Ends of `clamp`; null and none: no end. */
export interface ClampOptions {
  readonly min?: number | null;
  readonly max?: number | null;
}

const CLAMP: Kinds<ClampOptions> = { min: "any", max: "any" };

/** x limited to `min..max`; either may be missing. The gradient is 1 inside and on the ends. */
export const clamp = positional("clamp(x, options)", (x: Tensor, options: ClampOptions = {}): Tensor => {
  const { min = null, max = null } = readOptions("clamp", options, CLAMP);
  for (const [name, end] of Object.entries({ min, max })) {
    if (end !== null && typeof end !== "number")
      throw new ArgumentError(`clamp: ${name} must be a number or null; got ${what(end)}.`);
  }
  if (min !== null && max !== null) return clampBoth(x, min, max);
  if (min !== null) return clampLow(x, min);
  if (max !== null) return clampHigh(x, max);
  return copy(x);
});

/** A new tensor with the same elements. */
export const copy: Unary = elementwise({ name: "copy", operands: ["x"], y: "x", grads: { x: "g" } });

const binary = (
  name: string,
  y: string,
  da: string,
  db: string,
  integer: string | null = y,
  rule?: DTypeRule,
): Binary => elementwise({ name, operands: ["a", "b"], y, grads: { a: da, b: db }, integer, ...(rule && { rule }) });

/** Sum; of bools: or. */
export const add: Binary = binary("add", "a + b", "g", "g");
/** Difference; two bools are refused. */
export const sub: Binary = binary("sub", "a - b", "g", "-g", "a - b", "numeric");
/** Product; of bools: and. */
export const mul: Binary = binary("mul", "a * b", "g * b", "g * a");
/** True division: integers give f32. */
export const div: Binary = binary("div", "a / b", "g / b", "-g * (a / b / b)", null);

const share = (loses: string) => `select(select(g, T(0.5) * g, eq(a, b)), T(0.0), ${loses})`;
export const maximum: Binary = binary("maximum", "highest(a, b)", share("lt(a, b)"), share("lt(b, a)"), "max(a, b)");
export const minimum: Binary = binary("minimum", "lowest(a, b)", share("lt(b, a)"), share("lt(a, b)"), "min(a, b)");

// `power` rather than WGSL's pow, which has no negative bases and is inexact for small integral exponents.
const power = elementwise({
  name: "pow",
  operands: ["a", "b"],
  y: "power(a, b)",
  grads: {
    a: "select(g * b * power(a, b - T(1.0)), T(0.0), eq(b, T(0.0)))",
    b: "select(g * power(a, b) * exact_log(a), T(0.0), eq(a, T(0.0)) & le(T(0.0), b))",
  },
  integer: "int_power(a, b)",
  functions: POWERS,
  known: () => ({ power: pow }),
  rule: "numeric",
});

/**
 * a to the power b. Negative bases of floats need integral exponents, else NaN. Integers stay integers, wrap, and
 * refuse a negative number b; negative elements of b give 0 but for the bases 1 and -1.
 */
export const pow = positional("pow(a, b)", (a: Operand, b: Operand): Tensor => {
  if (typeof b === "number" && b < 0 && Number.isInteger(b) && a instanceof Tensor && !isFloat(a.dtype))
    throw new ArgumentError(`pow: integers must have exponents of at least 0; got ${b}. Use cast(a, "f32").`);
  return power(a, b);
});

const comparison = (name: string, y: string, integer: string): Binary =>
  elementwise({ name, operands: ["a", "b"], y, integer, out: "bool", compares: true });
export const eq: Binary = comparison("eq", "eq(a, b)", "a == b");
export const ne: Binary = comparison("ne", "!eq(a, b)", "a != b");
export const lt: Binary = comparison("lt", "lt(a, b)", "a < b");
export const le: Binary = comparison("le", "le(a, b)", "a <= b");
export const gt: Binary = comparison("gt", "lt(b, a)", "a > b");
export const ge: Binary = comparison("ge", "le(b, a)", "a >= b");

const select = elementwise({
  name: "where",
  operands: ["cond", "a", "b"],
  conditions: ["cond"],
  y: "select(b, a, cond != T(0))",
  grads: { a: "select(T(0.0), g, cond != T(0.0))", b: "select(g, T(0.0), cond != T(0.0))" },
});

/**
 * a where the bool `cond` holds, else b. Two numbers give i32, or f32 if one has a fraction.
 *
 * @example
 * ```ts
 * import { gt, tensor, where } from "sortie/engine";
 *
 * const x = tensor([-1, 2]);
 * console.log(await where(gt(x, 0), x, 0).read()); // Float32Array(2) [0, 2]
 * ```
 */
export const where = positional("where(cond, a, b)", (cond: Tensor, a: Operand, b: Operand): Tensor => {
  return select(cond, a, b);
});
