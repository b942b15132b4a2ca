// Resizing images x [n, h, w, c] -> y [n, oh, ow, c], nearest or bilinear, and the gradients. Along an axis, output o
// reads at the source position (o step + offset) / unit, kept as whole numbers, so positions are exact on every device
// (f32 rounds 3 * (1/3) to either side of 1, and a nearest neighbour would flip).
//   nearest   y = x[floor(position)]
//   bilinear  y = (1 - t) x[i] + t x[min(i + 1, h - 1)],  i = floor(position), t the rest; below 0 counts as 0
// Mapping: a thread per output value of `width` channels. The gradient gathers over the outputs that read a cell, the
// exact inverse of the same whole-number positions: no atomics, deterministic.

import { defineKernel, entry, type FloatStorage, reads, writes } from "./kernel.ts";
import { IMAGE_PAIR, imageRows, locateOwn, threadGrid } from "./shared/pixels.ts";
import { QUOTIENT } from "./shared/quotient.ts";
import { bufferType, stored, valueType } from "./shared/storage.ts";

/** `width`: channels per access. */
export type ResizeSpec = {
  readonly mode: "nearest" | "bilinear";
  readonly width: 1 | 4;
  readonly dtype: FloatStorage;
};

const uniforms = {
  ...IMAGE_PAIR,
  stepH: "i32",
  offsetH: "i32",
  unitH: "i32",
  stepW: "i32",
  offsetW: "i32",
  unitW: "i32",
} as const;
type ResizeDims = Readonly<Record<keyof typeof uniforms, number>>;

/** Source positions along one axis: output o reads at `(o * step + offset) / unit`. */
export interface Positions {
  readonly step: number;
  readonly offset: number;
  readonly unit: number;
}

/**
 * PyTorch's source positions for an axis of `size` cells resized to `out`.
 * @param scale Output size over input size where the user gave one (positions then follow it, not the rounded sizes).
 */
export function resizePositions(
  size: number,
  out: number,
  {
    mode,
    alignCorners,
    scale,
  }: { readonly mode: "nearest" | "bilinear"; readonly alignCorners: boolean; readonly scale?: number },
): Positions {
  if (mode === "bilinear" && alignCorners) {
    return out > 1 ? { step: size - 1, offset: 0, unit: out - 1 } : { step: 0, offset: 0, unit: 1 };
  }
  const [cells, outputs] = ratio(scale === undefined ? size / out : 1 / scale);
  if (mode === "nearest") return { step: cells, offset: 0, unit: outputs };
  return { step: 2 * cells, offset: cells - outputs, unit: 2 * outputs };
}

/** Keeps the products of `quotient` within its bounds. */
const MAX_TERM = 2 ** 26;

/**
 * `value` as a fraction: its first convergent that is right to the last digits, or the last one with terms below
 * `MAX_TERM`; never 0.
 */
function ratio(value: number): [number, number] {
  let [p0, q0, p1, q1] = [0, 1, 1, 0];
  let rest = value;
  for (;;) {
    const whole = Math.floor(rest);
    const [p2, q2] = [whole * p1 + p0, whole * q1 + q0];
    if (p1 * q1 > 0 && Math.max(p2, q2) > MAX_TERM) return [p1, q1];
    [p0, q0, p1, q1] = [p1, q1, p2, q2];
    if (Math.abs(p1 / q1 - value) <= 1e-15 * value) return [p1, q1];
    rest = 1 / (rest - whole);
  }
}

const outputs = ({ n, oh, ow, c }: ResizeDims, { width }: ResizeSpec): number => (n * oh * ow * c) / width;
const cells = ({ n, h, w, c }: ResizeDims, { width }: ResizeSpec): number => (n * h * w * c) / width;

// Tap: where an output reads along an axis. `share` is the weight of the second cell, `next`.
const TAP = `${QUOTIENT}
struct Tap { cell: i32, next: i32, share: f32 }
fn tap(o: i32, size: i32, step: i32, offset: i32, unit: i32) -> Tap {
  let whole = quotient(o, step, offset, unit);
  let cell = clamp(whole, 0, size - 1);
  let share = f32(o * step + offset - whole * unit) / f32(unit);
  return Tap(cell, min(cell + 1, size - 1), select(share, 0.0, whole < 0));
}
fn tap_h(o: i32) -> Tap { return tap(o, i32(u.h), u.stepH, u.offsetH, u.unitH); }
fn tap_w(o: i32) -> Tap { return tap(o, i32(u.w), u.stepW, u.offsetW, u.unitW); }`;

