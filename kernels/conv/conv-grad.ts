// Gradients of a convolution as implicit matrix products over the same tensors as conv.ts, none of them transposed or
// dilated.
//
// convInput, over the taps that divide:
//   dx[b, y, x, c] = sum g[b, (y + top - ky*dh)/sh, (x + left - kx*dw)/sw, o] * w[ky, kx, c, o]
// Rows are the input pixels of one stride phase (y mod sh, x mod sw), so the taps that reach them are the same for a
// whole workgroup, and only those are visited. Columns are c, k is o. Grid z: column tiles x groups x phases.
//
// convWeight, over output pixels:
//   dw[ky, kx, c, o] = sum x[pixel of the tap, c] * g[pixel, o]
// Rows are (ky, kx, c), columns o, and k runs along lines of output pixels. Grid: x row tiles, y column tiles x groups,
// z shares of the lines; with several shares each writes its own part, and `sumParts` adds the parts in order.

import { ceilDiv, defineKernel, type FloatStorage, LINEAR_GROUP, linearGrid, reads, writes } from "../kernel.ts";
import type { AdapterTraits } from "../shared/adapter.ts";
import { cachedShares, gemm, gemmTiles, staysInside, windowTiles } from "../shared/gemm.ts";
import { rowsOf, tileSize } from "../shared/gemm-tile.ts";
import { quadLoad, quadStore, quadWindow } from "../shared/quads.ts";
import { arrayType } from "../shared/storage.ts";
import {
  CONV_UNIFORMS,
  type ConvDims,
  type ConvGeometry,
  type ConvSpec,
  convDims,
  convQuads,
  OUTSIDE,
  readsQuads,
} from "./conv.ts";

const inputFunctions = (spec: ConvSpec): string => `
struct Row { image: i32, y: i32, x: i32 }
struct Run { at: i32, left: i32 }
var<private> w_at: i32;
var<private> o_first: i32;
var<private> c_first: i32;
var<private> phase: vec2i;
var<private> size: vec2i;
${quadLoad("quad_g", "g", spec.vy)}
${quadLoad("quad_w", "weight", spec.vy, staysInside(spec, spec.vy))}
${quadStore("quad_dx", "dx", spec.dtype, spec.vx)}
fn a_row(m: u32) -> Row {
  let line = i32(m) / size.x;
  let b = line / size.y;
  return Row(b * u.oh * u.ow, line - b * size.y, i32(m) - line * size.x);
}
fn a_run(row: Row, shift_y: i32, shift_x: i32) -> Run {
  let y = row.y + shift_y;
  let x = row.x + shift_x;
  let is_inside = u32(y) < u32(u.oh) && u32(x) < u32(u.ow);
  return Run((row.image + y * u.ow + x) * u.o + o_first, select(0, u.group_o, is_inside));
}
fn a_load(run: Run, k: u32) -> vec4f { return quad_g(u32(run.at) + k, run.left - i32(k)); }
fn b_load(k: u32, n: u32) -> vec4f {
  return quad_w(u32((w_at + i32(n)) * u.o + o_first) + k, u.group_o - i32(k));
}
fn c_row(m: u32) -> u32 {
  let line = i32(m) / size.x;
  let b = line / size.y;
  let y = (line - b * size.y) * u.stride_h + phase.y;
  let x = (i32(m) - line * size.x) * u.stride_w + phase.x;
  return u32(((b * u.h + y) * u.w + x) * u.c + c_first);
}
fn store(at: u32, n: u32, value: vec4f) { quad_dx(at + n, u.group_c - i32(n), value); }`;

const inputPlace = (tile: { m: number; n: number }): string => `
let n_end = u32(u.group_c);
let n_groups = (n_end + ${tile.n - 1}u) / ${tile.n}u;
let n_tile = (wid.z % n_groups) * ${tile.n}u;
let product = i32(wid.z / n_groups);
let group = product % u.groups;
o_first = group * u.group_o;
c_first = group * u.group_c;
let this_phase = vec2i((product / u.groups) % u.stride_w, product / (u.groups * u.stride_w));
let this_size = (vec2i(u.w, u.h) - this_phase + vec2i(u.stride_w, u.stride_h) - 1) / vec2i(u.stride_w, u.stride_h);
// The loops go by the local values: a barrier may not depend on a private variable, which counts as non-uniform.
phase = this_phase;
size = this_size;
let m_end = u32(u.batch * this_size.y * this_size.x);
let m_tile = ${LINEAR_GROUP} * ${tile.m}u;
if (m_tile >= m_end) { return; }`;

/**
 * Loops of `inner` over the taps (ty, tx) that reach the stride phase in the variable `phase`, with the shifts from an
 * input pixel (in units of the stride) to the output pixel. shift + rest/stride = (phase + padding -
 * tap*dilation)/stride is kept by subtraction: no division a tap.
 * @internal
 */
