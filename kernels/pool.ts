// Pooling over images x [n, h, w, c] -> y [n, oh, ow, c], and its gradients.
//   max      y = max of the window, whose cells may be apart (dilation), where padding counts as -inf; the first
//            maximum in row-major order wins, and a NaN over every number; its place is kept for the gradient
//   average  y = sum of the window / cells; fixed windows, or (adaptive) windows floor(i n/m) .. ceil((i+1) n/m) - 1
// Mapping: a thread per output value of `width` channels; gradients: a thread per row of `width` channels, which
// gathers over the windows that cover each cell, so they need no atomics and are deterministic. `split` > 1 shares a
// large window among that many threads through workgroup memory.

import { defineKernel, entry, type FloatStorage, GROUP, LINEAR_GROUP, reads, writes } from "./kernel.ts";
import { type AdapterTraits, isNarrow } from "./shared/adapter.ts";
import { IMAGE_PAIR, imageRows, locate, locateOwn, threadGrid } from "./shared/pixels.ts";
import { QUOTIENT } from "./shared/quotient.ts";
import { bufferType, stored, valueType } from "./shared/storage.ts";

/** Channels per access (4 where the channel count allows) and storage. */
export type PoolSpec = { readonly width: 1 | 4; readonly dtype: FloatStorage };

/** `dilated`: the cells of a window are `dh` rows and `dw` columns apart, not 1. */
export type WindowSpec = PoolSpec & { readonly dilated: boolean };

/** `places`: also write where each maximum was; needless without a gradient. */
export type MaxPoolSpec = WindowSpec & { readonly places: boolean };

/** `adaptive`: windows that together cover the image, instead of fixed ones. */
export type AveragePoolSpec = PoolSpec & { readonly adaptive: boolean };

/** `split`: threads that share one window, a power of two up to 64. */
export type SplitPoolSpec = AveragePoolSpec & { readonly split: number };

const windowed = { ...IMAGE_PAIR, kh: "u32", kw: "u32", sh: "u32", sw: "u32", pt: "u32", pl: "u32" } as const;
const averaged = { ...windowed, includePad: "u32" } as const;
const dilated = { ...windowed, dh: "u32", dw: "u32" } as const;
type ImageDims = Readonly<Record<keyof typeof IMAGE_PAIR, number>>;

const outputs = ({ n, oh, ow, c }: ImageDims, { width }: PoolSpec): number => (n * oh * ow * c) / width;
const lines = ({ n, h, c }: ImageDims, { width }: PoolSpec): number => (n * h * c) / width;
const floats = ({ dtype, width }: PoolSpec): string => bufferType(dtype, width);

/** Places of maxima: one byte per channel in a word where channels go four at a time, else one word. */
const PLACES = "array<u32>";

/** Largest window whose places fit bytes. */
export const MAX_PACKED_WINDOW = 256;

/** Words of the buffer `places` for `count` outputs. */
export const placeWords = (count: number, { width }: PoolSpec): number => count / width;

/** How windows lie along one axis: `a` is "h" or "w"; ranges are half open, in cells (`start`, `stop`) or outputs. */
interface Windows {
  readonly start: (a: "h" | "w", o: string) => string;
  readonly stop: (a: "h" | "w", o: string) => string;
  /** First window, and one past the last, that covers row `i`. */
  readonly first: (i: string) => string;
  readonly last: (i: string) => string;
}

const pad = (a: "h" | "w"): string => (a === "h" ? "u.pt" : "u.pl");

/** Windows that reach over `reach` cells of an axis. */
const windowsOver = (reach: (a: "h" | "w") => string): Windows => ({
  start: (a, o) => `(max(${o} * u.s${a}, ${pad(a)}) - ${pad(a)})`,
  stop: (a, o) => `min(max(${o} * u.s${a} + ${reach(a)}, ${pad(a)}) - ${pad(a)}, u.${a})`,
  first: (i) => `((max(${i} + u.pt + u.sh, ${reach("h")}) - ${reach("h")}) / u.sh)`,
  last: (i) => `min((${i} + u.pt) / u.sh + 1u, u.oh)`,
});

