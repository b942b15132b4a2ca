// Triangles of matrices, and norms of vectors: made of other ops.

import type { Kinds } from "../../base/index.ts";
import { ABOVE_ZERO, INTEGER } from "../checks.ts";
import type { Device } from "../device.ts";
import { readOptions } from "../errors.ts";
import { operandsOf } from "../operands.ts";
import type { Shape } from "../shape.ts";
import { positional } from "../signature.ts";
import { arange, checkTensors, type Tensor } from "../tensor.ts";
import { abs, ge, le, mul, pow, sqrt, square, sub, where } from "./pointwise.ts";
import { max, type ReduceOptions, sum } from "./reduce.ts";
import { reshape } from "./view.ts";

/** Where a triangle ends. */
export interface TriangleOptions {
  /** Above the main diagonal where positive, below it where negative; default 0. */
  readonly diagonal?: number;
}

const TRIANGLE: Kinds<TriangleOptions> = { diagonal: INTEGER };

/** bool [rows, columns]: true in a triangle and on its diagonal. @internal */
export function triangleMask(
  op: "tril" | "triu",
  shape: Shape,
  { diagonal, device }: { diagonal: number; device: Device },
): Tensor {
  const line = (n: number): Tensor => arange(0, n, 1, { device, dtype: "i32" });
  const [rows = 0, columns = 0] = shape.slice(-2);
  return (op === "tril" ? le : ge)(sub(line(columns), reshape(line(rows), [rows, 1])), diagonal);
}

const checkMatrices = operandsOf({ x: "any ... rows columns" });

function triangle(op: "tril" | "triu", x: Tensor, options: TriangleOptions): Tensor {
  const { diagonal = 0 } = readOptions(op, options, TRIANGLE);
  checkMatrices(op, { x });
  const mask = triangleMask(op, x.shape, { diagonal, device: x.device });
  return x.dtype === "bool" ? mul(x, mask) : where(mask, x, 0);
}

/** The lower triangles of matrices [..., rows, columns]: 0 above the diagonal. */
export const tril = positional(
  "tril(x, options)",
  (x: Tensor, options: TriangleOptions = {}): Tensor => triangle("tril", x, options),
);

/** The upper triangles of matrices [..., rows, columns]: 0 below the diagonal. */
export const triu = positional(
  "triu(x, options)",
  (x: Tensor, options: TriangleOptions = {}): Tensor => triangle("triu", x, options),
);

/** Options of `norm`. */
export interface VectorNormOptions extends Pick<ReduceOptions, "dim" | "keepdim"> {
  /** Default 2; Infinity: the largest magnitude. */
  readonly p?: number;
}

const NORM: Kinds<VectorNormOptions> = { p: ABOVE_ZERO, dim: "any", keepdim: "boolean" };

/** (sum |x|^p)^(1/p) over axes, default all. The gradient at a vector of zeros is 0. */
export const norm = positional("norm(x, options)", (x: Tensor, options: VectorNormOptions = {}): Tensor => {
  const { p = 2, ...over } = readOptions("norm", options, NORM);
  checkTensors("norm", { x });
  if (p === Number.POSITIVE_INFINITY) return max(abs(x), over);
  if (p === 1) return sum(abs(x), over);
  const total = sum(p === 2 ? square(x) : pow(abs(x), p), over);
  // A root has no slope at 0: there the root of 1 is taken, and left out.
  const isZero = le(total, 0);
  const root = where(isZero, 1, total);
  return where(isZero, 0, p === 2 ? sqrt(root) : pow(root, 1 / p));
});
