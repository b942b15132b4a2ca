// Depthwise convolution (groups = channels = outputs), NHWC, and its gradients. No products to share: bound by loads.
//
// A thread owns one quad of channels (one channel without `isVec`) and a strip of output pixels along x; where the
// kernel's width, its stride and no dilation are in the spec, the strip's input window is loaded once and slides
// through registers.
//   depthwise        y = epilogue(sum over (ky, kx) of x * w), in that order; with `isFlipped` w is turned around,
//                    which for stride 1 and padding k - 1 - p gives the input gradient
//   depthwiseInput   dx for any stride: one grid z per stride phase, only the taps that reach it (as in conv-grad.ts)
//   depthwiseWeight  dw: a thread sums its taps over a share of the lines of output pixels; parts are added by
//                    `sumParts`

import {
  ceilDiv,
  defineKernel,
  entry,
  type FloatStorage,
  GROUP,
  LINEAR_GROUP,
  linearGrid,
  reads,
  unroll,
  writes,
} from "../kernel.ts";
import type { AdapterTraits } from "../shared/adapter.ts";
import { epilogueBindings, epilogueText } from "../shared/epilogue.ts";
import type { EpilogueSpec } from "../shared/finish.ts";
import { arrayType } from "../shared/storage.ts";
import { CONV_UNIFORMS, type ConvDims, type ConvGeometry, convDims } from "./conv.ts";
import { phaseTaps } from "./conv-grad.ts";

/** Spec of the depthwise kernels. `width` 0: kernel width, stride and dilation along x are only in the uniforms. */
export type DepthwiseSpec = {
  readonly dtype: FloatStorage;
  /** Whether the channels come by quads. */
  readonly isVec: boolean;
  /** Kernel width and stride along x that the window is unrolled for (dilation 1); 0 if it is not. */
  readonly width: number;
  readonly stride: number;
};

/** Spec of `depthwise`: `isFlipped` turns the kernel around. */
export type DepthwiseForwardSpec = DepthwiseSpec & EpilogueSpec & { readonly isFlipped: boolean };

/** Spec of `depthwiseWeight`: `out` is f32 for parts still to be summed. */
export type DepthwiseWeightSpec = DepthwiseSpec & { readonly out: FloatStorage };

/** Uniforms of `depthwiseWeight`: a share is `share` lines of output pixels. */
export type DepthwiseWeightDims = ConvDims | "splits" | "share";

/** Pixels of a strip. */
const STRIP = 4;

const value = (isVec: boolean): string => (isVec ? "vec4f" : "f32");
const stored = (dtype: string, isVec: boolean): string => (isVec ? `vec4<${dtype}>` : dtype);
const quads = (dims: Record<"c", number>, isVec: boolean): number => (isVec ? dims.c / 4 : dims.c);

/**
 * `fn <name>(base, column, width, q)`: channel q of one pixel of the line that begins at pixel `base`, 0 off the line.
 */
const pixelLoad = (name: string, buffer: string, isVec: boolean): string => {
  const type = value(isVec);
  return `fn ${name}(base: i32, column: i32, width: i32, q: i32) -> ${type} {
  return select(${type}(), ${type}(${buffer}[u32((base + column) * channels() + q)]), u32(column) < u32(width));
}`;
};

const channels = (isVec: boolean): string => `fn channels() -> i32 { return u.c${isVec ? " / 4" : ""}; }`;

/** Thread number -> channel q, strip along x, line; `width` and `lines` are the extents of what the strips cover. */
const strip = (width: string, lines: string): string => `
let strips = (${width} + ${STRIP - 1}) / ${STRIP};
let id = i32(${LINEAR_GROUP} * ${GROUP}u + li);
let q = id % channels();
let block = id / channels();
let line = block / strips;
let first = (block - line * strips) * ${STRIP};
if (line >= ${lines}) { return; }`;

const forwardRow = ({ isVec, width, stride, isFlipped }: DepthwiseForwardSpec): string => {
  if (width === 0) {
    const tap = isFlipped ? "u.kh * u.kw - 1 - (ty * u.kw + tx)" : "ty * u.kw + tx";
    return `for (var tx = 0; tx < u.kw; tx++) {
let w = ${value(isVec)}(weight[u32((${tap}) * channels() + q)]);
let column = left + tx * u.dilation_w;
${unroll(STRIP, (p) => `c${p} = fma(load_x(base, column + ${p} * u.stride_w, width, q), w, c${p});`)}
}`;
  }
  const tap = (tx: number): string =>
    isFlipped ? `u.kh * ${width} - 1 - (ty * ${width} + ${tx})` : `ty * ${width} + ${tx}`;
  return `${unroll(width, (tx) => `let w${tx} = ${value(isVec)}(weight[u32((${tap(tx)}) * channels() + q)]);`)}
${unroll((STRIP - 1) * stride + width, (i) => `let x${i} = load_x(base, left + ${i}, width, q);`)}
${unroll(STRIP, (p) => unroll(width, (tx) => `c${p} = fma(x${p * stride + tx}, w${tx}, c${p});`))}`;
};

