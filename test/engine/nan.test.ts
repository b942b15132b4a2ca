// NaN, infinities and zeros through the op table, by IEEE 754 and PyTorch, whatever a driver's compiler assumes of
// them: elements and gradients of pointwise ops, comparisons, reductions, pools, softmax, fused activations.

import * as s from "../../engine/index.ts";
import { type Tensor, tensor } from "../../engine/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";

const NAN = Number.NaN;
const INF = Number.POSITIVE_INFINITY;
const ODD = [NAN, INF, -INF, 0, -0, 1, -1, 0.5, -2.5, 30, -30, 1e-30, -1e-30, 3e38, -3e38] as const;

/** WGSL lets results below the normal numbers become 0. */
const LEAST = 2 ** -126;

const isClose = (got: number, want: number, rtol = 2e-6): boolean =>
  got === want || (Number.isNaN(got) && Number.isNaN(want)) || Math.abs(got - want) <= rtol * Math.abs(want) + LEAST;

/** Throws unless `y` holds `want`, element by element; `about` names an element. */
async function holds(y: Tensor, want: readonly number[], label: string, about: (i: number) => unknown = (i) => i) {
  const got = await y.read();
  assert.is(got.length, want.length, label);
  want.forEach((w, i) => {
    if (!isClose(got[i] as number, w)) throw new Error(`${label} of ${about(i)}: got ${got[i]}, want ${w}`);
  });
}

/** `list` over and over, up to n. */
const repeated = (list: readonly number[], n: number): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => list[i % list.length] as number);

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** Of one operand: the op, its value, and the derivative where PyTorch defines it. */
const UNARY: readonly (readonly [string, (x: Tensor) => Tensor, (x: number) => number, ((x: number) => number)?])[] = [
  ["neg", s.neg, (x) => -x, () => -1],
  ["abs", s.abs, Math.abs, (x) => (x > 0 ? 1 : x < 0 ? -1 : 0)],
  ["square", s.square, (x) => Math.fround(x * x)],
  ["exp", s.exp, (x) => Math.fround(Math.exp(x)), (x) => Math.fround(Math.exp(x))],
  ["log", s.log, Math.log],
  ["sqrt", s.sqrt, (x) => (Object.is(x, -0) ? 0 : Math.sqrt(x))],
  ["relu", s.relu, (x) => Math.max(x, 0), (x) => (x <= 0 ? 0 : 1)],
  ["sigmoid", s.sigmoid, sigmoid],
  ["tanh", s.tanh, Math.tanh],
  ["softplus", s.softplus, (x) => (x > 30 ? x : Math.log1p(Math.exp(x))), sigmoid],
  ["silu", s.silu, (x) => x / (1 + Math.exp(-x))],
  [
    "hardsigmoid",
    s.hardsigmoid,
    (x) => Math.fround(Math.min(Math.max(Math.fround(x + 3), 0), 6) / 6),
    (x) => (Math.abs(x) < 3 ? 1 / 6 : 0),
  ],
  [
    "hardswish",
    s.hardswish,
    (x) => x * Math.fround(Math.min(Math.max(Math.fround(x + 3), 0), 6) / 6),
    (x) => (x < -3 ? 0 : x <= 3 ? x / 3 + 0.5 : x > 3 ? 1 : NAN),
  ],
  ["erf", s.erf, (x) => (Math.abs(x) > 5 ? Math.sign(x) : x === 0 || Number.isNaN(x) ? x : NAN)],
  [
    "gelu",
    (x) => s.gelu(x),
    (x) => (x > 6 ? x : x < -20 ? (x === -INF ? NAN : -0) : x === 0 || Number.isNaN(x) ? x : NAN),
  ],
  ["leakyRelu", (x) => s.leakyRelu(x), (x) => (x > 0 ? x : Math.fround(0.01) * x), (x) => (x > 0 ? 1 : 0.01)],
  ["copy", s.copy, (x) => x, () => 1],
  ["floor", s.floor, Math.floor, () => 0],
  ["ceil", s.ceil, Math.ceil, () => 0],
  ["round", s.round, (x) => (x === -2.5 ? -2 : x === 0.5 ? 0 : Math.round(x)), () => 0],
  ["trunc", s.trunc, Math.trunc, () => 0],
  ["sign", s.sign, Math.sign, () => 0],
  ["isnan", s.isnan, (x) => +Number.isNaN(x)],
  ["isinf", s.isinf, (x) => +(Math.abs(x) === INF)],
  ["isfinite", s.isfinite, (x) => +Number.isFinite(x)],
  ["log1p", s.log1p, Math.log1p],
  ["expm1", s.expm1, Math.expm1],
  ["sin", s.sin, Math.sin, Math.cos],
  ["cos", s.cos, Math.cos],
  ["clamp", (x) => s.clamp(x, { min: -1, max: 2 }), (x) => Math.min(Math.max(x, -1), 2), (x) => +(x >= -1 && x <= 2)],
  ["clamp below", (x) => s.clamp(x, { min: -1 }), (x) => Math.max(x, -1), (x) => +(x >= -1)],
  ["clamp above", (x) => s.clamp(x, { max: 2 }), (x) => Math.min(x, 2), (x) => +(x <= 2)],
  ["clamp to NaN", (x) => s.clamp(x, { min: NAN, max: 2 }), () => NAN],
  ["clamp to infinity", (x) => s.clamp(x, { min: -INF, max: INF }), (x) => x],
];

