// What a matrix product or convolution does to a quad of C before it is written: bias, residual, activation.
// y = activation(x W + bias [+ residual]) [+ residual]; everything in f32, rounded once when stored.

import { arrayType, quadLoad } from "./gemm.ts";
import type { Binding } from "./kernel.ts";

/** Activations that a product can apply on its way out. `gelu` is the erf form, `geluTanh` its approximation. */
export type Activation = "none" | "relu" | "gelu" | "geluTanh" | "silu" | "sigmoid" | "tanh";

/** The epilogue's part of a spec. */
export type EpilogueSpec = {
  /** Adds `bias[n]`. */
  readonly bias: boolean;
  readonly activation: Activation;
  /** Adds `residual`, shaped like the output, before or after the activation. */
  readonly residual: "none" | "before" | "after";
  /** Also writes the activation's argument to `pre`, for the gradient of an activation that its value does not determine. */
  readonly keep: boolean;
};

/** No bias, no residual, no activation. */
export const NO_EPILOGUE: EpilogueSpec = { bias: false, activation: "none", residual: "none", keep: false };

/** Bindings an epilogue needs, after the kernel's own. */
export function epilogueBindings(spec: EpilogueSpec, dtype: "f32" | "f16", isVec: boolean): readonly Binding[] {
  const type = arrayType(dtype, isVec);
  return [
    ...(spec.bias ? [{ name: "bias", access: "read", type } as const] : []),
    ...(spec.residual !== "none" ? [{ name: "residual", access: "read", type } as const] : []),
    ...(spec.keep ? [{ name: "pre", access: "write", type } as const] : []),
  ];
}

// Abramowitz and Stegun 7.1.26: |error| < 1.5e-7, below f32's own on values near 1.
const ERF = `fn erf(x: vec4f) -> vec4f {
  let t = 1.0 / (1.0 + 0.3275911 * abs(x));
  let p = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return sign(x) * (1.0 - p * exp(-x * x));
}
`;

// tanh's argument is clamped: implementations may overflow in exp, and tanh(10) is 1 in f32.
const ACTIVATIONS: Readonly<Record<Activation, string>> = {
  none: "x",
  relu: "select(x, vec4f(), x <= vec4f())",
  gelu: "0.5 * x * (1.0 + erf(x * 0.70710678))",
  geluTanh: "0.5 * x * (1.0 + tanh(clamp(0.79788456 * (x + 0.044715 * x * x * x), vec4f(-10.0), vec4f(10.0))))",
  silu: "x / (1.0 + exp(-x))",
  sigmoid: "1.0 / (1.0 + exp(-x))",
  tanh: "tanh(clamp(x, vec4f(-10.0), vec4f(10.0)))",
};

/**
 * `fn finish(at: u32, n: u32, left: i32, value: vec4f) -> vec4f`: the value to store at element `at` for the columns
 * from n on, of which `left` exist. Needs `put_pre` (a `quadStore`) where the spec keeps the activation's argument.
 */
export function epilogueText(spec: EpilogueSpec, isVec: boolean): string {
  const { bias, activation, residual, keep } = spec;
  const steps = [
    "var x = value;",
    bias ? "x += load_bias(n, left);" : "",
    residual === "before" ? "x += load_residual(at, left);" : "",
    keep ? "put_pre(at, left, x);" : "",
    activation === "none" ? "" : `x = ${ACTIVATIONS[activation]};`,
    residual === "after" ? "x += load_residual(at, left);" : "",
    "return x;",
  ];
  return [
    activation === "gelu" ? ERF : "",
    bias ? quadLoad("load_bias", "bias", isVec) : "",
    residual !== "none" ? quadLoad("load_residual", "residual", isVec) : "",
    `fn finish(at: u32, n: u32, left: i32, value: vec4f) -> vec4f {\n${steps.filter(Boolean).join("\n")}\n}`,
  ]
    .filter(Boolean)
    .join("\n");
}
