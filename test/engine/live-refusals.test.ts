// Live rows: what must be refused since it mixes rows or writes others, and what lies behind them.

import * as s from "../../engine/index.ts";
import { exitDecide } from "../../exits/index.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert, failsWith } from "../harness.ts";
import { sample } from "../kernels/lab.ts";
import { poisoned } from "./live.ts";
import { rejectionOf } from "./messages.ts";

const refusals = gpuSuite("live rows, refused");
const MIXES = "CaptureError: capture: with live rows every op must treat rows independently;";

/**
 * Extents that coincide, and operands that every row reads: nothing but the layout tells these from calls that go row
 * by row.
 */
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
