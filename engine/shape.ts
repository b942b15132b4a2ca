// Pure functions on shapes: counting, broadcasting, axes, printing. Knows no tensor and no device.

import { what } from "../base/index.ts";
import type { DType } from "./dtype.ts";
import { ShapeError } from "./errors.ts";

export type Shape = readonly number[];

/** The innermost extent of a shape that has one. */
export const lastOf = (shape: readonly number[]): number => shape[shape.length - 1]!;

/** What an op knows of a tensor before it runs. */
export interface Described {
  readonly shape: Shape;
  readonly dtype: DType;
}

/** Number of elements; 1 for a scalar. */
export const numel = (shape: Shape): number => shape.reduce((n, extent) => n * extent, 1);

export const sameShape = (a: Shape, b: Shape): boolean =>
  a.length === b.length && a.every((extent, i) => extent === b[i]);

/** `[2, 3]`. */
export const formatShape = (shape: Shape): string => `[${shape.join(", ")}]`;

/** `f32[2, 3]`: how a tensor reads in an error message. */
export const describe = (tensor: Described): string => `${tensor.dtype}${formatShape(tensor.shape)}`;

/** Row-major strides in elements. */
export function strides(shape: Shape): number[] {
  const result = new Array<number>(shape.length);
  let step = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    result[i] = step;
    step *= shape[i]!;
  }
  return result;
}

/**
 * Checks that `list` is an array of numbers: `reshape(x, 3, 2)` is meant as `reshape(x, [3, 2])`. @throws ArgumentError
 */
export function checkList(op: string, name: string, list: unknown): asserts list is readonly number[] {
  if (Array.isArray(list) && list.every((entry) => typeof entry === "number")) return;
  const hint = typeof list === "number" ? ` Write [${list}, ...].` : "";
  throw new ShapeError(`${op}: ${name} must be a list of numbers; got ${what(list)}.${hint}`);
}

/** Checks that `shape` is a list of non-negative integers. @throws ShapeError */
export function checkShape(op: string, shape: Shape): void {
  checkList(op, "a shape", shape);
  if (shape.some((extent) => !Number.isSafeInteger(extent) || extent < 0)) {
    throw new ShapeError(`${op}: a shape must be a list of non-negative integers; got ${what(shape)}.`);
  }
}

/** Axis in 0..rank-1 for one that may be negative. */
export function normalizeAxis(op: string, axis: number, rank: number): number {
  if (!Number.isInteger(axis) || axis < -rank || axis >= Math.max(rank, 0)) {
    const range = rank > 0 ? `in ${-rank}..${rank - 1}` : "absent for a scalar";
    throw new ShapeError(`${op}: axis must be ${range}; got ${what(axis)}.`);
  }
  return axis < 0 ? axis + rank : axis;
}

/** Sorted distinct axes for a list that may hold negative ones; null means all. */
export function normalizeAxes(op: string, axes: readonly number[] | null | undefined, rank: number): number[] {
  if (axes === null || axes === undefined) return Array.from({ length: rank }, (_, i) => i);
  checkList(op, "dim", axes);
  // The last axis of a scalar is none, as in PyTorch.
  if (rank === 0 && axes.length === 1 && (axes[0] === 0 || axes[0] === -1)) return [];
  const result = axes.map((axis) => normalizeAxis(op, axis, rank)).sort((a, b) => a - b);
  const repeated = result.find((axis, i) => axis === result[i - 1]);
  if (repeated !== undefined) {
    throw new ShapeError(`${op}: axes must be distinct; got [${axes.join(", ")}] (axis ${repeated} twice).`);
  }
  return result;
}

/** NumPy's common shape of all operands, or of their batch axes, those before the last `inner`. @throws ShapeError */
export function broadcastShapes(op: string, operands: readonly Described[], inner = 0): number[] {
  const rank = Math.max(0, ...operands.map((operand) => operand.shape.length - inner));
  return Array.from({ length: rank }, (_, i) => {
    let common = 1;
    for (const { shape } of operands) {
      const extent = shape[i - rank + shape.length - inner] ?? 1;
      if (extent !== 1 && common !== 1 && extent !== common) {
        const list = operands.map(describe).join(" x ");
        throw new ShapeError(
          `${op}: ${inner > 0 ? "batch axes" : "shapes"} must broadcast; got ${list} (axis ${i - rank - inner}: ${common} != ${extent}).`,
        );
      }
      if (extent !== 1) common = extent;
    }
    return common;
  });
}

/** Axes of `to` along which `from` was broadcast to it, counted in `to`. */
export function broadcastAxes(from: Shape, to: Shape): number[] {
  const lead = to.length - from.length;
  return to.flatMap((extent, i) => (i < lead || (from[i - lead] === 1 && extent !== 1) ? [i] : []));
}

/** Merges neighbouring axes of `shape` as long as every operand's strides allow it; drops axes of extent 1. */
export function collapse(
  shape: Shape,
  operandStrides: readonly (readonly number[])[],
): { shape: number[]; strides: number[][] } {
  const out: number[] = [];
  const outStrides: number[][] = operandStrides.map(() => []);
  for (let i = shape.length - 1; i >= 0; i--) {
    const extent = shape[i]!;
    if (extent === 1) continue;
    const inner = out[0];
    const mergeable =
      inner !== undefined && operandStrides.every((strides, k) => strides[i] === outStrides[k]![0]! * inner);
    if (mergeable) {
      out[0] = inner * extent;
    } else {
      out.unshift(extent);
      operandStrides.forEach((strides, k) => {
        outStrides[k]!.unshift(strides[i]!);
      });
    }
  }
  return { shape: out, strides: outStrides };
}

/** Strides with which a tensor of shape `from` is read as if it had shape `to` (0 along broadcast axes). */
export function broadcastStrides(from: Shape, to: Shape): number[] {
  const own = strides(from);
  const lead = to.length - from.length;
  return to.map((_, i) => (i < lead || from[i - lead] === 1 ? 0 : own[i - lead]!));
}
