// The op table once more, with live rows: an op either refuses them or is right on the first n rows, with NaN behind
// those and in all memory. Then the hot families, wide enough for several tiles of each of their variants.

import * as s from "../../engine/index.ts";
import * as elementary from "../../engine/ops/elementary.ts";
import * as pointwise from "../../engine/ops/pointwise.ts";
import type { Spec } from "../../kernels/index.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { BORDERS, countsUpTo, drawn, liveSets, runLive, type Verdict } from "./live.ts";
import { opRows } from "./op-table.ts";
import { type Draw, type LiveRows, type OpCase, type OpRow, ref } from "./ops/row.ts";

type Tensors = Readonly<Record<string, s.Tensor>>;

/** A pointwise op keeps rows apart; one of several operands refuses those that it would stretch over all rows. */
function expectedOf({ op, live, cases }: OpRow): LiveRows | undefined {
  if (!Object.hasOwn(pointwise, op) && !Object.hasOwn(elementary, op)) return live;
  return cases.every(({ inputs }) => Object.keys(inputs).length === 1) ? "rows" : "some";
}

const rows = await opRows();
const table = gpuSuite("op table with live rows");
for (const row of rows) {
  const { op, cases } = row;
  table(op, async () => {
    const verdicts = new Set<Verdict>();
    for (const [i, one] of cases.entries()) {
      const inputs = drawn(one, 1000 + i);
      const label =
        one.label ??
        Object.values(inputs)
          .map(({ value }) => `[${value.shape}]`)
          .join(" x ");
      for (const live of liveSets(inputs)) {
        const verdict = await runLive(device(), { label: `${op} ${label}`, inputs, live, call: one.call });
        if (inputs[live[0] as string]?.value.shape[0] !== 1) verdicts.add(verdict);
      }
    }
    const found =
      verdicts.size > 1 ? "some" : verdicts.has("equal") ? "rows" : verdicts.size > 0 ? "refused" : "no operand";
    assert.is(found, expectedOf(row), `${op} with live rows (\`live\` of its row)`);
  });
}

/** Tiles through workgroup memory, which adapters that are no CPU choose; every adapter runs them. */
const STAGED = [
  [64, 4, 16],
  [64, 8, 16],
  [256, 8, 8],
].map(([threads, each, depth]) => {
  return {
    variant: "tile",
    threads: threads!,
    across: Math.sqrt(threads!),
    rows: each!,
    cols: each!,
    lanes: 0,
    depth: depth!,
  };
});

/** Thrown for a variant whose tile these columns are not about. */
const OTHER = new Error("another tile's columns");

/**
 * Runs a case of `columns` with `live` operands, once for each variant that the kernels offer on this adapter; tiled
 * products only where the columns are one and a half, or three, of the variant's tiles. `others` are variants of other
 * adapters.
 */
async function everyVariant(
  one: OpCase,
  live: readonly string[],
  columns: number,
  others: readonly Spec[],
): Promise<void> {
  const { tuner } = device();
  const choose = tuner.choose;
  const inputs = drawn(one, 7);
  const capacity = inputs[live[0] as string]?.value.shape[0] as number;
  try {
    for (let k = 0, most = 1; k < most; k++) {
      tuner.choose = (_key, given) => {
        const candidates = [...given, ...others.map((tile) => ({ ...given[0]!, ...tile }))];
        most = Math.max(most, candidates.length);
        const chosen = candidates[Math.min(k, candidates.length - 1)]!;
        const { across, cols } = chosen as Partial<Record<"across" | "cols", unknown>>;
        if (typeof across === "number" && typeof cols === "number" && ![1.5, 3].includes(columns / (across * cols)))
          throw OTHER;
        return chosen;
      };
      const label = `${one.label}, variant ${k}`;
      const counts = countsUpTo(capacity, BORDERS);
      try {
        assert.is(await runLive(device(), { label, inputs, live, call: one.call, counts }), "equal", label);
      } catch (error) {
        if (error !== OTHER) throw error;
      }
    }
  } finally {
    tuner.choose = choose;
  }
}

