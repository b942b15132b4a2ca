// What the op table cannot say of pooling and resizing: ties, padding, f16, and the words of the errors.

import { adaptiveAvgPool2d, avgPool2d, backward, interpolate, maxPool2d, tensor, zeros } from "../../engine/index.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert, failsWith } from "../harness.ts";

const test = gpuSuite("pooling and resizing");

test("the first of equal maxima takes the whole gradient", async () => {
  const x = tensor(
    [
      [1, 1, 1],
      [1, 1, 1],
      [1, 1, 1],
    ].flat(),
    { shape: [3, 3, 1] },
  ).requiresGrad();
  const y = maxPool2d(x, { kernel: 2, stride: 1 });
  backward(y, { gradient: tensor([1, 2, 3, 4], { shape: [2, 2, 1] }) });
  assert.equal([...(await x.grad.read())], [1, 2, 0, 3, 4, 0, 0, 0, 0]);
});

test("padding of a max pool is -inf, not 0", async () => {
  const y = maxPool2d(tensor([-1, -2, -3, -4], { shape: [2, 2, 1] }), { kernel: 2, padding: 1 });
  assert.equal([...(await y.read())], [-1, -2, -3, -4]);
});

test("pools keep f16", async () => {
  if (!device().info.hasF16) return;
  const x = tensor(
    Array.from({ length: 64 }, (_, i) => i),
    { shape: [4, 4, 4], dtype: "f16" },
  ).requiresGrad();
  const y = maxPool2d(x, { kernel: 2 });
  assert.is(y.dtype, "f16");
  assert.equal([...(await y.read())].slice(0, 8), [20, 21, 22, 23, 28, 29, 30, 31]);
  const mean = adaptiveAvgPool2d(x, { outputSize: 1 });
  assert.equal([...(await mean.read())], [30, 31, 32, 33]);
  backward(mean, { gradient: tensor([16, 32, 48, 64], { shape: [1, 1, 4], dtype: "f16" }) });
  assert.equal([...(await x.grad.read())].slice(0, 8), [1, 2, 3, 4, 1, 2, 3, 4]);
});

test("errors name the call, the rule and what came", async () => {
  const x = zeros([2, 4, 6, 3]);
  const two = zeros([4, 6]);
  await failsWith(
    () => maxPool2d(two, { kernel: 2 }),
    "ShapeError",
    "maxPool2d: x must have the shape [B, H, W, C] or [H, W, C]; got f32[4, 6].",
  );
  await failsWith(
    () => avgPool2d(x, { kernel: 0 }),
    "ArgumentError",
    "avgPool2d: kernel must be an integer of at least 1, or two of them; got 0.",
  );
  await failsWith(
    () => maxPool2d(x, { kernel: 2, padding: 2 }),
    "ArgumentError",
    "maxPool2d: padding must be at most half the kernel; got padding [2, 2] for kernel [2, 2].",
  );
  await failsWith(
    () => maxPool2d(x, { kernel: 5 }),
    "ShapeError",
    "maxPool2d: the kernel must fit in the padded image; got kernel [5, 5], padding [0, 0] and f32[2, 4, 6, 3].",
  );
  await failsWith(
    () => adaptiveAvgPool2d(zeros([2, 0, 6, 3]), { outputSize: 1 }),
    "ShapeError",
    "adaptiveAvgPool2d: the image must have rows and columns; got f32[2, 0, 6, 3].",
  );
  await failsWith(() => interpolate(x, {}), "ArgumentError", "interpolate: size or scale must be given; got neither.");
  await failsWith(
    () => interpolate(x, { scale: 0.1 }),
    "ShapeError",
    "interpolate: both images must have rows and columns; got f32[2, 4, 6, 3] for the size [0, 0].",
  );
  await failsWith(
    () => interpolate(x, { scale: -1 }),
    "ArgumentError",
    "interpolate: scale must be a positive number, or two of them; got -1.",
  );
  await failsWith(
    () => maxPool2d(tensor([1, 2], { shape: [1, 2, 1], dtype: "i32" }), { kernel: 1 }),
    "DTypeError",
    "maxPool2d: x must be f32 or f16; got i32[1, 2, 1]. Use cast().",
  );
});
