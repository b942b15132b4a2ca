// Rows and elements picked by index, and what flows back to where they came from.
//   gatherRows      y[o, k, i] = x[o, index[k], i]: indexSelect, embedding
//   gatherElements  y[p] = x[p with its coordinate along one axis replaced by index[p]]
//   oneHot          y[k, c] = 1 if index[k] = c, else 0
// An index out of range reads `missing` (NaN for floats). Backwards, repeated indices accumulate: every element of dx
// is owned by one thread, which adds its contributions in the order of the index list, so results are equal bit for bit
// from run to run. Short lists are scanned whole (`sumRowsScanned`); for long ones `markRows` and `linkRows` chain the
// equal indices first, and `sumRowsLinked` walks the chains. A thread per element, or per four neighbours along i.

import { type Dims, defineKernel, type FloatStorage, reads, updates, writes } from "./kernel.ts";
import { eachAxis, itemGrid, itemLoop, itemRows, type MoveUnit, numbered } from "./shared/items.ts";
import { bufferType, elementType } from "./shared/storage.ts";

/** Elements in memory that gradients are summed over. */

const index = reads("array<i32>");

/** How picked rows travel. */
export type GatherRowsSpec = { readonly unit: MoveUnit; readonly width: 1 | 4 };

const rowUniforms = { outer: "u32", rows: "u32", count: "u32", inner: "u32" } as const;
export type RowsUniform = keyof typeof rowUniforms;

/** Items of y [outer, count, inner]. */
const pickedItems = ({ outer, count, inner }: Dims<RowsUniform>): number => outer * count * inner;

const missing = (unit: MoveUnit): string => (unit === "f16" ? "f16(bitcast<f32>(u.missing))" : "u.missing");

/** y [outer, count, inner] = rows of x [outer, rows, inner]; `inner` counts items of `width` elements. */
export const gatherRows = defineKernel({
  name: "gatherRows",
  bindings: ({ unit, width }: GatherRowsSpec) => ({
    x: reads(bufferType(unit, width)),
    index,
    y: writes(bufferType(unit, width)),
  }),
  uniforms: { ...rowUniforms, missing: "u32" },
  source: ({ unit, width }) =>
    itemLoop(
      "u.outer * u.count * u.inner",
      `let column = i % u.inner;
  let line = i / u.inner;
  let row = u32(index[line % u.count]);
  let p = (line / u.count * u.rows + row) * u.inner + column;
  y[i] = select(${elementType(unit, width)}(${missing(unit)}), x[select(0u, p, row < u.rows)], row < u.rows);`,
    ),
  grid: (dims) => itemGrid(pickedItems(dims)),
  rows: (dims) =>
    dims.outer === 1
      ? itemRows(pickedItems(dims), dims.count, { x: 1 })
      : itemRows(pickedItems(dims), dims.outer, { index: 1 }),
});

const elementUniforms = {
  size: "u32",
  rows: "u32",
  stride: "u32",
  missing: "u32",
  ...numbered("n", "u32"),
  ...numbered("s", "u32"),
} as const;
export type ElementsUniform = keyof typeof elementUniforms;

/**
 * y and index share the shape n; x has strides s, of which that of the picked axis is given as `stride` (and 0 in s),
 * and `rows` elements along that axis.
 */
export const gatherElements = defineKernel({
  name: "gatherElements",
  bindings: ({ unit }: { readonly unit: MoveUnit; readonly rank: number }) => ({
    x: reads(bufferType(unit, 1)),
    index,
    y: writes(bufferType(unit, 1)),
  }),
  uniforms: elementUniforms,
  source: ({ unit, rank }) =>
    itemLoop(
      "u.size",
      `var p = 0u;
  ${eachAxis(rank, (axis, at) => `p += ${at} * u.s${axis};`)}
  let row = u32(index[i]);
  y[i] = select(${missing(unit)}, x[select(0u, p + row * u.stride, row < u.rows)], row < u.rows);`,
    ),
  grid: ({ size }) => itemGrid(size),
  rows: ({ size }, _, rows) => itemRows(size, rows),
});

const scatterUniforms = {
  size: "u32",
  count: "u32",
  stride: "u32",
  axis: "u32",
  ...numbered("n", "u32"),
  ...numbered("m", "u32"),
  ...numbered("s", "u32"),
} as const;
export type ScatterUniform = keyof typeof scatterUniforms;

/**
 * dx [n] of `gatherElements`: each element scans the `count` indices of its line. g and index have extents m and
 * strides s, of which that along `axis` is given as `stride` (and 0 in s).
 */
export const sumElements = defineKernel({
  name: "sumElements",
  bindings: ({ dtype }: { readonly dtype: FloatStorage; readonly rank: number }) => ({
    g: reads(bufferType(dtype, 1)),
    index,
    dx: writes(bufferType(dtype, 1)),
  }),
  uniforms: scatterUniforms,
  source: ({ dtype, rank }) =>
    itemLoop(
      "u.size",
      `var p = 0u;
  var own = 0u;
  var inside = true;
  ${eachAxis(rank, (d, at) => `if (u.axis == ${d}u) { own = ${at}; } else { inside = inside && ${at} < u.m${d}; p += ${at} * u.s${d}; }`)}
  var total = 0.0;
  if (inside) {
    for (var k = 0u; k < u.count; k++) {
      let q = p + k * u.stride;
      if (u32(index[q]) == own) { total += f32(g[q]); }
    }
  }
  dx[i] = ${dtype}(total);`,
    ),
  grid: ({ size }) => itemGrid(size),
});

