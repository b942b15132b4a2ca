// Waiting on an adapter that runs on the CPU: how long the event loop is blocked, and when it is left alone. On a clock
// that the test moves.

import { type Clock, napping } from "../../engine/patience.ts";
import { assert, suite } from "../harness.ts";

const test = suite("patience");

/** A clock that moves by naps, and by 0.1 ms for each turn of the loop. */
class Hand implements Clock {
  readonly naps: number[] = [];
  #now = 0;
  #turn: (() => void) | undefined;

  readonly now = (): number => this.#now;
  readonly block = (ms: number): void => {
    this.naps.push(ms);
    this.#now += ms;
  };
  readonly next = (turn: () => void): void => {
    this.#turn = turn;
  };

  /** Turns the loop until `ms` have gone by; whether it still naps then. */
  pass(ms: number): boolean {
    const end = this.#now + ms;
    while (this.#now < end) {
      this.#now += 0.1;
      const turn = this.#turn;
      this.#turn = undefined;
      turn?.();
    }
    return this.#turn !== undefined;
  }
}

test("naps grow with the wait, to 2 ms, and end with it", async () => {
  const hand = new Hand();
  let end = (_: string) => {};
  const waiting = napping(hand)(
    () =>
      new Promise<string>((resolve) => {
        end = resolve;
      }),
  );
  assert.ok(hand.pass(400));
  assert.ok(hand.naps[0]! < 0.01, `the first nap is ${hand.naps[0]}`);
  assert.ok(hand.naps.every((nap, i) => nap <= 2 && nap >= (hand.naps[i - 1] ?? 0)));
  assert.is(hand.naps.at(-1), 2);
  // Most of the time is slept, so the worker has the core.
  assert.ok(hand.naps.reduce((sum, nap) => sum + nap, 0) > 0.9 * 400);
  end("done");
  assert.is(await waiting, "done");
  assert.not(hand.pass(1));
});

test("waits as long as the last two begin with naps for them, and a short one among long ones does not", async () => {
  const hand = new Hand();
  const wait = napping(hand);
  /** The first nap of a wait. */
  const firstOf = async (ms: number): Promise<number> => {
    const naps = hand.naps.length;
    let end = () => {};
    const waiting = wait(() => new Promise<void>((resolve) => (end = resolve)));
    hand.pass(ms);
    end();
    await waiting;
    hand.pass(1);
    return hand.naps[naps]!;
  };
  assert.ok((await firstOf(8)) < 0.01);
  assert.ok((await firstOf(8)) < 0.01);
  const third = await firstOf(0.5);
  assert.ok(third > 0.45 && third < 0.6, `the first nap is ${third}`);
  assert.ok((await firstOf(8)) < 0.05);
});

test("an error ends the naps too", async () => {
  const hand = new Hand();
  const waiting = napping(hand)(() => Promise.reject(new Error("lost")));
  assert.is(await waiting.catch((error: Error) => error.message), "lost");
  assert.not(hand.pass(1));
});
