// Rows of the reductions: any axes, empty and single extents, ties, NaN and infinities, against sums written out.

import type { Tensor } from "../../../engine/index.ts";
import * as s from "../../../engine/index.ts";
import { type Draw, type OpCase, type OpRow, type Ref, ref, SIZES } from "./row.ts";

type Lines = (line: readonly number[]) => number;

/** Reduces by gathering, for each element of the result, the line of elements that meet in it. */
function reduced(x: Ref, axes: readonly number[], keepdim: boolean, of: Lines): Ref {
  const isReduced = (axis: number) => axes.includes(axis);
  const lines = new Map<number, number[]>();
  const kept = x.shape.map((extent, axis) => (isReduced(axis) ? 1 : extent));
  const size = kept.reduce((n, extent) => n * extent, 1);
  for (let i = 0; i < size; i++) lines.set(i, []);
  x.data.forEach((value, i) => {
    let [rest, at, step] = [i, 0, 1];
    for (let axis = x.shape.length - 1; axis >= 0; axis--) {
      const extent = x.shape[axis] as number;
      if (!isReduced(axis)) {
        at += (rest % extent) * step;
        step *= extent;
      }
      rest = Math.floor(rest / extent);
    }
    (lines.get(at) as number[]).push(value);
  });
  const shape = keepdim ? kept : x.shape.filter((_, axis) => !isReduced(axis));
  return ref(shape, (i) => of(lines.get(i) as number[]));
}

const total = (line: readonly number[]): number => line.reduce((a, b) => a + b, 0);
const average = (line: readonly number[]): number => total(line) / line.length;
const largest = (line: readonly number[]): number =>
  line.some(Number.isNaN) ? Number.NaN : line.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
const smallest = (line: readonly number[]): number => -largest(line.map((value) => -value));
const spread =
  (correction: number) =>
  (line: readonly number[]): number => {
    const center = average(line);
    const divisor = Math.max(0, line.length - correction);
    return total(line.map((value) => (value - center) ** 2)) / divisor;
  };
const logOfSum = (line: readonly number[]): number => {
  const top = largest(line);
  return Number.isFinite(top) ? top + Math.log(total(line.map((value) => Math.exp(value - top)))) : top;
};
const firstOf =
  (best: Lines) =>
  (line: readonly number[]): number => {
    const value = best(line);
    return line.findIndex((other) => Object.is(other, value) || other === value);
  };

type Options = s.ReduceOptions & { readonly unbiased?: boolean };

const axesOf = ({ dim = null }: Options, rank: number): number[] => {
  const list = dim === null ? Array.from({ length: rank }, (_, i) => i) : typeof dim === "number" ? [dim] : [...dim];
  return list.map((axis) => (axis < 0 ? axis + rank : axis));
};

/** Shapes and axes that take every route: one line, many, columns, scattered axes, axes of extent 1, few long lines. */
const CASES: readonly (readonly [readonly number[], Options, boolean])[] = [
  [[], {}, true],
  [[7], { keepdim: true }, true],
  [[3, 5], { dim: -1 }, true],
  [[5, 4], { dim: [0] }, true],
  [[2, 3, 4], { dim: [0, 2], keepdim: true }, true],
  [[2, 3, 4, 5], { dim: [-1, 1] }, true],
  [[3, 1, 4], { dim: 1 }, false],
  [[1, 6, 1], { dim: [0, 2] }, false],
  [[2, 3, 2, 3, 2, 3], { dim: [0, 2, 4] }, false],
  [[3, 0], { dim: 0 }, false],
  [[33, 257], { dim: 1 }, false],
  [[257, 33], { dim: 0, keepdim: true }, false],
  [[2, 20000], { dim: 1 }, false],
  [[3000, 8], { dim: 0 }, false],
];

function row(
  op: string,
  call: (x: Tensor, options: Options) => Tensor,
  of: Lines,
  rest: Partial<OpCase> = {},
  extra: readonly OpCase[] = [],
): OpRow {
  const one = (x: Draw, options: Options, hasGrads: boolean): OpCase => ({
    label: `${JSON.stringify(x.shape)} over ${JSON.stringify(options)}`,
    inputs: { x },
    call: (t) => call(t.x as Tensor, options),
    oracle: (t) => reduced(t.x as Ref, axesOf(options, x.shape.length), options.keepdim ?? false, of),
    grads: hasGrads ? ["x"] : [],
    ...rest,
  });
  // The unbiased variance of a scalar is NaN, and so are its differences.
  const differs = (shape: readonly number[]) => op !== "variance" || shape.length > 0;
  const sizes = SIZES.filter((n) => n > 0).map((n) => one({ shape: [n] }, {}, false));
  return {
    op,
    live: "some",
    cases: [
      ...sizes,
      ...CASES.map(([shape, options, hasGrads]) => one({ shape }, options, hasGrads && differs(shape))),
      ...extra,
    ],
  };
}

/** A case with exact values along one axis. */
function exact(label: string, call: (x: Tensor) => Tensor, values: readonly number[], want: number): OpCase {
  return {
    label,
    inputs: { x: { shape: [values.length], values } },
    call: (t) => call(t.x as Tensor),
    oracle: () => ref([], () => want),
  };
}

const { NaN: nan, POSITIVE_INFINITY: inf } = Number;

const EXTREMES = { max: s.max, min: s.min } as const;
const SEARCHES = { argmax: s.argmax, argmin: s.argmin } as const;

