// The gradient by the weights of the convolutions of gemm-window.ts: all taps of a line share the inputs of the pixels
// that they pass. A lane owns `rows` channels of one line of taps x `cols` columns; k runs along lines of outputs, four
// pixels at a time.

import { ceilDiv, entry, unroll } from "../kernel.ts";
import type { AdapterTraits } from "./adapter.ts";
import type { ConvGeometry } from "./conv-geometry.ts";
import { APART } from "./gemm-lanes.ts";
import type { GemmParts, GemmTile } from "./gemm-tile.ts";
import { TAPS } from "./gemm-window.ts";
import { QUAD } from "./quads.ts";

const PIXELS = QUAD.length;

/** Bytes of x and g that all workgroups of a share read in turn: most of a core's cache. */
const SHARE_BYTES = 400 * 1024;

/** Into how many shares the outputs of a convolution are cut on a CPU, so that each stays in the cache; 1 elsewhere. */
export const cachedShares = ({ batch, w, c, oh, ow, o, stride }: ConvGeometry, adapter: AdapterTraits): number =>
  adapter.isSoftware ? ceilDiv(4 * batch * oh * (stride[0] * w * c + ow * o), SHARE_BYTES) : 1;

/** Entry point; `place` says which lines of outputs (`line_first`, `line_last`) and columns (`n_tile`) are whose. */
export function windowWeightMain({ rows, cols, lanes, threads }: GemmTile, { place }: GemmParts): string {
  const loads = ceilDiv(PIXELS * cols, lanes);
  const shared = (i: number): string => `subgroupBroadcast(s${Math.floor(i / lanes)}, ${i % lanes}u)`;
  const taps = (line: (r: number, tap: number) => string): string =>
    unroll(rows, (r) => unroll(TAPS, (tap) => line(r, tap)));
  const at = (r: number, tap: number, o: number): string => `acc[${(r * TAPS + tap) * cols + o}]`;
  const sums = (r: number, tap: number, o: number): string =>
    QUAD.reduce((sum, p) => `fma(a${r}_${p + tap}, b${p}_${o}, ${sum})`, at(r, tap, o));
  return `@diagnostic(off, subgroup_uniformity)
${entry(threads, ", @builtin(subgroup_invocation_id) lane: u32")} {
${place}
let n = n_tile;
let blocks = (u.c + ${rows * lanes - 1}) / ${rows * lanes};
let unit = i32((m_tile / ${rows}u + li) / ${lanes}u);
let ty = unit / blocks;
if (ty >= u.kh) { return; }
let c = (unit - ty * blocks) * ${rows * lanes} + i32(lane);
${unroll(loads, (i) => `let j${i} = i32(lane) + ${i * lanes};\nlet p${i} = j${i} / ${cols};\nlet g${i} = p${i} * u.o + i32(n) + j${i} % ${cols};`)}
var acc = array<f32, ${rows * TAPS * cols + APART}>();
for (var line = line_first; line < line_last; line++) {
let image = line / u.oh;
let y = line - image * u.oh - u.top + ty;
let is_line = u32(y) < u32(u.h);
for (var k = 0; k < u.ow; k += ${PIXELS}) {
let first = k - u.left;
let x_at = ((image * u.h + y) * u.w + first) * u.c + c;
${unroll(PIXELS + TAPS - 1, (i) => `let is${i} = is_line && u32(first + ${i}) < u32(u.w);\n${unroll(rows, (r) => `let a${r}_${i} = select(0.0, f32(x[u32(x_at + ${i} * u.c + ${r * lanes})]), is${i});`)}`)}
let g_at = (line * u.ow + k) * u.o;
${unroll(loads, (i) => `let s${i} = select(0.0, f32(g[u32(g_at + g${i})]), k + p${i} < u.ow);`)}
${unroll(cols, (o) => `${unroll(PIXELS, (p) => `let b${p}_${o} = ${shared(p * cols + o)};`)}\n${taps((r, tap) => `${at(r, tap, o)} = ${sums(r, tap, o)};`)}`)}
}
}
let quads = min(${cols / 4}u, (n_end - n + 3u) / 4u);
var e = 0u;
for (var r = c; r < min(u.c, c + ${rows * lanes}); r += ${lanes}) {
for (var tap = 0; tap < ${TAPS}; tap++) {
let row = part + u32(((ty * ${TAPS} + tap) * u.c + r) * u.o);
for (var q = 0u; q < quads; q++) {
let o = e + 4u * q;
store(row, n + 4u * q, vec4f(acc[o], acc[o + 1u], acc[o + 2u], acc[o + 3u]));
}
e += ${cols}u;
}
}
}`;
}