const fixedWindows = windowsOver((a) => `u.k${a}`);
const dilatedWindows = windowsOver((a) => `((u.k${a} - 1u) * u.d${a} + 1u)`);

// Of axes of n and m cells: floor(o m / n), and ceil((o + 1) m / n).
const edge = (o: string, n: string, m: string, add = "0"): string =>
  `u32(quotient(i32(${o}), i32(${m}), ${add}, i32(${n})))`;
const past = (o: string, n: string, m: string): string => `(${edge(`${o} + 1u`, n, m, "-1")} + 1u)`;

const adaptiveWindows: Windows = {
  start: (a, o) => edge(o, `u.o${a}`, `u.${a}`),
  stop: (a, o) => past(o, `u.o${a}`, `u.${a}`),
  first: (i) => edge(i, "u.h", "u.oh"),
  last: (i) => past(i, "u.h", "u.oh"),
};

const LOWEST_BITS = "var<private> lowest_bits: u32 = 0xff800000u;";

function maxSource(spec: MaxPoolSpec): string {
  const { width, dtype } = spec;
  const value = valueType(width);
  const word = width === 4 ? "vec4u" : "u32";
  const packed = "place.x | (place.y << 8u) | (place.z << 16u) | (place.w << 24u)";
  const apart = (a: "h" | "w"): string => (spec.dilated ? `u.d${a}` : "1u");
  // Cells of the window inside the image, along one axis; `at` is where the window starts in the padded image.
  const first = (a: "h" | "w", at: string) => `(max(${at}, ${pad(a)}) - ${at} + ${apart(a)} - 1u) / ${apart(a)}`;
  const end = (a: "h" | "w", at: string) =>
    `min((max(u.${a} + ${pad(a)}, ${at}) - ${at} + ${apart(a)} - 1u) / ${apart(a)}, u.k${a})`;
  return `${LOWEST_BITS}
${entry()} {
  ${locateOwn("u.oh", "u.ow", width)}
  let top = yy * u.sh;
  let left = xx * u.sw;
  let y0 = ${first("h", "top")}; let y1 = ${end("h", "top")};
  let x0 = ${first("w", "left")}; let x1 = ${end("w", "left")};
  var best = ${value}(bitcast<f32>(lowest_bits));
  // Whether best is NaN: a comparison with it may say anything.
  var odd = ${width === 4 ? "vec4<bool>" : "bool"}();
  var place = ${word}(y0 * u.kw + x0);
  for (var ky = y0; ky < y1; ky++) {
    let line_start = (b * u.h + top + ky * ${apart("h")} - u.pt) * u.w + left - u.pl;
    for (var kx = x0; kx < x1; kx++) {
      let v = ${value}(x[(line_start + kx * ${apart("w")}) * channels + ch]);
      let is_nan = (bitcast<${word}>(v) & ${word}(0x7fffffffu)) > ${word}(0x7f800000u);
      let takes = ((v > best) & !odd) | is_nan;
      odd = odd | is_nan;
      best = select(best, v, takes);
      ${spec.places ? `place = select(place, ${word}(ky * u.kw + kx), takes);` : ""}
    }
  }
  y[i] = ${stored("best", dtype, width)};
  ${spec.places ? `places[i] = ${width === 4 ? packed : "place"};` : ""}
}`;
}

/**
 * dx as the sum of `term` over the windows (`oy`, `ox`) that cover a cell (`yy`, `xx`); output `o` is theirs. A thread
 * walks a row, so that the range of windows moves along by comparisons: a division for each cell costs more than its
 * loads.
 */