/** Two entries tie in the first row, all three in the second. */
const tied = (op: "max" | "min", sign: number): OpCase => ({
  label: "ties share the gradient",
  inputs: { x: { shape: [2, 3], values: [1, 4, 4, 2, 2, 2].map((value) => sign * value) } },
  call: ({ x }) => {
    const leaf = (x as Tensor).detach().requiresGrad();
    s.backward(s.sum(EXTREMES[op](leaf, { dim: 1 })));
    return s.copy(leaf.grad);
  },
  oracle: () => ref([2, 3], (i) => [0, 0.5, 0.5, 1 / 3, 1 / 3, 1 / 3][i] as number),
});

function argRow(op: "argmax" | "argmin", best: Lines): OpRow {
  const one = (x: Draw, dim: number | null, keepdim: boolean): OpCase => ({
    label: `${JSON.stringify(x.shape)} along ${dim}`,
    inputs: { x },
    call: (t) => SEARCHES[op](t.x as Tensor, { dim, keepdim }),
    oracle: (t) => reduced(t.x as Ref, axesOf({ dim: dim }, x.shape.length), keepdim, firstOf(best)),
  });
  return {
    op,
    live: "some",
    cases: [
      ...SIZES.filter((n) => n > 0).map((n) => one({ shape: [n] }, null, false)),
      one({ shape: [3, 5] }, -1, true),
      one({ shape: [3, 50], dtype: "i32", range: [-3, 3] }, 1, false),
      one({ shape: [40, 3], dtype: "u32", range: [0, 4] }, 0, false),
      one({ shape: [2, 257, 4] }, 1, false),
      one({ shape: [30000], dtype: "i32", range: [0, 9] }, null, false),
      exact("the first NaN wins", (x) => SEARCHES[op](x), [1, nan, -5, nan, 9], 1),
      exact("both zeros tie", (x) => SEARCHES[op](x), [-0, 0, -0], 0),
      exact("infinities", (x) => SEARCHES[op](x), op === "argmax" ? [-inf, 3, inf, inf] : [inf, 3, -inf, -inf], 2),
    ],
  };
}

const sumOf = (x: Tensor, options: Options) => s.sum(x, options);

export const rows: readonly OpRow[] = [
  row("sum", sumOf, total, { rtol: 1e-5, atol: 1e-4 }, [
    exact("empty", (x) => s.sum(x), [], 0),
    {
      label: "integers wrap",
      inputs: { x: { shape: [5], dtype: "i32", values: [-2147483648, 3, 0, 4, -2147483648] } },
      call: ({ x }) => s.sum(x as Tensor),
      oracle: () => ref([], () => 7),
    },
    {
      label: "bools count",
      inputs: { x: { shape: [4], dtype: "bool", values: [1, 0, 1, 1] } },
      call: ({ x }) => s.sum(x as Tensor),
      oracle: () => ref([], () => 3),
    },
  ]),
  row("mean", (x, options) => s.mean(x, options), average, {}, [exact("empty", (x) => s.mean(x), [], nan)]),
  row("max", (x, options) => s.max(x, options), largest, {}, [
    exact("NaN wins", (x) => s.max(x), [1, nan, inf], nan),
    exact("nothing but -inf", (x) => s.max(x), [-inf, -inf], -inf),
    tied("max", 1),
  ]),
  row("min", (x, options) => s.min(x, options), smallest, {}, [
    exact("NaN wins", (x) => s.min(x), [1, nan, -inf], nan),
    exact("integers", (x) => s.min(s.cast(x, "i32")), [4, -7, 3], -7),
    tied("min", -1),
  ]),
  row("variance", (x, options) => s.variance(x, options), spread(1), {}, [
    ...row("variance", (x, options) => s.variance(x, { ...options, unbiased: false }), spread(0)).cases.slice(6, 12),
    exact("one element, unbiased", (x) => s.variance(x), [3], nan),
    {
      label: "a large mean does not swallow a small variance",
      inputs: { x: { shape: [4096], range: [999.5, 1000.5] } },
      call: ({ x }) => s.variance(x as Tensor),
      oracle: ({ x }) => ref([], () => spread(1)(Array.from((x as Ref).data))),
      rtol: 1e-4,
    },
  ]),
  row("logsumexp", (x, options) => s.logsumexp(x, options), logOfSum, {}, [
    exact("nothing but -inf", (x) => s.logsumexp(x), [-inf, -inf, -inf], -inf),
    exact("+inf", (x) => s.logsumexp(x), [1, inf, -inf, inf], inf),
    exact("NaN", (x) => s.logsumexp(x), [1, nan, inf], nan),
    exact("no overflow", (x) => s.logsumexp(x), [1000, 1000], 1000 + Math.log(2)),
    exact("empty", (x) => s.logsumexp(x), [], -inf),
  ]),
  argRow("argmax", largest),
  argRow("argmin", smallest),
  {
    op: "sumTo",
    live: "some",
    cases: ([[], [4], [3, 1], [1, 1, 1], [2, 3, 4]] as const).map((shape) => ({
      label: JSON.stringify(shape),
      inputs: { x: { shape: [2, 3, 4] } },
      call: ({ x }) => s.sumTo(x as Tensor, shape),
      oracle: ({ x }) => {
        const axes = [0, 1, 2].filter((axis) => (shape[axis - 3 + shape.length] ?? 1) === 1);
        return { ...reduced(x as Ref, axes, false, total), shape };
      },
    })),
  },
];
