// The ways without workgroup memory, loaded by loadUnstaged() of gemm.ts.
//   subgroup  A subgroup owns rows*lanes rows x `cols` columns. Lanes are rows; the 4 x cols values of B that a step
//             needs are loaded once by all lanes together and handed round by subgroupBroadcast. For CPU adapters,
//             where a load costs ten FMAs.
//   window    Of convolutions: see gemm-window.ts and gemm-window-weight.ts.
//   plain     A thread owns rows x cols and shares nothing. Where there are no subgroups and no fast workgroup memory.

import { ceilDiv, entry, unroll } from "../kernel.ts";
import { type AdapterTraits, isGrouped } from "./adapter.ts";
import { APART } from "./gemm-lanes.ts";
import { accumulators, gather, multiply, rowOf, valueOfA, writeBack } from "./gemm-text.ts";
import type { GemmParts, GemmSizes, GemmTile, QuadAxis } from "./gemm-tile.ts";
import { windowMain } from "./gemm-window.ts";
import { windowWeightMain } from "./gemm-window-weight.ts";
import { QUAD } from "./quads.ts";

export { windowTiles } from "./gemm-window.ts";
export { cachedShares } from "./gemm-window-weight.ts";

/** States of the rows a thread loads, and their states inside a run. */
function rowStates(tile: GemmTile, parts: GemmParts, stride: number): { rows: string; enter: string; loads: string } {
  const quads = parts.a === "k" ? tile.rows : tile.rows / 4;
  const row = (i: number): string => rowOf(parts.a, parts.a === "k" ? i : 4 * i, stride);
  const run = parts.run;
  return {
    rows: unroll(quads, (i) => `let row${i} = a_row(${row(i)});`),
    enter: run ? unroll(quads, (i) => `let run${i} = ${run(`row${i}`)};`) : "",
    loads:
      parts.a === "k"
        ? unroll(quads, (i) => `let a${i} = a_load(${run ? "run" : "row"}${i}, k);`)
        : unroll(quads, (i) =>
            unroll(4, (kk) => `let a${4 * i + kk} = a_load(${run ? "run" : "row"}${i}, k + ${kk}u);`),
          ),
  };
}

/**
 * The sums of gemm-text.ts column by column, for texts compiled to CPU code, where a value fills a register: four of B
 * at a time stay there, and sixteen would not (measured on lavapipe: a sixth faster, and less to compile). `b(kk, o)`
 * is a value.
 */
function multiplyColumns({ rows, cols }: GemmTile, a: QuadAxis, b: (kk: number, o: number) => string): string {
  const sum = (acc: string, j: number, o: number): string =>
    QUAD.reduce((total, kk) => `fma(${valueOfA(a, j, kk)}, b${kk}_${o}, ${total})`, acc);
  return unroll(cols, (o) => {
    const sums = unroll(rows, (j) => `acc[${j * cols + o}] = ${sum(`acc[${j * cols + o}]`, j, o)};`);
    return `${unroll(4, (kk) => `let b${kk}_${o} = ${b(kk, o)};`)}\n${sums}`;
  });
}

/**
 * What gemm-text.ts writes as a loop, for texts compiled to CPU code: sixteen unrolled stores take as long to compile
 * as the product. Its bounds are no constants, so that nothing unrolls it again and the accumulators stay in memory,
 * which also spares the register allocator (measured on lavapipe: half the compile time at the same speed).
 */
function writeBackLoop({ rows, cols, lanes }: GemmTile, a: QuadAxis): string {
  return `let quads = min(${cols / 4}u, (n_end - n + 3u) / 4u);
let m_last = min(m_end, ${a === "k" ? `m_first + ${rows * lanes}u` : "m + 4u"});
var first = 0u;
for (var r = m; r < m_last; r += ${a === "k" ? lanes : 1}u) {
let at = c_row(r);
for (var q = 0u; q < quads; q++) {
let e = first + 4u * q;
store(at, n + 4u * q, vec4f(acc[e], acc[e + 1u], acc[e + 2u], acc[e + 3u]));
}
first += ${cols}u;
}`;
}