function gradientSource(spec: PoolSpec, windows: Windows, setup: string, term: string): string {
  const { width, dtype } = spec;
  return `
${entry()} {
  let i = ${LINEAR_GROUP} * ${GROUP}u + li;
  let channels = u.c / ${width}u;
  if (i >= u.n * u.h * channels) { return; }
  let ch = i % channels;
  let line = i / channels;
  let yy = line % u.h;
  let b = line / u.h;
  let oy0 = ${windows.first("yy")};
  let oy1 = ${windows.last("yy")};
  var ox0 = 0u;
  var ox1 = 0u;
  for (var xx = 0u; xx < u.w; xx++) {
    while (ox1 < u.ow && ${windows.start("w", "ox1")} <= xx) { ox1++; }
    while (ox0 < ox1 && ${windows.stop("w", "ox0")} <= xx) { ox0++; }
    var total = ${valueType(width)}();
    for (var oy = oy0; oy < oy1; oy++) {
      ${setup}
      for (var ox = ox0; ox < ox1; ox++) {
        let o = ((b * u.oh + oy) * u.ow + ox) * channels + ch;
        ${term}
      }
    }
    dx[(line * u.w + xx) * channels + ch] = ${stored("total", dtype, width)};
  }
}`;
}

function maxBackwardSource(spec: WindowSpec): string {
  const value = valueType(spec.width);
  const packed = spec.width === 4;
  const place = packed ? "((vec4u(places[o]) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(255u))" : "places[o]";
  const takes = (mine: string): string =>
    `total += select(${value}(), ${value}(g[o]), ${place} == ${packed ? `vec4u(${mine})` : mine});`;
  if (!spec.dilated) {
    const setup = "let row = (yy + u.pt - oy * u.sh) * u.kw + u.pl;";
    return gradientSource(spec, fixedWindows, setup, `let mine = row + xx - ox * u.sw;\n        ${takes("mine")}`);
  }
  // A window also reaches over cells between its own.
  return gradientSource(
    spec,
    dilatedWindows,
    `let down = yy + u.pt - oy * u.sh;
      if (down % u.dh != 0u) { continue; }`,
    `let across = xx + u.pl - ox * u.sw;
        if (across % u.dw != 0u) { continue; }
        ${takes("down / u.dh * u.kw + across / u.dw")}`,
  );
}

const windowsOf = ({ adaptive }: AveragePoolSpec): Windows => (adaptive ? adaptiveWindows : fixedWindows);

/** Cells that the mean of window (`oy`, `ox`) divides by; those beyond the padding never count. */
function countOf({ adaptive }: AveragePoolSpec, oy: string, ox: string): string {
  const inside = "(y1 - y0) * (x1 - x0)";
  const padded = `min(u.kh, u.h + 2u * u.pt - ${oy} * u.sh) * min(u.kw, u.w + 2u * u.pl - ${ox} * u.sw)`;
  return adaptive ? inside : `select(${inside}, ${padded}, u.includePad != 0u)`;
}

function averageSource(spec: SplitPoolSpec): string {
  const { width, dtype, split, adaptive } = spec;
  const { start, stop } = windowsOf(spec);
  const value = valueType(width);
  const lanes = GROUP / split;
  const share = `
  partial[li] = total;
  for (var step = ${split / 2}u; step > 0u; step >>= 1u) {
    workgroupBarrier();
    if (part < step) { partial[li] += partial[li + step * ${lanes}u]; }
  }
  total = partial[li];`;
  return `${adaptive ? QUOTIENT : ""}${split > 1 ? `\nvar<workgroup> partial: array<${value}, ${GROUP}>;` : ""}
${entry()} {
  let own = ${LINEAR_GROUP} * ${lanes}u + li % ${lanes}u;
  let part = li / ${lanes}u;
  let end = u.n * u.oh * u.ow * (u.c / ${width}u);
  let i = min(own, end - 1u);
  ${locate("u.oh", "u.ow", spec.width)}
  let y0 = ${start("h", "yy")}; let y1 = ${stop("h", "yy")};
  let x0 = ${start("w", "xx")}; let x1 = ${stop("w", "xx")};
  let across = x1 - x0;
  var total = ${value}();
  ${
    split > 1
      ? `for (var k = part; k < (y1 - y0) * across; k += ${split}u) {
    total += ${value}(x[((b * u.h + y0 + k / across) * u.w + x0 + k % across) * channels + ch]);
  }
  ${share}`
      : `for (var row = y0; row < y1; row++) {
    for (var at = (b * u.h + row) * u.w + x0; at < (b * u.h + row) * u.w + x1; at++) { total += ${value}(x[at * channels + ch]); }
  }`
  }
  if (own < end && part == 0u) { let mean = total / f32(${countOf(spec, "yy", "xx")}); y[i] = ${stored("mean", dtype, width)}; }
}`;
}

