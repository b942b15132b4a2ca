// Rows of conv2d: strides, dilation, groups, paddings, depthwise and pointwise kernels, and the fused epilogue.

import type { Tensor } from "../../../engine/index.ts";
import * as s from "../../../engine/index.ts";
import { epilogue, FUSED, type FusedCase } from "./matmul.ts";
import { type OpCase, type OpRow, type Ref, ref } from "./row.ts";

/** Sizes and options of a reference convolution. */
export interface ConvCase {
  readonly x: readonly [batch: number, h: number, w: number, c: number];
  /** Kernel height and width, and output channels. */
  readonly k: readonly [h: number, w: number, out: number];
  readonly stride?: readonly [number, number];
  readonly dilation?: readonly [number, number];
  /** [top, bottom, left, right] */
  readonly padding?: readonly [number, number, number, number];
  readonly groups?: number;
}

/** conv2d in float64. */
export function conv2d(
  x: Ref,
  weight: Ref,
  { stride = [1, 1], dilation = [1, 1], padding = [0, 0, 0, 0], groups = 1 }: ConvCase,
): Ref {
  const [batch, h, w, c] = x.shape as [number, number, number, number];
  const [kh, kw, groupC, o] = weight.shape as [number, number, number, number];
  const extent = (size: number, pads: number, k: number, i: 0 | 1): number =>
    Math.floor((size + pads - dilation[i] * (k - 1) - 1) / stride[i]) + 1;
  const [oh, ow] = [extent(h, padding[0] + padding[1], kh, 0), extent(w, padding[2] + padding[3], kw, 1)];
  return ref([batch, oh, ow, o], (i) => {
    const [channel, ox, oy, b] = [
      i % o,
      Math.floor(i / o) % ow,
      Math.floor(i / (o * ow)) % oh,
      Math.floor(i / (o * ow * oh)),
    ];
    const firstC = Math.floor(channel / (o / groups)) * groupC;
    let sum = 0;
    for (let ky = 0; ky < kh; ky++) {
      for (let kx = 0; kx < kw; kx++) {
        const [y, z] = [oy * stride[0] - padding[0] + ky * dilation[0], ox * stride[1] - padding[2] + kx * dilation[1]];
        if (y < 0 || y >= h || z < 0 || z >= w) continue;
        for (let j = 0; j < groupC; j++) {
          const pixel = x.data[((b * h + y) * w + z) * c + firstC + j] as number;
          sum += pixel * (weight.data[((ky * kw + kx) * groupC + j) * o + channel] as number);
        }
      }
    }
    return sum;
  });
}

function convCase(one: ConvCase, fused: FusedCase = {}, rest: Partial<OpCase> = {}): OpCase {
  const { bias, hasResidual, ...options } = fused;
  const { x, k, stride, dilation, padding, groups = 1 } = one;
  const given = { ...(stride && { stride }), ...(dilation && { dilation }), ...(padding && { padding }), groups };
  const inputs = {
    x: { shape: x, range: [-1, 1] as const },
    weight: { shape: [k[0], k[1], x[3] / groups, k[2]], range: [-1, 1] as const },
    ...(bias && { bias: { shape: [k[2]] } }),
  };
  const call = (at: Readonly<Record<string, Tensor>>): Tensor => {
    // The residual is a function of x, so that its gradient is checked without knowing the output's shape beforehand.
    const residual = hasResidual ? s.conv2d(at["x"] as Tensor, at["weight"] as Tensor, undefined, given) : undefined;
    return s.conv2d(at["x"] as Tensor, at["weight"] as Tensor, at["bias"], { ...given, ...options, residual });
  };
  return {
    label: `${JSON.stringify(one)} ${JSON.stringify(fused)}`,
    inputs,
    call,
    oracle: (at) => {
      const y = conv2d(at["x"] as Ref, at["weight"] as Ref, one);
      return epilogue(y, { bias: at["bias"], residual: hasResidual ? y : undefined }, options);
    },
    grads: Object.keys(inputs),
    atol: 1e-4,
    ...rest,
  };
}

const same = [1, 1, 1, 1] as const;

export const rows: readonly OpRow[] = [
  {
    op: "conv2d",
    live: "some",
    cases: [
      convCase({ x: [2, 6, 7, 4], k: [3, 3, 8], padding: same }),
      convCase({ x: [1, 5, 5, 3], k: [3, 3, 16], padding: same }, { bias: true }),
      convCase({ x: [2, 5, 6, 1], k: [3, 3, 5], padding: same }),
      convCase({ x: [2, 9, 8, 8], k: [3, 3, 20], stride: [2, 2], padding: same }),
      convCase({ x: [1, 7, 9, 5], k: [3, 2, 6], stride: [2, 1], padding: [0, 2, 1, 0] }),
      convCase({ x: [1, 11, 12, 4], k: [3, 3, 4], stride: [2, 3], dilation: [3, 2], padding: [1, 0, 2, 1] }),
      convCase({ x: [1, 8, 8, 8], k: [3, 3, 8], dilation: [2, 2], padding: [2, 2, 2, 2] }),
      convCase({ x: [2, 5, 5, 8], k: [3, 3, 16], padding: same, groups: 2 }),
      convCase({ x: [1, 5, 6, 6], k: [3, 3, 9], stride: [2, 2], padding: same, groups: 3 }),
      convCase({ x: [1, 6, 5, 3], k: [3, 3, 6], padding: same, groups: 3 }),
      convCase({ x: [2, 6, 7, 8], k: [3, 3, 8], padding: same, groups: 8 }, { bias: true, activation: "relu" }),
      convCase({ x: [1, 7, 8, 8], k: [3, 3, 8], stride: [2, 2], padding: same, groups: 8 }),
      convCase(
        { x: [1, 6, 7, 5], k: [3, 2, 5], stride: [1, 2], padding: [0, 1, 1, 0], groups: 5 },
        { bias: true, activation: "silu" },
      ),
      convCase({ x: [1, 9, 9, 4], k: [7, 7, 4], padding: [3, 3, 3, 3], groups: 4 }),
      convCase({ x: [1, 9, 9, 4], k: [3, 3, 4], dilation: [2, 2], groups: 4 }),
      convCase({ x: [3, 5, 7, 8], k: [1, 1, 12] }),
      convCase({ x: [2, 7, 7, 8], k: [1, 1, 4], stride: [2, 2] }),
      convCase({ x: [1, 6, 6, 4], k: [1, 1, 4], padding: same }),
      convCase({ x: [1, 10, 10, 4], k: [2, 2, 4], stride: [3, 3] }),
      convCase({ x: [4, 17, 16, 4], k: [3, 3, 4], padding: same }, {}, { label: "dw in several shares" }),
      convCase({ x: [0, 5, 5, 4], k: [3, 3, 8] }, { bias: true }),
      convCase({ x: [2, 4, 4, 0], k: [3, 3, 4] }, { bias: true }),
      convCase({ x: [2, 4, 4, 3], k: [3, 3, 0] }),
      ...FUSED.map((fused) => convCase({ x: [2, 4, 5, 4], k: [3, 3, 8], padding: same }, fused)),
      convCase(
        { x: [2, 6, 6, 4], k: [3, 3, 8], padding: same },
        {},
        {
          call: ({ x, weight }) =>
            s.cast(
              s.conv2d(s.cast(x as Tensor, "f16"), s.cast(weight as Tensor, "f16"), undefined, { padding: 1 }),
              "f32",
            ),
          label: "f16",
          rtol: 4e-3,
          atol: 2e-2,
        },
      ),
    ],
  },
];