export const phaseTaps = (phase: string, inner: string): string => `
let stride = vec2i(u.stride_w, u.stride_h);
let reach = ${phase} + vec2i(u.left, u.top);
let whole = vec2i(u.dilation_w, u.dilation_h) / stride;
let part = vec2i(u.dilation_w, u.dilation_h) - whole * stride;
var shift_y = reach.y / stride.y;
var rest_y = reach.y - shift_y * stride.y;
for (var ty = 0; ty < u.kh; ty++) {
if (rest_y == 0) {
var shift_x = reach.x / stride.x;
var rest_x = reach.x - shift_x * stride.x;
for (var tx = 0; tx < u.kw; tx++) {
if (rest_x == 0) {
${inner}
}
rest_x -= part.x;
shift_x -= whole.x;
if (rest_x < 0) { rest_x += stride.x; shift_x -= 1; }
}
}
rest_y -= part.y;
shift_y -= whole.y;
if (rest_y < 0) { rest_y += stride.y; shift_y -= 1; }
}`;

const inputLoops = (enter: string, body: string, step: number): string =>
  phaseTaps(
    "this_phase",
    `w_at = (ty * u.kw + tx) * u.group_c;
${enter}
for (var k = 0u; k < u32(u.group_o); k += ${step}u) {
${body}
}`,
  );

/** Gradient of a convolution with respect to its input; see the head of this file. */
export const convInput = defineKernel({
  name: "convInput",
  uniforms: CONV_UNIFORMS,
  bindings: (spec: ConvSpec) => ({
    g: reads(arrayType(spec.dtype, spec.vy)),
    weight: reads(arrayType(spec.dtype, spec.vy)),
    dx: writes(arrayType(spec.dtype, spec.vx)),
  }),
  source: (spec) =>
    gemm(spec, {
      a: "k",
      b: "k",
      functions: inputFunctions(spec),
      place: inputPlace(tileSize(spec)),
      run: (row) => `a_run(${row}, shift_y, shift_x)`,
      loops: inputLoops,
    }),
  grid: (dims, spec) => {
    const tile = tileSize(spec);
    const rows = rowsOf(spec, dims.batch * ceilDiv(dims.h, dims.stride_h), ceilDiv(dims.w, dims.stride_w));
    const [x, y] = linearGrid(ceilDiv(rows, tile.m));
    return [x, y, ceilDiv(dims.group_c, tile.n) * dims.groups * dims.stride_h * dims.stride_w];
  },
});

/** Spec of `convWeight`: `out` is f32 for parts still to be summed. */
export type ConvWeightSpec = ConvSpec & { readonly out: FloatStorage };

/** Uniforms of `convWeight`: a share is `share` lines of output pixels. */
export type ConvWeightDims = ConvDims | "splits" | "share";

// Without quads along c a row of (kx, c) is padded to a multiple of 4, so that a quad of rows never leaves it; its rows
// past the end are computed and not stored.
const weightFunctions = (spec: ConvWeightSpec): string => `
struct Row { y: i32, x: i32 }
struct Run { at: i32, x: i32 }
var<private> o_first: i32;
var<private> c_first: i32;
var<private> g_at: i32;
var<private> part: u32;
${quadWindow("quad_x", "x", spec.vx)}
${quadLoad("quad_g", "g", readsQuads(spec))}
${quadStore("quad_dw", "dw", spec.out, spec.vy)}
fn padded() -> i32 { return (u.run + 3) / 4 * 4; }
fn a_row(m: u32) -> Row {
  let tap = i32(m) / padded();
  let ty = tap / u.taps_x;
  let tx = tap - ty * u.taps_x;
  return Row(ty * u.dilation_h - u.top, (tx * u.dilation_w - u.left) * u.c + i32(m) - tap * padded());
}
fn a_run(row: Row, b: i32, oy: i32) -> Run {
  let y = oy * u.stride_h + row.y;
  let x = select(${OUTSIDE}, row.x, u32(y) < u32(u.h));
  return Run((b * u.h + y) * u.w * u.c + c_first + x, x);
}
fn a_load(run: Run, k: u32) -> vec4f {
  let step = i32(k) * u.stride_w * u.c;
  let x = run.x + step;
  return quad_x(run.at + step, -x, select(0, u.w * u.c - x, i32(k) < u.ow));
}
fn b_load(k: u32, n: u32) -> vec4f {
  return quad_g(u32((g_at + i32(k)) * u.o + o_first) + n, 4 * (u.ow - i32(k)));
}
fn c_row(m: u32) -> u32 {
  let tap = i32(m) / padded();
  let j = i32(m) - tap * padded();
  return select(0xffffffffu, part + u32((tap * u.run + j) * u.o + o_first), j < u.run);
}
fn store(at: u32, n: u32, value: vec4f) {
  if (at != 0xffffffffu) { quad_dw(at + n, u.group_o - i32(n), value); }
}`;

