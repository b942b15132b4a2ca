// Rows of what counts along an axis: order with ties, NaN and infinities, running sums over more than one round, every
// dtype.

import type { DType, Tensor } from "../../../engine/index.ts";
import * as s from "../../../engine/index.ts";
import { type OpCase, type OpRow, type Ref, ref } from "./row.ts";

const product = (shape: readonly number[]): number => shape.reduce((n, extent) => n * extent, 1);

/** Every line along an axis: indices into the flat array, in order. */
function lines(shape: readonly number[], axis: number): number[][] {
  const inner = product(shape.slice(axis + 1));
  const len = shape[axis] as number;
  return Array.from({ length: product(shape) / (len || 1) }, (_, line) => {
    const start = Math.floor(line / inner) * len * inner + (line % inner);
    return Array.from({ length: len }, (_, j) => start + j * inner);
  });
}

/** Places of the first `count` in order, as [outer, count, inner]; NaN is larger than all. */
function orderOf(x: Ref, axis: number, descending: boolean, count = x.shape[axis] as number): Ref {
  const shape = x.shape.with(axis, count);
  const out = new Float64Array(product(shape));
  const order = (a: number, b: number): number =>
    Number.isNaN(a) || Number.isNaN(b) ? Number(Number.isNaN(a)) - Number(Number.isNaN(b)) : a - b;
  const targets = lines(shape, axis);
  lines(x.shape, axis).forEach((line, l) => {
    const places = line.map((_, j) => j);
    const value = (j: number): number => x.data[line[j] as number] as number;
    places.sort((a, b) => (descending ? order(value(b), value(a)) : order(value(a), value(b))) || a - b);
    targets[l]?.forEach((at, r) => {
      out[at] = places[r] as number;
    });
  });
  return { shape, data: out };
}

function picked(x: Ref, index: Ref, axis: number): Ref {
  const own = lines(x.shape, axis);
  const out = new Float64Array(index.data.length);
  lines(index.shape, axis).forEach((line, l) => {
    for (const at of line) out[at] = x.data[own[l]?.[index.data[at] as number] as number] as number;
  });
  return { shape: index.shape, data: out };
}

const draws = (shape: readonly number[], dtype: DType) => ({ x: { shape, dtype, range: [-9, 9] as const } });

function ordered(shape: readonly number[], dim: number, descending: boolean, dtype: DType = "f32"): OpCase {
  const axis = dim < 0 ? dim + shape.length : dim;
  return {
    label: `${dtype}[${shape}] along ${dim}${descending ? ", descending" : ""}`,
    inputs: { x: { ...draws(shape, dtype).x, range: dtype === "u32" || dtype === "bool" ? [0, 4] : [-9, 9] } },
    call: ({ x }) => s.argsort(x as Tensor, { dim, descending }),
    oracle: ({ x }) => orderOf(x as Ref, axis, descending),
  };
}

const ODD = [3, Number.NaN, -1, Number.POSITIVE_INFINITY, 0, -0, Number.NEGATIVE_INFINITY, Number.NaN, 3, 1e-40];

const odd = (descending: boolean): OpCase => ({
  label: "NaN, infinities, zeros and ties",
  inputs: { x: { shape: [10], values: ODD } },
  call: ({ x }) => s.argsort(x as Tensor, { descending }),
  oracle: () => orderOf({ shape: [10], data: Float64Array.from(ODD) }, 0, descending),
});

function summed(shape: readonly number[], dim: number, dtype: DType = "f32"): OpCase {
  const axis = dim < 0 ? dim + shape.length : dim;
  return {
    label: `${dtype}[${shape}] along ${dim}`,
    inputs: draws(shape, dtype),
    call: ({ x }) => s.cumsum(x as Tensor, { dim }),
    oracle: (t) => {
      const x = t.x as Ref;
      const out = new Float64Array(x.data.length);
      for (const line of lines(shape, axis)) {
        let total = 0;
        for (const at of line) {
          total += x.data[at] as number;
          out[at] = total;
        }
      }
      return { shape, data: out };
    },
    grads: dtype === "f32" && product(shape) < 200 ? ["x"] : [],
    atol: 1e-3,
  };
}

export const rows: readonly OpRow[] = [
  {
    op: "argsort",
    live: "some",
    cases: [
      ...[0, 1, 31, 33, 257].map((n) => ordered([n], -1, n === 33)),
      ordered([3, 70, 5], 1, false),
      ordered([3, 70, 5], 0, true),
      ordered([2, 3, 65], -1, true),
      ...(["i32", "u32", "bool"] as const).map((dtype) => ordered([4, 40], 1, dtype === "u32", dtype)),
      odd(false),
      odd(true),
    ],
  },
  {
    op: "sort",
    live: "some",
    cases: (
      [
        [[5, 33], 1],
        [[33, 5], 0],
        [[2, 9, 4], -2],
      ] as const
    ).map(([shape, dim]) => ({
      inputs: { x: { shape } },
      call: ({ x }) => {
        const { values, indices } = s.sort(x as Tensor, { dim, descending: dim === 1 });
        return [values, indices];
      },
      oracle: (t) => {
        const axis = dim < 0 ? dim + shape.length : dim;
        const indices = orderOf(t.x as Ref, axis, dim === 1);
        return [picked(t.x as Ref, indices, axis), indices];
      },
      grads: ["x"],
    })),
  },
  {
    op: "topk",
    live: "some",
    cases: (
      [
        [[5, 33], 1, 5],
        [[33, 5], 0, 33],
        [[2, 9, 4], -2, 1],
        [[2, 9], 1, 0],
      ] as const
    ).map(([shape, dim, k]) => ({
      label: `${k} of [${shape}] along ${dim}`,
      inputs: { x: { shape } },
      call: ({ x }) => {
        const { values, indices } = s.topk(x as Tensor, k, { dim, largest: k !== 1 });
        return [values, indices];
      },
      oracle: (t) => {
        const axis = dim < 0 ? dim + shape.length : dim;
        const indices = orderOf(t.x as Ref, axis, k !== 1, k);
        return [picked(t.x as Ref, indices, axis), indices];
      },
      grads: k > 0 ? ["x"] : [],
    })),
  },
  {
    op: "cumsum",
    live: "some",
    cases: [
      ...[0, 1, 4, 31, 256, 257, 1000].map((n) => summed([n], 0)),
      summed([3, 30], 1),
      summed([3, 5, 4], 1),
      summed([70, 3], 0),
      summed([2, 300], -1, "i32"),
      {
        label: "bool",
        inputs: { x: { shape: [5, 40], dtype: "bool" } },
        call: ({ x }) => s.cumsum(x as Tensor),
        oracle: (t) => {
          const x = t.x as Ref;
          return ref(x.shape, (i) => x.data.slice(i - (i % 40), i + 1).reduce((sum, v) => sum + v, 0));
        },
      },
      {
        label: "an infinity does not reach back",
        inputs: { x: { shape: [3], values: [1, Number.POSITIVE_INFINITY, 2] } },
        call: ({ x }) => s.cumsum(x as Tensor),
        oracle: () => ref([3], (i) => (i === 0 ? 1 : Number.POSITIVE_INFINITY)),
      },
    ],
  },
];
