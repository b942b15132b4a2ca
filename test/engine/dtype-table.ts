// The dtype rules as a table (docs/dtypes.md), written down once more: the tests compare engine/promote.ts with it.

import type { DType } from "../../engine/index.ts";
import { device } from "../gpu.ts";

/** All dtypes, from the lowest. */
export const DTYPES = ["bool", "u32", "i32", "f16", "f32"] as const;

/** Dtype in which two tensors meet: rows and columns in the order of DTYPES. */
export const TENSORS: readonly (readonly DType[])[] = [
  ["bool", "u32", "i32", "f16", "f32"],
  ["u32", "u32", "i32", "f16", "f32"],
  ["i32", "i32", "i32", "f16", "f32"],
  ["f16", "f16", "f16", "f16", "f32"],
  ["f32", "f32", "f32", "f32", "f32"],
];

/** Dtype in which a tensor of each dtype meets a number; undefined: refused. */
export const NUMBERS: readonly (readonly [number, readonly (DType | undefined)[]])[] = [
  [0, ["i32", "u32", "i32", "f16", "f32"]],
  [1, ["i32", "u32", "i32", "f16", "f32"]],
  [3, ["i32", "u32", "i32", "f16", "f32"]],
  [16777217, ["i32", "u32", "i32", "f16", "f32"]],
  [2147483647, ["i32", "u32", "i32", "f16", "f32"]],
  [3000000000, ["u32", "u32", undefined, "f16", "f32"]],
  [4294967296, [undefined, undefined, undefined, "f16", "f32"]],
  [-1, ["i32", "i32", "i32", "f16", "f32"]],
  [-2147483648, ["i32", "i32", "i32", "f16", "f32"]],
  [-2147483649, [undefined, undefined, undefined, "f16", "f32"]],
  [0.5, ["f32", "f32", "f32", "f16", "f32"]],
  [0.1, ["f32", "f32", "f32", "f16", "f32"]],
  [-1.5, ["f32", "f32", "f32", "f16", "f32"]],
  [Number.NaN, ["f32", "f32", "f32", "f16", "f32"]],
  [Number.POSITIVE_INFINITY, ["f32", "f32", "f32", "f16", "f32"]],
];

export const isFloat = (dtype: DType): boolean => dtype === "f16" || dtype === "f32";

/** Dtypes that the adapter has. */
export const dtypes = (): readonly DType[] => DTYPES.filter((dtype) => dtype !== "f16" || device().info.hasF16);
