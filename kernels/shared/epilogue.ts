// What a matrix product or convolution does to a quad of C before it is written: bias, residual, activation.
// y = activation(x W + bias [+ residual]) [+ residual]; everything in f32, rounded once when stored.

import { type FloatStorage, reads, writes } from "../kernel.ts";
import { ACTIVATIONS } from "./activations.ts";
import type { EpilogueBindings, EpilogueSpec, EpilogueUnit, Finish } from "./finish.ts";
import { mathTypes } from "./functions.ts";
import { mathFunctions } from "./math.ts";
import { quadLoad, quadStore } from "./quads.ts";
import { arrayType } from "./storage.ts";

/** Bindings an epilogue needs, after the kernel's own. */
export function epilogueBindings(spec: EpilogueSpec, dtype: FloatStorage, isVec: boolean): EpilogueBindings {
  const type = arrayType(dtype, isVec);
  return {
    bias: spec.bias ? reads(type) : undefined,
    residual: spec.residual === "none" ? undefined : reads(type),
    pre: spec.keep ? writes(type) : undefined,
  };
}

const load = (name: string, buffer: string, unit: EpilogueUnit): string =>
  unit === "one"
    ? `fn ${name}(at: u32, left: i32) -> f32 { return f32(${buffer}[at]); }`
    : quadLoad(name, buffer, unit === "vec");

const put = (name: string, buffer: string, dtype: FloatStorage, unit: EpilogueUnit): string =>
  unit === "one"
    ? `fn ${name}(at: u32, left: i32, value: f32) { ${buffer}[at] = ${dtype}(value); }`
    : quadStore(name, buffer, dtype, unit === "vec");

/**
 * `fn finish(at: u32, n: u32, left: i32, value: Value) -> Value`, with Value vec4f or f32: what to store at element
 * `at` for the columns from n on, of which `left` exist.
 */
export function epilogueText(spec: EpilogueSpec, dtype: FloatStorage, unit: EpilogueUnit): string {
  const { bias, activation, residual, keep } = spec;
  const applied = activation === "none" ? undefined : ACTIVATIONS[activation].y;
  const steps = [
    "var x = value;",
    bias ? "x += load_bias(n, left);" : "",
    residual === "before" ? "x += load_residual(at, left);" : "",
    keep ? "put_pre(at, left, x);" : "",
    applied ? `x = ${applied};` : "",
    residual === "after" ? "x += load_residual(at, left);" : "",
    "return x;",
  ];
  return [
    `alias Value = ${unit === "one" ? "f32" : "vec4f"};`,
    ...(applied ? [mathTypes(unit === "one" ? 1 : 4), ...mathFunctions(applied)] : []),
    bias ? load("load_bias", "bias", unit) : "",
    residual !== "none" ? load("load_residual", "residual", unit) : "",
    keep ? put("put_pre", "pre", dtype, unit) : "",
    `fn finish(at: u32, n: u32, left: i32, value: Value) -> Value {\n${steps.filter(Boolean).join("\n")}\n}`,
  ]
    .filter(Boolean)
    .join("\n");
}

/** The epilogue as the end of a product. */
export const EPILOGUE: Finish<EpilogueSpec> = { bindings: epilogueBindings, text: epilogueText };
