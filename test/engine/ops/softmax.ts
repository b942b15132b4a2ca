// Rows of softmax and logSoftmax: every axis, widths around vector multiples, extremes as in PyTorch.

import type { Tensor } from "../../../engine/index.ts";
import * as s from "../../../engine/index.ts";
import { type OpCase, type OpRow, type Ref, ref, SIZES } from "./row.ts";

/** Softmax of each line of [outer, len, inner] along the middle, in float64. */
export function softmaxLines(
  { data }: Ref,
  [outer, len, inner]: readonly [number, number, number],
  log: boolean,
): Float64Array {
  const y = new Float64Array(data.length);
  for (let line = 0; line < outer * inner; line++) {
    const at = (j: number) => (Math.floor(line / inner) * len + j) * inner + (line % inner);
    const x = Array.from({ length: len }, (_, j) => data[at(j)] as number);
    const top = x.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    const total = x.reduce((sum, v) => sum + Math.exp(v - top), 0);
    x.forEach((v, j) => {
      y[at(j)] = log ? v - top - Math.log(total) : Math.exp(v - top) / total;
    });
  }
  return y;
}

function softmaxOf(x: Ref, dim: number, log: boolean): Ref {
  const axis = dim < 0 ? dim + x.shape.length : dim;
  const extent = (shape: readonly number[]) => shape.reduce((n, e) => n * e, 1);
  const y = softmaxLines(
    x,
    [extent(x.shape.slice(0, axis)), x.shape[axis] as number, extent(x.shape.slice(axis + 1))],
    log,
  );
  return ref(x.shape, (i) => y[i] as number);
}

function row(op: "softmax" | "logSoftmax"): OpRow {
  const log = op === "logSoftmax";
  const one = (shape: readonly number[], dim: number | undefined, rest: Partial<OpCase> = {}): OpCase => ({
    inputs: { x: { shape, range: [-6, 6] } },
    call: ({ x }) => s[op](x as Tensor, dim === undefined ? {} : { dim }),
    oracle: ({ x }) => softmaxOf(x as Ref, dim ?? -1, log),
    grads: ["x"],
    ...rest,
  });
  const { NaN: nan, NEGATIVE_INFINITY: low, POSITIVE_INFINITY: high } = Number;
  const extremes = [1, nan, 2, 0, low, low, low, low, 1, high, 2, 3, low, 0, 1, low, 9e3, -1e4, 1e4, 0];
  return {
    op,
    live: "some",
    cases: [
      ...SIZES.map((n) => one([3, n], undefined, { grads: [] })),
      one([0, 5], -1, { grads: [] }),
      one([33, 10], -1),
      one([5, 32], 1),
      one([4, 257], -1),
      one([2, 1000], -1),
      one([7, 5, 3], 1),
      one([6, 8], 0),
      one([2, 3, 4, 5], -3),
      { ...one([5, 4], -1, { grads: [], label: "extremes" }), inputs: { x: { shape: [5, 4], values: extremes } } },
      {
        ...one([3, 40], -1, { grads: [], label: "far from zero", atol: 1e-4 }),
        inputs: { x: { shape: [3, 40], range: [9990, 10000] } },
      },
    ],
  };
}

export const rows: OpRow[] = [row("softmax"), row("logSoftmax")];
