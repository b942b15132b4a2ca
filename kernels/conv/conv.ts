// 2-D convolution (cross-correlation), NHWC x HWIO, as an implicit matrix product: rows are output pixels, columns
// output channels, k runs over (ky, kx, c); nothing is unfolded in memory.
//   y[b, oy, ox, o] = epilogue(sum x[b, oy*sh - top + ky*dh, ox*sw - left + kx*dw, c] * w[ky, kx, c, o])
// over the channels c of the group of o. A run of k is one tap, or all of a kernel row where its pixels are neighbours
// in memory (no groups, no dilation along x). Threads: see gemm-staged.ts and gemm-unstaged.ts; grid x, y hold the
// tiles of rows, z those of columns x groups. Sums are f32, upwards in (ky, kx, c), by a window (gemm-window.ts) in
// (ky, c, kx).

import {
  ceilDiv,
  defineKernel,
  type FloatStorage,
  LINEAR_GROUP,
  linearGrid,
  reads,
  uniformsOf,
  writes,
} from "../kernel.ts";
import type { AdapterTraits } from "../shared/adapter.ts";
import type { ConvGeometry } from "../shared/conv-geometry.ts";
import { epilogueBindings, epilogueText } from "../shared/epilogue.ts";
import type { EpilogueSpec } from "../shared/finish.ts";
import { gemm, gemmTiles, staysInside, windowTiles } from "../shared/gemm.ts";
import { type GemmTile, rowsOf, tileSize } from "../shared/gemm-tile.ts";
import { quadLoad, quadStore, quadWindow } from "../shared/quads.ts";
import { arrayType } from "../shared/storage.ts";

export type { ConvGeometry };

const NAMES = [
  "batch",
  "h",
  "w",
  "c",
  "oh",
  "ow",
  "o",
  "kh",
  "kw",
  "stride_h",
  "stride_w",
  "dilation_h",
  "dilation_w",
  "top",
  "left",
  "group_c",
  "group_o",
  "groups",
  "taps_x",
  "run",
] as const;

/** Uniforms shared by the kernels of a convolution, made by `convDims`. */
export type ConvDims = (typeof NAMES)[number];

/** The uniforms' types. @internal */
export const CONV_UNIFORMS = uniformsOf("i32", NAMES);

/** Uniforms of a convolution. A kernel row is `taps_x` runs of `run` elements that lie together in x and in w. */
export function convDims(g: ConvGeometry): Record<ConvDims, number> {
  const isWhole = g.groups === 1 && g.dilation[1] === 1;
  const groupC = g.c / g.groups;
  return {
    batch: g.batch,
    h: g.h,
    w: g.w,
    c: g.c,
    oh: g.oh,
    ow: g.ow,
    o: g.o,
    kh: g.kh,
    kw: g.kw,
    stride_h: g.stride[0],
    stride_w: g.stride[1],
    dilation_h: g.dilation[0],
    dilation_w: g.dilation[1],
    top: g.top,
    left: g.left,
    group_c: groupC,
    group_o: g.o / g.groups,
    groups: g.groups,
    taps_x: isWhole ? 1 : g.kw,
    run: isWhole ? g.kw * groupC : groupC,
  };
}

/**
 * Spec of the three kernels: a tile, storage types, and whether channels of x (`vx`) and of y (`vy`) come by quads. A
 * window reads by elements.
 */
export type ConvSpec = GemmTile & {
  readonly dtype: FloatStorage;
  readonly vx: boolean;
  readonly vy: boolean;
};

/** Whether what has the channels of y is read by quads. @internal */
export const readsQuads = ({ vy, variant }: ConvSpec): boolean => vy && variant !== "window";

