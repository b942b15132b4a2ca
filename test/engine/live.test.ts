// The op table once more, with live rows: an op either refuses them or is right on the first n rows, with NaN behind those and in
// all memory. Then the hot families, wide enough for several tiles of each of their variants, and what must be refused.

import * as s from "../../engine/index.ts";
import { exitDecide } from "../../exits/index.ts";
import type { Spec } from "../../kernels/index.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert, failsWith } from "../harness.ts";
import { sample } from "../kernels/lab.ts";
import { BORDERS, countsUpTo, drawn, liveSets, poisoned, runLive, type Verdict } from "./live.ts";
import { rejectionOf } from "./messages.ts";
import { opRows } from "./op-table.ts";
import { type Draw, type OpCase, ref } from "./ops/row.ts";

type Tensors = Readonly<Record<string, s.Tensor>>;

/** What the cases of an op come to, over all sets of operands that may be live: rows in each, in some, in none. */
type Expected = "rows" | "some" | "refused" | "no operand";

const EXPECTED: readonly (readonly [Expected, string])[] = [
  [
    "rows",
    "qkvAttention oneHot dropout cast reshape unsqueeze squeeze flattenAxes scaleGradient zerosLike onesLike full zeros ones",
  ],
  [
    "rows",
    "neg abs square exp log sqrt rsqrt relu sigmoid tanh silu softplus hardsigmoid hardswish erf copy gelu leakyRelu clamp",
  ],
  ["some", "add sub mul div maximum minimum pow eq ne lt le gt ge where"],
  ["some", "scaledDotProductAttention conv2d exitGates indexSelect gather embedding crossEntropy nllLoss mse klDiv"],
  ["some", "binaryCrossEntropyWithLogits matmul linear batchNorm layerNorm groupNorm maxPool2d avgPool2d"],
  ["some", "adaptiveAvgPool2d interpolate sum mean max min variance logsumexp argmax argmin sumTo permute slice"],
  ["some", "flip expand pad concat stack softmax logSoftmax"],
  ["refused", "exitDecide exitAnswer packRows scatterRows compact normaliseImages exitTally gradNorm scaleGrads"],
  ["refused", "sgdStep adamStep rmspropStep emaStep"],
  ["no operand", "advanceStep arange eye rand randn randint bernoulli permutation"],
];
const expected = new Map(EXPECTED.flatMap(([what, names]) => names.split(" ").map((name) => [name, what] as const)));

