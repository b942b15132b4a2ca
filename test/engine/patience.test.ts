// Waiting for work seen before: how long is slept, and what makes it forget. On a clock that the test moves.

import { type Clock, Patience } from "../../engine/patience.ts";
import { assert, suite } from "../harness.ts";

const test = suite("patience");

/** A clock that only sleeping and working move. */
class Hand implements Clock {
  #now = 0;
  now(): number {
    return this.#now;
  }
  async sleep(ms: number): Promise<void> {
    this.#now += ms;
  }

  /** Waits for work of `ms` that starts now; the milliseconds slept before it was asked for. */
  async wait(patience: Patience, dispatches: number, ms: number): Promise<number> {
    const start = this.#now;
    let slept = 0;
    await patience.wait(dispatches, async () => {
      slept = this.#now - start;
      this.#now = Math.max(this.#now, start + ms);
    });
    return slept;
  }
}

test("work is slept for once it was seen twice", async () => {
  const hand = new Hand();
  const patience = new Patience(true, hand);
  assert.is(await hand.wait(patience, 7, 900), 0, "unknown");
  assert.is(await hand.wait(patience, 7, 100), 0, "the first may have compiled shaders");
  assert.is(await hand.wait(patience, 7, 100), 80);
  assert.is(await hand.wait(patience, 8, 100), 0, "other work");
});

test("sleeping past the end is done once", async () => {
  const hand = new Hand();
  const patience = new Patience(true, hand);
  for (const ms of [100, 100]) await hand.wait(patience, 3, ms);
  assert.is(await hand.wait(patience, 3, 10), 80);
  assert.is(await hand.wait(patience, 3, 10), 0);
});

test("short work is left to polling, and off it never sleeps", async () => {
  const hand = new Hand();
  const [on, off] = [new Patience(true, hand), new Patience(false, hand)];
  for (let i = 0; i < 4; i++) {
    assert.is(await hand.wait(on, 1, 4), 0);
    assert.is(await hand.wait(off, 1, 400), 0);
  }
});
