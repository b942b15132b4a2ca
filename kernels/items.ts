// One thread per item: what kernels that move elements have in common. An item is one element, or four neighbours.

import { ceilDiv, ENTRY, type KernelFeature, LINEAR_GROUP, linearGrid, type StorageType, unroll } from "./kernel.ts";

/** What travels: any four-byte type, or f16. */
export type MoveUnit = "u32" | "f16";

/** The unit in which elements of `dtype` travel. */
export const unitOf = (dtype: StorageType): MoveUnit => (dtype === "f16" ? "f16" : "u32");

/** Most axes that one launch can address. */
export const MAX_AXES = 8;

const GROUP = 64;

type Axis = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7;
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

/** WGSL type of `width` units. */
export const unitType = (unit: MoveUnit, width: 1 | 4): string => (width === 4 ? `vec4<${unit}>` : unit);

/** Features that kernels on `unit` need. */
export const unitFeatures = ({ unit }: { readonly unit: MoveUnit }): KernelFeature[] => (unit === "f16" ? ["f16"] : []);

/** Entry point of one thread per item; declares the item's index `i` and leaves where there is none. */
export const itemEntry = (count: string): string => `@compute @workgroup_size(${GROUP}) fn main(${ENTRY}) {
  let i = ${LINEAR_GROUP} * ${GROUP}u + li;
  if (i >= ${count}) { return; }`;

/** Launch geometry of `count` items. */
export const itemGrid = (count: number) => linearGrid(ceilDiv(count, GROUP));

/** How `itemGrid` depends on the rows, whose items follow one another. */
export const itemRows = (count: number) => ({ axis: 0, units: count, perGroup: GROUP, fold: true }) as const;

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
