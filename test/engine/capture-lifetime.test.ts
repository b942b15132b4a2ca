// What a capture touches, while that goes: left by its scope, collected, disposed, moved; and what the capture leaves
// when it goes. Free memory is filled with NaN, so that a stale read shows.

import * as s from "../../engine/index.ts";
import { Init, Linear, SGD } from "../../nn/index.ts";
import { collect, forgetting, poison } from "../collect.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { messageOf, rejectionOf } from "./messages.ts";

const test = gpuSuite("what a capture touches");

/** Beyond one workgroup of every pointwise kernel. */
const N = 3000;
const X = { x: { shape: [N], dtype: "f32" } } as const;
const values = (k: number) => Float32Array.from({ length: N }, (_, i) => Math.round(100 * Math.sin(i + k)) / 4);
const read = async (tensor: s.Tensor) => [...(await tensor.read())];
const sums = (...arrays: Float32Array[]) =>
  [...values(0)].map((_, i) => arrays.reduce((sum, a) => sum + (a[i] ?? 0), 0));

test("a disposed operand is refused by name, before anything is written", async () => {
  const [shift, total] = [s.tensor(values(1)), s.zeros([N])];
  const run = await s.capture({ label: "shifted", inputs: X, state: [total] }, ({ x }) => {
    const y = s.add(x, shift);
    s.addInto(total, y);
    return y;
  });
  assert.equal(await read(run.run({ x: values(2) })), sums(values(1), values(2)));
  shift.dispose();
  await poison(device());
  assert.is(
    messageOf(() => run.run({ x: values(3) })),
    `DisposedError: capture "shifted": what the step reads and writes must be alive; got f32[${N}], an operand of add, which was disposed. Keep it as long as the capture, or capture again.`,
  );
  assert.equal(await read(total), sums(values(1), values(2)));
  run.dispose();
});

test("a disposed state is refused, and its memory left alone", async () => {
  const total = s.zeros([N]);
  const run = await s.capture({ inputs: X, state: [total] }, ({ x }) => s.addInto(total, x));
  run.run({ x: values(1) });
  total.dispose();
  const stranger = s.tensor(values(5));
  assert.ok(messageOf(() => run.run({ x: values(2) })).includes(`got f32[${N}], an operand of addInto`));
  assert.equal(await read(stranger), [...values(5)]);
  run.dispose();
});

test("what was used through a view is its tensor's to dispose; a view may go", async () => {
  const w = s.tensor(values(1));
  const view = s.reshape(w, [N / 2, 2]);
  const run = await s.capture({ inputs: X }, ({ x }) => s.add(x, s.reshape(w, [N])));
  view.dispose();
  assert.equal(await read(run.run({ x: values(2) })), sums(values(1), values(2)));
  w.dispose();
  assert.ok(messageOf(() => run.run({ x: values(2) })).startsWith("DisposedError: capture: "));
  run.dispose();
});

test("operands that left their scope stay what they were", async () => {
  const owner = s.openScope();
  const shift = s.tensor(values(1), { shape: [1, N] });
  const count = s.tensor(Uint32Array.of(2));
  const run = await s.capture({ inputs: { x: { shape: [3, N], dtype: "f32" } }, rows: count }, ({ x }) =>
    s.add(x, shift),
  );
  owner.dispose();
  await poison(device());
  const x = Float32Array.of(...values(2), ...values(3), ...values(4));
  const rows = (await read(run.run({ x }))).slice(0, 2 * N);
  assert.equal(rows, [...sums(values(1), values(2)), ...sums(values(1), values(3))]);
  run.dispose();
});

/** Returns only the step, as is natural. */
async function makeStep() {
  const layer = s.keep(new Linear(2, 4, new Init({ seed: 3 })));
  for (const parameter of layer.parameters()) s.keep(parameter);
  const optimizer = new SGD(layer.parameters(), { lr: 0.1 });
  const inputs = { x: { shape: [8, 2], dtype: "f32" }, y: { shape: [8], dtype: "i32" } } as const;
  return s.capture({ inputs, state: [optimizer] }, ({ x, y }) =>
    s.scope(() => {
      const loss = s.crossEntropy(layer.forward(x), y);
      s.backward(loss);
      optimizer.step();
      optimizer.zeroGrad();
      return loss;
    }),
  );
}

const feed = {
  x: Float32Array.from({ length: 16 }, (_, i) => Math.sin(i)),
  y: Int32Array.of(0, 1, 2, 3, 0, 1, 2, 3),
};

test("a step alone keeps parameters and optimiser through collections", () =>
  forgetting(device(), async () => {
    const [step, still] = [await makeStep(), await makeStep()];
    const losses: number[][] = [[], []];
    for (let i = 0; i < 6; i++) losses[0]?.push(await still.run(feed).item());
    still.dispose();
    for (let i = 0; i < 6; i++) {
      await collect();
      await poison(device());
      losses[1]?.push(await step.run(feed).item());
    }
    assert.equal(losses[1], losses[0]);
    step.dispose();
  }));

test("a forgotten capture gives its memory back and is counted; outputs that are still there keep theirs", async () => {
  const { leaked, buffers } = device().memory();
  const output = await (async () => {
    const run = await s.capture({ inputs: X }, ({ x }) => s.add(s.exp(s.add(x, 1)), s.tensor(values(1))));
    return run.run({ x: values(2) });
  })();
  const expected = await read(output);
  await collect(() => device().memory().leaked > leaked, 40);
  assert.is(device().memory().leaked, leaked + 1);
  await poison(device());
  assert.equal(await read(output), expected);
  assert.is(device().memory().buffers, buffers + 1);
  output.dispose();
  assert.is(device().memory().buffers, buffers);
});

