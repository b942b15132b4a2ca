// Recipes: what is not said depends on the run.

import { completeRecipe } from "../../exits/training/recipe.ts";
import { makeSchedule } from "../../exits/training/schedules.ts";
import { assert, suite } from "../harness.ts";

const test = suite("exits: recipes");

/** Steps before the rate no longer rises. */
function rising(steps: number, schedule = {}): number {
  const rate = makeSchedule(completeRecipe({ epochs: 1, schedule: { kind: "constant", ...schedule } }), steps);
  let t = 0;
  while (t + 1 < steps && rate(t + 1) > rate(t)) t++;
  return t + 1;
}

test("the warm-up is a tenth of the run, and of long runs 200 steps; a given one is kept", () => {
  assert.equal(
    [1, 8, 48, 1950, 2000, 100_000].map((steps) => rising(steps)),
    [1, 1, 5, 195, 200, 200],
  );
  assert.equal([rising(48, { warmup: 20 }), rising(48, { warmup: 0 })], [20, 1]);
});
