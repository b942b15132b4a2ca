// Rows that stay: the indices of the rows whose mask is set, in order, and their number, on the GPU alone.
//   survivors[0 .. count) = { i : mask[i] != 0 }, ascending
// Up to 1024 rows take one workgroup and one launch (`compactSmall`). Beyond: `countBlocks` counts per block of 1024
// rows, `scanBlocks` (one workgroup) turns counts into offsets and the total, `writeBlocks` ranks rows within their
// block. A thread owns 16 neighbouring rows; ranks come from a scan over 64 threads in workgroup memory. With `live`,
// only the first live[0] rows exist. `liveGrids` turns a row count into the workgroup counts of a list of launches.

import {
  ceilDiv,
  defineKernel,
  entry,
  GROUP,
  LINEAR_GROUP,
  linearGrid,
  MAX_GROUPS,
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
  name: "compact-count",
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
  name: "compact-scan",
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
  name: "compact-write",
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

/** 32-bit words of one launch in the table of `liveGrids`, and in its results. */
export const GRID_ENTRY_WORDS = 8;
export const GRID_WORDS = 3;

/**
 * Workgroup counts of `launches` launches on the first count[0] rows (at most u.capacity). `args` holds the results,
 * three words a launch (as indirect dispatches take them), and behind all of these the table: grid x, y, z for all
 * rows; the axis that depends on the rows; units per row; units per group, 0 if the rows do not matter; whether the
 * count is folded as by `linearGrid` (then over x and y); groups for all rows. Other axes stand. The rule is
 * `liveGrid`'s.
 */
export const liveGrids = defineKernel({
  name: "live-grids",
  bindings: () => ({
    count: reads("array<u32>"),
    args: updates("array<u32>"),
  }),
  uniforms: { launches: "u32", capacity: "u32" },
  source: () => `
${entry()} {
  let i = ${LINEAR_GROUP} * ${GROUP}u + li;
  if (i >= u.launches) { return; }
  let entry = u.launches * ${GRID_WORDS}u + i * ${GRID_ENTRY_WORDS}u;
  let units = min(count[0], u.capacity) * args[entry + 4u];
  let per_group = args[entry + 5u];
  let groups = min(units / max(per_group, 1u) + u32(units % max(per_group, 1u) != 0u), args[entry + 7u]);
  var grid = vec3u(args[entry], args[entry + 1u], args[entry + 2u]);
  if (per_group == 0u) {
    // Independent of the rows: the grid stands.
  } else if (args[entry + 6u] != 0u) {
    let y = max(1u, groups / ${MAX_GROUPS}u + u32(groups % ${MAX_GROUPS}u != 0u));
    grid = vec3u(groups / y + u32(groups % y != 0u), y, grid.z);
  } else {
    grid[args[entry + 3u]] = groups;
  }
  args[i * ${GRID_WORDS}u] = grid.x;
  args[i * ${GRID_WORDS}u + 1u] = grid.y;
  args[i * ${GRID_WORDS}u + 2u] = grid.z;
}`,
  grid: ({ launches }) => linearGrid(ceilDiv(launches, GROUP)),
});
