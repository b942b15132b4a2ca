// Capture and replay: equal to eager bit for bit, private memory, declared changes, refusals word for word.

import * as s from "../../engine/index.ts";
import { defineKernel, reads, writes } from "../../kernels/index.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { sample } from "../kernels/lab.ts";
import { messageOf, rejectionOf } from "./messages.ts";

const test = gpuSuite("capture");

/** Two layers trained by plain gradient descent on a flat buffer; the same code eager and captured. */
function model(seed: number) {
  const values = (n: number, k: number) => Float32Array.from({ length: n }, (_, i) => Math.sin(i * k + seed));
  const w1 = s.tensor(values(24, 1.3), { shape: [6, 4] }).requiresGrad();
  const w2 = s.tensor(values(4, 0.7), { shape: [4, 1] }).requiresGrad();
  const flat = s.flatten([w1, w2]);
  const step = (x: s.Tensor, y: s.Tensor, lr: s.Tensor) =>
    s.scope(() => {
      const loss = s.mean(s.square(s.sub(s.matmul(s.tanh(s.matmul(x, w1)), w2), y)));
      s.backward(loss);
      flat.settle();
      s.copyInto(flat.values, s.sub(flat.values, s.mul(flat.grads, lr)));
      flat.zeroGrad();
      return loss;
    });
  return { flat, step };
}

const batch = (k: number) => ({
  x: Float32Array.from({ length: 30 }, (_, i) => Math.cos(i * 0.9 + k)),
  y: Float32Array.from({ length: 5 }, (_, i) => Math.sin(i + k)),
});
const SHAPES = { x: { shape: [5, 6], dtype: "f32" }, y: { shape: [5, 1], dtype: "f32" } } as const;

test("50 captured steps equal 50 eager ones bit for bit, with the pool churned between", async () => {
  const [eager, captured] = [model(1), model(1)];
  const losses: number[][] = [[], []];
  const run = await s.capture({ inputs: SHAPES, scalars: { lr: 0.1 }, state: [captured.flat] }, ({ x, y }, { lr }) =>
    captured.step(x, y, lr),
  );
  for (let k = 0; k < 50; k++) {
    const { x, y } = batch(k);
    const lr = 0.1 / (1 + k);
    const loss = s.scope(() =>
      eager.step(s.tensor(x, { shape: [5, 6] }), s.tensor(y, { shape: [5, 1] }), s.full([], lr)),
    );
    losses[0]?.push(await loss.item());
    // Buffers of all the sizes at hand, filled with garbage and given back.
    s.scope(() => [16, 64, 96, 256, 1024].map((n) => s.full([n], Number.NaN).shape));
    losses[1]?.push(await run.run({ x, y }, { lr }).item());
  }
  assert.equal(losses[1], losses[0]);
  assert.equal([...(await captured.flat.values.read())], [...(await eager.flat.values.read())]);
  run.dispose();
});

test("a replay is one submit, and gradients need no copy into the flat buffer", async () => {
  const { flat, step } = model(2);
  const run = await s.capture({ inputs: SHAPES, scalars: { lr: 0.1 }, state: [flat] }, ({ x, y }, { lr }) =>
    step(x, y, lr),
  );
  const { submits, dispatches } = device().stream.counters;
  run.run(batch(0));
  assert.is(device().stream.counters.submits - submits, 1);
  assert.is(device().stream.counters.dispatches - dispatches, run.dispatches);
  const { rows } = await device().profile(() => run.run(batch(1)));
  const copies = rows.filter(({ kernel }) => kernel.startsWith("copyInto")).reduce((n, row) => n + row.dispatches, 0);
  assert.is(copies, 1);
  run.dispose();
});

test("intermediates share private memory by liveness", async () => {
  const n = 1 << 14;
  const run = await s.capture({ inputs: { x: { shape: [n], dtype: "f32" } } }, ({ x }) => {
    let y = x;
    for (let i = 0; i < 12; i++) y = s.scope(() => s.add(y, 1));
    return y;
  });
  assert.ok(run.bytes <= 4 * (4 * n + 256), `${run.bytes} bytes for a chain of 12`);
  assert.is((await run.run({ x: new Float32Array(n) }).read())[n - 1], 12);
  run.dispose();
});

