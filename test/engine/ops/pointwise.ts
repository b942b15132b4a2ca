// Rows of the pointwise ops: formulas in float64, broadcasting, kinks, promotion.

import type { Tensor } from "../../../engine/index.ts";
import * as s from "../../../engine/index.ts";
import { type Draw, type OpCase, type OpRow, type Ref, ref, SIZES } from "./row.ts";

type Range = readonly [number, number];

/** erf by its Taylor series, or by the continued fraction of erfc beyond 3. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a > 3) {
    let fraction = 0;
    for (let k = 60; k > 0; k--) fraction = k / 2 / (a + fraction);
    return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + fraction));
  }
  let [term, sum] = [x, x];
  for (let n = 1; n < 100; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

const phi = (x: number): number => 0.5 * (1 + erf(x / Math.SQRT2));
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

function unary(
  op: string,
  call: (x: Tensor) => Tensor,
  y: (x: number) => number,
  range: Range = [-2, 2],
  rest: Partial<OpCase> = {},
): OpRow {
  const one = (shape: readonly number[], grads: readonly string[]): OpCase => ({
    inputs: { x: { shape, range } },
    call: ({ x }) => call(x as Tensor),
    oracle: ({ x }) => ref((x as Ref).shape, (i) => y((x as Ref).data[i] as number)),
    grads,
    ...rest,
  });
  return { op, cases: [...SIZES.map((n) => one([n], [])), one([2, 3, 5], ["x"]), one([4, 8], ["x"]), one([], ["x"])] };
}

/** Index of an operand's element for an element of the broadcast result. */
function source(from: readonly number[], to: readonly number[], i: number): number {
  let [rest, index, step] = [i, 0, 1];
  for (let axis = to.length - 1; axis >= 0; axis--) {
    const coordinate = rest % (to[axis] as number);
    rest = Math.floor(rest / (to[axis] as number));
    const extent = from[axis - to.length + from.length] ?? 1;
    if (extent !== 1) index += coordinate * step;
    step *= extent;
  }
  return index;
}

const common = (a: readonly number[], b: readonly number[]): number[] => {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const [p, q] = [a[i - rank + a.length] ?? 1, b[i - rank + b.length] ?? 1];
    return p === 1 ? q : p;
  });
};

const PAIRS: readonly (readonly [readonly number[], readonly number[]])[] = [
  [[257], [257]],
  [[3, 4, 8], [8]],
  [
    [3, 4, 7],
    [4, 1],
  ],
  [
    [2, 1, 5],
    [3, 1],
  ],
  [[4, 4], []],
  [
    [1, 33],
    [32, 1],
  ],
  [
    [2, 1, 3, 1, 4],
    [1, 5, 1, 2, 4],
  ],
  [[0, 3], [3]],
];

function binary(
  op: string,
  call: (a: Tensor, b: Tensor) => Tensor,
  y: (a: number, b: number) => number,
  draws: readonly [Partial<Draw>, Partial<Draw>] = [{}, {}],
  hasGrads = true,
): OpRow {
  const one = (a: Draw, b: Draw, grads: readonly string[]): OpCase => ({
    inputs: { a, b },
    call: (t) => call(t.a as Tensor, t.b as Tensor),
    oracle: (t) => {
      const [p, q] = [t.a as Ref, t.b as Ref];
      const shape = common(p.shape, q.shape);
      return ref(shape, (i) =>
        y(p.data[source(p.shape, shape, i)] as number, q.data[source(q.shape, shape, i)] as number),
      );
    },
    grads,
  });
  return {
    op,
    cases: PAIRS.map(([a, b], i) =>
      one({ shape: a, ...draws[0] }, { shape: b, ...draws[1] }, hasGrads && i > 0 && i < 7 ? ["a", "b"] : []),
    ),
  };
}

const compare = (op: "eq" | "ne" | "lt" | "le" | "gt" | "ge", y: (a: number, b: number) => boolean): OpRow =>
  binary(
    op,
    (a, b) => s[op](a, b),
    (a, b) => Number(y(a, b)),
    [
      { dtype: "i32", range: [0, 3] },
      { dtype: "i32", range: [0, 3] },
    ],
    false,
  );

const hardsigmoid = (x: number): number => Math.min(Math.max(x / 6 + 0.5, 0), 1);

const even = (x: number): number => {
  const down = Math.floor(x);
  return x - down === 0.5 ? 2 * Math.round(x / 2) : Math.round(x);
};

