// The activations, a line each: what plain ops, and what products and convolutions on their way out, compute and
// differentiate.

import { mathTypes } from "./functions.ts";
import { mathFunctions } from "./math.ts";

/** An activation as text, for T: its value at x, and what becomes of the gradient g of the value. */
export interface ActivationText {
  readonly y: string;
  /** The gradient at x, in g and x. */
  readonly dx: string;
  /** The same in g and y, where the value is enough: to a rounding of 1, and without a tensor more. */
  readonly dy?: string;
}

/** clamp(x / 6 + 1/2, 0, 1) */
const HARD = "(lowest(highest(x + T(3.0), T(0.0)), T(6.0)) / T(6.0))";

/** `gelu` is the erf form, `geluTanh` its approximation. */
export const ACTIVATIONS = {
  relu: { y: "rectified(x)", dx: "select(T(0.0), g, passes(x))", dy: "select(T(0.0), g, passes(y))" },
  gelu: { y: "x * phi(x)", dx: "g * (phi(x) + x * density(x))" },
  geluTanh: {
    y: "x * sigmoid(gelu_inner(x))",
    dx: "g * sigmoid(gelu_inner(x)) * (T(1.0) + x * sigmoid(-gelu_inner(x)) * gelu_slope(x))",
  },
  silu: { y: "x * sigmoid(x)", dx: "g * sigmoid(x) * (T(1.0) + x * sigmoid(-x))" },
  sigmoid: { y: "sigmoid(x)", dx: "g * sigmoid(x) * sigmoid(-x)", dy: "g * y * (T(1.0) - y)" },
  tanh: { y: "exact_tanh(x)", dx: "g * sech_squared(x)", dy: "g * (T(1.0) - y * y)" },
  hardsigmoid: { y: HARD, dx: "select(T(0.0), g / T(6.0), lt(abs(x), T(3.0)))" },
  hardswish: {
    y: `x * ${HARD}`,
    dx: "select(select(g * (x / T(3.0) + T(0.5)), T(0.0), lt(x, T(-3.0))), g, lt(T(3.0), x))",
  },
} as const satisfies Readonly<Record<string, ActivationText>>;

/** Declares `fn name(g: T, x: T) -> T`, which is `text`, an activation of these operands, with what it calls. */
export const activationFunction = (name: string, operands: readonly string[], text: string, width: 1 | 4): string =>
  [
    mathTypes(width),
    ...mathFunctions(text),
    `fn ${name}(${operands.map((operand) => `${operand}: T`).join(", ")}) -> T { return ${text}; }`,
  ].join("\n");

/** An activation of the table. */
export type Activated = keyof typeof ACTIVATIONS;

/** What a product can apply on its way out. `gelu` is the erf form, `geluTanh` its approximation. */
export type Activation = "none" | Activated;
