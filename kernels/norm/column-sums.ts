// Sums of partial gradients of two parameter vectors: partials [parts, 2, len] -> first [len], second [len]. f32.
// A workgroup takes 8 columns (of `width`) of the 2 len; with `merge`, 8 threads per column walk the parts and meet in
// workgroup memory (GPUs), else one thread per column walks them all (CPU adapters: little text, no barrier).

import { ceilDiv, defineKernel, entry, LINEAR_GROUP, linearGrid, reads, writes } from "../kernel.ts";
import { type AdapterTraits, isNarrow } from "../shared/adapter.ts";
import { chained, sumsOf } from "../shared/chain.ts";
import { bufferType, valueType } from "../shared/storage.ts";

/** Elements per access, and whether threads share a column. */
export type ColumnSumsSpec = { readonly width: 1 | 4; readonly merge: boolean };

const COLUMNS = 8;
const LANES = 8;

function reduction(): string {
  return `totals[li] = own;
  for (var half = ${(LANES * COLUMNS) / 2}u; half >= ${COLUMNS}u; half >>= 1u) {
    workgroupBarrier();
    if (li < half) { totals[li] += totals[li + half]; }
  }
  own = totals[li];`;
}

/** Adds `parts` pairs of partial rows. */
export const columnSums = defineKernel({
  name: "columnSums",
  bindings: ({ width }: ColumnSumsSpec) => ({
    partials: reads(bufferType("f32", width)),
    first: writes(bufferType("f32", width)),
    second: writes(bufferType("f32", width)),
  }),
  uniforms: { parts: "u32", len: "u32" },
  source: ({ width, merge }) => {
    const lanes = merge ? LANES : 1;
    const type = valueType(width);
    return `${merge ? `var<workgroup> totals: array<${type}, ${LANES * COLUMNS}>;` : ""}
${entry(lanes * COLUMNS)} {
  let n = u.len / ${width}u;
  let column = ${LINEAR_GROUP} * ${COLUMNS}u + li % ${COLUMNS}u;
  let at = min(column, 2u * n - 1u);
  var own = ${type}();
  var part = li / ${COLUMNS}u;
  ${chained(sumsOf(type, "own"), "part < u.parts", `part += ${lanes}u;`, "own += partials[2u * part * n + at];")}
  ${merge ? reduction() : ""}
  if (li < ${COLUMNS}u && column < n) { first[column] = own; }
  if (li < ${COLUMNS}u && column >= n && column < 2u * n) { second[column - n] = own; }
}`;
  },
  grid: ({ len }, { width }) => linearGrid(ceilDiv(2 * len, COLUMNS * width)),
});

/** The variant for an adapter: threads share columns unless subgroups are narrow. */
export function columnSumsSpec(width: 1 | 4, traits: AdapterTraits): ColumnSumsSpec {
  return { width, merge: !isNarrow(traits) };
}