test("flatten is followed, for reading and for writing", async () => {
  const [a, b] = [s.tensor(values(1)).requiresGrad(), s.tensor(values(2)).requiresGrad()];
  const alias = a.detach();
  const run = await s.capture({ inputs: X, state: [b] }, ({ x }) =>
    s.noGrad(() => {
      s.copyInto(b, s.add(a, x));
      // Reads a segment of the flat buffer and writes its neighbour in one dispatch, once they are there.
      s.addInto(b, a);
      return s.add(a, b);
    }),
  );
  assert.equal(await read(run.run({ x: values(3) })), sums(values(1), values(1), values(1), values(3)));
  const flat = s.flatten([a, b]);
  await poison(device());
  assert.equal(await read(a), [...values(1)]);
  s.copyInto(flat.values, s.full([flat.size], 2));
  assert.equal(await read(alias), new Array(N).fill(2));
  assert.equal(
    await read(run.run({ x: values(3) })),
    sums(values(3)).map((x) => x + 6),
  );
  assert.equal(
    await read(b),
    sums(values(3)).map((x) => x + 4),
  );
  assert.equal([...(await flat.values.read())].slice(flat.segments[1]?.offset).slice(0, N), await read(b));
  run.dispose();
});

test("parameters do not move while a step is recorded, nor out of another's memory", async () => {
  const [a, b] = [s.tensor([1, 2]).requiresGrad(), s.tensor([3]).requiresGrad()];
  assert.is(
    await rejectionOf(s.capture({}, () => s.flatten([a]))),
    "CaptureError: flatten: parameters must not move while a step is recorded. Make the optimiser before it.",
  );
  const shares =
    "GradientError: flatten: a parameter must have memory of its own; got f32[2], which shares that of another. Copy it first.";
  assert.is(
    messageOf(() => s.flatten([a, a.detach().requiresGrad()])),
    shares,
  );
  const flat = s.flatten([a, b]);
  assert.is(
    messageOf(() => s.flatten([a.detach().requiresGrad()])),
    shares,
  );
  assert.is(
    messageOf(() => s.flatten([flat.values.requiresGrad()])),
    shares.replace("[2]", `[${flat.size}]`),
  );
});

test("a graph made before flatten is differentiated as if nothing had moved", async () => {
  const [a, b] = [s.tensor([2, 3]).requiresGrad(), s.tensor([5, 7]).requiresGrad()];
  const y = s.sum(s.mul(a, b));
  s.flatten([a, b]);
  s.backward(y);
  assert.equal(
    [await read(a.grad), await read(b.grad)],
    [
      [5, 7],
      [2, 3],
    ],
  );
});

test("a saved value that a run has overwritten is refused by backward", async () => {
  const [w, total] = [s.tensor(values(1)).requiresGrad(), s.tensor(values(2))];
  const run = await s.capture({ inputs: X, state: [total] }, ({ x }) => {
    s.addInto(total, x);
    return s.mul(x, 2);
  });
  const out = run.run({ x: values(3) });
  const [state, output] = [s.sum(s.mul(w, total)), s.sum(s.mul(w, out))];
  run.run({ x: values(4) });
  for (const result of [state, output])
    assert.ok(messageOf(() => s.backward(result)).includes("was written in place afterwards"));
  run.dispose();
});

test("a captured forward pass can be differentiated eagerly after each run", async () => {
  const w = s.tensor(values(1)).requiresGrad();
  const run = await s.capture({ inputs: X }, ({ x }) => s.sum(s.mul(s.exp(s.mul(w, 0)), x)));
  for (const k of [2, 3]) {
    w.zeroGrad();
    s.backward(run.run({ x: values(k) }), { retain: true });
    assert.equal(await read(w.grad), new Array(N).fill(0));
  }
  run.dispose();
});

test("a step that runs another capture, or is fed with its own input", async () => {
  const run = await s.capture({ label: "inner", inputs: X }, ({ x }) => ({ x, y: s.mul(x, 2) }));
  assert.is(
    await rejectionOf(s.capture({ inputs: X }, ({ x }) => run.run({ x }).y)),
    'CaptureError: capture "inner": it must not run while another is recorded. Call both, one after the other.',
  );
  const { x } = run.run({ x: values(1) });
  assert.equal(await read(run.run({ x }).y), sums(values(1), values(1)));
  assert.equal(await read(run.run({ x: run.run({ x }).y }).y), sums(...new Array<Float32Array>(4).fill(values(1))));
  run.dispose();
});

test("inputs are all looked at before any is written", async () => {
  const run = await s.capture({ inputs: { ...X, y: { shape: [2], dtype: "f32" } } }, ({ x, y }) => ({ x, y }));
  run.run({ x: values(1), y: [1, 2] });
  assert.ok(messageOf(() => run.run({ x: values(2), y: [1] })).includes("input y must have 2 elements"));
  assert.equal(await read(run.run({ x: values(1), y: [3, 4] }).x), [...values(1)]);
  run.dispose();
});

test("outputs: a disposed one is refused, one from outside stays its owner's", async () => {
  const w = s.tensor(values(1));
  const run = await s.capture({ label: "pair", inputs: X }, ({ x }) => ({ w, y: s.add(x, w) }));
  const { y } = run.run({ x: values(2) });
  y.dispose();
  assert.is(
    messageOf(() => run.run({ x: values(2) })),
    `DisposedError: capture "pair": its outputs must be alive; got f32[${N}], which was disposed. Every run writes it: dispose the capture instead.`,
  );
  run.dispose();
  assert.equal(await read(w), [...values(1)]);
});
