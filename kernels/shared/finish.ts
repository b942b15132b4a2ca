// How a product ends: what is done to a quad of C before it is written. Nothing here; epilogue.ts has all that can be.

import type { Binding, FloatStorage } from "../kernel.ts";
import type { Activation } from "./activations.ts";

/** The epilogue's part of a spec. */
export type EpilogueSpec = {
  /** Adds `bias[n]`. */
  readonly bias: boolean;
  readonly activation: Activation;
  /** Adds `residual`, shaped like the output, before or after the activation. */
  readonly residual: "none" | "before" | "after";
  /**
   * Also writes the activation's argument to `pre`, for the gradient of an activation that its value does not
   * determine.
   */
  readonly keep: boolean;
};

/** No bias, no residual, no activation. */
export const NO_EPILOGUE = { bias: false, activation: "none", residual: "none", keep: false } as const;

/** The spec of a product that ends as it is. */
export type PlainSpec = typeof NO_EPILOGUE;

/**
 * What a kernel hands over at a time: quads from arrays of vec4 ("vec") or of elements ("quad"), or single elements
 * ("one").
 */
export type EpilogueUnit = "vec" | "quad" | "one";

/** What an end may read, and write. */
export interface EpilogueBindings {
  readonly bias?: Binding | undefined;
  readonly residual?: Binding | undefined;
  readonly pre?: Binding | undefined;
}

/** An end: its bindings, after the kernel's own, and its text. */
export interface Finish<E extends EpilogueSpec> {
  bindings(spec: E, dtype: FloatStorage, isVec: boolean): EpilogueBindings;
  /**
   * `fn finish(at: u32, n: u32, left: i32, value: Value) -> Value`, with Value vec4f or f32: what to store at element
   * `at` for the columns from n on, of which `left` exist.
   */
  text(spec: E, dtype: FloatStorage, unit: EpilogueUnit): string;
}

/** C as it is. */
export const PLAIN: Finish<PlainSpec> = {
  bindings: () => ({}),
  text: (_spec, _dtype, unit) => `alias Value = ${unit === "one" ? "f32" : "vec4f"};
fn finish(at: u32, n: u32, left: i32, value: Value) -> Value {
var x = value;
return x;
}`,
};
