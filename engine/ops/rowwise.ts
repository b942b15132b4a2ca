// What the row ops (softmax, losses, norms, attention) share: dtype checks, classes of sizes for tuning, reduced
// losses.

import type { FloatStorage } from "../../kernels/index.ts";
import { planReduce, reduceLines } from "../../kernels/reduce/index.ts";
import { isFloat } from "../dtype.ts";
import { checkOneOf, DTypeError } from "../errors.ts";
import type { Launcher } from "../op.ts";
import { type Described, describe } from "../shape.ts";
import type { Tensor } from "../tensor.ts";

/** How a loss over many rows becomes one number, or does not. */
export type Reduction = "none" | "mean" | "sum";

/** Checks that `reduction` is one that `op` knows. @internal @throws ArgumentError */
export const checkReduction = (
  op: string,
  reduction: string,
  known: readonly string[] = ["none", "mean", "sum"],
): void => checkOneOf(op, "reduction", reduction, known);

/** Checks that `x` is f32 or f16. @internal @throws DTypeError */
export function checkFloat(op: string, what: string, x: Described): void {
  if (!isFloat(x.dtype)) throw new DTypeError(`${op}: ${what} must be f32 or f16; got ${describe(x)}. Use cast().`);
}

/** Storage type of a float tensor. @internal */
export const floatStorage = (x: Described): FloatStorage => (x.dtype === "f16" ? "f16" : "f32");

/** Sizes up to a factor of two: shapes of one class share a tuning choice. @internal */
export const sizeClass = (...sizes: readonly number[]): string =>
  sizes.map((size) => (size <= 1 ? size : 2 ** Math.ceil(Math.log2(size)))).join("x");

/** Appends the launches that leave the sum or mean of all of `x` in the scalar `y`. @internal */
export function reduceAll(run: Launcher, op: "sum" | "mean", x: Tensor, y: Tensor): void {
  let source = x;
  const steps = planReduce({ op, dtype: "f32", outer: 1, len: x.size, inner: 1, correction: 0 }, run.device.info);
  for (const { spec, dims, scratchBytes } of steps) {
    const target = scratchBytes > 0 ? run.temporary([scratchBytes / 4], "u32") : y;
    run.dispatch(reduceLines, spec, { x: source, y: target }, dims);
    source = target;
  }
}
