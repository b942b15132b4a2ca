// Rows that stay: the indices of the rows whose mask is set, in order, and their number, on the GPU alone.
//   survivors[0 .. count) = { i : mask[i] != 0 }, ascending
// Up to 1024 rows take one workgroup and one launch (`compactSmall`). Beyond: `countBlocks` counts per block of 1024
// rows, `scanBlocks` (one workgroup) turns counts into offsets and the total, `writeBlocks` ranks rows within their
// block. A thread owns 16 neighbouring rows; ranks come from a scan over 64 threads in workgroup memory. With `live`,
// only the first live[0] rows exist.

import {
  ceilDiv,
  defineKernel,
  entry,
  GROUP,
  LINEAR_GROUP,
  linearGrid,
  reads,
  unroll,
  updates,
  writes,
} from "./kernel.ts";

const OWN = 16;

/** Rows of one block: those that one workgroup ranks. */
export const COMPACT_BLOCK = GROUP * OWN;

/** `live`: a buffer says how many of the rows exist. */
export type CompactSpec = { readonly live: boolean };

const masks = ({ live }: CompactSpec) => ({
  mask: reads("array<vec4<u32>>"),
  live: live ? reads("array<u32>") : undefined,
});

const SCAN = `
var<workgroup> sums: array<u32, ${GROUP}>;
// Sum of the values of threads 0..li (Hillis and Steele, 1986); afterwards the last is the total.
fn inclusive_scan(value: u32, li: u32) -> u32 {
  workgroupBarrier();
  sums[li] = value;
  workgroupBarrier();
  for (var step = 1u; step < ${GROUP}u; step <<= 1u) {
    let before = select(0u, sums[max(li, step) - step], li >= step);
    workgroupBarrier();
    sums[li] += before;
    workgroupBarrier();
  }
  return sums[li];
}`;

/** Declares `first`, the thread's first row; `stays0 ...`, 1 for each of its rows that stays; `kept`, their number. */
const own = ({ live }: CompactSpec, block: string): string => `
  let rows = ${live ? "min(u.rows, live[0])" : "u.rows"};
  let first = ${block} * ${COMPACT_BLOCK}u + li * ${OWN}u;
  var sum = vec4<u32>();
  ${unroll(
    OWN / 4,
    (q) => `let at${q} = first + ${4 * q}u;
  let exists${q} = vec4<u32>(at${q}) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(rows);
  let stays${q} = vec4<u32>((mask[min(at${q}, u.rows - 1u) / 4u] != vec4<u32>()) & exists${q});
  sum += stays${q};`,
  )}
  let kept = sum.x + sum.y + sum.z + sum.w;`;

const write = unroll(OWN, (k) => `  if (stays${k >> 2}[${k & 3}] != 0u) { survivors[at] = i32(first + ${k}u); at++; }`);

const survivors = writes("array<i32>");
const count = writes("array<u32>");

/** Survivors and count of at most `COMPACT_BLOCK` rows, in one launch. */
export const compactSmall = defineKernel({
  name: "compact",
  bindings: (spec: CompactSpec) => ({ ...masks(spec), survivors, count }),
  uniforms: { rows: "u32" },
  source: (spec) => `${SCAN}
${entry()} {
  ${own(spec, "0u")}
  var at = inclusive_scan(kept, li) - kept;
  if (li == 0u) { count[0] = sums[${GROUP - 1}]; }
${write}
}`,
  grid: () => [1, 1, 1],
});

/** counts[b] = survivors in block b. */
export const countBlocks = defineKernel({
  name: "compactCount",
  bindings: (spec: CompactSpec) => ({ ...masks(spec), counts: writes("array<u32>") }),
  uniforms: { rows: "u32" },
  source: (spec) => `${SCAN}
${entry()} {
  let block = ${LINEAR_GROUP};
  ${own(spec, "block")}
  let total = inclusive_scan(kept, li);
  if (li == ${GROUP - 1}u && block * ${COMPACT_BLOCK}u < u.rows) { counts[block] = total; }
}`,
  grid: ({ rows }) => linearGrid(ceilDiv(rows, COMPACT_BLOCK)),
});

/** counts become the number of survivors in earlier blocks; count is the total. */
export const scanBlocks = defineKernel({
  name: "compactScan",
  bindings: () => ({ counts: updates("array<u32>"), count }),
  uniforms: { blocks: "u32" },
  source: () => `${SCAN}
${entry()} {
  var before = 0u;
  for (var start = 0u; start < u.blocks; start += ${GROUP}u) {
    let i = start + li;
    let value = select(0u, counts[min(i, u.blocks - 1u)], i < u.blocks);
    let upto = inclusive_scan(value, li);
    if (i < u.blocks) { counts[i] = before + upto - value; }
    before += sums[${GROUP - 1}];
  }
  if (li == 0u) { count[0] = before; }
}`,
  grid: () => [1, 1, 1],
});

/** Survivors, from the offsets that `scanBlocks` left in counts. */
export const writeBlocks = defineKernel({
  name: "compactWrite",
  bindings: (spec: CompactSpec) => ({ ...masks(spec), counts: reads("array<u32>"), survivors }),
  uniforms: { rows: "u32" },
  source: (spec) => `${SCAN}
${entry()} {
  let block = ${LINEAR_GROUP};
  ${own(spec, "block")}
  let rank = inclusive_scan(kept, li) - kept;
  if (block * ${COMPACT_BLOCK}u >= u.rows) { return; }
  var at = counts[block] + rank;
${write}
}`,
  grid: ({ rows }) => linearGrid(ceilDiv(rows, COMPACT_BLOCK)),
});
