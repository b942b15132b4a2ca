// More pointwise ops, a line each: rounding, signs, angles, and functions that keep their digits near 0. Formulas as in
// pointwise.ts.

import { ELEMENTARY } from "../../kernels/pointwise.ts";
import { type Elementwise, elementwise } from "./elementwise.ts";
import type { Binary, Unary } from "./pointwise.ts";

/** A function whose derivative is 0 wherever it has one; integers stay as they are. */
const steps = (name: string, y: string): Unary =>
  elementwise({
    name,
    operands: ["x"],
    y: `any_nan(${y}, x)`,
    grads: { x: "T(0.0) * g" },
    integer: "x",
    rule: "numeric",
  });

/** The largest whole number that is not above x; the gradient is 0. */
export const floor: Unary = steps("floor", "floor(x)");
/** The smallest whole number that is not below x; the gradient is 0. */
export const ceil: Unary = steps("ceil", "ceil(x)");
/** The nearest whole number, of two the even one; the gradient is 0. */
export const round: Unary = steps("round", "round(x)");
/** x without its fraction; the gradient is 0. */
export const trunc: Unary = steps("trunc", "trunc(x)");

/** -1, 0 or 1; NaN stays NaN, as in NumPy (PyTorch makes it 0). The gradient is 0. */
export const sign: Unary = elementwise({
  name: "sign",
  operands: ["x"],
  y: "any_nan(select(select(T(0.0), T(-1.0), lt(x, T(0.0))), T(1.0), lt(T(0.0), x)), x)",
  grads: { x: "T(0.0) * g" },
  integer: "select(T(0) - select(T(0), T(1), x < T(0)), T(1), x > T(0))",
  rule: "numeric",
});

const test = (name: string, y: string, integer: "true" | "false"): Unary =>
  elementwise({ name, operands: ["x"], y, integer: `B(${integer})`, out: "bool" });

/** Whether an element is no number. */
export const isnan: Unary = test("isnan", "is_nan(x)", "false");
/** Whether an element is infinite, of either sign. */
export const isinf: Unary = test("isinf", "magnitude(x) == U(0x7f800000u)", "false");
/** Whether an element is a number that is not infinite. */
export const isfinite: Unary = test("isfinite", "magnitude(x) < U(0x7f800000u)", "true");

const float = (fn: Omit<Elementwise, "integer">): ReturnType<typeof elementwise> =>
  elementwise({ ...fn, integer: null });

/** log(1 + x), with all its digits where x is small. */
export const log1p: Unary = float({
  name: "log1p",
  operands: ["x"],
  y: "exact_log1p(x)",
  grads: { x: "g / (T(1.0) + x)" },
  functions: ELEMENTARY,
});
/** exp(x) - 1, with all its digits where x is small. */
export const expm1: Unary = float({
  name: "expm1",
  operands: ["x"],
  y: "exact_expm1(x)",
  grads: { x: "g * exact_exp(x)" },
  functions: ELEMENTARY,
});

/** The sine of x in radians, exact to about an ulp however large x is; NaN at infinity. */
export const sin: Unary = float({
  name: "sin",
  operands: ["x"],
  y: "sine(x)",
  grads: { x: "g * cosine(x)" },
  functions: ELEMENTARY,
  known: () => ({ cosine: cos }),
});
/** The cosine of x in radians, exact to about an ulp however large x is; NaN at infinity. */
export const cos: Unary = float({
  name: "cos",
  operands: ["x"],
  y: "cosine(x)",
  grads: { x: "-g * sine(x)" },
  functions: ELEMENTARY,
  known: () => ({ sine: sin }),
});
/** The angle of the points (b, a), from -pi to pi. */
export const atan2: Binary = float({
  name: "atan2",
  operands: ["a", "b"],
  y: "angle_of(a, b)",
  grads: { a: "g * b / (a * a + b * b)", b: "-g * a / (a * a + b * b)" },
  functions: ELEMENTARY,
});