const functions = (spec: ConvSpec & EpilogueSpec): string => `
struct Row { image: i32, y: i32, x: i32 }
struct Run { at: i32, x: i32 }
var<private> w_at: i32;
var<private> o_first: i32;
var<private> c_first: i32;
${quadWindow("quad_x", "x", spec.vx)}
${quadLoad("quad_w", "weight", readsQuads(spec), staysInside(spec, spec.vx))}
${quadStore("quad_y", "y", spec.dtype, spec.vy)}
${epilogueText(spec, spec.dtype, spec.vy ? "vec" : "quad")}
fn a_row(m: u32) -> Row {
  let line = i32(m) / u.ow;
  let b = line / u.oh;
  return Row(b * u.h * u.w * u.c + c_first, (line - b * u.oh) * u.stride_h - u.top, (i32(m) - line * u.ow) * u.stride_w - u.left);
}
fn a_run(row: Row, ty: i32, tx: i32) -> Run {
  let y = row.y + ty * u.dilation_h;
  let x = select(${OUTSIDE}, (row.x + tx * u.dilation_w) * u.c, u32(y) < u32(u.h));
  return Run(row.image + y * u.w * u.c + x, x);
}
fn a_load(run: Run, k: u32) -> vec4f {
  let x = run.x + i32(k);
  return quad_x(run.at + i32(k), -x, min(u.w * u.c - x, u.run - i32(k)));
}
fn b_load(k: u32, n: u32) -> vec4f {
  return quad_w(u32((w_at + i32(k)) * u.o + o_first) + n, 4 * (u.run - i32(k)));
}
fn c_row(m: u32) -> u32 { return m * u32(u.o) + u32(o_first); }
fn store(at: u32, n: u32, value: vec4f) {
  let left = u.group_o - i32(n);
  quad_y(at + n, left, finish(at + n, u32(o_first) + n, left, value));
}`;

/** A column no image has: elements of a row of the padding are all out of the window. @internal */
export const OUTSIDE = "-0x40000000";

const place = (size: { m: number; n: number }): string => `
let m_end = u32(u.batch * u.oh * u.ow);
let n_end = u32(u.group_o);
let n_groups = (n_end + ${size.n - 1}u) / ${size.n}u;
let m_tile = ${LINEAR_GROUP} * ${size.m}u;
if (m_tile >= m_end) { return; }
let n_tile = (wid.z % n_groups) * ${size.n}u;
o_first = i32(wid.z / n_groups) * u.group_o;
c_first = i32(wid.z / n_groups) * u.group_c;`;

/** Forward convolution with bias, residual and activation; see the head of this file. */
export const conv = defineKernel({
  name: "conv",
  uniforms: CONV_UNIFORMS,
  bindings: (spec: ConvSpec & EpilogueSpec) => ({
    x: reads(arrayType(spec.dtype, spec.vx)),
    weight: reads(arrayType(spec.dtype, readsQuads(spec))),
    y: writes(arrayType(spec.dtype, spec.vy)),
    ...epilogueBindings(spec, spec.dtype, spec.vy),
  }),
  source: (spec) =>
    gemm(spec, {
      a: "k",
      b: "mn",
      functions: functions(spec),
      place: place(tileSize(spec)),
      run: (row) => `a_run(${row}, ty, tx)`,
      loops: (enter, body, step) => `
w_at = 0;
for (var ty = 0; ty < u.kh; ty++) {
for (var tx = 0; tx < u.taps_x; tx++) {
${enter}
for (var k = 0u; k < u32(u.run); k += ${step}u) {
${body}
}
w_at += u.run;
}
}`,
    }),
  grid: (dims, spec) => {
    const size = tileSize(spec);
    const [x, y] = linearGrid(ceilDiv(rowsOf(spec, dims.batch * dims.oh, dims.ow), size.m));
    return [x, y, ceilDiv(dims.group_o, size.n) * dims.groups];
  },
  rows: ({ batch, oh, ow }, spec) => ({
    axis: 0,
    units: rowsOf(spec, batch * oh, ow),
    perGroup: tileSize(spec).m,
    fold: true,
    blocks: batch,
    apart: { weight: 1, bias: 1 },
  }),
});

/** Whether quads of the channels of x and of y lie inside a group and are aligned. @internal */
export const convQuads = (g: ConvGeometry): { vx: boolean; vy: boolean } => ({
  vx: (g.c / g.groups) % 4 === 0,
  vy: (g.o / g.groups) % 4 === 0,
});

/**
 * Specs of `conv` fit for a convolution on an adapter, the default first; of GPUs alone until `loadUnstaged` is done.
 */
export function convSpecs(
  g: ConvGeometry,
  dtype: FloatStorage,
  epilogue: EpilogueSpec,
  adapter: AdapterTraits,
): readonly (ConvSpec & EpilogueSpec)[] {
  const quads = convQuads(g);
  const sizes = { m: g.batch * g.oh * g.ow, n: g.o / g.groups, k: (g.kh * g.kw * g.c) / g.groups, parts: g.groups };
  const tiles = gemmTiles({ ...sizes, a: "k", isVec: quads.vx }, adapter);
  return [...windowTiles(g, "forward", adapter), ...tiles].map((tile) => ({ ...epilogue, ...quads, dtype, ...tile }));
}