function forwardSource(spec: ResizeSpec): string {
  const value = valueType(spec.width);
  const at = (y: string, x: string) => `${value}(x[((b * u.h + u32(${y})) * u.w + u32(${x})) * channels + ch])`;
  return `${TAP}
${entry()} {
  ${locateOwn("u.oh", "u.ow", spec.width)}
  let r = tap_h(i32(yy));
  let s = tap_w(i32(xx));
  ${
    spec.mode === "nearest"
      ? `let result = ${at("r.cell", "s.cell")};`
      : `let upper = mix(${at("r.cell", "s.cell")}, ${at("r.cell", "s.next")}, s.share);
  let lower = mix(${at("r.next", "s.cell")}, ${at("r.next", "s.next")}, s.share);
  let result = mix(upper, lower, r.share);`
  }
  y[i] = ${stored("result", spec.dtype, spec.width)};
}`;
}

// Outputs whose tap can touch cell i lie at positions in [i, i + 1), bilinear in (i - 1, i + 1); the range found here
// may hold a neighbour too many, whose weight is 0. The first cell also serves all smaller positions, the last all
// larger ones.
function rangeSource({ mode }: ResizeSpec): string {
  const weight =
    mode === "nearest"
      ? "select(0.0, 1.0, t.cell == i)"
      : "select(0.0, 1.0 - t.share, t.cell == i) + select(0.0, t.share, t.next == i)";
  return `
fn weight(t: Tap, i: i32) -> f32 { return ${weight}; }
fn first_reader(i: i32, step: i32, offset: i32, unit: i32) -> i32 {
  if (i == 0 || step == 0) { return 0; }
  return max(quotient(i${mode === "nearest" ? "" : " - 1"}, unit, -offset, step), 0);
}
fn end_of_readers(i: i32, size: i32, out: i32, step: i32, offset: i32, unit: i32) -> i32 {
  if (i == size - 1 || step == 0) { return out; }
  return min(quotient(i + 1, unit, -offset, step) + 1, out);
}`;
}

function backwardSource(spec: ResizeSpec): string {
  const value = valueType(spec.width);
  return `${TAP}
${rangeSource(spec)}
${entry()} {
  ${locateOwn("u.h", "u.w", spec.width)}
  let oy0 = first_reader(i32(yy), u.stepH, u.offsetH, u.unitH);
  let oy1 = end_of_readers(i32(yy), i32(u.h), i32(u.oh), u.stepH, u.offsetH, u.unitH);
  let ox0 = first_reader(i32(xx), u.stepW, u.offsetW, u.unitW);
  let ox1 = end_of_readers(i32(xx), i32(u.w), i32(u.ow), u.stepW, u.offsetW, u.unitW);
  var total = ${value}();
  for (var oy = oy0; oy < oy1; oy++) {
    let wy = weight(tap_h(oy), i32(yy));
    if (wy == 0.0) { continue; }
    for (var ox = ox0; ox < ox1; ox++) {
      let wx = weight(tap_w(ox), i32(xx));
      if (wx == 0.0) { continue; }
      total += wy * wx * ${value}(g[((b * u.oh + u32(oy)) * u.ow + u32(ox)) * channels + ch]);
    }
  }
  dx[i] = ${stored("total", spec.dtype, spec.width)};
}`;
}

const images = ({ dtype, width }: ResizeSpec): string => bufferType(dtype, width);

/** y = x resized, at the source positions of `resizePositions` (one per axis, in the uniforms). */
export const resize = defineKernel({
  name: "resize",
  bindings: (spec: ResizeSpec) => ({ x: reads(images(spec)), y: writes(images(spec)) }),
  uniforms,
  source: forwardSource,
  grid: (dims, spec) => threadGrid(outputs(dims, spec)),
  rows: (dims, spec) => imageRows(dims, outputs(dims, spec)),
});

/** Gradient of `resize`, under the same uniforms. */
export const resizeBackward = defineKernel({
  name: "resizeBackward",
  bindings: (spec: ResizeSpec) => ({ g: reads(images(spec)), dx: writes(images(spec)) }),
  uniforms,
  source: backwardSource,
  grid: (dims, spec) => threadGrid(cells(dims, spec)),
  rows: (dims, spec) => imageRows(dims, cells(dims, spec)),
});
