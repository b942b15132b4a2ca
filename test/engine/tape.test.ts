// Differentiation: accumulation, multiple uses, what is freed, what is refused.

import * as s from "../../engine/index.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { messageOf } from "./messages.ts";

const test = gpuSuite("tape");
const values = async (x: s.Tensor) => [...(await x.read())];

test("a value used twice gets both gradients", async () => {
  const x = s.tensor([1, 2, 3]).requiresGrad();
  s.backward(s.sum(s.mul(x, s.add(x, x))));
  assert.equal(await values(x.grad), [4, 8, 12]);
});

test("gradients accumulate until zeroGrad", async () => {
  const x = s.tensor([1, 2]).requiresGrad();
  for (let i = 0; i < 3; i++) s.backward(s.sum(s.square(x)));
  assert.equal(await values(x.grad), [6, 12]);
  x.zeroGrad();
  assert.not.ok(x.hasGrad);
});

test("broadcast operands get summed gradients", async () => {
  const a = s.full([2, 3], 2).requiresGrad();
  const b = s.full([3, 1, 1], 5).requiresGrad();
  s.backward(s.sum(s.mul(a, b)));
  assert.equal(await values(a.grad), Array(6).fill(15));
  assert.equal(await values(b.grad), [12, 12, 12]);
  assert.equal(b.grad.shape, [3, 1, 1]);
});

test("detach and noGrad cut the graph", async () => {
  const x = s.tensor([3]).requiresGrad();
  assert.not.ok(x.detach().isDifferentiable);
  assert.not.ok(s.noGrad(() => s.square(x)).isDifferentiable);
  s.backward(s.sum(s.mul(x, x.detach())));
  assert.equal(await values(x.grad), [3]);
});

test("grad and valueAndGrad leave their arguments alone", async () => {
  const x = s.tensor([2, 3]);
  const [dx] = s.grad((a: s.Tensor) => s.sum(s.square(a)))(x);
  assert.equal(await values(dx as s.Tensor), [4, 6]);
  assert.not.ok(x.isDifferentiable);
  const { value, grads } = s.valueAndGrad((a: s.Tensor, b: s.Tensor) => s.sum(s.mul(a, b)))(x, x);
  assert.is(await value.item(), 13);
  assert.equal(await values(grads[1] as s.Tensor), [2, 3]);
});

test("grad differentiates inside noGrad, and inside the vjp of an op, where its results are constants", async () => {
  const slope = (x: s.Tensor) => s.grad((a: s.Tensor) => s.sum(s.mul(a, s.mul(a, k))))(x)[0]!;
  const k = s.tensor([3]).requiresGrad();
  const x = s.tensor([1, 2]).requiresGrad();
  const found = s.noGrad(() => slope(x));
  assert.equal([...(await found.read())], [6, 12]);
  assert.not.ok(found.isDifferentiable);
  // Recomputed backwards: its own derivative is of a function that its forward pass did not record.
  const square = s.defineOp({
    name: "recomputed",
    operands: { x: "f32" },
    infer: ({ x }) => ({ y: x }),
    saves: ["x"],
    vjp: (g, at) => ({ x: () => s.grad((a: s.Tensor) => s.sum(s.mul(s.mul(a, a), g)))(at.value("x"))[0]! }),
  });
  s.backward(s.sum(square({ x }, {}).y));
  assert.equal([...(await x.grad.read())], [2, 4]);
});

test("an upstream gradient is taken in the result's dtype", async () => {
  if (!device().info.hasF16) return;
  const a = s.tensor([1, 2, 3, 4], { shape: [2, 2], dtype: "f16" }).requiresGrad();
  const b = s.tensor([1, 0, 0, 1], { shape: [2, 2], dtype: "f16" });
  s.matmul(a, b).backward({ gradient: s.tensor([1, 2, 3, 4], { shape: [2, 2] }) });
  assert.equal([...(await a.grad.read())], [1, 2, 3, 4]);
});

test("an upstream gradient weighs the outputs", async () => {
  const x = s.tensor([1, 2]).requiresGrad();
  s.backward(s.square(x), { gradient: s.tensor([10, 100]) });
  assert.equal(await values(x.grad), [20, 400]);
});

test("a graph runs backward twice only when retained", async () => {
  const x = s.tensor([2]).requiresGrad();
  const y = s.sum(s.square(x));
  s.backward(y, { retain: true });
  s.backward(y);
  assert.equal(await values(x.grad), [8]);
  assert.is(
    messageOf(() => s.backward(y)),
    "GradientError: backward: the graph of sum must still be there; it was freed by an earlier backward(). Pass { retain: true } to that one.",
  );
});

test("a saved value that was written in place is refused", () => {
  const x = s.tensor([2]).requiresGrad();
  const y = s.mul(x, 3);
  const z = s.sum(s.square(y));
  s.noGrad(() => s.addInto(y, s.tensor([1])));
  assert.is(
    messageOf(() => s.backward(z)),
    "GradientError: backward: values that square saved must be unchanged; x, f32[1], was written in place afterwards.",
  );
});

