// The ops that write into an existing tensor. They carry no gradient; the tape refuses saved values that they changed.

import { checkOneDType, checkOneShape } from "../checks.ts";
import { positional } from "../signature.ts";
import { checkTensors, type Tensor } from "../tensor.ts";
import { launch } from "./elementwise.ts";

function checkAlike(op: string, target: Tensor, value: Tensor): void {
  checkTensors(op, { target, value });
  checkOneShape(op, { target, value });
  checkOneDType(op, { target, value });
}

/** Overwrites `target` with `value`, of the same shape and dtype. */
export const copyInto = positional("copyInto(target, value)", (target: Tensor, value: Tensor): void => {
  checkAlike("copyInto", target, value);
  launch("copyInto", { name: "copyInto", operands: ["x"], expr: "x" }, [value], target, target.dtype);
});

/** Adds `value` to `target` in place. */
export const addInto = positional("addInto(target, value)", (target: Tensor, value: Tensor): void => {
  checkAlike("addInto", target, value);
  launch("addInto", { name: "addInto", operands: ["x"], expr: "y + x", inPlace: true }, [value], target, target.dtype);
});
