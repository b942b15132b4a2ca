// Tensors of one value, made on the GPU.

import { checkValue, NUMBER } from "../checks.ts";
import type { DType } from "../dtype.ts";
import { checkNumber } from "../promote.ts";
import type { Shape } from "../shape.ts";
import { positional } from "../signature.ts";
import { checkTensors, empty, type Tensor, type TensorOptions } from "../tensor.ts";
import { launch } from "./elementwise.ts";

/**
 * A tensor whose elements all are `value` (f32 unless a dtype is given; integers cut fractions off).
 * @throws DTypeError for a value that the integer dtype does not hold.
 */
export const full = positional(
  "full(shape, value, options)",
  (shape: Shape, value: number, options: TensorOptions = {}): Tensor => {
    checkValue("full", "value", value, NUMBER);
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
  },
);

export const zeros = positional(
  "zeros(shape, options)",
  (shape: Shape, options?: TensorOptions): Tensor => full(shape, 0, options),
);
export const ones = positional(
  "ones(shape, options)",
  (shape: Shape, options?: TensorOptions): Tensor => full(shape, 1, options),
);

function alike(op: string, like: Tensor, value: number): Tensor {
  checkTensors(op, { like });
  return full(like.shape, value, { dtype: like.dtype, device: like.device });
}

/** Zeros with the shape, dtype and device of `like`. */
export const zerosLike = positional("zerosLike(like)", (like: Tensor): Tensor => alike("zerosLike", like, 0));
export const onesLike = positional("onesLike(like)", (like: Tensor): Tensor => alike("onesLike", like, 1));
