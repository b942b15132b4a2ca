// What ops on floats share: the check of the dtype, how it is stored, classes of sizes for tuning.

import type { FloatStorage } from "../../kernels/index.ts";
import { isFloat } from "../dtype.ts";
import { DTypeError } from "../errors.ts";
import { type Described, describe } from "../shape.ts";

/** Checks that `x` is f32 or f16. @internal @throws DTypeError */
export function checkFloat(op: string, what: string, x: Described): void {
  if (!isFloat(x.dtype)) throw new DTypeError(`${op}: ${what} must be f32 or f16; got ${describe(x)}. Use cast().`);
}

/** Storage type of a float tensor. @internal */
export const floatStorage = (x: Described): FloatStorage => (x.dtype === "f16" ? "f16" : "f32");

/** Sizes up to a factor of two: shapes of one class share a tuning choice. @internal */
export const sizeClass = (...sizes: readonly number[]): string =>
  sizes.map((size) => (size <= 1 ? size : 2 ** Math.ceil(Math.log2(size)))).join("x");
