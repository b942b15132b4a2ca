// What captures are fed with: values that lie in slots of the same run, and the one device of all that a step touches.

import * as s from "../../engine/index.ts";
import { Init, Linear, SGD } from "../../nn/index.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { messageOf, rejectionOf } from "./messages.ts";

const test = gpuSuite("capture feeds", { timeout: 60_000 });

const N = 300;
const rows = { shape: [N], dtype: "i32" } as const;
const filled = (value: number) => new Int32Array(N).fill(value);
const same = async (x: s.Tensor, value: number) => assert.equal([...(await x.read())], [...filled(value)]);

test("inputs that the step returns may be fed to one another", async () => {
  const step = await s.capture({ inputs: { p: rows, q: rows } }, ({ p, q }) => ({ p, q, less: s.sub(p, q) }));
  const out = step.run({ p: filled(1), q: filled(2) });
  const memory = device().memory().bytes;
  for (let turn = 0; turn < 3; turn++) {
    step.run({ p: out.q, q: out.p });
    const [p, q] = turn % 2 === 0 ? [2, 1] : [1, 2];
    await same(out.p, p);
    await same(out.q, q);
    await same(out.less, p - q);
  }
  assert.is(device().memory().bytes, memory);
  step.dispose();
});

test("a recurrence holds in whichever order its inputs are declared", async () => {
  const one = { shape: [1], dtype: "f32" } as const;
  for (const inputs of [
    { a: one, b: one },
    { b: one, a: one },
  ] as readonly { a: typeof one; b: typeof one }[]) {
    const step = await s.capture({ inputs }, ({ a, b }) => ({ a: b, b: s.add(a, b) }));
    let out = step.run({ a: [0], b: [1] });
    const seen: number[] = [];
    for (let i = 0; i < 5; i++) {
      out = step.run({ a: out.a, b: out.b });
      seen.push(await out.b.item());
    }
    assert.equal(seen, [2, 3, 5, 8, 13]);
    step.dispose();
  }
});

test("host data and scalars do not reach what another input still has to read", async () => {
  const step = await s.capture({ inputs: { p: rows, q: rows } }, ({ p, q }) => ({ p, twice: s.mul(q, 2) }));
  const out = step.run({ p: filled(1), q: filled(2) });
  step.run({ p: filled(9), q: out.p });
  await same(out.twice, 2);
  // A view of the input is the input.
  step.run({ p: filled(5), q: s.reshape(s.reshape(out.p, [N, 1]), [N]) });
  await same(out.twice, 18);
  step.dispose();
  const number = { shape: [], dtype: "f32" } as const;
  const scaled = await s.capture({ inputs: { x: number }, scalars: { k: 3 } }, ({ x }, { k }) => ({
    k,
    y: s.add(x, k),
  }));
  const { k, y } = scaled.run({ x: [0] });
  scaled.run({ x: k }, { k: 10 });
  assert.is(await y.item(), 13);
  scaled.dispose();
});

test("a gradient may be fed to the step that takes it from its leaf, flat or not", async () => {
  for (const isFlat of [false, true]) {
    const w = s.tensor(new Float32Array(N).fill(1)).requiresGrad();
    const optimizer = isFlat ? new SGD([w], { lr: 1 }) : undefined;
    const step = await s.capture({ state: [w], inputs: { g: { shape: [N], dtype: "f32" } } }, ({ g }) => {
      s.noGrad(() => s.copyInto(w, s.sub(w, g)));
      w.zeroGrad();
    });
    let memory = 0;
    for (let turn = 1; turn <= 4; turn++) {
      s.scope(() => s.backward(s.sum(s.mul(w, 2))));
      step.run({ g: w.grad });
      // Whoever takes memory now must not find the gradient's.
      s.full([N], 99).dispose();
      assert.equal([...(await w.read())], new Array(N).fill(1 - 2 * turn));
      if (turn === 2) memory = device().memory().bytes;
    }
    assert.is(device().memory().bytes, memory);
    step.dispose();
    optimizer?.dispose();
    optimizer?.flat.dispose();
  }
});

test("what is refused has written nothing", async () => {
  const step = await s.capture({ inputs: { p: rows, q: rows }, scalars: { k: 1 } }, ({ p, q }, { k }) => ({
    p,
    q,
    k: s.mul(k, 1),
  }));
  const out = step.run({ p: filled(1), q: filled(2) });
  messageOf(() => step.run({ p: filled(7), q: new Float64Array(N).fill(2 ** 40) }, { k: 5 }));
  await same(out.p, 1);
  step.run({ p: out.p, q: out.q });
  assert.is(await out.k.item(), 1);
  step.dispose();
});

test("a capture is on the device of its state, rows or example inputs", async () => {
  using other = await s.createDevice();
  const layer = new Linear(4, 4, new Init({ seed: 1, device: other }));
  const optimizer = new SGD(layer.parameters(), { lr: 0.1 });
  const x = s.randn([8, 4], { seed: 1, device: other });
  const before = [...(await layer.weight.read())];
  const step = await s.capture({ state: [optimizer] }, () =>
    s.scope(() => {
      const loss = s.mean(s.square(layer.forward(x)));
      s.backward(loss);
      optimizer.step();
      optimizer.zeroGrad();
      return loss;
    }),
  );
  assert.equal([...(await layer.weight.read())], before, "the trace must not run");
  const first = await step.run({}).item();
  for (let i = 0; i < 20; i++) step.run({});
  assert.ok((await step.run({}).item()) < first);
  step.dispose();
  const by = await s.capture({ inputs: { x } }, ({ x }) => s.add(x, 1));
  assert.is(by.run({ x }).device, other);
  by.dispose();
});

const TWO = "ArgumentError: capture: all operands must be on one device; got two.";
const AWAY =
  "CaptureError: capture: the step must work on one device; it used another. Pass { device } of what it uses.";

test("a capture of two devices is refused, whatever lies on the second", async () => {
  using other = await s.createDevice();
  const [here, there] = [s.ones([4]), s.ones([4], { device: other })];
  const leaf = s.ones([4], { device: other }).requiresGrad();
  for (const options of [
    { state: [there], device: device() },
    { state: [here, there] },
    { state: [here], inputs: { x: there } },
    { inputs: { x: here, y: there } },
    { inputs: { x: here }, rows: s.tensor(Uint32Array.of(1), { device: other }) },
  ] as readonly object[]) {
    assert.is(await rejectionOf(s.capture(options, () => s.add(here, 1))), TWO);
  }
  for (const step of [
    () => s.add(there, 1),
    () => s.ones([4], { device: other }),
    () => s.tensor([1, 2], { device: other }),
    () => s.reshape(there, [2, 2]),
    () => there.write([1, 2, 3, 4]),
    () => s.copyInto(there, there),
    () => s.backward(s.sum(s.square(leaf))),
    () => s.randn([2], { seed: 1, device: other }),
  ]) {
    assert.is(await rejectionOf(s.capture({ inputs: { x: here } }, step)), AWAY, String(step));
    assert.is(
      messageOf(() => s.trace(device(), step)),
      AWAY,
      String(step),
    );
  }
  assert.equal([...(await there.read()), ...(await s.add(there, 1).read())], [1, 1, 1, 1, 2, 2, 2, 2]);
  const inner = await s.capture({ inputs: { x: there } }, ({ x }) => s.add(x, 1));
  assert.is(await rejectionOf(s.capture({}, () => inner.run({ x: there }))), AWAY);
  inner.dispose();
});
