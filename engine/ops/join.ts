// Tensors put together: concat, stack. The gradient of each operand is its slice.

import type { Kinds } from "../../base/index.ts";
import { planConcat, unitOf } from "../../kernels/move/index.ts";
import { storageType } from "../dtype.ts";
import { ArgumentError, readOptions, ShapeError } from "../errors.ts";
import { defineOp, single } from "../op.ts";
import { ANY } from "../operands.ts";
import { promote } from "../promote.ts";
import { describe, normalizeAxis, numel, type Shape } from "../shape.ts";
import { positional } from "../signature.ts";
import { checkTensorList, type Tensor } from "../tensor.ts";
import { sliceOp } from "./move.ts";
import { cast, unsqueeze } from "./view.ts";

interface Join {
  readonly axis: number;
  /** Of the operands, in their order. */
  readonly shapes: readonly Shape[];
}

const concatOp = single(
  defineOp({
    name: "concat",
    operands: ANY,
    infer: (inputs, { axis, shapes }: Join) => {
      const first = inputs[0]!;
      const total = shapes.reduce((sum, shape) => sum + shape[axis]!, 0);
      return { y: { shape: first.shape.with(axis, total), dtype: first.dtype } };
    },
    run: ({ inputs, outputs: { y }, attrs: { axis, shapes }, dispatch }) => {
      const rows = numel(y.shape.slice(0, axis));
      const lens = shapes.map((shape) => (rows === 0 ? 0 : numel(shape) / rows));
      for (const { kernel, spec, dims, inputs: own } of planConcat(unitOf(storageType(y.dtype)), rows, lens)) {
        const [x0, x1, x2, x3, x4, x5] = own.map((i) => inputs[i]);
        if (x0) dispatch(kernel, spec, { x0, x1, x2, x3, x4, x5, y }, dims, { rows: axis > 0 ? rows : 0 });
      }
    },
    saves: [],
    vjp: (g, { attrs: { axis, shapes } }) => {
      let start = 0;
      const parts = shapes.map((shape, k) => {
        const own = start;
        start += shape[axis]!;
        const ranges = shape.map((count, i) => ({ start: i === axis ? own : 0, step: 1, count }));
        return [k, () => sliceOp({ x: g }, { ranges })];
      });
      return Object.fromEntries(parts);
    },
  }),
);

/** The op on `tensors`, in the dtype in which they meet. */
function joined(op: string, tensors: readonly Tensor[], axis: number): Tensor {
  const dtype = promote(op, tensors);
  return concatOp(Object.fromEntries(tensors.map((tensor, i) => [i, cast(tensor, dtype)])), {
    axis,
    shapes: tensors.map(({ shape }) => shape),
  });
}

/** Which axis the tensors follow each other along, or which new one they are stacked along; default 0. */
export interface JoinOptions {
  readonly dim?: number;
}

/** The first of the tensors, and the axis, which counts in the result. */
function checkJoin(
  op: string,
  tensors: readonly Tensor[],
  options: JoinOptions,
): readonly [first: Tensor, dim: number] {
  checkTensorList(op, "tensors", tensors);
  const [first] = tensors;
  if (!first) throw new ArgumentError(`${op}: at least one tensor must be given; got an empty list.`);
  return [first, readOptions(op, options, JOIN).dim ?? 0];
}

/** Checks that all shapes are that of the first, but along `axis`. @throws ShapeError */
function checkShapes(op: string, [first, ...others]: readonly Tensor[], axis?: number): void {
  const isFit = (x: Tensor) => x.rank === first?.rank && x.shape.every((n, i) => i === axis || n === first.shape[i]);
  const odd = others.find((x) => !isFit(x));
  if (!first || !odd) return;
  const where = axis === undefined ? "" : ` but along axis ${axis}`;
  throw new ShapeError(`${op}: shapes must agree${where}; got ${describe(first)} and ${describe(odd)}.`);
}

const JOIN: Kinds<JoinOptions> = { dim: "number" };

/**
 * Tensors one after another along `dim`, in the dtype in which they meet.
 *
 * @example
 * ```ts
 * import { concat, tensor } from "sortie/engine";
 *
 * const both = concat([tensor([[1], [2]]), tensor([[3], [4]])], { dim: 1 });
 * console.log(await both.read()); // Float32Array(4) [1, 3, 2, 4]
 * ```
 */
export const concat = positional(
  "concat(tensors, options)",
  (tensors: readonly Tensor[], options: JoinOptions = {}): Tensor => {
    const [first, dim] = checkJoin("concat", tensors, options);
    const axis = normalizeAxis("concat", dim, first.rank);
    checkShapes("concat", tensors, axis);
    return joined("concat", tensors, axis);
  },
);

/** Tensors of one shape along a new axis `dim` of the result. */
export const stack = positional(
  "stack(tensors, options)",
  (tensors: readonly Tensor[], options: JoinOptions = {}): Tensor => {
    const [first, dim] = checkJoin("stack", tensors, options);
    const axis = normalizeAxis("stack", dim, first.rank + 1);
    checkShapes("stack", tensors);
    return joined(
      "stack",
      tensors.map((tensor) => unsqueeze(tensor, axis)),
      axis,
    );
  },
);