test("disposing the user's handles does not break the graph", async () => {
  const x = s.tensor([2, 3]).requiresGrad();
  const y = s.square(x);
  const z = s.exp(s.mul(y, 0.1));
  const loss = s.sum(z);
  y.dispose();
  z.dispose();
  s.backward(loss);
  const want = [2, 3].map((v) => 0.2 * v * Math.exp(0.1 * v * v));
  for (const [i, v] of (await values(x.grad)).entries()) assert.ok(Math.abs(v - (want[i] as number)) < 1e-5);
});

test("a chain of 5,000 ops neither overflows the stack nor keeps memory", async () => {
  const x = s.tensor([1]).requiresGrad();
  const y = s.scope(() => {
    let at: s.Tensor = x;
    for (let i = 0; i < 5_000; i++) at = s.add(at, x);
    return at;
  });
  s.backward(y);
  assert.equal(await values(x.grad), [5_001]);
});

test("a custom op runs through the public defineOp", async () => {
  const cube = s.single(
    s.defineOp({
      name: "cube",
      operands: { x: "float" },
      infer: ({ x }) => ({ y: x }),
      run: ({ inputs: { x }, outputs: { y } }) => {
        const result = s.mul(s.square(x), x);
        s.copyInto(y, result);
        result.dispose();
      },
      saves: ["x"],
      vjp: (g, at) => ({ x: () => s.mul(g, s.mul(s.square(at.value("x")), 3)) }),
    }),
  );
  const x = s.tensor([2, -1]).requiresGrad();
  const y = cube({ x }, {});
  assert.equal(await values(y), [8, -1]);
  s.backward(s.sum(y));
  assert.equal(await values(x.grad), [12, 3]);
});

test("a gradient that a vjp has from outside stays its owner's", async () => {
  const ones = s.tensor([1, 1, 1, 1]);
  for (const from of [() => ones, () => s.reshape(ones, [2, 2]).reshape([4])]) {
    const op = s.defineOp({
      name: "sloped",
      operands: { x: "f32" },
      infer: ({ x }) => ({ y: x }),
      vjp: () => ({ x: from }),
    });
    const [x, moved] = [s.tensor([1, 2, 3, 4]).requiresGrad(), s.tensor([1, 2, 3, 4]).requiresGrad()];
    const flat = s.flatten([moved]);
    for (let pass = 1; pass <= 2; pass++) {
      for (const leaf of [x, moved]) s.backward(s.sum(op({ x: leaf }, {}).y));
      for (const leaf of [x, moved]) assert.equal(await values(leaf.grad), Array(4).fill(pass));
      assert.equal(await values(ones), [1, 1, 1, 1]);
    }
    const [found] = s.grad((a: s.Tensor) => s.sum(op({ x: a }, {}).y))(x) as [s.Tensor];
    s.addInto(found, s.ones([4]));
    flat.zeroGrad();
    assert.equal(await values(ones), [1, 1, 1, 1]);
  }
});

test("what cannot be differentiated says why", () => {
  const x = s.tensor([1, 2]).requiresGrad();
  assert.is(
    messageOf(() => s.backward(s.square(x))),
    "GradientError: backward: a result of several elements needs a gradient; got f32[2]. Reduce it, or pass { gradient }.",
  );
  assert.is(
    messageOf(() => s.backward(s.tensor([1]))),
    "GradientError: backward: the result must depend on a tensor with requiresGrad(); got f32[1], which does not.",
  );
  assert.is(
    messageOf(() => x.grad),
    "GradientError: grad: a gradient must exist; got none on f32[2]: backward() has not reached it.",
  );
  assert.is(
    messageOf(() => s.tensor(Int32Array.of(1)).requiresGrad()),
    "DTypeError: requiresGrad: the dtype must be f32 or f16; got i32[1].",
  );
});

test("a gradient in the flat buffer is noticed to be gone when another takes its place", () => {
  const w = s.tensor([1, 2]).requiresGrad();
  const flat = s.flatten([w]);
  const v = s.tensor([3, 4]).requiresGrad();
  s.backward(s.sum(s.mul(w, 1)));
  const kept = s.sum(s.mul(v, w.grad.detach()));
  flat.zeroGrad();
  s.backward(s.sum(s.mul(w, 5)));
  assert.match(
    messageOf(() => s.backward(kept)),
    /values that mul saved must be unchanged; b, f32\[2\], was written in place afterwards\.$/,
  );
});

test("an optimiser step between forward and backward is noticed through the flat buffer", () => {
  const w = s.tensor([1, 2]).requiresGrad();
  const flat = s.flatten([w]);
  const loss = s.sum(s.square(w));
  s.addInto(flat.values, s.ones([flat.size]));
  assert.is(
    messageOf(() => s.backward(loss)),
    "GradientError: backward: values that square saved must be unchanged; x, f32[2], was written in place afterwards.",
  );
});
