// What softmax, the losses, the norms and attention say of operands that do not fit, and what the op table has no room
// for: labels that are no class, f16 storage, running statistics over several steps, memory of attention.

import * as s from "../../engine/index.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { sample } from "../kernels/lab.ts";
import { messageOf } from "./messages.ts";

const test = gpuSuite("row ops");

const says = (call: () => unknown, message: string): void => assert.is(messageOf(call), message);

test("softmax names axis and dtype", () => {
  says(() => s.softmax(s.zeros([2, 3]), { dim: 2 }), "ShapeError: softmax: axis must be in -2..1; got 2.");
  says(
    () => s.logSoftmax(s.zeros([2, 3], { dtype: "i32" })),
    "DTypeError: logSoftmax: x must be f32 or f16; got i32[2, 3]. Use cast().",
  );
});

test("a scalar is a line of one number", async () => {
  const x = s.tensor(3, { dtype: "f32" });
  for (const dim of [undefined, 0, -1]) {
    const options = dim === undefined ? {} : { dim };
    assert.equal(await s.read([s.softmax(x, options), s.logSoftmax(x, options)]), [
      Float32Array.of(1),
      Float32Array.of(0),
    ]);
    const [slope] = s.grad((z) => s.softmax(z as s.Tensor, options))(x);
    assert.equal(await slope!.read(), Float32Array.of(0));
  }
  says(() => s.softmax(x, { dim: 1 }), "ShapeError: softmax: axis must be in -1..0; got 1.");
});

test("crossEntropy describes logits and target", () => {
  const z = s.zeros([4, 10]);
  const labels = s.zeros([4], { dtype: "i32" });
  says(
    () => s.crossEntropy(s.zeros([10]), labels),
    "ShapeError: crossEntropy: logits must be [N, C] or [N, K, C] with at least one class; got f32[10].",
  );
  says(
    () => s.crossEntropy(z, s.zeros([5], { dtype: "i32" })),
    "ShapeError: crossEntropy: labels must be [N]; got i32[5] for logits f32[4, 10].",
  );
  says(
    () => s.crossEntropy(z, s.zeros([4, 9])),
    "ShapeError: crossEntropy: distribution must be [N, C]; got f32[4, 9] for logits f32[4, 10].",
  );
  says(
    () => s.crossEntropy(z, s.zeros([4], { dtype: "u32" })),
    "DTypeError: crossEntropy: the target must be i32 labels or an f32 distribution; got u32[4]. Use cast().",
  );
  says(
    () => s.crossEntropy(z, s.zeros([4, 10]).requiresGrad()),
    "GradientError: crossEntropy: the target must carry no gradient; got f32[4, 10], which does. Call detach().",
  );
  says(
    () => s.crossEntropy(z, labels, { weights: s.zeros([4, 2]) }),
    "ShapeError: crossEntropy: weights must be f32[4]; got f32[4, 2].",
  );
  says(
    () => s.crossEntropy(z, labels, { labelSmoothing: 1.5 }),
    "ArgumentError: crossEntropy: labelSmoothing must be in 0..1; got 1.5.",
  );
  says(
    () => s.crossEntropy(z, labels, { reduction: "avg" as s.Reduction }),
    'ArgumentError: crossEntropy: reduction must be one of none, mean, sum; got "avg".',
  );
});

test("the other losses describe both operands", () => {
  says(
    () => s.nllLoss(s.zeros([3, 4]), s.zeros([4], { dtype: "i32" })),
    "ShapeError: nllLoss: labels must be [N]; got i32[4] for logProbs f32[3, 4].",
  );
  says(
    () => s.mse(s.zeros([3]), s.zeros([1, 3])),
    "ShapeError: mse: input and target must have one shape; got f32[3] and f32[1, 3].",
  );
  says(
    () => s.klDiv(s.zeros([3]), s.zeros([3]), { reduction: "batchmean" as "mean" }),
    'ArgumentError: klDiv: reduction must be one of none, mean, sum, batchMean; got "batchmean".',
  );
});

