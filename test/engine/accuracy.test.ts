// Elementary functions and their gradients against float64, over their whole ranges, within the bounds of
// bench/accuracy.ts.

import { CASES, measureRange } from "../../bench/accuracy.ts";
import { gpuSuite } from "../gpu.ts";

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
