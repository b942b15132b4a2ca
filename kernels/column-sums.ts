// Sums of partial gradients of two parameter vectors: partials [parts, 2, len] -> first [len], second [len].
// A workgroup of 64 threads takes 8 columns (of `width`); its 8 threads per column walk the parts and meet in workgroup
// memory. f32.

import { ceilDiv, defineKernel } from "./kernel.ts";
import { bufferType, valueType } from "./row.ts";

/** Elements per access. */
export type ColumnSumsSpec = { readonly width: 1 | 4 };

const COLUMNS = 8;
const GROUP = 64;

/** Adds `parts` pairs of partial rows. */
export const columnSums = defineKernel<ColumnSumsSpec, "parts" | "len">({
  name: "columnSums",
  bindings: ({ width }) => [
    { name: "partials", access: "read", type: bufferType("f32", width) },
    { name: "first", access: "write", type: bufferType("f32", width) },
    { name: "second", access: "write", type: bufferType("f32", width) },
  ],
  uniforms: { parts: "u32", len: "u32" },
  source: ({ width }) => `
struct Pair { a: ${valueType(width)}, b: ${valueType(width)} }
var<workgroup> pairs: array<Pair, ${GROUP}>;
@compute @workgroup_size(${GROUP}) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) li: u32) {
  let n = u.len / ${width}u;
  let column = wid.x * ${COLUMNS}u + li % ${COLUMNS}u;
  let at = min(column, n - 1u);
  var own = Pair();
  for (var part = li / ${COLUMNS}u; part < u.parts; part += ${GROUP / COLUMNS}u) {
    own.a += partials[2u * part * n + at];
    own.b += partials[(2u * part + 1u) * n + at];
  }
  pairs[li] = own;
  for (var half = ${GROUP / 2}u; half >= ${COLUMNS}u; half >>= 1u) {
    workgroupBarrier();
    if (li < half) { pairs[li] = Pair(pairs[li].a + pairs[li + half].a, pairs[li].b + pairs[li + half].b); }
  }
  if (li < ${COLUMNS}u && column < n) {
    first[column] = pairs[li].a;
    second[column] = pairs[li].b;
  }
}`,
  grid: ({ len }, { width }) => [ceilDiv(len, COLUMNS * width), 1, 1],
});
