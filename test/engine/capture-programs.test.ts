// Random programs of capture, run, dispose, forget, collect, flatten and churn equal the same work done eagerly, bit
// for bit. `test/torture/captures.ts` does the same for many thousands of steps.

import * as fc from "fast-check";
import { forgetting } from "../collect.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { noCounts, tortureCaptures, World } from "../torture/captures.ts";

const test = gpuSuite("random programs of captures", { timeout: 480_000 });

test("many steps, and nothing left of them", async () => {
  const counts = await tortureCaptures({ device: device(), steps: 160, seed: 1 });
  for (const [what, count] of Object.entries(counts)) assert.ok(count > 0, `${what} must happen`);
});

test("sequences of steps that shrink to the fault", async () => {
  const choices = fc.array(fc.nat(2 ** 31 - 1), { minLength: 10, maxLength: 30 });
  const property = fc.asyncProperty(choices, async (steps) => {
    const world = new World(device(), noCounts());
    try {
      for (const choice of steps) await world.step(choice);
    } finally {
      world.dispose();
    }
  });
  await forgetting(device(), () => fc.assert(property, { seed: 8, numRuns: 3 }));
});
