// `npm run accuracy`: the worst relative error of every elementary function and of its gradient, by range, against
// float64 on this adapter, as a page under results/. test/engine/accuracy.test.ts holds each to its bound.

import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Tensor } from "../engine/index.ts";
import * as s from "../engine/index.ts";

/** A range of arguments, neither end 0, and the relative errors that value and gradient may have there. */
export interface Range {
  readonly from: number;
  readonly to: number;
  readonly value: number;
  readonly slope: number;
}

/** A function of one number, its formula and derivative in float64. */
export interface Case {
  readonly name: string;
  readonly call: (x: Tensor) => Tensor;
  readonly value: (x: number) => number;
  readonly slope: (x: number) => number;
  readonly ranges: readonly Range[];
}

/** What was found of a range: worst relative errors, and where. */
export interface Found {
  readonly value: number;
  readonly valueAt: number;
  readonly slope: number;
  readonly slopeAt: number;
}

/** erfc of a >= 0: by the series of erf, or from 2 on by its continued fraction. */
function erfc(a: number): number {
  if (a < 2) {
    let [term, sum] = [a, a];
    for (let n = 1; n < 80; n++) {
      term *= (-a * a) / n;
      sum += term / (2 * n + 1);
    }
    return 1 - (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let k = 200; k > 0; k--) fraction = k / 2 / (a + fraction);
  return Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + fraction);
}

