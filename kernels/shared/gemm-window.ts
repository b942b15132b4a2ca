// The way of convolutions three taps wide whose outputs are as far apart as their inputs, for CPU adapters, loaded with
// the others of gemm-unstaged.ts. A lane owns up to eight outputs side by side in a line x `cols` columns; all taps of
// a line share its ten inputs, where a product would load 24. k goes one by one: with more of it in the text, the loop
// leaves the instruction cache (measured on lavapipe: a fifth to a third faster than `subgroup` with 8 x 16, at any
// width that rows divide; 8 x 32 as fast, two of k at a time, 4 or 10 rows and outputs two apart slower).

import { ceilDiv, entry, LINEAR_GROUP, unroll } from "../kernel.ts";
import { type AdapterTraits, isGrouped } from "./adapter.ts";
import type { ConvGeometry } from "./conv-geometry.ts";
import { APART } from "./gemm-lanes.ts";
import type { GemmParts, GemmTile } from "./gemm-tile.ts";

/** Taps of a line. @internal */
export const TAPS = 3;
const TAP_NUMBERS = Array.from({ length: TAPS }, (_, tap) => tap);
const MOST_ROWS = 8;
const COLS = 16;

/** Multiply-adds from which on a text of its own is worth it; one serves all convolutions of a network. */
const LEAST_WORK = 250_000;

/**
 * WGSL over i32: what is read `from`, lines, columns and channels of an image on either side, how far the first tap
 * reaches over the first output, and where the weight of a tap and a column lies at the first line of taps and k = 0.
 */
const FORWARD = {
  from: "x",
  input: { h: "u.h", w: "u.w", c: "u.c" },
  output: { h: "u.oh", w: "u.ow", c: "u.o" },
  top: "u.top",
  left: "u.left",
  weight: (tap: string, n: string) => `${tap} * u.c * u.o + ${n}`,
  nextLine: "u.kw * u.c * u.o",
  nextK: "u.o",
};

/** The gradient is the convolution of g with the taps in reverse and the channels exchanged. */
const GRADIENT = {
  from: "g",
  input: FORWARD.output,
  output: FORWARD.input,
  top: "(u.kh - 1 - u.top)",
  left: "(u.kw - 1 - u.left)",
  weight: (tap: string, n: string) => `((u.kh * u.kw - 1 - ${tap}) * u.c + ${n}) * u.o`,
  nextLine: "-u.kw * u.c * u.o",
  nextK: "1",
};

/** Entry point of one convolution. */
export function windowMain({ rows, cols, lanes, threads }: GemmTile, { b: axis }: GemmParts): string {
  const { from, input, output, top, left, weight, nextLine, nextK } = axis === "k" ? GRADIENT : FORWARD;
  const inputs = rows + TAPS - 1;
  const loads = ceilDiv(TAPS * cols, lanes);
  const shared = (i: number): string => `subgroupBroadcast(s${Math.floor(i / lanes)}, ${i % lanes}u)`;
  const sums = (o: number, r: number): string =>
    TAP_NUMBERS.reduce((sum, tap) => `fma(a${r + tap}, b${tap}_${o}, ${sum})`, `acc[${r * cols + o}]`);
  return `@diagnostic(off, subgroup_uniformity)
${entry(threads, ", @builtin(subgroup_invocation_id) lane: u32")} {
let across = (${output.w} + ${rows - 1}) / ${rows};
let units = u32(u.batch * ${output.h} * across);
let first = ${LINEAR_GROUP} * ${threads}u + li / ${lanes}u * ${lanes}u;
if (first >= units) { return; }
let n_end = u32(${output.c});
let n = wid.z * ${cols}u;
let unit = first + lane;
let line = i32(unit) / across;
let start = (i32(unit) - line * across) * ${rows};
let image = line / ${output.h};
let above = line - image * ${output.h} - ${top};
let left = start - ${left};
${unroll(inputs, (i) => `let is_in${i} = u32(left + ${i}) < u32(${input.w});`)}
${unroll(loads, (i) => `let j${i} = i32(min(lane + ${i * lanes}u, ${TAPS * cols - 1}u));\nlet w${i} = ${weight(`(j${i} / ${cols})`, `(j${i} % ${cols} + i32(n))`)};`)}
var acc = array<f32, ${rows * cols + APART}>();
for (var ty = 0; ty < u.kh; ty++) {
let is_line = u32(above + ty) < u32(${input.h});
let at = ((image * ${input.h} + above + ty) * ${input.w} + left) * ${input.c};
${unroll(inputs, (i) => `let is${i} = is_line && is_in${i};\nlet at${i} = at + ${i} * ${input.c};`)}
for (var k = 0; k < ${input.c}; k++) {
${unroll(inputs, (i) => `let a${i} = select(0.0, f32(${from}[u32(at${i} + k)]), is${i});`)}
let w_at = ty * (${nextLine}) + k * ${nextK};
${unroll(loads, (i) => `let s${i} = f32(weight[u32(w_at + w${i})]);`)}
${unroll(
  cols,
  (o) =>
    `${unroll(TAPS, (tap) => `let b${tap}_${o} = ${shared(tap * cols + o)};`)}\n${unroll(rows, (r) => `acc[${r * cols + o}] = ${sums(o, r)};`)}`,
)}
}
}
if (unit >= units) { return; }
let quads = min(${cols / 4}u, (n_end - n + 3u) / 4u);
let last = min(${rows}, ${output.w} - start);
var e = 0u;
for (var r = 0; r < last; r++) {
let row = u32((line * ${output.w} + start + r) * ${output.c});
for (var q = 0u; q < quads; q++) {
let o = e + 4u * q;
store(row, n + 4u * q, vec4f(acc[o], acc[o + 1u], acc[o + 2u], acc[o + 3u]));
}
e += ${cols}u;
}
}`;
}

/** Which of the three products of a convolution. */
export type Windowed = "forward" | "input" | "weight";

/**
 * The tile of a convolution, or of one of its gradients, on a CPU adapter, if it has one: lines are cut into pieces of
 * one length, since outputs past their end are computed, too. What is read comes by elements, so that one text serves
 * all channels.
 */
export function windowTiles(
  { batch, h, w, c, oh, ow, o, kh, kw, groups, stride, dilation }: ConvGeometry,
  product: Windowed,
  adapter: AdapterTraits,
): readonly (GemmTile & { readonly vx?: boolean; readonly vy?: boolean })[] {
  if (!adapter.isSoftware || !isGrouped(adapter)) return [];
  if (kw !== TAPS || groups > 1 || [...stride, ...dilation].some((step) => step > 1)) return [];
  const lanes = adapter.subgroupSize;
  const [lines, width, n] = product === "input" ? [batch * h, w, c] : [batch * oh, ow, o];
  const piece = ceilDiv(width, ceilDiv(width, MOST_ROWS));
  if (piece <= MOST_ROWS / 2 || n <= COLS / 2 || batch * oh * ow * kh * kw * c * o < LEAST_WORK) return [];
  const tile = { variant: "window", across: 1, cols: COLS, lanes, depth: 0 } as const;
  if (product === "weight") return c < lanes ? [] : [{ ...tile, threads: lanes, rows: c > lanes ? 2 : 1, vx: false }];
  const workgroups = ceilDiv(lines * ceilDiv(width, piece), 4 * lanes) * ceilDiv(n, COLS);
  const threads = workgroups < 4 ? lanes : 4 * lanes;
  return [{ ...tile, threads, rows: piece, ...(product === "input" ? { vy: false } : { vx: false }) }];
}
