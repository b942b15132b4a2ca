// Convolution rows: forward, input gradient and weight gradient of one shape, spot-checked by their sums.

import { compare, samples } from "./check.ts";
import { normal } from "./random.ts";
import { type ConvShape, convOutput, f32, type Inputs, type Workload } from "./workload.ts";

type Pass = "fwd" | "dx" | "dw";

/** Sum over the pairs (input row y, output row oy) that tap `ky` joins. */
function eachTap(shape: ConvShape, visit: (ky: number, kx: number) => void): void {
  for (let ky = 0; ky < shape.k; ky++) for (let kx = 0; kx < shape.k; kx++) visit(ky, kx);
}

/** Reference entry `i` of one pass, from the formula. */
function entry(pass: Pass, shape: ConvShape, inputs: Inputs): (i: number) => number {
  const { n, h, w, c, o, k, stride, pad, groups } = shape;
  const [oh, ow] = convOutput(shape);
  const inner = c / groups;
  const outer = o / groups;
  const at = (name: string) => (name in inputs ? f32(inputs, name) : new Float32Array(0));
  const [x, weight, g] = [at("x"), at("w"), at("g")];
  const xAt = (b: number, y: number, col: number, ch: number) =>
    y < 0 || y >= h || col < 0 || col >= w ? 0 : (x[((b * h + y) * w + col) * c + ch] as number);
  const wAt = (ky: number, kx: number, ci: number, co: number) =>
    weight[((ky * k + kx) * inner + ci) * o + co] as number;
  const gAt = (b: number, y: number, col: number, co: number) => g[((b * oh + y) * ow + col) * o + co] as number;

  const forward = (i: number) => {
    const [co, px] = [i % o, Math.floor(i / o)];
    const [ox, oy, b] = [px % ow, Math.floor(px / ow) % oh, Math.floor(px / (ow * oh))];
    const first = Math.floor(co / outer) * inner;
    let sum = 0;
    eachTap(shape, (ky, kx) => {
      for (let ci = 0; ci < inner; ci++) {
        sum += xAt(b, oy * stride - pad + ky, ox * stride - pad + kx, first + ci) * wAt(ky, kx, ci, co);
      }
    });
    return sum;
  };
  const inputGradient = (i: number) => {
    const [ch, px] = [i % c, Math.floor(i / c)];
    const [col, row, b] = [px % w, Math.floor(px / w) % h, Math.floor(px / (w * h))];
    const first = Math.floor(ch / inner) * outer;
    let sum = 0;
    eachTap(shape, (ky, kx) => {
      const [oy, ox] = [(row + pad - ky) / stride, (col + pad - kx) / stride];
      if (!Number.isInteger(oy) || !Number.isInteger(ox) || oy < 0 || oy >= oh || ox < 0 || ox >= ow) return;
      for (let j = 0; j < outer; j++) sum += gAt(b, oy, ox, first + j) * wAt(ky, kx, ch % inner, first + j);
    });
    return sum;
  };
  const weightGradient = (i: number) => {
    const [co, ci, tap] = [i % o, Math.floor(i / o) % inner, Math.floor(i / (o * inner))];
    const [kx, ky] = [tap % k, Math.floor(tap / k)];
    const ch = Math.floor(co / outer) * inner + ci;
    let sum = 0;
    for (let b = 0; b < n; b++) {
      for (let oy = 0; oy < oh; oy++) {
        for (let ox = 0; ox < ow; ox++) {
          sum += xAt(b, oy * stride - pad + ky, ox * stride - pad + kx, ch) * gAt(b, oy, ox, co);
        }
      }
    }
    return sum;
  };
  return { fwd: forward, dx: inputGradient, dw: weightGradient }[pass];
}

/** One pass of a convolution. */
export function conv(name: string, pass: Pass, shape: ConvShape): Workload {
  const { n, h, w, c, o, k, groups } = shape;
  const [oh, ow] = convOutput(shape);
  const shapes = { x: [n, h, w, c], w: [k, k, c / groups, o], g: [n, oh, ow, o] };
  const output = { fwd: shapes.g, dx: shapes.x, dw: shapes.w }[pass];
  const size = output.reduce((a, b) => a * b, 1);
  const array = (kind: "x" | "w" | "g", seed: number, std = 1) => ({
    shape: shapes[kind],
    data: normal(
      shapes[kind].reduce((a, b) => a * b, 1),
      seed,
      std,
    ),
  });
  return {
    name: `${name}.${pass}`,
    problem: { kind: "conv", pass, shape },
    flops: 2 * n * oh * ow * o * k * k * (c / groups),
    outputs: [output],
    inputs: () => ({
      ...(pass === "dx" ? {} : { x: array("x", 1) }),
      ...(pass === "dw" ? {} : { w: array("w", 2, 1 / Math.sqrt((k * k * c) / groups)) }),
      ...(pass === "fwd" ? {} : { g: array("g", 3) }),
    }),
    check([got], inputs) {
      return compare(pass, got, size, samples(size, pass === "dw" ? 400 : 3000), entry(pass, shape, inputs));
    },
  };
}
