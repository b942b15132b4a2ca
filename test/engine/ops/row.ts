// The op table's row: an op, inputs to draw, the call, and the formula in float64 that it must agree with.

import type { DType, Tensor } from "../../../engine/index.ts";

/** A reference tensor: row-major float64. */
export interface Ref {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

/** How an input is drawn. Values are rounded to f32 first, so that both sides see the same numbers. */
export interface Draw {
  readonly shape: readonly number[];
  readonly dtype?: DType;
  /** Uniform range; integers are drawn from low to high - 1. Default [-2, 2]. */
  readonly range?: readonly [number, number];
  /** Exact values instead of drawn ones. */
  readonly values?: readonly number[];
}

/** One case of an op: what goes in, the engine's call, the formula. */
export interface OpCase {
  /** Said in messages after the op's name; default the inputs' shapes. */
  readonly label?: string;
  readonly inputs: Readonly<Record<string, Draw>>;
  readonly call: (inputs: Readonly<Record<string, Tensor>>) => Tensor | readonly Tensor[];
  readonly oracle: (inputs: Readonly<Record<string, Ref>>) => Ref | readonly Ref[];
  /** Inputs whose gradient is compared with central differences of the oracle's first result. */
  readonly grads?: readonly string[];
  /** Step of the differences; default 1e-5. */
  readonly step?: number;
  readonly rtol?: number;
  readonly atol?: number;
}

/** Whether a case needs an adapter that has halves. */
export const isHalf = ({ inputs }: OpCase): boolean => Object.values(inputs).some(({ dtype }) => dtype === "f16");

/** What the cases of an op come to, over all sets of operands that may be live: rows in each, in some, in none. */
export type LiveRows = "rows" | "some" | "refused" | "no operand";

/** All cases of one exported op; `op` is the name it is exported by. */
export interface OpRow {
  readonly op: string;
  /** What live rows make of it; of a pointwise op that follows from its operands. */
  readonly live?: LiveRows;
  readonly cases: readonly OpCase[];
}

/** A reference tensor of a shape, filled by `value(flat index)`. */
export const ref = (shape: readonly number[], value: (i: number) => number): Ref => ({
  shape,
  data: Float64Array.from({ length: shape.reduce((n, extent) => n * extent, 1) }, (_, i) => value(i)),
});

/** Sizes around workgroup and vector multiples. */
export const SIZES = [0, 1, 31, 32, 33, 257] as const;
