// Elementary functions and their gradients against float64, over their whole ranges, within the bounds of
// bench/accuracy.ts; the gradients of quotients far from 1.

import { CASES, measureRange } from "../../bench/accuracy.ts";
import { backward, div, tensor } from "../../engine/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";

const test = gpuSuite("accuracy", { timeout: 60_000 });
for (const one of CASES) {
  test(one.name, async () => {
    for (const over of one.ranges) {
      const { value, valueAt, slope, slopeAt } = await measureRange(one, over, 1001);
      const where = `${one.name} in ${over.from}..${over.to}`;
      if (!(value <= over.value))
        throw new Error(`${where} is off by ${value} at ${valueAt}; the bound is ${over.value}`);
      if (!(slope <= over.slope))
        throw new Error(`the gradient of ${where} is off by ${slope} at ${slopeAt}; the bound is ${over.slope}`);
    }
  });
}

test("the gradient by a divisor whose square is no f32", async () => {
  const a = tensor([1e-23, 3e20, -2, 0]);
  const b = tensor([1e-23, 1e20, 1e15, 1e-30]).requiresGrad();
  backward(div(a, b), { gradient: tensor([1, 1, 1e30, 1]) });
  const want = [-1e23, -3e-20, 2, 0];
  for (const [i, got] of Array.from(await b.grad.read()).entries())
    assert.ok(Math.abs(got - want[i]!) <= 1e-6 * Math.abs(want[i]!), `element ${i} is ${got}`);
});