test("norms describe what does not fit x", () => {
  const x = s.zeros([4, 8]);
  const c = (n: number) => s.zeros([n]);
  says(
    () => s.batchNorm(x, c(8), c(4), c(8), c(8)),
    "ShapeError: batchNorm: bias must be [C]; got f32[4] for x f32[4, 8].",
  );
  says(
    () => s.batchNorm(s.zeros([1, 8]), c(8), c(8), c(8), c(8), { training: true }),
    "ShapeError: batchNorm: training must see more than one value per channel; got f32[1, 8].",
  );
  says(
    () => s.batchNorm(x, c(8), c(8), c(8), c(8), { residual: s.zeros([8, 4]) }),
    "ShapeError: batchNorm: the residual must be f32[4, 8]; got f32[8, 4].",
  );
  says(
    () => s.layerNorm(x, undefined, undefined, { normalizedShape: [4] }),
    "ShapeError: layerNorm: normalizedShape must be the trailing axes of x, not empty; got [4] for f32[4, 8].",
  );
  says(
    () => s.layerNorm(x, undefined, c(8)),
    "ArgumentError: layerNorm: a bias must come with a weight; got a bias alone. Pass ones().",
  );
  says(
    () => s.groupNorm(x, c(8), c(8), { numGroups: 3 }),
    "ShapeError: groupNorm: x must be [N, ..., C] with C a multiple of numGroups; got f32[4, 8] for 3 groups.",
  );
  says(
    () => s.layerNorm(x, c(8), c(8), { eps: -1 }),
    "ArgumentError: layerNorm: eps must be a number of at least 0; got -1.",
  );
});

test("attention describes its operands", () => {
  const [q, k] = [s.zeros([2, 5, 8]), s.zeros([2, 7, 4])];
  says(
    () => s.scaledDotProductAttention(q, k, k),
    "ShapeError: scaledDotProductAttention: q must be [..., L, D], k and v [..., M, D]; got f32[2, 5, 8], f32[2, 7, 4], f32[2, 7, 4].",
  );
  says(
    () => s.qkvAttention(s.zeros([2, 5, 20]), { heads: 3 }),
    "ShapeError: qkvAttention: qkv must be [B, T, 3 * heads * headDim]; got f32[2, 5, 20] for 3 heads.",
  );
});

test("a label that is no class makes its own loss and gradient row NaN, and no other", async () => {
  const z = s.tensor(sample(4 * 5), { shape: [4, 5] }).requiresGrad();
  // Made on the GPU: what the host knows is refused.
  const labels = s.add(s.tensor(Int32Array.of(0, -1, 5, 4)), 0);
  const loss = s.crossEntropy(z, labels, { reduction: "none" });
  const nll = s.nllLoss(s.logSoftmax(z), labels, { reduction: "none" });
  s.backward(loss, { gradient: s.ones([4]) });
  const [a, b, g] = await s.read([loss, nll, z.grad]);
  const isNan = [false, true, true, false];
  assert.equal(Array.from(a as Float32Array, Number.isNaN), isNan);
  assert.equal(Array.from(b as Float32Array, Number.isNaN), isNan);
  assert.equal(
    Array.from(g as Float32Array, Number.isNaN),
    isNan.flatMap((nan) => Array<boolean>(5).fill(nan)),
  );
});

test("NaN passes through the norms and the fused relu", async () => {
  const x = sample(6 * 4);
  x[5] = Number.NaN;
  const at = s.tensor(x, { shape: [6, 4] });
  const [w, b, v] = [s.ones([4]), s.zeros([4]), s.ones([4])];
  const batch = s.batchNorm(at, w, b, s.zeros([4]), v, { training: true, activation: "relu" });
  const [y, layer] = await s.read([batch, s.layerNorm(at, w, b)]);
  assert.equal(
    Array.from(y as Float32Array, Number.isNaN),
    Array.from(x, (_, i) => i % 4 === 1),
  );
  assert.equal(
    Array.from(layer as Float32Array, Number.isNaN),
    Array.from(x, (_, i) => Math.floor(i / 4) === 1),
  );
});