/** Depthwise convolution forward; see the head of this file. */
export const depthwise = defineKernel({
  name: "depthwise",
  uniforms: CONV_UNIFORMS,
  bindings: (spec: DepthwiseForwardSpec) => ({
    x: reads(arrayType(spec.dtype, spec.isVec)),
    weight: reads(arrayType(spec.dtype, spec.isVec)),
    y: writes(arrayType(spec.dtype, spec.isVec)),
    ...epilogueBindings(spec, spec.dtype, spec.isVec),
  }),
  source: (spec) => `
${channels(spec.isVec)}
${pixelLoad("load_x", "x", spec.isVec)}
${epilogueText(spec, spec.dtype, spec.isVec ? "vec" : "one")}
fn store(pixel: i32, q: i32, value: Value) {
  let at = u32(pixel * channels() + q);
  y[at] = ${stored(spec.dtype, spec.isVec)}(finish(at${spec.isVec ? " * 4u" : ""}, u32(q)${spec.isVec ? " * 4u" : ""}, 1, value));
}
${entry()} {
${strip("u.ow", "u.batch * u.oh")}
let b = line / u.oh;
let top = (line - b * u.oh) * u.stride_h - u.top;
let left = first * u.stride_w - u.left;
${unroll(STRIP, (p) => `var c${p} = ${value(spec.isVec)}();`)}
for (var ty = 0; ty < u.kh; ty++) {
let row = top + ty * u.dilation_h;
let base = (b * u.h + row) * u.w;
let width = select(0, u.w, u32(row) < u32(u.h));
${forwardRow(spec)}
}
let at = line * u.ow + first;
${unroll(STRIP, (p) => `if (first + ${p} < u.ow) { store(at + ${p}, q, c${p}); }`)}
}`,
  grid: (dims, { isVec }) =>
    linearGrid(ceilDiv(dims.batch * dims.oh * ceilDiv(dims.ow, STRIP) * quads(dims, isVec), GROUP)),
  rows: (dims, { isVec }) => ({
    axis: 0,
    units: dims.batch * dims.oh * ceilDiv(dims.ow, STRIP) * quads(dims, isVec),
    perGroup: GROUP,
    fold: true,
    blocks: dims.batch,
    apart: { weight: 1, bias: 1 },
  }),
});

/**
 * Gradient of a depthwise convolution with respect to its input, for any stride and dilation; see the head of this
 * file.
 */
export const depthwiseInput = defineKernel({
  name: "depthwiseInput",
  uniforms: CONV_UNIFORMS,
  bindings: ({ dtype, isVec }: DepthwiseSpec) => ({
    g: reads(arrayType(dtype, isVec)),
    weight: reads(arrayType(dtype, isVec)),
    dx: writes(arrayType(dtype, isVec)),
  }),
  source: ({ dtype, isVec }) => `
${channels(isVec)}
${pixelLoad("load_g", "g", isVec)}
${entry()} {
let phase = vec2i(i32(wid.z) % u.stride_w, i32(wid.z) / u.stride_w);
let size = (vec2i(u.w, u.h) - phase + vec2i(u.stride_w, u.stride_h) - 1) / vec2i(u.stride_w, u.stride_h);
if (size.x == 0 || size.y == 0) { return; }
${strip("size.x", "u.batch * size.y")}
let b = line / size.y;
let row = line - b * size.y;
${unroll(STRIP, (p) => `var c${p} = ${value(isVec)}();`)}
${phaseTaps(
  "phase",
  `
let y = row + shift_y;
let base = (b * u.oh + y) * u.ow;
let width = select(0, u.ow, u32(y) < u32(u.oh));
let w = ${value(isVec)}(weight[u32((ty * u.kw + tx) * channels() + q)]);
${unroll(STRIP, (p) => `c${p} = fma(load_g(base, first + ${p} + shift_x, width, q), w, c${p});`)}`,
)}
let at = (b * u.h + row * u.stride_h + phase.y) * u.w + phase.x;
${unroll(STRIP, (p) => `if (first + ${p} < size.x) { dx[u32((at + (first + ${p}) * u.stride_w) * channels() + q)] = ${stored(dtype, isVec)}(c${p}); }`)}
}`,
  grid: (dims, { isVec }) => {
    const lines = dims.batch * ceilDiv(dims.h, dims.stride_h);
    const strips = ceilDiv(ceilDiv(dims.w, dims.stride_w), STRIP);
    const [x, y] = linearGrid(ceilDiv(lines * strips * quads(dims, isVec), GROUP));
    return [x, y, dims.stride_h * dims.stride_w];
  },
});

