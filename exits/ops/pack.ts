// Rows that stay, moved together in place: of n rows of which `count` stay, those among the first `count` stay where
// they are, and the others fill the gaps between them, in order. No row that is in its place is touched, and no row is
// read that is written.
//   row k < count comes from k, if k stays, else from the m-th survivor from `count` on, k being the m-th gap
// Gaps are found by bisection of the ascending list of survivors. A workgroup owns rows, its threads share out the
// elements.

import { defineOp, positional, type Survivors, single, type Tensor } from "../../engine/functions.ts";
import { defineKernel, entry, GROUP, LINEAR_GROUP, reads, updates, writes } from "../../kernels/index.ts";

/** How rows travel: words of four bytes or of two, one or four at a time. */
export type PackSpec = { readonly unit: "u32" | "f16"; readonly width: 1 | 4 };

/** Workgroups that go on with further rows: as many as fill an adapter. */
export const MOST_GROUPS = 256;

/** How rows of so many bytes travel, and in how many pieces. */
export function packUnit(bytes: number): PackSpec & { readonly inner: number } {
  const unit = bytes % 4 === 0 ? "u32" : "f16";
  const words = bytes / (unit === "u32" ? 4 : 2);
  const width = words % 4 === 0 ? 4 : 1;
  return { unit, width, inner: words / width };
}

export const packRowsKernel = defineKernel({
  name: "packRows",
  uniforms: { rows: "u32", inner: "u32" },
  bindings: ({ unit, width }: PackSpec) => ({
    survivors: reads("array<i32>"),
    count: reads("array<u32>"),
    ids: reads("array<i32>"),
    x: updates(`array<${width === 4 ? `vec4<${unit}>` : unit}>`),
    packed: writes("array<i32>"),
  }),
  source: () => `
// How many of the first n survivors are below value.
fn below(value: u32, n: u32) -> u32 {
  var low = 0u;
  var high = n;
  while (low < high) {
    let middle = (low + high) / 2u;
    if (u32(survivors[middle]) < value) { low = middle + 1u; } else { high = middle; }
  }
  return low;
}
${entry()} {
  let end = min(count[0], u.rows);
  let kept = below(end, end);
  for (var row = ${LINEAR_GROUP}; row < end; row += nwg.x * nwg.y) {
    let before = below(row, kept);
    var src = row;
    if (before == kept || u32(survivors[before]) != row) { src = u32(survivors[kept + row - before]); }
    if (li == 0u) { packed[row] = ids[src]; }
    if (src == row) { continue; }
    for (var i = li; i < u.inner; i += ${GROUP}u) { x[row * u.inner + i] = x[src * u.inner + i]; }
  }
}`,
  grid: ({ rows }) => [Math.min(rows, MOST_GROUPS), 1, 1],
});

const op = single(
  defineOp({
    name: "packRows",
    operands: { x: "float N ...", survivors: "i32 N", count: "u32 1", ids: "i32 N" },
    infer: (_, __: Record<string, never>, { N }) => ({ packed: { shape: [N], dtype: "i32" } }),
    run: ({ inputs, outputs, sizes: { N: rows }, dispatch }) => {
      const { x } = inputs;
      if (rows === 0) return;
      const { inner, ...spec } = packUnit(x.bytes / rows);
      dispatch(packRowsKernel, spec, { ...inputs, ...outputs }, { rows, inner });
    },
  }),
);

/**
 * Moves the surviving rows of x [n, ..] together, in place, by what `compact` found; afterwards the first `count` rows
 * of x are theirs, in another order. The ids of these rows, i32 [n], from `ids` (i32 [n]); what lies behind `count` is
 * undefined.
 */
export const packRows = positional(
  "packRows(x, survivors, ids)",
  (x: Tensor, survivors: Survivors, ids: Tensor): Tensor =>
    op({ x, survivors: survivors.indices, count: survivors.count, ids }, {}),
);
