// One thread per item: what kernels that move elements have in common. An item is one element, or four neighbours.

import { ceilDiv, entry, GROUP, LINEAR_GROUP, linearGrid, type RowAxis, type StorageType, unroll } from "../kernel.ts";

/** What travels: any four-byte type, or f16. */
export type MoveUnit = "u32" | "f16";

/** The unit in which elements of `dtype` travel. */
export const unitOf = (dtype: StorageType): MoveUnit => (dtype === "f16" ? "f16" : "u32");

/** Most axes that one launch can address. */
export const MAX_AXES = 8;

/** One of the axes that a kernel walks. */
export type Axis = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7;
type Numbered<P extends string, T extends "u32" | "i32"> = Readonly<Record<`${P}${Axis}`, T>>;

/** Uniforms `prefix0 ...` of up to eight axes. */
export function numbered<P extends string, T extends "u32" | "i32">(prefix: P, type: T): Numbered<P, T> {
  return Object.fromEntries(Array.from({ length: MAX_AXES }, (_, i) => [`${prefix}${i}`, type])) as Numbered<P, T>;
}

/** Values of the uniforms `prefix0 ...`; absent axes get `fill`. */
export function numberedDims<P extends string>(
  prefix: P,
  values: readonly number[],
  fill: number,
): Readonly<Record<`${P}${Axis}`, number>> {
  const entries = Array.from({ length: MAX_AXES }, (_, i) => [`${prefix}${i}`, values[i] ?? fill]);
  return Object.fromEntries(entries) as Readonly<Record<`${P}${Axis}`, number>>;
}

/** Items that one thread moves, a workgroup apart: on CPU adapters a workgroup costs as much as some hundred items. */
const ITEMS = 8;

/** Items that one workgroup moves. */
const PER_GROUP = GROUP * ITEMS;

/** Entry point that runs `body` for each item index `i` below `count`. */
export const itemLoop = (count: string, body: string): string => `fn item(i: u32) {
  ${body}
}
${entry()} {
  let count = ${count};
  let first = ${LINEAR_GROUP} * ${PER_GROUP}u + li;
  for (var i = first; i < min(first + ${PER_GROUP}u, count); i += ${GROUP}u) { item(i); }
}`;

/** Launch geometry of `count` items. */
export const itemGrid = (count: number) => linearGrid(ceilDiv(count, PER_GROUP));

/** How `itemGrid` depends on the rows, whose items follow one another in `blocks`; without blocks it does not. */
export const itemRows = (
  count: number,
  blocks: number,
  apart: Readonly<Record<string, number>> = {},
): RowAxis | undefined =>
  blocks > 0 ? { axis: 0, units: count, perGroup: PER_GROUP, fold: true, blocks, apart } : undefined;

/** Splits the row-major index `i` over axes of extents `u.n0 ...`: `visit(axis, index)` for each, innermost first. */
export function eachAxis(rank: number, visit: (axis: number, index: string) => string): string {
  const inner = unroll(Math.max(0, rank - 1), (k) => {
    const axis = rank - 1 - k;
    return `{ let outer = rest / u.n${axis}; let at = rest - outer * u.n${axis}; ${visit(axis, "at")} rest = outer; }`;
  });
  return `var rest = i;
  ${inner}
  ${rank > 0 ? visit(0, "rest") : ""}`;
}
