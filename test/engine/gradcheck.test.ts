// gradcheck: right gradients pass, wrong, missing and constant ones are named.

import * as s from "../../engine/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { rejectionOf } from "./messages.ts";

const test = gpuSuite("gradcheck");

test("right gradients pass, of several inputs, at sizes of more than one element", async () => {
  const x = s.tensor([
    [0.5, -1, 2],
    [3, 0.1, -0.7],
  ]);
  const w = s.tensor([
    [1, 2],
    [-1, 0.5],
    [0.3, 3],
  ]);
  await s.gradcheck((a, b) => s.softmax(s.matmul(a as s.Tensor, b as s.Tensor)), [x, w]);
  await s.gradcheck((a) => s.log1p(s.square(a as s.Tensor)), [s.tensor([100, -3, 0.01])]);
});

test("a wrong gradient is named by its element", async () => {
  const wrong = s.elementwise({ name: "wrong", operands: ["x"], y: "x * x", grads: { x: "g * x" }, integer: null });
  assert.match(
    await rejectionOf(s.gradcheck((x) => wrong(x as s.Tensor), [s.tensor([1, 3])])),
    /^GradientError: gradcheck: gradients must agree with differences; element 1 of input 0 has [\d.]+, its differences say [\d.]+\.$/,
  );
});

test("a gradient that does not arrive is told", async () => {
  const cut = (x: s.Tensor, y: s.Tensor) => s.add(s.square(x), s.square(y.detach()));
  assert.match(
    await rejectionOf(s.gradcheck((x, y) => cut(x as s.Tensor, y as s.Tensor), [s.tensor([1, 2]), s.tensor([2, 4])])),
    /element 1 of input 1 has 0, its differences say/,
  );
});