// One thread's taps: a kernel row where the window is unrolled, else a single tap.
const weightStep = ({ isVec, width, stride }: DepthwiseSpec): string =>
  width === 0
    ? `for (var i = 0; i < u.ow; i++) {
c0 = fma(load_x(base, i * u.stride_w + tx * u.dilation_w - u.left, width, q), ${value(isVec)}(g[u32((line * u.ow + i) * channels() + q)]), c0);
}`
    : `for (var i = 0; i < u.ow; i += ${STRIP}) {
${unroll(STRIP, (p) => `let g${p} = load_g(line * u.ow, i + ${p}, u.ow, q);`)}
${unroll((STRIP - 1) * stride + width, (j) => `let x${j} = load_x(base, i * ${stride} + ${j} - u.left, width, q);`)}
${unroll(width, (tx) => unroll(STRIP, (p) => `c${tx} = fma(x${p * stride + tx}, g${p}, c${tx});`))}
}`;

/**
 * Gradient of a depthwise convolution with respect to its weight, or parts of it [splits, kh, kw, 1, c]; see the head
 * of this file.
 */
export const depthwiseWeight = defineKernel({
  name: "depthwiseWeight",
  uniforms: { ...CONV_UNIFORMS, splits: "i32", share: "i32" },
  bindings: ({ dtype, out, isVec }: DepthwiseWeightSpec) => ({
    x: reads(arrayType(dtype, isVec)),
    g: reads(arrayType(dtype, isVec)),
    dw: writes(arrayType(out, isVec)),
  }),
  source: (spec) => {
    const { isVec, width, out } = spec;
    const each = Math.max(1, width);
    return `
${channels(isVec)}
${pixelLoad("load_x", "x", isVec)}
${pixelLoad("load_g", "g", isVec)}
${entry()} {
let id = i32(${LINEAR_GROUP} * ${GROUP}u + li);
let q = id % channels();
let across = ${width === 0 ? "u.kw" : "1"};
let taps = u.kh * across;
let tap = (id / channels()) % taps;
let split = id / (channels() * taps);
if (split >= u.splits) { return; }
let ty = tap / across;
let tx = tap - ty * across;
${unroll(each, (i) => `var c${i} = ${value(isVec)}();`)}
for (var line = split * u.share; line < min(u.batch * u.oh, (split + 1) * u.share); line++) {
let b = line / u.oh;
let y = (line - b * u.oh) * u.stride_h - u.top + ty * u.dilation_h;
let base = (b * u.h + y) * u.w;
let width = select(0, u.w, u32(y) < u32(u.h));
${weightStep(spec)}
}
let at = ((split * u.kh + ty) * u.kw + tx) * channels() + q;
${unroll(each, (i) => `dw[u32(at + ${i} * channels())] = ${stored(out, isVec)}(c${i});`)}
}`;
  },
  grid: (dims, { isVec, width }) =>
    linearGrid(ceilDiv(dims.splits * dims.kh * (width === 0 ? dims.kw : 1) * quads(dims, isVec), GROUP)),
});

/** Widest kernel whose window is unrolled into registers. */
const MAX_WIDTH = 5;

/** The spec of the depthwise kernels for a convolution; there is only one that fits, so nothing is tuned. */
export function depthwiseSpec(g: ConvGeometry, dtype: FloatStorage): DepthwiseSpec {
  const isUnrolled = g.kw <= MAX_WIDTH && g.stride[1] <= 2 && g.dilation[1] === 1;
  const window = isUnrolled ? { width: g.kw, stride: g.stride[1] } : { width: 0, stride: 0 };
  return { dtype, isVec: g.c % 4 === 0, ...window };
}

/**
 * Uniforms of `depthwiseWeight` for an adapter: the lines of output pixels are shared out until there are enough
 * threads.
 */
export function depthwiseWeightDims(g: ConvGeometry, adapter: AdapterTraits): Record<DepthwiseWeightDims, number> {
  const lines = Math.max(1, g.batch * g.oh);
  const threads = (g.kh * g.c) / (g.c % 4 === 0 ? 4 : 1);
  const wanted = ceilDiv(adapter.isSoftware ? 2048 : 32768, threads);
  const share = ceilDiv(lines, Math.max(1, Math.min(wanted, lines)));
  return { ...convDims(g), share, splits: ceilDiv(lines, share) };
}
