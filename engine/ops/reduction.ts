// How a loss over many rows becomes one number, or does not.

import { planReduce, reduceLines } from "../../kernels/reduce/index.ts";
import { checkOneOf } from "../errors.ts";
import type { Launcher } from "../op.ts";
import type { Tensor } from "../tensor.ts";

/** What is made of the losses of all rows. */
export type Reduction = "none" | "mean" | "sum";

/** Checks that `reduction` is one that `op` knows. @internal @throws ArgumentError */
export const checkReduction = (
  op: string,
  reduction: string,
  known: readonly string[] = ["none", "mean", "sum"],
): void => checkOneOf(op, "reduction", reduction, known);

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