const rows = await opRows();
const table = gpuSuite("op table with live rows");
for (const { op, cases } of rows) {
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
    assert.is(found, expected.get(op), `${op} with live rows`);
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
 * Runs a case of `columns` with `live` operands, once for each variant that the kernels offer on this adapter; tiled products only
 * where the columns are one and a half, or three, of the variant's tiles. `others` are variants of other adapters.
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

const refusals = gpuSuite("live rows, refused");
const MIXES = "CaptureError: capture: with live rows every op must treat rows independently;";

/** Extents that coincide, and operands that every row reads: nothing but the layout tells these from calls that go row by row. */
const MIXING: Readonly<Record<string, readonly [string, (x: s.Tensor, other: s.Tensor) => s.Tensor]>> = {
  "softmax down the rows": ["softmax", (x) => s.softmax(s.concat([x, x, x, x], { dim: 1 }), { dim: 0 })],
  "the right factor": ["matmul", (x, other) => s.matmul(other, x)],
  "the left factor, transposed": ["matmul", (x, other) => s.matmul(x, other, { transposeA: true })],
  "a weight": ["linear", (x, other) => s.linear(other, x)],
  "a vector against a matrix": ["add", (x, other) => s.add(other, s.sum(x, { dim: 1 }))],
  "a row repeated": ["expand", (x) => s.expand(s.sum(x, { dim: 1 }).reshape([1, 64]), [64, 64])],
  "rows in other groups": ["permute", (x) => s.permute(s.reshape(x, [2, 32, 64]), [0, 2, 1])],
  "images that hold several rows": ["conv2d", (x) => s.conv2d(s.reshape(x, [4, 32, 32, 1]), s.ones([3, 3, 1, 4]))],
  "pools over several rows": ["avgPool2d", (x) => s.avgPool2d(s.reshape(x, [4, 32, 32, 1]), { kernel: 2 })],
  "rows picked": ["indexSelect", (x) => s.indexSelect(x, s.tensor(Int32Array.from({ length: 64 }, (_, i) => 63 - i)))],
  "a table of embeddings": ["embedding", (x) => s.embedding(x, s.tensor(Int32Array.from({ length: 64 }, () => 3)))],
  "a norm's weight": ["layerNorm", (x, other) => s.layerNorm(other, s.sum(x, { dim: 1 }))],
  "running means": [
    "batchNorm",
    (x, other) => s.batchNorm(other, s.ones([64]), s.zeros([64]), s.sum(x, { dim: 1 }), s.ones([64])),
  ],
  "a norm in training": [
    "batchNorm",
    (x) => s.batchNorm(x, s.ones([64]), s.zeros([64]), s.zeros([64]), s.ones([64]), { training: true }),
  ],
};
for (const [what, [op, call]] of Object.entries(MIXING)) {
  refusals(what, async () => {
    const count = s.tensor(Uint32Array.of(64));
    const other = s.ones([64, 64]);
    const inputs = { x: { shape: [64, 64], dtype: "f32" } } as const;
    assert.is(
      await rejectionOf(s.capture({ inputs, rows: count }, ({ x }) => call(x, other))),
      `${MIXES} ${op} mixes them.`,
    );
  });
}

refusals("rows written to where state is, unless the op is given their number", async () => {
  const [count, state, small] = [s.tensor(Uint32Array.of(4)), s.zeros([8, 3]), s.zeros([4, 3])];
  const places = s.tensor(Int32Array.of(7, 5, 3, 1));
  const over = (call: (x: s.Tensor, target: s.Tensor) => void) =>
    s.capture({ inputs: { x: { shape: [4, 3], dtype: "f32" } }, rows: count, state: [state, small] }, ({ x }) =>
      call(x, state),
    );
  const says = (op: string) =>
    `CaptureError: capture: with live rows only ops that are given their number may write state, or rows by index; ${op} writes them all.`;
  assert.is(await rejectionOf(over((x) => s.addInto(small, x))), says("addInto"));
  assert.is(await rejectionOf(over((x) => s.copyInto(small, x))), says("copyInto"));
  assert.is(await rejectionOf(over((x, target) => s.scatterRows(target, places, x))), says("scatterRows"));
  assert.is(await rejectionOf(over((x) => s.scatterRows(s.zeros([8, 3]), places, x))), says("scatterRows"));
  const other = s.tensor(Uint32Array.of(4));
  assert.is(
    await rejectionOf(over((x, target) => s.scatterRows(target, places, x, { count: other }))),
    says("scatterRows"),
  );
});

const kept = gpuSuite("live rows and what lies behind them");

kept("rows are scattered up to their number, and what they are scattered to is whole", async () => {
  const count = s.tensor(Uint32Array.of(5));
  const [target, places] = [s.full([9, 3], -1), s.tensor(Int32Array.of(8, 6, 4, 2, 0))];
  const inputs = { x: { shape: [5, 3], dtype: "f32" } } as const;
  using captured = await poisoned(device(), () =>
    s.capture({ inputs, rows: count, state: [target] }, ({ x }) => {
      s.scatterRows(target, places, x, { count });
      const own = s.zeros([9, 3]);
      s.scatterRows(own, places, s.mul(x, 2), { count });
      // Not live any more: all nine rows are there to be summed.
      return s.sum(own, { dim: 0 });
    }),
  );
  const x = sample(15);
  for (const n of [0, 1, 4, 5]) {
    count.write([n]);
    target.write(new Float32Array(27).fill(-1));
    const [sums, rows] = (await s.read([captured.run({ x }), target])) as [Float32Array, Float32Array];
    const want = new Float32Array(27).fill(-1);
    for (let k = 0; k < n; k++) want.set(x.subarray(3 * k, 3 * k + 3), 3 * (8 - 2 * k));
    assert.equal([...rows], [...want], `${n} rows scattered`);
    for (const c of [0, 1, 2]) {
      let sum = 0;
      for (let k = n - 1; k >= 0; k--) sum += 2 * x[3 * k + c]!;
      assert.ok(Math.abs(sums[c]! - sum) < 1e-5, `column ${c} of ${n} rows sums to ${sums[c]}, want ${sum}`);
    }
  }
});

kept("an exit's decision writes the places of live rows alone", async () => {
  const count = s.tensor(Uint32Array.of(70));
  const logits = sample(70 * 5, 4);
  const ids = s.tensor(Int32Array.from({ length: 70 }, (_, i) => 139 - 2 * i));
  const state = {
    answers: s.zeros([140], { dtype: "i32" }),
    exits: s.zeros([140], { dtype: "i32" }),
    scores: s.zeros([140]),
  };
  const threshold = s.tensor([0.5]);
  using captured = await poisoned(device(), () =>
    s.capture({ inputs: { z: { shape: [70, 5], dtype: "f32" } }, rows: count, state: Object.values(state) }, ({ z }) =>
      exitDecide(z, ids, threshold, state, { exit: 1, score: "maxLogit", rows: count }),
    ),
  );
  for (const n of [0, 1, 63, 64, 65, 70]) {
    count.write([n]);
    for (const result of Object.values(state)) result.write(new Float32Array(140).fill(-1));
    const z = logits.map((value, i) => (i < 5 * n ? value : Number.NaN));
    const [stays, answers, exits] = await s.read([captured.run({ z }), state.answers, state.exits]);
    for (let i = 0; i < 70; i++) {
      const row = [...logits.subarray(5 * i, 5 * i + 5)];
      const top = Math.max(...row);
      const leaves = i < n && top >= 0.5;
      const want = leaves ? [row.indexOf(top), 1] : [-1, -1];
      assert.equal([answers![139 - 2 * i], exits![139 - 2 * i]], want, `row ${i} of ${n}`);
      if (i < n) assert.is(stays![i], Number(!leaves), `row ${i} of ${n} stays`);
    }
  }
});

kept("what one capture computes by rows is whole to the next", async () => {
  const count = s.tensor(Uint32Array.of(40));
  const x = s.tensor(sample(160), { shape: [40, 4] });
  using first = await s.capture({ inputs: { x }, rows: count }, (t) => s.mul(t.x, 2));
  const doubled = first.run({ x });
  const few = s.tensor(Uint32Array.of(3));
  using second = await s.capture({ inputs: { y: { shape: [8, 4], dtype: "f32" } }, rows: few }, ({ y }) =>
    s.add(y, s.sum(doubled, { dim: 0 })),
  );
  const [got, want] = await s.read([second.run({ y: s.zeros([8, 4]) }), s.sum(s.mul(x, 2), { dim: 0 })]);
  assert.equal([...got!.slice(0, 4)], [...want!]);
});

kept("numbers that the step finds count rows from there on, one after the other", async () => {
  const [first, x] = [s.tensor(Uint32Array.of(0)), sample(70 * 5)];
  const halves = Float32Array.from({ length: 70 }, (_, i) => i / 2);
  const inputs = { x: { shape: [70, 5], dtype: "f32" } } as const;
  using captured = await poisoned(device(), () =>
    s.capture({ inputs, rows: first }, ({ x }) => {
      const y = s.mul(x, 2);
      // Not by its rows, but given their number: every row that counts and whose first value is above 0.
      const mask = s.cast(s.gt(s.reshape(s.slice(y, { starts: [0, 0], ends: [70, 1] }), [70]), 0), "u32");
      const { indices, count } = s.compact(mask, { rows: first });
      s.liveRows(count, [indices]);
      const z = s.add(s.indexSelect(s.tensor(halves), indices), 1);
      return [z, count, y] as const;
    }),
  );
  for (const n of [0, 1, 31, 70]) {
    first.write([n]);
    const [z, count] = await s.read([...captured.run({ x })].slice(0, 2) as s.Tensor[]);
    const want = Array.from({ length: n }, (_, i) => i).filter((i) => x[5 * i]! > 0);
    assert.is(count![0], want.length, `of ${n}`);
    assert.equal(
      [...z!.subarray(0, want.length)],
      want.map((i) => i / 2 + 1),
      `of ${n}`,
    );
  }
});
refusals("an op that has live rows of two numbers; a number outside of a capture", async () => {
  const [few, many] = [s.tensor(Uint32Array.of(1)), s.tensor(Uint32Array.of(2))];
  const inputs = { x: { shape: [4, 2], dtype: "f32" }, y: { shape: [4, 2], dtype: "f32" } } as const;
  const step = ({ x, y }: { readonly x: s.Tensor; readonly y: s.Tensor }) => {
    s.liveRows(many, [y]);
    return s.add(x, y);
  };
  assert.is(
    await rejectionOf(s.capture({ inputs, rows: few }, step)),
    "CaptureError: capture: an op must have live rows of one number; add has some of 2.",
  );
  await failsWith(
    async () => s.liveRows(few, [many]),
    "CaptureError",
    "liveRows: it must be called by the step of a capture; it was not.",
  );
});
