// Waiting without stealing the worker's core. Dawn's Node binding polls on the main thread for as long as a promise of its
// own is pending; on an adapter that runs on the CPU this takes a core from the driver. So the wait for work that has been
// seen before begins with a sleep of most of the time it took last (a quarter off a training step on two cores).

/** Waits shorter than this are left to polling, in milliseconds. */
const SHORT = 5;
/** How much of the expected time is slept. */
const SLEPT = 0.8;

/** Time as a wait sees it; tests bring their own. */
export interface Clock {
  /** Milliseconds. */
  now(): number;
  sleep(ms: number): Promise<void>;
}

const REAL: Clock = {
  now: () => performance.now(),
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};

/** Remembers how long work of a given number of dispatches took, the last two times: the first may have compiled shaders. */
export class Patience {
  readonly #isOn: boolean;
  readonly #seen = new Map<number, { readonly last: number; readonly before: number }>();

  readonly #clock: Clock;

  constructor(isOn: boolean, clock = REAL) {
    this.#isOn = isOn;
    this.#clock = clock;
  }

  /** Resolves as `done()` does; `dispatches` is the work since the last wait. */
  async wait<T>(dispatches: number, done: () => Promise<T>): Promise<T> {
    if (!this.#isOn) return done();
    const start = this.#clock.now();
    const { last, before } = this.#seen.get(dispatches) ?? { last: 0, before: 0 };
    const expected = Math.min(last, before);
    const isSlept = expected > SHORT;
    if (isSlept) await this.#clock.sleep(SLEPT * expected);
    const woken = this.#clock.now();
    const result = await done();
    const end = this.#clock.now();
    // Slept past the end: other work of the same count. Forget, and measure the next one by polling.
    if (isSlept && end - woken < 1) this.#seen.delete(dispatches);
    else this.#seen.set(dispatches, { last: end - start, before: last });
    return result;
  }
}