function subgroupMain(tile: GemmTile, parts: GemmParts): string {
  const { lanes, rows, cols } = tile;
  const state = rowStates(tile, parts, lanes);
  const loads = ceilDiv(cols, lanes); // B's step is `cols` quads
  const quad = (i: number): string => (lanes * (i + 1) > cols ? `(lane % ${cols}u)` : `(lane + ${i * lanes}u)`);
  const shareB = unroll(loads, (i) =>
    parts.b === "mn"
      ? `let s${i} = b_load(k + ${quad(i)} / ${cols / 4}u, n + 4u * (${quad(i)} % ${cols / 4}u));`
      : `let s${i} = b_load(k, n + ${quad(i)});`,
  );
  const shared = (i: number, e: number): string => `subgroupBroadcast(s${Math.floor(i / lanes)}[${e}], ${i % lanes}u)`;
  const b = (kk: number, o: number): string =>
    parts.b === "mn" ? shared((kk * cols) / 4 + (o >> 2), o & 3) : shared(o, kk);
  const first = parts.a === "k" ? "lane" : "4u * lane";
  // Each subgroup leaves by itself; its trip counts depend on uniforms, and its index is assumed to be li / lanes.
  return `@diagnostic(off, subgroup_uniformity)
${entry(tile.threads, ", @builtin(subgroup_invocation_id) lane: u32")} {
${parts.place}
let n = n_tile;
let m_first = m_tile + (li / ${lanes}u) * ${rows * lanes}u;
if (m_first >= m_end) { return; }
let m = m_first + ${first};
${state.rows}
var acc = array<f32, ${rows * cols + (cols > 16 ? APART : 0)}>();
${parts.loops(state.enter, `${state.loads}\n${shareB}\n${multiplyColumns(tile, parts.a, b)}`, 4)}
${writeBackLoop(tile, parts.a)}
}`;
}

function plainMain(tile: GemmTile, parts: GemmParts): string {
  const { across, cols, threads } = tile;
  const down = threads / across;
  const state = rowStates(tile, parts, down);
  const columns = parts.b === "k" ? unroll(cols, (o) => `let t${o} = b_load(k, n + ${o}u);`) : "";
  const b = (kk: number, q: number): string =>
    parts.b === "mn" ? `b_load(k + ${kk}u, n + ${4 * q}u)` : gather((o) => `t${o}`, kk, q);
  return `${entry(threads)} {
${parts.place}
let n = n_tile + (li % ${across}u) * ${cols}u;
let m = m_tile + (li / ${across}u)${parts.a === "k" ? "" : " * 4u"};
if (m >= m_end || n >= n_end) { return; }
${state.rows}
${accumulators(tile)}
${parts.loops(state.enter, `${state.loads}\n${columns}\n${multiply(tile, parts.a, b)}`, 4)}
${writeBack(tile, parts.a, down)}
}`;
}

/** The entry points by variants. */
export const MAINS = {
  subgroup: subgroupMain,
  window: (tile: GemmTile, parts: GemmParts) => (parts.a === "mn" ? windowWeightMain : windowMain)(tile, parts),
  plain: plainMain,
};

/** Multiply-adds below which the time to compile a text outweighs its speed. */
const SMALL_WORK = 1e6;
/** The same for texts that load A by elements: four loads a quad, and most of the time to compile goes into loads. */
const SMALL_WORK_BY_ELEMENTS = 1e8;

/** Tiles fit for a product on an adapter, the default of a CPU first. */
export function unstagedTiles(sizes: GemmSizes, adapter: AdapterTraits): readonly GemmTile[] {
  const tiles = isGrouped(adapter) ? subgroupTiles(sizes, adapter.subgroupSize) : [];
  return [...tiles.filter(({ cols }) => adapter.isSoftware || cols <= 16), PLAIN];
}

const PLAIN: GemmTile = { variant: "plain", threads: 64, across: 8, rows: 4, cols: 8, lanes: 0, depth: 0 };

// Four rows a lane: more do not stay in registers. What lavapipe makes of a load of a quad takes as long as 40
// multiply-adds, most of it branches, and every load that the text has more makes the others slower. 32 columns, 512
// multiply-adds for 8 loads, are a fifth faster than 16, 256 for 6, unless columns are left over (measured; 64 columns,
// 6 or 8 rows, 8 k at a time, and a window that slides over a line are slower, and half as fast for the most part).
function subgroupTiles({ m, n, k, parts, a, isVec }: GemmSizes, lanes: number): readonly GemmTile[] {
  const isSmall = m * n * k * parts < (isVec ? SMALL_WORK : SMALL_WORK_BY_ELEMENTS);
  const fitting = m <= lanes ? 1 : m <= 2 * lanes || isSmall ? 2 : 4;
  const rows = a === "mn" ? 4 : fitting;
  const cols = n <= 8 || (a === "mn" && isSmall) ? 8 : 16;
  const tile = (width: number): GemmTile => {
    const groups = ceilDiv(m, rows * 4 * lanes) * ceilDiv(n, width) * parts;
    const threads = groups < 4 ? lanes : 4 * lanes;
    return { variant: "subgroup", threads, across: 1, rows, cols: width, lanes, depth: 0 };
  };
  if (n <= 16 || rows < 4) return [tile(cols)];
  const isWaste = ceilDiv(n, 2 * cols) * 2 > ceilDiv(n, cols);
  return isWaste ? [tile(cols), tile(2 * cols)] : [tile(2 * cols), tile(cols)];
}