/** erf, with all digits near 0. */
function erf(x: number): number {
  const a = Math.abs(x);
  if (a >= 1) return Math.sign(x) * (1 - erfc(a));
  let [term, sum] = [x, x];
  for (let n = 1; n < 40; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

const phi = (x: number): number => {
  const tail = erfc(Math.abs(x) * Math.SQRT1_2) / 2;
  return x < 0 ? tail : 1 - tail;
};
const density = (x: number): number => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const inner = (x: number): number => 2 * Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3);
const innerSlope = (x: number): number => 2 * Math.sqrt(2 / Math.PI) * (1 + 0.134145 * x * x);

const range = (from: number, to: number, value = 3e-7, slope = value): Range => ({ from, to, value, slope });
/** From the least numbers to large ones, on one side of 0. */
const half = (sign: 1 | -1, far: number, value = 3e-7, slope = value): Range[] =>
  [1e-30, 1e-4, 0.5, 8, far]
    .slice(1)
    .map((to, i) => range(sign * ([1e-30, 1e-4, 0.5, 8][i] as number), sign * to, value, slope));

const power = (b: number, ranges: readonly Range[]): Case => ({
  name: `pow(x, ${b})`,
  call: (x) => s.pow(x, b),
  value: (x) => x ** b,
  slope: (x) => b * x ** (b - 1),
  ranges,
});
const exponential = (a: number, ranges: readonly Range[]): Case => ({
  name: `pow(${a}, x)`,
  call: (x) => s.pow(s.full(x.shape, Math.fround(a)), x),
  value: (x) => Math.fround(a) ** x,
  slope: (x) => Math.fround(a) ** x * Math.log(Math.fround(a)),
  ranges,
});

/** All functions, and what they are held to. */
export const CASES: readonly Case[] = [
  { name: "exp", call: s.exp, value: Math.exp, slope: Math.exp, ranges: [...half(1, 88), ...half(-1, 87)] },
  {
    name: "log",
    call: s.log,
    value: Math.log,
    slope: (x) => 1 / x,
    ranges: [
      range(1e-37, 1e-4),
      range(1e-4, 0.9),
      range(0.9, 0.999999),
      range(1.000001, 1.1),
      range(1.1, 1e4),
      range(1e4, 3e38),
    ],
  },
  {
    name: "log1p",
    call: s.log1p,
    value: Math.log1p,
    slope: (x) => 1 / (1 + x),
    ranges: [range(-0.9, -0.5, 3e-7, 1e-6), range(-0.5, -1e-30), range(1e-30, 0.5), range(0.5, 8), range(8, 3e38)],
  },
  {
    name: "expm1",
    call: s.expm1,
    value: Math.expm1,
    slope: Math.exp,
    ranges: [...half(1, 88), ...half(-1, 87)],
  },
  { name: "sin", call: s.sin, value: Math.sin, slope: Math.cos, ranges: [...half(1, 3e38), ...half(-1, 3e38)] },
  {
    name: "cos",
    call: s.cos,
    value: Math.cos,
    slope: (x) => -Math.sin(x),
    ranges: [...half(1, 3e38), ...half(-1, 3e38)],
  },
  {
    name: "atan2(x, 2)",
    call: (x) => s.atan2(x, 2),
    value: (x) => Math.atan2(x, 2),
    slope: (x) => 2 / (x * x + 4),
    ranges: [...half(1, 1e15, 3e-7, 6e-7), ...half(-1, 1e15, 3e-7, 6e-7)],
  },
  {
    name: "atan2(2, x)",
    call: (x) => s.atan2(2, x),
    value: (x) => Math.atan2(2, x),
    slope: (x) => -2 / (x * x + 4),
    ranges: [...half(1, 1e15, 3e-7, 6e-7), ...half(-1, 1e15, 3e-7, 6e-7)],
  },
  {
    name: "sqrt",
    call: s.sqrt,
    value: Math.sqrt,
    slope: (x) => 0.5 / Math.sqrt(x),
    ranges: [range(1e-37, 1), range(1, 3e38)],
  },
  {
    name: "rsqrt",
    call: s.rsqrt,
    value: (x) => 1 / Math.sqrt(x),
    slope: (x) => -0.5 * x ** -1.5,
    ranges: [range(1e-24, 1, 3e-7, 8e-7), range(1, 1e24, 3e-7, 8e-7)],
  },
  {
    name: "tanh",
    call: s.tanh,
    value: Math.tanh,
    slope: (x) => 4 / (Math.exp(x) + Math.exp(-x)) ** 2,
    ranges: [...half(1, 40, 3e-7, 6e-7), ...half(-1, 40, 3e-7, 6e-7)],
  },
  {
    name: "sigmoid",
    call: s.sigmoid,
    value: sigmoid,
    slope: (x) => sigmoid(x) * sigmoid(-x),
    ranges: [...half(1, 80, 4e-7, 6e-7), ...half(-1, 80, 4e-7, 6e-7)],
  },
  {
    name: "softplus",
    call: s.softplus,
    value: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
    slope: sigmoid,
    ranges: [...half(1, 80, 4e-7), ...half(-1, 80, 4e-7)],
  },
  {
    name: "logSigmoid, -softplus(-x)",
    call: (x) => s.neg(s.softplus(s.neg(x))),
    value: (x) => -(Math.max(-x, 0) + Math.log1p(Math.exp(-Math.abs(x)))),
    slope: (x) => sigmoid(-x),
    ranges: [...half(1, 80, 4e-7), ...half(-1, 80, 4e-7)],
  },
  {
    name: "erf",
    call: s.erf,
    value: erf,
    slope: (x) => (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x),
    // exp(-x^2) multiplies the rounding of x^2 by x^2.
    ranges: [
      range(1e-30, 1e-4),
      range(1e-4, 0.5),
      range(0.5, 2, 3e-7, 8e-7),
      range(2, 9, 3e-7, 8e-6),
      range(-9, -0.5, 3e-7, 8e-6),
    ],
  },
  {
    name: "silu",
    call: s.silu,
    value: (x) => x * sigmoid(x),
    slope: (x) => sigmoid(x) * (1 + x * sigmoid(-x)),
    ranges: [
      ...half(1, 80, 5e-7),
      range(-0.5, -1e-30, 5e-7),
      range(-1.2, -0.5, 5e-7, 4e-6),
      range(-80, -1.35, 5e-7, 4e-6),
    ],
  },
  {
    name: "gelu",
    call: (x) => s.gelu(x),
    value: (x) => x * phi(x),
    slope: (x) => phi(x) + x * density(x),
    ranges: [...half(1, 40, 5e-7), range(-0.5, -1e-30, 5e-7, 8e-7), range(-2, -0.8, 1e-6, 2e-5), range(-12, -2, 2e-5)],
  },
  {
    name: "gelu, tanh form",
    call: (x) => s.gelu(x, { approximate: "tanh" }),
    value: (x) => x * sigmoid(inner(x)),
    slope: (x) => sigmoid(inner(x)) * (1 + x * sigmoid(-inner(x)) * innerSlope(x)),
    ranges: [...half(1, 40, 5e-7), range(-0.5, -1e-30, 5e-7, 8e-7), range(-2, -0.8, 1e-6, 2e-5), range(-9, -2, 2e-5)],
  },
  power(2, [range(1e-18, 1, 2e-7), range(1, 1e18, 2e-7), range(-1e18, -1e-18, 2e-7)]),
  power(3, [range(1e-12, 1e12, 2e-7, 3e-7), range(-1e12, -1e-12, 2e-7, 3e-7)]),
  power(0.5, [range(1e-30, 1e30, 2e-7, 3e-7)]),
  power(-0.5, [range(1e-20, 1e20, 2e-7, 3e-7)]),
  power(7.25, [range(1e-4, 1, 2e-7, 3e-7), range(1, 1e4, 2e-7, 3e-7)]),
  power(1000, [range(0.92, 0.9999, 2e-7, 3e-7), range(1.0001, 1.09, 2e-7, 3e-7)]),
  exponential(0.99, [range(1e-6, 1, 2e-7, 3e-7), range(1, 8000, 2e-7, 3e-7), range(-8000, -1, 2e-7, 3e-7)]),
  exponential(10, [range(1e-6, 37, 2e-7, 3e-7), range(-37, -1e-6, 2e-7, 3e-7)]),
];

/** `n` f32 arguments between two ends of one sign, geometrically spaced, each moved a little so that none is round. */
function argumentsOf({ from, to }: Range, n: number): Float32Array {
  const [a, b] = [Math.abs(from), Math.abs(to)].sort((p, q) => p - q) as [number, number];
  return Float32Array.from({ length: n }, (_, i) => {
    const share = (i + ((i * 0.6180339887) % 1)) / n;
    return Math.sign(from) * a * (b / a) ** share;
  });
}

/** Worst relative error, and the argument where it is; results below the normal numbers are left out. */
function worst(x: Float32Array, got: ArrayLike<number>, exact: (x: number) => number): [number, number] {
  let [error, at] = [0, 0];
  x.forEach((argument, i) => {
    const want = exact(argument);
    if (Math.abs(want) < 2 ** -126 || Math.abs(want) > 3.4e38) return;
    const own = Math.abs((got[i] as number) - want) / Math.abs(want);
    if (!(own <= error)) [error, at] = [own, argument];
  });
  return [error, at];
}

/** Measures one range at `n` arguments on the default device. */
export async function measureRange(one: Case, over: Range, n: number): Promise<Found> {
  const x = argumentsOf(over, n);
  const results = s.scope(() => {
    const leaf = s.tensor(x).requiresGrad();
    const y = one.call(leaf);
    s.backward(y, { gradient: s.ones([n]) });
    return [y.detach(), s.copy(leaf.grad)];
  });
  const [value, slope] = await s.read(results);
  for (const result of results) result.dispose();
  const [valueError, valueAt] = worst(x, value as Float32Array, one.value);
  const [slopeError, slopeAt] = worst(x, slope as Float32Array, one.slope);
  return { value: valueError, valueAt, slope: slopeError, slopeAt };
}

const short = (x: number): string => (Math.abs(x) < 1e-3 || Math.abs(x) >= 1e4 ? x.toExponential() : String(x));

/** The page: a line for each range. */
async function page(adapter: string): Promise<string> {
  const n = 20_000;
  const lines: string[] = [];
  for (const one of CASES) {
    for (const over of one.ranges) {
      const found = await measureRange(one, over, n);
      const text = (error: number, at: number, bound: number) =>
        `${error.toExponential(1)} at ${short(Number(at.toPrecision(4)))} | ${bound.toExponential(0)}`;
      lines.push(
        `| ${one.name} | ${short(over.from)} .. ${short(over.to)} | ${text(found.value, found.valueAt, over.value)} | ${text(found.slope, found.slopeAt, over.slope)} |`,
      );
    }
  }
  return `# Accuracy of elementary functions

Written by \`npm run accuracy\` on ${adapter}. Worst relative error against float64, at ${n.toLocaleString("en")} geometrically spaced f32 arguments a range; half a unit in
the last place of f32 is 6.0e-8. The functions are made of products and sums (kernels/shared/math.ts, kernels/shared/power.ts), so that a driver's own do
not matter; \`test/engine/accuracy.test.ts\` holds each to its bound. Exact values below 2^-126 and above 3.4e38 are left out. At zeros, infinities
and NaN: \`test/engine/nan.test.ts\`.

| function | x | value | bound | gradient | bound |
| --- | --- | --- | --- | --- | --- |
${lines.join("\n")}

Where bounds are wider: exp(-x^2) multiplies the rounding of x^2 by x^2, in gradients of erf and in the lower tails of gelu; the gradients of
silu and gelu are differences near their zeros (x = -1.28, -0.75).
`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const device = await s.createDevice();
  const { description, vendor } = device.info;
  const name = (description || vendor || "adapter")
    .replace(/\s*\(.*$/, "")
    .toLowerCase()
    .replace(/[^a-z0-9.]+/g, "-");
  const file = fileURLToPath(new URL(`./results/accuracy-${name}.md`, import.meta.url));
  writeFileSync(file, await page(description || vendor));
  console.log(`wrote ${file}`);
  device.dispose();
}