const test = gpuSuite("NaN and infinities", { timeout: 120_000 });
for (const [op, call, value, slope] of UNARY) {
  test(op, async () => {
    // Where a formula is not elementary, elements between its ends are left to the op table.
    const known = ODD.filter((x) => Number.isNaN(x) || x === 0 || !Number.isNaN(value(x)) || !/erf|gelu/.test(op));
    for (const n of [256, 257]) {
      const x = repeated(known, n);
      await holds(call(tensor(x)), Array.from(x, value), op, (i) => x[i]);
      if (!slope) continue;
      const leaf = tensor(x).requiresGrad();
      s.backward(call(leaf), { gradient: s.ones([n]) });
      await holds(leaf.grad, Array.from(x, slope), `gradient of ${op}`, (i) => x[i]);
    }
  });
}

/** C's pow: unlike JavaScript's, 1 to any power and -1 to an infinite one are 1. */
const power = (a: number, b: number): number => (a === 1 || (a === -1 && Math.abs(b) === INF) ? 1 : a ** b);
const BINARY: readonly (readonly [string, (a: Tensor, b: Tensor) => Tensor, (a: number, b: number) => number])[] = [
  ["add", s.add, (a, b) => a + b],
  ["sub", s.sub, (a, b) => a - b],
  ["mul", s.mul, (a, b) => a * b],
  ["div", s.div, (a, b) => a / b],
  ["maximum", s.maximum, Math.max],
  ["minimum", s.minimum, Math.min],
  ["pow", s.pow, power],
  ["eq", s.eq, (a, b) => +(a === b)],
  ["ne", s.ne, (a, b) => +(a !== b)],
  ["lt", s.lt, (a, b) => +(a < b)],
  ["le", s.le, (a, b) => +(a <= b)],
  ["gt", s.gt, (a, b) => +(a > b)],
  ["ge", s.ge, (a, b) => +(a >= b)],
];
for (const [op, call, value] of BINARY) {
  test(op, async () => {
    for (const n of [ODD.length ** 2, ODD.length ** 2 + 3]) {
      const a = Float32Array.from({ length: n }, (_, i) => ODD[i % ODD.length]!);
      const b = Float32Array.from({ length: n }, (_, i) => ODD[Math.floor(i / ODD.length) % ODD.length]!);
      const want = Array.from(a, (x, i) => Math.fround(value(x, b[i]!)));
      await holds(call(tensor(a), tensor(b)), want, op, (i) => `${a[i]}, ${b[i]}`);
    }
  });
}

test("the choices of where, NaN by ne(x, x), the truth of NaN, gradients of maximum", async () => {
  const x = repeated([NAN, 1, NAN, 2, -0], 260);
  const t = tensor(x);
  await holds(
    s.where(s.ne(t, t), 0, t),
    Array.from(x, (v) => (Number.isNaN(v) ? 0 : v)),
    "where(ne(x, x), 0, x)",
  );
  await holds(s.where(s.eq(t, t), t, NAN), Array.from(x), "where(eq(x, x), x, NaN)");
  await holds(
    s.cast(t, "bool"),
    Array.from(x, (v) => (v === 0 ? 0 : 1)),
    "cast to bool",
  );
  await holds(s.full([5], -INF), [-INF, -INF, -INF, -INF, -INF], "full(-inf)");
  const [a, b] = [tensor([NAN, 1, 2, 2]).requiresGrad(), tensor([1, NAN, 2, 3]).requiresGrad()];
  s.backward(s.maximum(a, b), { gradient: s.ones([4]) });
  await holds(a.grad, [1, 1, 0.5, 0], "gradient of maximum by a");
  await holds(b.grad, [1, 1, 0.5, 1], "gradient of maximum by b");
});

