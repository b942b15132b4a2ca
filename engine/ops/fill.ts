// Tensors of one value, made on the GPU.

import { what } from "../../base/index.ts";
import type { DType } from "../dtype.ts";
import { ArgumentError } from "../errors.ts";
import { checkNumber } from "../promote.ts";
import type { Shape } from "../shape.ts";
import { checkTensors, empty, type Tensor, type TensorOptions } from "../tensor.ts";
import { launch } from "./elementwise.ts";

/**
 * A tensor whose elements all are `value` (f32 unless a dtype is given; integers cut fractions off).
 * @throws DTypeError for a value that the integer dtype does not hold.
 */
export function full(shape: Shape, value: number, options: TensorOptions = {}): Tensor {
  if (typeof value !== "number") throw new ArgumentError(`full: value must be a number; got ${what(value)}.`);
  checkNumber("full", value, options?.dtype ?? "f32");
  const out = empty(shape, options);
  const compute: DType = out.dtype === "bool" ? "u32" : out.dtype;
  launch(
    "full",
    { name: "full", operands: ["value"], expr: "value" },
    [out.dtype === "bool" ? Number(value !== 0) : value],
    out,
    compute,
  );
  return out;
}

export const zeros = (shape: Shape, options?: TensorOptions): Tensor => full(shape, 0, options);
export const ones = (shape: Shape, options?: TensorOptions): Tensor => full(shape, 1, options);

function alike(op: string, like: Tensor, value: number): Tensor {
  checkTensors(op, { like });
  return full(like.shape, value, { dtype: like.dtype, device: like.device });
}

/** Zeros with the shape, dtype and device of `like`. */
export const zerosLike = (like: Tensor): Tensor => alike("zerosLike", like, 0);
export const onesLike = (like: Tensor): Tensor => alike("onesLike", like, 1);
