// Waiting without stealing the worker's core. Dawn's Node binding polls in the event loop for as long as a promise of
// its own is pending; on an adapter that runs on the CPU this takes a core from the driver. So the loop is made to nap:
// each turn of it blocks for a share of the time waited so far, or of what the last waits took, which delays the answer
// by that share at most (measured on lavapipe: without the latter a wait of 4 ms takes a tenth more).

/** Longest nap in milliseconds: timers and sockets of the process wait as long. */
const LONGEST = 2;
/** A nap's share of the time waited so far, or to be expected. */
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
export function napping({ now, block, next }: Clock = REAL): Wait {
  /** What the last two waits took. */
  let [before, last] = [0, 0];
  return async (done) => {
    const start = now();
    const expected = Math.min(before, last);
    let isWaiting = true;
    const nap = () => {
      if (!isWaiting) return;
      block(Math.min(LONGEST, SHARE * Math.max(expected, now() - start)));
      next(nap);
    };
    next(nap);
    try {
      return await done();
    } finally {
      isWaiting = false;
      [before, last] = [last, now() - start];
    }
  };
}