/** Lines of `n` elements between -1 and 1, with odd ones put into some places. */
function lines(n: number): number[][] {
  const line = (odd: readonly (readonly [number, number])[]): number[] => {
    const values = Array.from({ length: n }, (_, i) => Math.fround(Math.sin(i * 7.3)));
    for (const [at, value] of odd) values[at] = value;
    return values;
  };
  const [middle, last] = [Math.floor(n / 2), n - 1];
  return [
    line([]),
    line([[0, NAN]]),
    line([[middle, NAN]]),
    line([[last, NAN]]),
    line([[middle, INF]]),
    line([[last, -INF]]),
    line([
      [0, INF],
      [last, -INF],
    ]),
    line([
      [0, NAN],
      [1, INF],
      [last, NAN],
    ]),
    new Array<number>(n).fill(-INF),
    new Array<number>(n).fill(NAN),
  ];
}

const find = (line: readonly number[], best: number): number =>
  line.some(Number.isNaN) ? line.findIndex(Number.isNaN) : line.indexOf(best);
const REDUCTIONS: readonly (readonly [
  string,
  (x: Tensor, dim: number) => Tensor,
  (line: readonly number[]) => number,
])[] = [
  ["max", (x, dim) => s.max(x, { dim }), (line) => Math.max(...line)],
  ["min", (x, dim) => s.min(x, { dim }), (line) => Math.min(...line)],
  ["argmax", (x, dim) => s.argmax(x, { dim }), (line) => find(line, Math.max(...line))],
  ["argmin", (x, dim) => s.argmin(x, { dim }), (line) => find(line, Math.min(...line))],
  ["sum", (x, dim) => s.sum(x, { dim }), (line) => line.reduce((a, b) => a + b, 0)],
  ["mean", (x, dim) => s.mean(x, { dim }), (line) => line.reduce((a, b) => a + b, 0) / line.length],
  [
    "logsumexp",
    (x, dim) => s.logsumexp(x, { dim }),
    (line) =>
      line.every((x) => x === -INF)
        ? -INF
        : line.includes(INF) && !line.some(Number.isNaN)
          ? INF
          : Math.log(line.reduce((a, b) => a + Math.exp(b), 0)),
  ],
];
for (const [op, call, value] of REDUCTIONS) {
  test(`${op} along rows and columns`, async () => {
    for (const n of [5, 300, 4100]) {
      const rows = lines(n);
      const x = tensor(Float32Array.from(rows.flat()), { shape: [rows.length, n] });
      const want = rows.map(value);
      const check = async (y: Tensor, label: string) => {
        const got = await y.read();
        want.forEach((w, i) => {
          const isRight =
            isClose(got[i] as number, w) || Math.abs((got[i] as number) - w) < 1e-4 * Math.max(1, Math.abs(w));
          if (!isRight) throw new Error(`${label} of ${n}, line ${i}: got ${got[i]}, want ${w}`);
        });
      };
      await check(call(x, 1), op);
      await check(call(s.permute(x, [1, 0]), 0), `${op} of columns`);
    }
  });
}

test("softmax and logSoftmax: a line with NaN or infinity is NaN, minus infinity weighs nothing", async () => {
  for (const n of [5, 300]) {
    const rows = lines(n);
    const x = tensor(Float32Array.from(rows.flat()), { shape: [rows.length, n] });
    for (const y of [s.softmax(x), s.permute(s.softmax(s.permute(x, [1, 0]), { dim: 0 }), [1, 0])]) {
      const got = await y.read();
      rows.forEach((row, i) => {
        const isOdd = row.some((v) => Number.isNaN(v) || v === INF) || row.every((v) => v === -INF);
        const own = Array.from(got.subarray(i * n, (i + 1) * n));
        if (isOdd) assert.ok(own.every(Number.isNaN), `line ${i} of ${n} is ${own.slice(0, 5)}`);
        else {
          assert.ok(
            isClose(
              own.reduce((a, b) => a + b, 0),
              1,
              1e-5,
            ),
            `line ${i} of ${n} sums to 1`,
          );
          for (const [k, v] of row.entries()) if (v === -INF) assert.is(own[k], 0);
        }
      });
    }
  }
});

test("maxPool2d: NaN wins wherever it stands in the window", async () => {
  for (const channels of [1, 4]) {
    const windows = lines(9);
    const data = Float32Array.from({ length: windows.length * 9 * channels }, (_, i) => {
      const cell = Math.floor(i / channels) % 9;
      return windows[Math.floor(i / channels / 9)]![cell] as number;
    });
    const x = tensor(data, { shape: [windows.length, 3, 3, channels] }).requiresGrad();
    const y = s.maxPool2d(x, { kernel: 3 });
    await holds(
      y,
      windows.flatMap((w) => new Array<number>(channels).fill(Math.max(...w))),
      "maxPool2d",
    );
    s.backward(s.sum(s.where(s.eq(y, y), y, 1)));
    const dx = await x.grad.read();
    const hit = find(windows[4]!, INF);
    assert.is(dx[(4 * 9 + hit) * channels], 1);
  }
});
