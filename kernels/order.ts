// Along one axis of x [outer, len, inner]: where elements stand in order, and running sums.
//   order   index[o, r, i] = place of the element of rank r < count, up or down; equal ones keep their order
//   cumsum  y[o, j, i] = x[o, 0, i] + ... + x[o, j, i], or from the other end
// order: a thread per element counts those in front of it, len reads each: no swaps, one launch, any length, fit for
// rows of up to some thousands. NaN is larger than all numbers, as in PyTorch. cumsum: a workgroup per line, 256
// elements a round; sums in f32, or exact.

import { defineKernel, entry, GROUP, LINEAR_GROUP, linearGrid, reads, type StorageType, writes } from "./kernel.ts";
import { mathTypes } from "./shared/functions.ts";
import { itemGrid, itemLoop, itemRows } from "./shared/items.ts";
import { mathFunctions } from "./shared/math.ts";
import { bufferType } from "./shared/storage.ts";

const orderUniforms = { outer: "u32", len: "u32", inner: "u32", count: "u32" } as const;

/** An integer in the order of the elements. */
const key = (dtype: StorageType): string => {
  if (dtype === "i32") return "fn key(i: u32) -> i32 { return x[i]; }";
  if (dtype === "u32") return "fn key(i: u32) -> i32 { return bitcast<i32>(x[i] ^ 0x80000000u); }";
  return `${mathTypes(1)}
${mathFunctions("order(x) is_nan(x)").join("\n")}
fn key(i: u32) -> i32 { let v = f32(x[i]); return select(order(v), 0x7fffffff, is_nan(v)); }`;
};

/** The places of the first `count` elements in order. */
export const orderLines = defineKernel({
  name: "order",
  bindings: ({ dtype }: { readonly dtype: StorageType; readonly descending: boolean }) => ({
    x: reads(bufferType(dtype, 1)),
    index: writes("array<i32>"),
  }),
  uniforms: orderUniforms,
  source: ({ dtype, descending }) => `${key(dtype)}
${itemLoop(
  "u.outer * u.len * u.inner",
  `let line = i / (u.len * u.inner);
  let column = i % u.inner;
  let own = i / u.inner % u.len;
  let base = line * u.len * u.inner + column;
  let mine = key(i);
  var rank = 0u;
  for (var j = 0u; j < u.len; j++) {
    let other = key(base + j * u.inner);
    rank += select(0u, 1u, (other ${descending ? ">" : "<"} mine) | ((other == mine) & (j < own)));
  }
  if (rank < u.count) { index[(line * u.count + rank) * u.inner + column] = i32(own); }`,
)}`,
  grid: ({ outer, len, inner }) => itemGrid(outer * len * inner),
  rows: ({ outer, len, inner }) => itemRows(outer * len * inner, outer),
});

const EACH = 4;

const sumUniforms = { outer: "u32", len: "u32", inner: "u32" } as const;

/** Running sums; `reversed` from the last element to the first. */
export const cumsumLines = defineKernel({
  name: "cumsum",
  bindings: ({ dtype }: { readonly dtype: StorageType; readonly reversed: boolean }) => ({
    x: reads(bufferType(dtype, 1)),
    y: writes(bufferType(dtype, 1)),
  }),
  uniforms: sumUniforms,
  source: ({ dtype, reversed }) => {
    const sum = dtype === "f16" ? "f32" : dtype;
    return `var<workgroup> sums: array<${sum}, ${GROUP}>;
fn place(line: u32, j: u32) -> u32 {
  let at = ${reversed ? "u.len - 1u - j" : "j"};
  return (line / u.inner * u.len + at) * u.inner + line % u.inner;
}
${entry()} {
  let line = ${LINEAR_GROUP};
  if (line >= u.outer * u.inner) { return; }
  var before = ${sum}(0);
  for (var first = 0u; first < u.len; first += ${GROUP * EACH}u) {
    var own: array<${sum}, ${EACH}>;
    var total = ${sum}(0);
    for (var k = 0u; k < ${EACH}u; k++) {
      let j = first + li * ${EACH}u + k;
      if (j < u.len) { total += ${sum}(x[place(line, j)]); }
      own[k] = total;
    }
    sums[li] = total;
    workgroupBarrier();
    for (var step = 1u; step < ${GROUP}u; step *= 2u) {
      var left = ${sum}(0);
      if (li >= step) { left = sums[li - step]; }
      workgroupBarrier();
      sums[li] += left;
      workgroupBarrier();
    }
    var left = before;
    if (li > 0u) { left += sums[li - 1u]; }
    for (var k = 0u; k < ${EACH}u; k++) {
      let j = first + li * ${EACH}u + k;
      if (j < u.len) { y[place(line, j)] = ${dtype}(left + own[k]); }
    }
    before += sums[${GROUP - 1}u];
    workgroupBarrier();
  }
}`;
  },
  grid: ({ outer, inner }) => linearGrid(outer * inner),
  rows: ({ outer, inner }) => ({ axis: 0, units: outer * inner, perGroup: 1, fold: true, blocks: outer }),
});