function averageBackwardSource(spec: AveragePoolSpec): string {
  const windows = windowsOf(spec);
  const { start, stop } = windows;
  const source = gradientSource(
    spec,
    windows,
    `let y0 = ${start("h", "oy")}; let y1 = ${stop("h", "oy")};`,
    `let x0 = ${start("w", "ox")}; let x1 = ${stop("w", "ox")};
        total += ${valueType(spec.width)}(g[o]) / f32(${countOf(spec, "oy", "ox")});`,
  );
  return (spec.adaptive ? QUOTIENT : "") + source;
}

/** Largest value of each window, and (`places`) where it was. Windows must not lie wholly in the padding. */
export const maxPool = defineKernel({
  name: "maxPool2d",
  bindings: (spec: MaxPoolSpec) => ({
    x: reads(floats(spec)),
    y: writes(floats(spec)),
    places: spec.places ? writes(PLACES) : undefined,
  }),
  uniforms: dilated,
  source: maxSource,
  grid: (dims, spec) => threadGrid(outputs(dims, spec)),
  rows: (dims, spec) => imageRows(dims, outputs(dims, spec)),
});

/** Gradient of `maxPool` from the places of the maxima. */
export const maxPoolBackward = defineKernel({
  name: "maxPool2dBackward",
  bindings: (spec: WindowSpec) => ({ g: reads(floats(spec)), places: reads(PLACES), dx: writes(floats(spec)) }),
  uniforms: dilated,
  source: maxBackwardSource,
  grid: (dims, spec) => threadGrid(lines(dims, spec)),
  rows: (dims, spec) => imageRows(dims, lines(dims, spec)),
});

/**
 * Mean of each window; `includePad` counts the padding of fixed windows as cells of value 0. Adaptive windows use the
 * sizes alone; with `oh = ow = 1` they are the global average.
 */
export const avgPool = defineKernel({
  name: "avgPool2d",
  bindings: (spec: SplitPoolSpec) => ({ x: reads(floats(spec)), y: writes(floats(spec)) }),
  uniforms: averaged,
  source: averageSource,
  grid: (dims, spec) => threadGrid(outputs(dims, spec), GROUP / spec.split),
  rows: (dims, spec) => imageRows(dims, outputs(dims, spec), GROUP / spec.split),
});

/** Gradient of `avgPool`. */
export const avgPoolBackward = defineKernel({
  name: "avgPool2dBackward",
  bindings: (spec: AveragePoolSpec) => ({ g: reads(floats(spec)), dx: writes(floats(spec)) }),
  uniforms: averaged,
  source: averageBackwardSource,
  grid: (dims, spec) => threadGrid(lines(dims, spec)),
  rows: (dims, spec) => imageRows(dims, lines(dims, spec)),
});

/** Variants that fit an average over windows of `window` cells, best guess first. */
export function averageCandidates(
  spec: AveragePoolSpec,
  { outputs, window }: { readonly outputs: number; readonly window: number },
  traits: AdapterTraits,
): SplitPoolSpec[] {
  const plain: SplitPoolSpec = { ...spec, split: 1 };
  if (window < 16) return [plain];
  const shared: SplitPoolSpec = { ...spec, split: window < 64 ? 4 : 8 };
  // A CPU is kept busy by a few hundred threads.
  const isBusy = isNarrow(traits) || outputs / spec.width > 65536;
  return isBusy ? [plain, shared] : [shared, plain];
}