test("a thousand replays do not grow memory", async () => {
  const { flat, step } = model(3);
  const run = await s.capture({ inputs: SHAPES, scalars: { lr: 0.01 }, state: [flat] }, ({ x, y }, { lr }) =>
    step(x, y, lr),
  );
  run.run(batch(0));
  await device().sync();
  const before = device().memory();
  for (let i = 0; i < 1000; i++) run.run(batch(i));
  await device().sync();
  assert.equal(device().memory(), before);
  run.dispose();
});

test("inputs may be tensors or host data; outputs stay the same tensors", async () => {
  const run = await s.capture({ inputs: { x: s.zeros([3]) } }, ({ x }) => ({ y: s.mul(x, 2) }));
  const first = run.run({ x: [1, 2, 3] });
  assert.equal([...(await first.y.read())], [2, 4, 6]);
  const second = run.run({ x: s.tensor([5, 6, 7]) });
  assert.is(second.y, first.y);
  assert.equal([...(await first.y.read())], [10, 12, 14]);
  run.dispose();
});

test("constants made in the step keep their values", async () => {
  const run = await s.capture({ inputs: { x: { shape: [2], dtype: "f32" } } }, ({ x }) => s.add(x, s.tensor([10, 20])));
  for (let i = 0; i < 3; i++) {
    s.scope(() => s.full([2], -1).shape);
    assert.equal([...(await run.run({ x: [i, i] }).read())], [10 + i, 20 + i]);
  }
  run.dispose();
});

test("what is not declared is refused", async () => {
  const w = s.tensor([1]);
  assert.is(
    await rejectionOf(s.capture({}, () => s.addInto(w, w))),
    "CaptureError: capture: what the step writes in place must be declared as state; addInto writes a tensor from outside that is not.",
  );
  assert.is(
    await rejectionOf(s.capture({}, () => w.write([2]))),
    "CaptureError: capture: the step must not write tensors on the host; it did. Return what you want to read; declare what changes as an input.",
  );
  assert.is(
    await rejectionOf(s.capture({}, async () => w)),
    "ArgumentError: capture: fn must be synchronous; got a promise. Await reads outside, after returning the tensors.",
  );
});

test("a capture fed something else names the input and both descriptions", async () => {
  const run = await s.capture({ inputs: { x: { shape: [2, 3], dtype: "f32" } }, scalars: { lr: 1 } }, ({ x }, { lr }) =>
    s.mul(x, lr),
  );
  const x = new Float32Array(6);
  assert.is(
    messageOf(() => run.run({ x: s.zeros([3, 2]) })),
    "CaptureError: capture: input x must be f32[2, 3], as recorded; got f32[3, 2]. Capture again for other shapes.",
  );
  assert.is(
    messageOf(() => run.run({ x: [1] })),
    "CaptureError: capture: input x must have 6 elements for f32[2, 3], as recorded; got 1.",
  );
  assert.is(
    messageOf(() => run.run({ x }, { rate: 1 } as never)),
    "CaptureError: capture: scalar names must be among [lr]; got rate.",
  );
  assert.is(
    messageOf(() => run.run({} as never)),
    "CaptureError: capture: every input must be given; x is missing.",
  );
  run.dispose();
  assert.is(
    messageOf(() => run.run({ x })),
    "DisposedError: capture: it must be alive to run; it was disposed.",
  );
});

const live = gpuSuite("capture with live rows");

/** A small stage: convolution, norm in evaluation mode by hand, pooling, linear. */
const CAPACITY = 300;
const imagesOf = (k: number) => Float32Array.from({ length: CAPACITY * 64 }, (_, i) => Math.sin(0.37 * i + k));

function stage() {
  const w = s.tensor(
    Float32Array.from({ length: 9 * 4 }, (_, i) => Math.cos(i)),
    { shape: [3, 3, 1, 4] },
  );
  const b = s.tensor(
    Float32Array.from({ length: 64 * 5 }, (_, i) => Math.sin(i)),
    { shape: [64, 5] },
  );
  const run = (x: s.Tensor) => {
    const map = s.relu(s.conv2d(x, w, undefined, { stride: 2, padding: 1 }));
    return s.softmax(s.matmul(map.reshape([-1, 64]), b), { dim: -1 });
  };
  return run;
}