/** y [count, classes] from index [count]. */
export const oneHotRows = defineKernel({
  name: "oneHot",
  bindings: () => ({ index, y: writes("array<f32>") }),
  uniforms: { count: "u32", classes: "u32" },
  source: () => itemLoop("u.count * u.classes", `y[i] = select(0.0, 1.0, u32(index[i / u.classes]) == i % u.classes);`),
  grid: ({ count, classes }) => itemGrid(count * classes),
  rows: ({ count, classes }) => itemRows(count * classes, count),
});

/** How gradients of picked rows are summed. */
export type SumRowsSpec = { readonly dtype: FloatStorage; readonly width: 1 | 4 };

const summedItems = ({ outer, rows, inner }: Dims<RowsUniform>): number => outer * rows * inner;

const gradientType = ({ dtype, width }: SumRowsSpec): string => bufferType(dtype, width);

/** The body shared by both ways: `each` adds the rows k of g that belong to `row` by `total += G(k)`. */
function sumRows({ dtype, width }: SumRowsSpec, each: string): string {
  const [wide, stored] = width === 4 ? ["vec4f", `vec4<${dtype}>`] : ["f32", dtype];
  return itemLoop(
    "u.outer * u.rows * u.inner",
    `let column = i % u.inner;
  let row = i / u.inner % u.rows;
  let first = i / u.inner / u.rows * u.count * u.inner + column;
  var total = ${wide}();
  ${each.replaceAll("G(k)", `${wide}(g[first + k * u.inner])`)}
  dx[i] = ${stored}(total);`,
  );
}

/** dx [outer, rows, inner] of `gatherRows`, by a scan of the whole list for every item: for short lists. */
export const sumRowsScanned = defineKernel({
  name: "sumRowsScanned",
  bindings: (spec: SumRowsSpec) => ({ g: reads(gradientType(spec)), index, dx: writes(gradientType(spec)) }),
  uniforms: rowUniforms,
  source: (spec) =>
    sumRows(spec, "for (var k = 0u; k < u.count; k++) { if (u32(index[k]) == row) { total += G(k); } }"),
  grid: (dims) => itemGrid(summedItems(dims)),
});

/**
 * ends[v] = (count - first, last + 1) of the places k with index[k] = v. `ends` must be zero before. The result does
 * not depend on the order of the atomic operations.
 */
export const markRows = defineKernel({
  name: "markRows",
  bindings: () => ({ index, ends: updates("array<atomic<u32>>") }),
  uniforms: { rows: "u32", count: "u32" },
  source: () =>
    itemLoop(
      "u.count",
      `let row = u32(index[i]);
  if (row >= u.rows) { return; }
  atomicMax(&ends[2u * row], u.count - i);
  atomicMax(&ends[2u * row + 1u], i + 1u);`,
    ),
  grid: ({ count }) => itemGrid(count),
});

/** next[k] = the next place with the same index as k. Only places with an equal one after them search. */
export const linkRows = defineKernel({
  name: "linkRows",
  bindings: () => ({
    index,
    ends: reads("array<vec2<u32>>"),
    next: writes("array<u32>"),
  }),
  uniforms: { rows: "u32", count: "u32" },
  source: () =>
    itemLoop(
      "u.count",
      `let row = index[i];
  let last = select(0u, ends[u32(row)].y, u32(row) < u.rows);
  var k = i + 1u;
  while (k < last && index[k] != row) { k++; }
  next[i] = k;`,
    ),
  grid: ({ count }) => itemGrid(count),
});

/** dx [outer, rows, inner] of `gatherRows`, along the chains of `markRows` and `linkRows`. */
export const sumRowsLinked = defineKernel({
  name: "sumRowsLinked",
  bindings: (spec: SumRowsSpec) => ({
    g: reads(gradientType(spec)),
    ends: reads("array<vec2<u32>>"),
    next: reads("array<u32>"),
    dx: writes(gradientType(spec)),
  }),
  uniforms: rowUniforms,
  source: (spec) =>
    sumRows(
      spec,
      `let end = ends[row];
  var k = u.count - end.x;
  while (k < end.y) { total += G(k); k = next[k]; }`,
    ),
  grid: (dims) => itemGrid(summedItems(dims)),
});

/** Whether every item should scan the whole list: where chaining would cost more than it saves. */
export const isScanCheaper = (dims: Dims<RowsUniform>): boolean =>
  dims.count <= 4096 && summedItems(dims) * dims.count <= 1 << 22;

/**
 * With `live`, x has `live[0]` rows only. Writes rows of x [count, inner] to the rows `index` of y, in place; the
 * indices are distinct.
 */
export const scatterRowsKernel = defineKernel({
  name: "scatterRows",
  bindings: ({ unit, width, live }: GatherRowsSpec & { readonly live: boolean }) => ({
    x: reads(bufferType(unit, width)),
    index,
    live: live ? reads("array<u32>") : undefined,
    y: updates(bufferType(unit, width)),
  }),
  uniforms: { rows: "u32", count: "u32", inner: "u32" },
  source: ({ live }) =>
    itemLoop(
      live ? "min(u.count, live[0]) * u.inner" : "u.count * u.inner",
      `let row = u32(index[i / u.inner]);
  if (row < u.rows) { y[row * u.inner + i % u.inner] = x[i]; }`,
    ),
  grid: ({ count, inner }) => itemGrid(count * inner),
  rows: ({ count, inner }) => itemRows(count * inner, count, { y: 1 }),
});