/** Those of elementary.ts; that steps have a derivative of 0 stands in nan.test.ts. */
const elementary: readonly OpRow[] = [
  unary("floor", s.floor, Math.floor, [-9, 9], { grads: [] }),
  unary("ceil", s.ceil, Math.ceil, [-9, 9], { grads: [] }),
  unary("round", s.round, even, [-9, 9], { grads: [] }),
  unary("trunc", s.trunc, Math.trunc, [-9, 9], { grads: [] }),
  unary("sign", s.sign, Math.sign, [-2, 2], { grads: [] }),
  unary("log1p", s.log1p, Math.log1p, [-0.9, 4]),
  unary("expm1", s.expm1, Math.expm1, [-3, 3]),
  unary("sin", s.sin, Math.sin, [-9, 9]),
  unary("cos", s.cos, Math.cos, [-9, 9]),
  binary("atan2", s.atan2, Math.atan2, [{}, { range: [0.5, 3] }]),
  // Their true answers stand in nan.test.ts.
  unary("isnan", s.isnan, () => 0, [-2, 2], { grads: [] }),
  unary("isinf", s.isinf, () => 0, [-2, 2], { grads: [] }),
  unary("isfinite", s.isfinite, () => 1, [-2, 2], { grads: [] }),
];

export const rows: readonly OpRow[] = [
  unary("neg", s.neg, (x) => -x),
  unary("abs", s.abs, Math.abs),
  unary("square", s.square, (x) => x * x),
  unary("exp", s.exp, Math.exp, [-3, 3]),
  unary("log", s.log, Math.log, [0.1, 4]),
  unary("sqrt", s.sqrt, Math.sqrt, [0.1, 4]),
  unary("rsqrt", s.rsqrt, (x) => 1 / Math.sqrt(x), [0.2, 4]),
  unary("relu", s.relu, (x) => Math.max(x, 0)),
  unary("sigmoid", s.sigmoid, sigmoid, [-9, 9]),
  unary("tanh", s.tanh, Math.tanh, [-5, 5]),
  unary("silu", s.silu, (x) => x * sigmoid(x), [-6, 6]),
  unary("softplus", s.softplus, (x) => Math.log1p(Math.exp(x)), [-6, 6]),
  // Away from the kinks at -3 and 3.
  unary("hardsigmoid", s.hardsigmoid, hardsigmoid, [-2.9, 2.9]),
  unary("hardswish", s.hardswish, (x) => x * hardsigmoid(x), [-2.9, 2.9]),
  unary("erf", s.erf, erf, [-4, 4]),
  unary("copy", s.copy, (x) => x),
  ...elementary,
  {
    op: "gelu",
    cases: [
      ...unary(
        "gelu",
        (x) => s.gelu(x),
        (x) => x * phi(x),
        [-4, 4],
      ).cases,
      ...unary(
        "gelu",
        (x) => s.gelu(x, { approximate: "tanh" }),
        (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
        [-4, 4],
      ).cases,
    ],
  },
  unary(
    "leakyRelu",
    (x) => s.leakyRelu(x, { negativeSlope: 0.2 }),
    (x) => (x > 0 ? x : 0.2 * x),
  ),
  {
    op: "clamp",
    cases: [
      ...unary(
        "clamp",
        (x) => s.clamp(x, { min: -1, max: 0.5 }),
        (x) => Math.min(Math.max(x, -1), 0.5),
      ).cases,
      ...unary(
        "clamp",
        (x) => s.clamp(x, { min: 0.25 }),
        (x) => Math.max(x, 0.25),
      ).cases.slice(-2),
      ...unary(
        "clamp",
        (x) => s.clamp(x, { max: 0.25 }),
        (x) => Math.min(x, 0.25),
      ).cases.slice(-2),
      ...unary(
        "clamp",
        (x) => s.clamp(x),
        (x) => x,
      ).cases.slice(-2),
    ],
  },
  binary("add", s.add, (a, b) => a + b),
  binary("sub", s.sub, (a, b) => a - b),
  binary("mul", s.mul, (a, b) => a * b),
  binary("div", s.div, (a, b) => a / b, [{}, { range: [0.5, 3] }]),
  binary("maximum", s.maximum, Math.max),
  binary("minimum", s.minimum, Math.min),
  {
    op: "pow",
    cases: [
      ...binary("pow", s.pow, (a, b) => a ** b, [{ range: [0.2, 3] }, {}]).cases,
      ...[-3, -1, 0, 1, 2, 3, 6, 11].flatMap((n) =>
        unary(
          "pow",
          (x) => s.pow(x, n),
          (x) => x ** n,
          [-1.5, -0.5],
        ).cases.slice(-2),
      ),
      ...[0.5, -0.5, 1.7].flatMap((n) =>
        unary(
          "pow",
          (x) => s.pow(x, n),
          (x) => x ** n,
          [0.3, 3],
        ).cases.slice(-2),
      ),
    ],
  },
  compare("eq", (a, b) => a === b),
  compare("ne", (a, b) => a !== b),
  compare("lt", (a, b) => a < b),
  compare("le", (a, b) => a <= b),
  compare("gt", (a, b) => a > b),
  compare("ge", (a, b) => a >= b),
  {
    op: "where",
    cases: [
      {
        inputs: { c: { shape: [3, 1], dtype: "bool", range: [0, 2] }, a: { shape: [4] }, b: { shape: [2, 3, 4] } },
        call: ({ c, a, b }) => s.where(c as Tensor, a as Tensor, b as Tensor),
        oracle: ({ c, a, b }) => {
          const shape = [2, 3, 4];
          const at = (x: Ref, i: number) => x.data[source(x.shape, shape, i)] as number;
          return ref(shape, (i) => (at(c as Ref, i) ? at(a as Ref, i) : at(b as Ref, i)));
        },
        grads: ["a", "b"],
      },
    ],
  },
  {
    op: "cast",
    live: "rows",
    cases: (["i32", "u32", "bool", "f32"] as const).map((dtype) => ({
      label: dtype,
      inputs: { x: { shape: [3, 5], range: [0, 3] } },
      call: ({ x }) => s.cast(x as Tensor, dtype),
      oracle: ({ x }) =>
        ref([3, 5], (i) =>
          dtype === "f32"
            ? ((x as Ref).data[i] as number)
            : dtype === "bool"
              ? Number((x as Ref).data[i] !== 0)
              : Math.trunc((x as Ref).data[i] as number),
        ),
    })),
  },
  ...(["reshape", "unsqueeze", "squeeze", "flattenAxes"] as const).map((op): OpRow => {
    const calls = {
      reshape: { call: (x: Tensor) => s.reshape(x, [3, -1]), shape: [3, 2] },
      unsqueeze: { call: (x: Tensor) => s.unsqueeze(x, -1), shape: [2, 1, 3, 1] },
      squeeze: { call: (x: Tensor) => s.squeeze(x, 1), shape: [2, 3] },
      flattenAxes: { call: (x: Tensor) => s.flattenAxes(x, 1), shape: [2, 3] },
    } as const;
    const { call, shape } = calls[op];
    return {
      op,
      live: "rows",
      cases: [
        {
          inputs: { x: { shape: [2, 1, 3] } },
          call: ({ x }) => call(x as Tensor),
          oracle: ({ x }) => ref(shape, (i) => (x as Ref).data[i] as number),
          grads: ["x"],
        },
      ],
    };
  }),
  {
    op: "scaleGradient",
    live: "rows",
    // The gradient is no derivative, so that it is an output of the case.
    cases: [-0.25, 0, 3].map((factor) => ({
      label: `by ${factor}`,
      inputs: { x: { shape: [2, 3] }, g: { shape: [2, 3] } },
      call: ({ x, g }) => {
        const leaf = (x as Tensor).detach().requiresGrad();
        const y = s.scaleGradient(leaf, factor);
        s.backward(y, { gradient: g as Tensor });
        return [y, s.copy(leaf.grad)];
      },
      oracle: ({ x, g }) => [x as Ref, ref([2, 3], (i) => factor * ((g as Ref).data[i] as number))],
    })),
  },
  ...(["full", "zeros", "ones", "zerosLike", "onesLike"] as const).map((op): OpRow => {
    const value = op === "full" ? 2.5 : op.startsWith("ones") ? 1 : 0;
    const make = (x: Tensor) =>
      op === "full" ? s.full(x.shape, 2.5) : op === "zeros" || op === "ones" ? s[op](x.shape) : s[op](x);
    return {
      op,
      live: "rows",
      cases: SIZES.map((n) => ({
        inputs: { x: { shape: [n] } },
        call: ({ x }) => make(x as Tensor),
        oracle: () => ref([n], () => value),
      })),
    };
  }),
  {
    op: "arange",
    live: "no operand",
    cases: [
      { label: "2..9 by 3", inputs: {}, call: () => s.arange(2, 9, 3), oracle: () => ref([3], (i) => 2 + 3 * i) },
    ],
  },
  {
    op: "eye",
    live: "no operand",
    cases: [{ label: "3", inputs: {}, call: () => s.eye(3), oracle: () => ref([3, 3], (i) => Number(i % 4 === 0)) }],
  },
];
