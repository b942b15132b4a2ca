// Gradients that a captured step leaves at leaves: of recording, of runs, and of what is done in between.

import * as s from "../../engine/index.ts";
import { SGD } from "../../nn/index.ts";
import { forgetting, poison } from "../collect.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { messageOf, rejectionOf } from "./messages.ts";

/** Beyond one workgroup of every pointwise kernel. */
const N = 3000;
const X = { x: { shape: [N], dtype: "f32" } } as const;
const values = (k: number) => Float32Array.from({ length: N }, (_, i) => Math.round(100 * Math.sin(i + k)) / 4);
const read = async (tensor: s.Tensor) => [...(await tensor.read())];
const sums = (...arrays: Float32Array[]) =>
  [...values(0)].map((_, i) => arrays.reduce((sum, a) => sum + (a[i] ?? 0), 0));

const gradients = gpuSuite("gradients that a captured step leaves");

const square = (w: s.Tensor, x: s.Tensor) => s.sum(s.mul(s.mul(w, w), x));
const gradientOf = (w: Float32Array, x: Float32Array) => [...w].map((value, i) => 2 * value * (x[i] ?? 0));

gradients("recording leaves them alone; a run replaces them; they outlive the capture", async () => {
  const w = s.tensor(values(1)).requiresGrad();
  s.backward(s.sum(s.mul(w, 3)));
  const run = await s.capture({ inputs: X }, ({ x }) => {
    w.zeroGrad();
    s.backward(square(w, x));
  });
  assert.equal(await read(w.grad), new Array(N).fill(3));
  for (const k of [2, 3]) {
    run.run({ x: values(k) });
    assert.equal(await read(w.grad), gradientOf(values(1), values(k)));
  }
  w.zeroGrad();
  run.run({ x: values(4) });
  run.dispose();
  await poison(device());
  assert.equal(await read(w.grad), gradientOf(values(1), values(4)));
  s.backward(square(w, s.tensor(values(5))));
  assert.equal(
    await read(w.grad),
    sums(Float32Array.from(gradientOf(values(1), values(4))), Float32Array.from(gradientOf(values(1), values(5)))),
  );
});

gradients("before the first run a new gradient is zeros; a trace that fails leaves none", async () => {
  const w = s.tensor(values(1)).requiresGrad();
  await poison(device());
  await rejectionOf(
    s.capture({ inputs: X }, ({ x }) => {
      s.backward(square(w, x));
      throw new Error("on purpose");
    }),
  );
  assert.is(w.hasGrad, false);
  const run = await s.capture({ inputs: X }, ({ x }) => s.backward(square(w, x)));
  assert.equal(await read(w.grad), new Array(N).fill(0));
  run.dispose();
});

gradients("a step that clears them clears them at each run", async () => {
  const w = s.tensor(values(1)).requiresGrad();
  const run = await s.capture({ inputs: X, state: [w] }, ({ x }) => {
    s.backward(square(w, x));
    s.noGrad(() => s.copyInto(w, s.sub(w, w.grad)));
    w.zeroGrad();
  });
  for (let i = 0; i < 2; i++) {
    s.backward(s.sum(w));
    run.run({ x: new Float32Array(N).fill(0.25) });
    assert.is(w.hasGrad, false);
    assert.equal(
      await read(w),
      [...values(1)].map((value) => value / 2 ** (i + 1)),
    );
  }
  run.dispose();
});

gradients("one capture leaves them, another uses and clears them", async () => {
  const w = s.tensor(values(1)).requiresGrad();
  const leave = await s.capture({ inputs: X }, ({ x }) => s.backward(square(w, x)));
  const use = await s.capture({ label: "update", state: [w] }, () => {
    s.noGrad(() => s.copyInto(w, s.sub(w, w.grad)));
    w.zeroGrad();
  });
  for (let i = 0; i < 3; i++) {
    leave.run({ x: new Float32Array(N).fill(0.25) });
    use.run({});
    assert.equal(
      await read(w),
      [...values(1)].map((value) => value / 2 ** (i + 1)),
    );
  }
  s.backward(s.sum(w));
  assert.is(
    messageOf(() => use.run({})),
    `DisposedError: capture "update": what the step reads and writes must be alive; got the gradient f32[${N}], an operand of sub, which was disposed. Keep it as long as the capture, or capture again.`,
  );
  for (const run of [leave, use]) run.dispose();
});

gradients("parameters that are flattened afterwards get them in the flat buffer", async () => {
  const [w, other] = [s.tensor(values(1)).requiresGrad(), s.tensor(values(2)).requiresGrad()];
  const run = await s.capture({ inputs: X }, ({ x }) => {
    w.zeroGrad();
    s.backward(square(w, x));
    return w.grad;
  });
  const optimizer = new SGD([other, w], { lr: 1 });
  const gradient = run.run({ x: values(3) });
  optimizer.step();
  const expected = gradientOf(values(1), values(3));
  assert.equal(await read(gradient), expected);
  assert.equal(
    await read(w),
    [...values(1)].map((value, i) => value - (expected[i] ?? 0)),
  );
  assert.equal(await read(other), [...values(2)]);
  run.dispose();
  optimizer.dispose();
  optimizer.flat.dispose();
});

gradients("a step that adds to those that are there wants some there", async () => {
  const w = s.tensor(values(1)).requiresGrad();
  const flat = s.flatten([w]);
  s.backward(s.sum(w));
  const more = await s.capture({ label: "more", inputs: X, state: [flat] }, ({ x }) => s.backward(s.sum(s.mul(w, x))));
  for (const k of [2, 3]) {
    w.zeroGrad();
    const missing = `DisposedError: capture "more": what the step reads and writes must be alive; got the gradient f32[${N}]`;
    assert.ok(messageOf(() => more.run({ x: values(k) })).startsWith(missing));
    s.backward(s.sum(w));
    for (let i = 0; i < 2; i++) more.run({ x: values(k) });
    assert.equal(
      await read(w.grad),
      sums(values(k), values(k)).map((sum) => sum + 1),
    );
  }
  more.dispose();
  flat.dispose();
});

gradients("two leaves never share one, nor one with the caller's", async () => {
  const [a, b] = [s.tensor([1, 2]).requiresGrad(), s.tensor([3, 4]).requiresGrad()];
  const given = s.tensor([10, 20]);
  for (let i = 0; i < 2; i++) s.backward(s.add(a, b), { gradient: given });
  assert.equal(
    [await read(a.grad), await read(b.grad), await read(given)],
    [
      [20, 40],
      [20, 40],
      [10, 20],
    ],
  );
  const run = await s.capture({ inputs: { g: given } }, ({ g }) => {
    for (const leaf of [a, b]) leaf.zeroGrad();
    for (let i = 0; i < 2; i++) s.backward(s.add(a, b), { gradient: g });
  });
  run.run({ g: [1, 2] });
  assert.equal(
    [await read(a.grad), await read(b.grad)],
    [
      [2, 4],
      [2, 4],
    ],
  );
  run.dispose();
});

gradients("what a forgotten result saved for differentiation is freed with it", async () => {
  const w = s.tensor(values(1)).requiresGrad();
  await forgetting(device(), async () => {
    for (let i = 0; i < 8; i++) s.keep(s.scope(() => s.exp(s.mul(s.add(w, i), 2))));
    await device().sync();
  });
});
