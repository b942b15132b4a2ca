// Waiting without stealing the worker's core. Dawn's Node binding polls in the event loop for as long as a promise of
// its own is pending; on an adapter that runs on the CPU this takes a core from the driver. So the loop is made to nap:
// each turn of it blocks for a share of the time waited so far, which delays the answer by that share at most.

/** Longest nap in milliseconds: timers and sockets of the process wait as long. */
const LONGEST = 2;
/** A nap's share of the time waited so far. */
const SHARE = 1 / 16;

/** What naps need of the platform; tests bring their own. */
export interface Clock {
  /** Milliseconds. */
  now(): number;
  /** Blocks the thread. */
  block(ms: number): void;
  /** Runs `turn` in the event loop's next turn. */
  next(turn: () => void): void;
}

const REAL: Clock = {
  now: () => performance.now(),
  block: (ms) => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms),
  next: (turn) => void setImmediate(turn),
};

/** Waits for the GPU: resolves as `done()` does. */
export type Wait = <T>(done: () => Promise<T>) => Promise<T>;

/** Waits with naps. */
export const napping =
  ({ now, block, next }: Clock = REAL): Wait =>
  async (done) => {
    const start = now();
    let isWaiting = true;
    const nap = () => {
      if (!isWaiting) return;
      block(Math.min(LONGEST, SHARE * (now() - start)));
      next(nap);
    };
    next(nap);
    try {
      return await done();
    } finally {
      isWaiting = false;
    }
  };