/** A call without an oracle: what is right is what runs eagerly. */
const wide = (label: string, inputs: Readonly<Record<string, Draw>>, call: (at: Tensors) => s.Tensor): OpCase => {
  return { label, inputs, call, oracle: () => ref([], () => 0) };
};
const shapes = (of: Readonly<Record<string, readonly number[]>>): Readonly<Record<string, Draw>> =>
  Object.fromEntries(Object.entries(of).map(([name, shape]) => [name, { shape }]));

/** One and a half, and three, tiles of 16, 32, 64 and 128 columns. */
const COLUMNS = [24, 48, 96, 192, 384] as const;
const PRODUCTS = /conv2d|matmul|linear/;

/** The hot families at `n` columns, the operands whose rows are live, and their call. */
const HOT: Readonly<
  Record<string, (n: number) => readonly [readonly string[], Readonly<Record<string, Draw>>, (at: Tensors) => s.Tensor]>
> = {
  conv2d: (n) => [
    ["x", "r"],
    shapes({ x: [17, 3, 4, 8], w: [3, 3, 8, n], b: [n], r: [17, 3, 4, n] }),
    ({ x, w, b, r }) => s.conv2d(x!, w!, b, { padding: 1, activation: "relu", residual: r }),
  ],
  "conv2d, taps that share their inputs": (n) => [
    ["x", "r"],
    shapes({ x: [17, 5, 9, 6], w: [3, 3, 6, n], b: [n], r: [17, 5, 9, n] }),
    ({ x, w, b, r }) => s.conv2d(x!, w!, b, { padding: 1, activation: "relu", residual: r }),
  ],
  "conv2d, strided, by elements": (n) => [
    ["x"],
    shapes({ x: [33, 5, 5, 3], w: [3, 3, 3, n + 1] }),
    ({ x, w }) => s.conv2d(x!, w!, undefined, { padding: 1, stride: 2 }),
  ],
  "conv2d, two groups": (n) => [
    ["x"],
    shapes({ x: [17, 3, 4, 8], w: [3, 3, 4, 2 * n] }),
    ({ x, w }) => s.conv2d(x!, w!, undefined, { groups: 2 }),
  ],
  "conv2d, depthwise": (n) => [
    ["x"],
    shapes({ x: [17, 5, 6, n], w: [3, 3, 1, n], b: [n] }),
    ({ x, w, b }) => s.conv2d(x!, w!, b, { padding: 1, groups: n, activation: "silu" }),
  ],
  matmul: (n) => [["x"], shapes({ x: [131, 40], w: [40, n] }), ({ x, w }) => s.matmul(x!, w!)],
  "matmul by elements": (n) => [["x"], shapes({ x: [67, 41], w: [41, n + 1] }), ({ x, w }) => s.matmul(x!, w!)],
  "matmul, transposed weight": (n) => [
    ["x"],
    shapes({ x: [67, 40], w: [n, 40] }),
    ({ x, w }) => s.matmul(x!, w!, { transposeB: true }),
  ],
  "matmul in shares of k": (n) => [["x"], shapes({ x: [9, 6000], w: [6000, n] }), ({ x, w }) => s.matmul(x!, w!)],
  linear: (n) => [
    ["x", "r"],
    shapes({ x: [19, 5, 40], w: [40, n], b: [n], r: [19, 5, n] }),
    ({ x, w, b, r }) => s.linear(x!, w!, b, { activation: "gelu", residual: r }),
  ],
  attention: (n) => [
    ["q", "k", "v"],
    shapes({ q: [9, 2, 20, n / 3], k: [9, 2, 11, n / 3], v: [9, 2, 11, n / 3] }),
    ({ q, k, v }) => s.scaledDotProductAttention(q!, k!, v!),
  ],
  "packed attention": (n) => [["x"], shapes({ x: [9, 70, 3 * n] }), ({ x }) => s.qkvAttention(x!, { heads: n / 4 })],
  batchNorm: (n) => [
    ["x", "r"],
    { ...shapes({ x: [40, 3, 3, n], w: [n], b: [n], m: [n], r: [40, 3, 3, n] }), v: { shape: [n], range: [0.5, 2] } },
    ({ x, w, b, m, v, r }) => s.batchNorm(x!, w!, b!, m!, v!, { activation: "relu", residual: r }),
  ],
  layerNorm: (n) => [["x"], shapes({ x: [67, 2, n], w: [n], b: [n] }), ({ x, w, b }) => s.layerNorm(x!, w, b)],
  groupNorm: (n) => [
    ["x"],
    shapes({ x: [35, 3, 3, n], w: [n], b: [n] }),
    ({ x, w, b }) => s.groupNorm(x!, w!, b!, { numGroups: 3 }),
  ],
  softmax: (n) => [["x"], shapes({ x: [67, n] }), ({ x }) => s.softmax(x!)],
  "softmax over the middle": (n) => [["x"], shapes({ x: [35, 5, n] }), ({ x }) => s.logSoftmax(x!, { dim: 1 })],
  pools: (n) => [
    ["x"],
    shapes({ x: [19, 9, 9, n] }),
    ({ x }) => s.add(s.maxPool2d(x!, { kernel: 3, stride: 2 }), s.avgPool2d(x!, { kernel: 3, stride: 2 })),
  ],
  "global average": (n) => [["x"], shapes({ x: [35, 8, 8, n] }), ({ x }) => s.adaptiveAvgPool2d(x!, { outputSize: 1 })],
  interpolate: (n) => [["x"], shapes({ x: [19, 3, 3, n] }), ({ x }) => s.interpolate(x!, { size: [5, 4] })],
  reductions: (n) => [
    ["x"],
    shapes({ x: [35, 40, n] }),
    ({ x }) => s.add(s.mean(x!, { dim: 1 }), s.variance(x!, { dim: [1, 2] }).reshape([-1, 1])),
  ],
  "long reductions": (n) => [
    ["x"],
    shapes({ x: [5, 70 * n] }),
    ({ x }) => s.add(s.max(x!, { dim: 1 }), s.sum(s.reshape(x!, [5, -1, 2]), { dim: [1, 2] })),
  ],
  "scattered reductions": (n) => [["x"], shapes({ x: [35, 3, 5, n] }), ({ x }) => s.sum(x!, { dim: [1, 3] })],
  moves: (n) => [
    ["x"],
    shapes({ x: [19, 12, n] }),
    ({ x }) =>
      s.concat([s.permute(x!, [0, 2, 1]).reshape([19, 12, n]), s.flip(x!, 2), s.slice(x!, { starts: [0, 0, 1] })], {
        dim: 2,
      }),
  ],
  "picked rows": (n) => [
    ["i"],
    { w: { shape: [500, n] }, i: { shape: [67], dtype: "i32", range: [0, 500] } },
    ({ w, i }) => s.indexSelect(w!, i!),
  ],
  broadcasting: (n) => [
    ["x", "y"],
    shapes({ x: [67, n], y: [67, 1], z: [n] }),
    ({ x, y, z }) => s.add(s.mul(x!, y!), z!),
  ],
  crossEntropy: (n) => [
    ["x", "t"],
    { x: { shape: [35, 3, n] }, t: { shape: [35], dtype: "i32", range: [0, n] } },
    ({ x, t }) => s.crossEntropy(x!, t!, { reduction: "none" }),
  ],
};

const hot = gpuSuite("live rows, wide", { timeout: 180_000 });
for (const [family, of] of Object.entries(HOT)) {
  hot(family, async () => {
    for (const n of PRODUCTS.test(family) ? COLUMNS : [24, 96]) {
      const [live, inputs, call] = of(n);
      await everyVariant(
        wide(`${family} of ${n} columns`, inputs, call),
        live,
        n,
        /^(conv2d|matmul)$/.test(family) ? STAGED : [],
      );
    }
  });
}