live("covers the first n rows only, n known on the GPU alone", async () => {
  const run = stage();
  const count = s.tensor(Uint32Array.of(CAPACITY));
  const captured = await s.capture(
    { inputs: { x: { shape: [CAPACITY, 8, 8, 1], dtype: "f32" } }, rows: count },
    ({ x }) => run(x),
  );
  const eager = async (k: number) => [
    ...(await s.scope(() => run(s.tensor(imagesOf(k), { shape: [CAPACITY, 8, 8, 1] }))).read()),
  ];
  const [first, second] = [await eager(1), await eager(2)];
  assert.equal([...(await captured.run({ x: imagesOf(1) }).read())], first);
  for (const n of [1, 33, 100, 0]) {
    captured.run({ x: imagesOf(1) });
    count.write([n]);
    const rows = [...(await captured.run({ x: imagesOf(2) }).read())];
    assert.equal(rows.slice(0, 5 * n), second.slice(0, 5 * n), `the first ${n} rows`);
    // The last rows were not computed again: the work was saved.
    assert.equal(rows.slice(-5), first.slice(-5), `the last row at n = ${n}`);
    count.write([CAPACITY]);
  }
  captured.dispose();
});

live("refuses a kernel whose rows do not describe its grid", async () => {
  const kernel = defineKernel({
    name: "halves",
    bindings: () => ({ x: reads("array<f32>"), y: writes("array<f32>") }),
    uniforms: { n: "u32" },
    source: () => "@compute @workgroup_size(1) fn main() { y[0] = x[0]; }",
    grid: ({ n }) => [n, 2, 1],
    rows: ({ n }) => ({ axis: 0, units: n, perGroup: 2, blocks: n }),
  });
  const op = s.defineOp({
    name: "halves",
    operands: { x: "f32 N" },
    infer: ({ x }) => ({ y: x }),
    run: ({ inputs: { x }, outputs: { y }, sizes, dispatch }) => dispatch(kernel, {}, { x, y }, { n: sizes.N }),
  });
  const rows = s.tensor(Uint32Array.of(8));
  assert.is(
    await rejectionOf(s.capture({ inputs: { x: { shape: [8], dtype: "f32" } }, rows }, ({ x }) => op({ x }, {}))),
    "CaptureError: capture: for all rows the launches of halves must have their grid [8, 2, 1]; its kernel's rows give [4, 2, 1].",
  );
});

live("refuses ops that mix rows, by name", async () => {
  const count = s.tensor(Uint32Array.of(4));
  const over = (fn: (x: s.Tensor) => s.Tensor) =>
    s.capture({ inputs: { x: { shape: [4, 3], dtype: "f32" } }, rows: count }, ({ x }) => fn(x));
  const mixes = (op: string) =>
    `CaptureError: capture: with live rows every op must treat rows independently; ${op} mixes them.`;
  assert.is(await rejectionOf(over((x) => s.sum(x, { dim: [0] }))), mixes("sum"));
  assert.is(await rejectionOf(over((x) => s.permute(x, [1, 0]))), mixes("permute"));
  assert.is(await rejectionOf(over((x) => s.softmax(x, { dim: 0 }))), mixes("softmax"));
  assert.is(
    await rejectionOf(s.capture({ inputs: { x: s.zeros([4]), y: s.zeros([5]) }, rows: count }, ({ x }) => x)),
    "CaptureError: capture: with live rows all inputs must have the leading extent 4; got f32[5] for y.",
  );
});

live("keeps the tiles of columns along z: wide convolutions and products are whole", async () => {
  const weight = s.tensor(sample(9 * 8 * 40, 1), { shape: [3, 3, 8, 40] });
  const b = s.tensor(sample(40 * 200, 2), { shape: [40, 200] });
  const run = (x: s.Tensor) => s.matmul(s.conv2d(x, weight, undefined, { padding: 1 }).mean({ dim: [1, 2] }), b);
  const x = s.tensor(sample(40 * 16 * 8, 3), { shape: [40, 4, 4, 8] });
  const want = await s.scope(() => run(x)).read();
  const count = s.tensor(Uint32Array.of(40));
  using captured = await s.capture({ inputs: { x }, rows: count }, (t) => run(t.x));
  for (const n of [40, 33, 1]) {
    count.write([n]);
    const got = await captured.run({ x }).read();
    assert.equal([...got.slice(0, 200 * n)], [...want.slice(0, 200 * n)], `the first ${n} rows`);
  }
});
