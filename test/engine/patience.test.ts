// Waiting for work seen before: how long is slept, and what makes it forget.

import { Patience } from "../../engine/patience.ts";
import { assert, suite } from "../harness.ts";

const test = suite("patience");

/** Waits for work of `ms` once; what was awaited asks the clock when it began. */
async function wait(patience: Patience, dispatches: number, ms: number): Promise<number> {
  const start = performance.now();
  let asked = 0;
  await patience.wait(dispatches, () => {
    asked = performance.now() - start;
    return asked < ms ? new Promise((resolve) => setTimeout(resolve, ms - asked)) : Promise.resolve();
  });
  return asked;
}

test("known work is asked for late, unknown work at once", async () => {
  const patience = new Patience(true);
  assert.ok((await wait(patience, 7, 60)) < 30, "the first time");
  assert.ok((await wait(patience, 7, 60)) < 30, "the second time: the first may have compiled shaders");
  assert.ok((await wait(patience, 7, 60)) >= 40, "the third time");
  assert.ok((await wait(patience, 8, 60)) < 30, "other work");
});

test("sleeping past the end is done once", async () => {
  const patience = new Patience(true);
  for (const ms of [60, 60]) await wait(patience, 3, ms);
  assert.ok((await wait(patience, 3, 0)) >= 40);
  assert.ok((await wait(patience, 3, 0)) < 30);
});

test("off, it never sleeps", async () => {
  const patience = new Patience(false);
  for (let i = 0; i < 4; i++) assert.ok((await wait(patience, 1, 30)) < 20);
});