const weightPlace = (tile: { m: number; n: number }): string => `
let n_end = u32(u.group_o);
let m_end = u32(u.kh * u.taps_x * padded());
let n_groups = (n_end + ${tile.n - 1}u) / ${tile.n}u;
let m_tile = wid.x * ${tile.m}u;
let n_tile = (wid.y % n_groups) * ${tile.n}u;
let group = i32(wid.y / n_groups);
o_first = group * u.group_o;
c_first = group * u.group_c;
part = wid.z * u32(u.kh * u.kw * u.group_c * u.o);
let line_first = i32(wid.z) * u.share;
let line_last = min(u.batch * u.oh, line_first + u.share);`;

const weightLoops = (enter: string, body: string, step: number): string => `
var b = line_first / u.oh;
var oy = line_first - b * u.oh;
for (var line = line_first; line < line_last; line++) {
g_at = line * u.ow;
${enter}
for (var k = 0u; k < u32(u.ow); k += ${step}u) {
${body}
}
oy += 1;
if (oy == u.oh) { oy = 0; b += 1; }
}`;

/**
 * Gradient of a convolution with respect to its weight, or parts of it [splits, kh, kw, c/groups, o]; see the head of
 * this file.
 */
export const convWeight = defineKernel({
  name: "convWeight",
  uniforms: { ...CONV_UNIFORMS, splits: "i32", share: "i32" },
  bindings: (spec: ConvWeightSpec) => ({
    x: reads(arrayType(spec.dtype, spec.vx)),
    g: reads(arrayType(spec.dtype, readsQuads(spec))),
    dw: writes(arrayType(spec.out, spec.vy)),
  }),
  source: (spec) =>
    gemm(spec, {
      a: "mn",
      b: "mn",
      functions: weightFunctions(spec),
      place: weightPlace(tileSize(spec)),
      run: (row) => `a_run(${row}, b, oy)`,
      loops: weightLoops,
    }),
  grid: (dims, spec) => {
    const tile = tileSize(spec);
    // A window owns all taps of a line.
    const [lines, rows] =
      spec.variant === "window" ? [dims.kh, dims.c] : [1, dims.kh * dims.taps_x * ceilDiv(dims.run, 4) * 4];
    return [lines * ceilDiv(rows, tile.m), ceilDiv(dims.group_o, tile.n) * dims.groups, dims.splits];
  },
});

/** Specs of `convInput` fit for a convolution on an adapter, the default first. */
export function convInputSpecs(g: ConvGeometry, dtype: FloatStorage, adapter: AdapterTraits): readonly ConvSpec[] {
  const quads = convQuads(g);
  const phases = g.stride[0] * g.stride[1];
  const k = (g.kh * g.kw * g.o) / g.groups / phases;
  const m = g.batch * ceilDiv(g.h, g.stride[0]) * ceilDiv(g.w, g.stride[1]);
  const tiles = gemmTiles({ m, n: g.c / g.groups, k, parts: g.groups * phases, a: "k", isVec: quads.vy }, adapter);
  return [...windowTiles(g, "input", adapter), ...tiles].map((tile) => ({ ...quads, dtype, ...tile }));
}

/**
 * Uniforms of `convWeight` for an adapter: the lines of output pixels are shared out until there are enough workgroups,
 * and, on a CPU, until a share stays in the cache.
 */
export function convWeightDims(g: ConvGeometry, adapter: AdapterTraits): Record<ConvWeightDims, number> {
  const dims = convDims(g);
  const tiles = ceilDiv(dims.kh * dims.taps_x * dims.run, 128) * ceilDiv(dims.group_o, 16) * dims.groups;
  const lines = Math.max(1, g.batch * g.oh);
  const wanted = Math.max(cachedShares(g, adapter), ceilDiv(adapter.isSoftware ? 16 : 512, tiles));
  const enough = Math.max(1, Math.floor((lines * g.ow) / 256));
  const share = ceilDiv(lines, Math.max(1, Math.min(wanted, enough, lines)));
  return { ...dims, share, splits: ceilDiv(lines, share) };
}

/**
 * Specs of `convWeight` fit for a convolution on an adapter, the default first; `splits` as chosen by `convWeightDims`.
 */
export function convWeightSpecs(
  g: ConvGeometry,
  dtype: FloatStorage,
  splits: number,
  adapter: AdapterTraits,
): readonly ConvWeightSpec[] {
  const k = ceilDiv(g.batch * g.oh * g.ow, splits);
  const sizes = { m: (g.kh * g.kw * g.c) / g.groups, n: g.o / g.groups, k, parts: g.groups * splits };
  const out = splits > 1 ? "f32" : dtype;
  const quads = convQuads(g);
  const tiles = gemmTiles({ ...sizes, a: "mn", isVec: quads.vx }, adapter);
  return [...windowTiles(g, "weight", adapter), ...tiles].map((tile) => ({ ...quads, dtype, out, ...tile }));
}