test("running statistics move in place, step by step, in training only", async () => {
  const [mean, variance] = [s.zeros([2]), s.ones([2])];
  const [w, b] = [s.ones([2]), s.zeros([2])];
  const x = s.tensor([
    [1, 10],
    [3, 30],
  ]);
  for (let step = 0; step < 3; step++) s.batchNorm(x, w, b, mean, variance, { training: true, momentum: 0.5 });
  s.batchNorm(x, w, b, mean, variance, { training: false });
  const [m, v] = await s.read([mean, variance]);
  assert.equal(Array.from(m as Float32Array), [2 * 0.875, 20 * 0.875]);
  assert.equal(Array.from(v as Float32Array), [0.125 + 2 * 0.875, 0.125 + 200 * 0.875]);
});

test("row ops store f16 and compute in f32", async () => {
  if (!device().info.hasF16) return;
  const shape = [2, 9, 8] as const;
  const data = sample(144, 3).map((v) => Math.round(v * 64) / 64);
  const both = (["f32", "f16"] as const).map((dtype) => s.tensor(data, { shape: [...shape], dtype }).requiresGrad());
  const [w, b] = [s.tensor(sample(8, 4)), s.tensor(sample(8, 5))];
  const labels = s.tensor(Int32Array.from({ length: 2 }, (_, i) => i));
  const calls: Record<string, (x: s.Tensor) => s.Tensor> = {
    softmax: (x) => s.softmax(x),
    "softmax over the middle": (x) => s.softmax(x, { dim: 1 }),
    layerNorm: (x) => s.layerNorm(x, w, b),
    groupNorm: (x) => s.groupNorm(x, w, b, { numGroups: 2 }),
    batchNorm: (x) => s.batchNorm(x, w, b, s.zeros([8]), s.ones([8]), { training: true, activation: "relu" }),
    "batchNorm in evaluation": (x) => s.batchNorm(x, w, b, s.zeros([8]), s.ones([8])),
    crossEntropy: (x) => s.crossEntropy(x, labels, { reduction: "none" }),
    attention: (x) => s.scaledDotProductAttention(x, x, x),
  };
  for (const [name, call] of Object.entries(calls)) {
    const results = both.map((x) => {
      x.zeroGrad();
      const y = call(x);
      assert.is(y.dtype, name === "crossEntropy" ? "f32" : x.dtype, name);
      const g = s.tensor(
        sample(y.size, 6).map((v) => Math.round(v * 64) / 64),
        { shape: y.shape, dtype: y.dtype },
      );
      s.backward(y, { gradient: g });
      assert.is(x.grad.dtype, x.dtype, name);
      return [y, x.grad.detach()];
    });
    const [[y32, g32], [y16, g16]] = (await Promise.all(results.map((pair) => s.read(pair)))) as [
      Float32Array[],
      Float32Array[],
    ];
    const near = (got: Float32Array, want: Float32Array, what: string): void => {
      for (const [i, v] of want.entries()) {
        const isNear = Math.abs((got[i] as number) - v) <= 4e-3 + 4e-3 * Math.abs(v);
        assert.ok(isNear, `${name}: ${what} ${i} is ${got[i]}, want ${v}`);
      }
    };
    near(y16 as Float32Array, y32 as Float32Array, "element");
    near(g16 as Float32Array, g32 as Float32Array, "gradient");
  }
});

test("attention over 1024 keys keeps no score matrix", async () => {
  using own = await s.createDevice();
  const q = s.tensor(sample(1024 * 4), { shape: [1, 1024, 4], device: own });
  const y = s.scaledDotProductAttention(q, q, q);
  await y.read();
  const { peak } = own.memory();
  for (const made of [q, y]) made.dispose();
  assert.ok(peak < 1024 * 1024, `${peak} bytes at most; the scores alone would take ${4 * 1024 * 1024}`);
});
