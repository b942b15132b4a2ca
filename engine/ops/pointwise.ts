// The pointwise ops, a line each: expression, derivatives by operand (in g, the operands and y). PyTorch's conventions at kinks.

import type { Tensor } from "../tensor.ts";
import { elementwise } from "./elementwise.ts";

/** An operand of a binary op: a tensor, or a number that is broadcast. */
export type Operand = Tensor | number;
type Unary = (x: Tensor) => Tensor;
type Binary = (a: Operand, b: Operand) => Tensor;

const unary = (name: string, y: string, dx: string, integer: string | null = null): Unary =>
  elementwise({ name, operands: ["x"], y, grads: { x: dx }, integer });

export const neg: Unary = unary("neg", "-x", "-g", "T(0) - x");
export const abs: Unary = elementwise({ name: "abs", operands: ["x"], y: "abs(x)", grads: { x: "g * sign(x)" } });
export const square: Unary = unary("square", "x * x", "T(2.0) * g * x", "x * x");
export const exp: Unary = unary("exp", "exp(x)", "g * y");
export const log: Unary = unary("log", "log(x)", "g / x");
export const sqrt: Unary = unary("sqrt", "sqrt(x)", "T(0.5) * g / y");
export const rsqrt: Unary = unary("rsqrt", "inverseSqrt(x)", "T(-0.5) * g * y * y * y");
export const relu: Unary = unary("relu", "any_nan(max(x, T(0.0)), x)", "select(T(0.0), g, y > T(0.0))", "max(x, T(0))");
export const sigmoid: Unary = unary("sigmoid", "sigmoid(x)", "g * y * (T(1.0) - y)");
export const tanh: Unary = unary("tanh", "any_nan(safe_tanh(x), x)", "g * (T(1.0) - y * y)");
export const silu: Unary = unary("silu", "x * sigmoid(x)", "g * sigmoid(x) * (T(1.0) + x * (T(1.0) - sigmoid(x)))");
export const softplus: Unary = unary("softplus", "softplus(x)", "g * sigmoid(x)");
export const erf: Unary = unary("erf", "erf(x)", "g * T(1.1283791670955126) * exp(-x * x)");

const geluErf = unary("gelu", "x * phi(x)", "g * (phi(x) + x * T(0.3989422804014327) * exp(T(-0.5) * x * x))");
const INNER = "T(0.7978845608028654) * (x + T(0.044715) * x * x * x)";
const geluTanh = unary(
  "geluTanh",
  `T(0.5) * x * (T(1.0) + safe_tanh(${INNER}))`,
  `g * (T(0.5) * (T(1.0) + safe_tanh(${INNER})) + T(0.5) * x * (T(1.0) - safe_tanh(${INNER}) * safe_tanh(${INNER})) * T(0.7978845608028654) * (T(1.0) + T(0.134145) * x * x))`,
);

/** x times the normal distribution function (`none`), or its tanh approximation. */
export function gelu(x: Tensor, { approximate = "none" }: { readonly approximate?: "none" | "tanh" } = {}): Tensor {
  return approximate === "tanh" ? geluTanh(x) : geluErf(x);
}

const leaky = elementwise({
  name: "leakyRelu",
  operands: ["x", "slope"],
  y: "select(slope * x, x, x > T(0.0))",
  grads: { x: "select(slope * g, g, x > T(0.0))" },
  integer: null,
});

/** x where positive, else `negativeSlope` times x. */
export function leakyRelu(x: Tensor, { negativeSlope = 0.01 }: { readonly negativeSlope?: number } = {}): Tensor {
  return leaky(x, negativeSlope);
}

const clampBoth = elementwise({
  name: "clamp",
  operands: ["x", "low", "high"],
  y: "any_nan(min(max(x, low), high), x)",
  grads: { x: "select(T(0.0), g, (x >= low) & (x <= high))" },
  integer: "min(max(x, low), high)",
});
const clampLow = elementwise({
  name: "clampMin",
  operands: ["x", "low"],
  y: "any_nan(max(x, low), x)",
  grads: { x: "select(T(0.0), g, x >= low)" },
  integer: "max(x, low)",
});
const clampHigh = elementwise({
  name: "clampMax",
  operands: ["x", "high"],
  y: "any_nan(min(x, high), x)",
  grads: { x: "select(T(0.0), g, x <= high)" },
  integer: "min(x, high)",
});

/** x limited to `min..max`; either may be missing. The gradient is 1 inside and on the ends. */
export function clamp(
  x: Tensor,
  { min = null, max = null }: { readonly min?: number | null; readonly max?: number | null } = {},
): Tensor {
  if (min !== null && max !== null) return clampBoth(x, min, max);
  if (min !== null) return clampLow(x, min);
  if (max !== null) return clampHigh(x, max);
  return copy(x);
}

/** A new tensor with the same elements. */
export const copy: Unary = elementwise({ name: "copy", operands: ["x"], y: "x", grads: { x: "g" } });

const binary = (name: string, y: string, da: string, db: string, integer?: string | null): Binary =>
  elementwise({ name, operands: ["a", "b"], y, grads: { a: da, b: db }, ...(integer !== undefined && { integer }) });

export const add: Binary = binary("add", "a + b", "g", "g");
export const sub: Binary = binary("sub", "a - b", "g", "-g");
export const mul: Binary = binary("mul", "a * b", "g * b", "g * a");
/** True division: integers give f32. */
export const div: Binary = binary("div", "a / b", "g / b", "-g * a / (b * b)", null);

const share = (wins: string) => `select(select(T(0.0), T(0.5) * g, a == b), g, ${wins})`;
export const maximum: Binary = binary(
  "maximum",
  "any_nan(any_nan(max(a, b), a), b)",
  share("a > b"),
  share("b > a"),
  "max(a, b)",
);
export const minimum: Binary = binary(
  "minimum",
  "any_nan(any_nan(min(a, b), a), b)",
  share("a < b"),
  share("b < a"),
  "min(a, b)",
);

// `power` rather than WGSL's pow, which has no negative bases and is inexact for small integral exponents.
const power = elementwise({
  name: "pow",
  operands: ["a", "b"],
  y: "power(a, b)",
  grads: {
    a: "select(g * b * power(a, b - T(1.0)), T(0.0), b == T(0.0))",
    b: "select(g * power(a, b) * log(a), T(0.0), (a == T(0.0)) & (b >= T(0.0)))",
  },
  integer: null,
});

/** a to the power b; b may be a number or a tensor. Negative bases need integral exponents, else NaN. */
export const pow: Binary = (a, b) => power(a, b);

const comparison = (name: string, y: string): Binary => elementwise({ name, operands: ["a", "b"], y, out: "bool" });
export const eq: Binary = comparison("eq", "a == b");
export const ne: Binary = comparison("ne", "a != b");
export const lt: Binary = comparison("lt", "a < b");
export const le: Binary = comparison("le", "a <= b");
export const gt: Binary = comparison("gt", "a > b");
export const ge: Binary = comparison("ge", "a >= b");

const select = elementwise({
  name: "where",
  operands: ["cond", "a", "b"],
  conditions: ["cond"],
  y: "select(b, a, cond != T(0))",
  grads: { a: "select(T(0.0), g, cond != T(0.0))", b: "select(g, T(0.0), cond != T(0.0))" },
});

/** a where `cond` holds, else b. */
export function where(cond: Tensor, a: Operand, b: Operand): Tensor {
  return select(cond, a, b);
}
