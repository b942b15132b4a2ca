// Dynamic batching: what arrives within a deadline is answered together. The queue is bounded, so that nobody waits for
// ever; who finds it full is told when to come again. Once drained, everything that was taken has been answered.

import type { Answers } from "../../exits/index.ts";
import { BadRequest, BusyError } from "./errors.ts";

/** Images of one request: bytes, or normalised floats, [count, H, W, C]. */
export interface Lot {
  readonly values: Uint8Array | Float32Array;
  readonly count: number;
}

/** How requests are put together. */
export interface BatchingOptions {
  /** Images that make a batch full. */
  readonly batch: number;
  /** Milliseconds that the first of a batch waits for others at most. */
  readonly deadline: number;
  /** Images that may wait. */
  readonly queue: number;
}

/** What runs a batch. */
export type Classify = (images: Uint8Array | Float32Array) => Promise<Answers>;

interface Waiting extends Lot {
  readonly since: number;
  readonly resolve: (answers: Answers) => void;
  readonly reject: (error: unknown) => void;
}

/** Batches under way: one runs while the next is handed over. */
const UNDER_WAY = 2;

/** Puts requests together and hands them to a classifier. */
export class Batcher {
  readonly #classify: Classify;
  readonly #options: BatchingOptions;
  readonly #told: (images: number, milliseconds: number) => void;
  #waiting: Waiting[] = [];
  #timer: NodeJS.Timeout | undefined;
  readonly #underWay = new Set<Promise<void>>();
  /** Lots that are still being made. */
  readonly #making = new Set<Promise<unknown>>();
  #isClosing = false;
  /** Milliseconds of an image, as it has been lately. */
  #pace = 1;

  /** `told` hears of every batch: its images, and how long it took. */
  constructor(
    classify: Classify,
    options: BatchingOptions,
    told: (images: number, milliseconds: number) => void = () => {},
  ) {
    this.#classify = classify;
    this.#options = options;
    this.#told = told;
  }

  /** Images that wait; a lot that is still being made counts as one. */
  get queued(): number {
    return this.#waiting.reduce((sum, { count }) => sum + count, this.#making.size);
  }

  get batchesUnderWay(): number {
    return this.#underWay.size;
  }

  /**
   * Answers for a lot. `gone` ends its waiting, if it has not begun to run. @throws BusyError where there is no room,
   * BadRequest for more than there ever is
   */
  answer(lot: Lot, gone?: AbortSignal): Promise<Answers> {
    this.#checkRoom(lot.count);
    return this.#enter(lot, gone);
  }

  /**
   * Answers for a lot that `make` makes, as a picture is decoded. What was taken is answered, whatever happens until
   * then. @throws BusyError where there is no room; what `make` throws
   */
  async answerMade(make: () => Promise<Lot>, gone?: AbortSignal): Promise<Answers> {
    this.#checkRoom(1);
    const making = make();
    const settled = making.catch(() => {});
    this.#making.add(settled);
    try {
      const lot = await making;
      gone?.throwIfAborted();
      this.#making.delete(settled);
      if (!this.#isClosing) this.#checkRoom(lot.count);
      return await this.#enter(lot, gone);
    } finally {
      this.#making.delete(settled);
    }
  }

  #checkRoom(count: number): void {
    if (this.#isClosing) throw new BusyError("The server is going down.", 1);
    // No waiting helps.
    if (count > this.#options.queue)
      throw new BadRequest(`A request must have at most ${this.#options.queue} images; got ${count}. Send fewer.`, 413);
    const room = this.#options.queue - this.queued;
    if (count <= room) return;
    const wait = Math.max(1, Math.ceil((this.queued * this.#pace) / 1000));
    throw new BusyError(`${count} images must find room in the queue; there is room for ${room}.`, wait);
  }

  #enter(lot: Lot, gone: AbortSignal | undefined): Promise<Answers> {
    return new Promise((resolve, reject) => {
      const entry = { ...lot, since: performance.now(), resolve, reject };
      this.#waiting.push(entry);
      gone?.addEventListener("abort", () => this.#forget(entry, gone.reason), { once: true });
      this.#go();
    });
  }

  /** Takes nothing more, and resolves when all that was taken has been answered. */
  async drain(): Promise<void> {
    this.#isClosing = true;
    this.#go();
    while (this.#making.size + this.#underWay.size > 0) await Promise.race([...this.#making, ...this.#underWay]);
  }

  #forget(entry: Waiting, reason: unknown): void {
    const at = this.#waiting.indexOf(entry);
    if (at < 0) return;
    this.#waiting.splice(at, 1);
    entry.reject(reason);
  }

  /** Starts what is due, and sets the clock for what is not. */
  #go(): void {
    clearTimeout(this.#timer);
    while (this.#waiting.length > 0 && this.#underWay.size < UNDER_WAY) {
      const due = this.#waiting[0]!.since + this.#options.deadline - performance.now();
      const { batch, isFull } = this.#next();
      if (!isFull && due > 0 && !this.#isClosing) {
        this.#timer = setTimeout(() => this.#go(), Math.ceil(due));
        return;
      }
      this.#waiting = this.#waiting.filter((entry) => !batch.includes(entry));
      const run = this.#run(batch).finally(() => {
        this.#underWay.delete(run);
        this.#go();
      });
      this.#underWay.add(run);
    }
  }

  /** The next batch: lots of the kind of the first, in order, until it is full. */
  #next(): { readonly batch: readonly Waiting[]; readonly isFull: boolean } {
    const isFloat = this.#waiting[0]!.values instanceof Float32Array;
    const batch: Waiting[] = [];
    let images = 0;
    for (const entry of this.#waiting) {
      if (entry.values instanceof Float32Array !== isFloat) continue;
      if (images > 0 && images + entry.count > this.#options.batch) return { batch, isFull: true };
      batch.push(entry);
      images += entry.count;
    }
    return { batch, isFull: images >= this.#options.batch };
  }

  async #run(batch: readonly Waiting[]): Promise<void> {
    const count = batch.reduce((sum, entry) => sum + entry.count, 0);
    const start = performance.now();
    try {
      const answers = await this.#classify(joined(batch));
      const took = performance.now() - start;
      this.#pace = 0.8 * this.#pace + (0.2 * took) / count;
      this.#told(count, took);
      let first = 0;
      for (const entry of batch) {
        entry.resolve(part(answers, first, entry.count));
        first += entry.count;
      }
    } catch (error) {
      // One of them is at fault: the others shall not suffer for it.
      if (batch.length === 1) batch[0]!.reject(error);
      else for (const entry of batch) await this.#run([entry]);
    }
  }
}

function joined(batch: readonly Waiting[]): Uint8Array | Float32Array {
  if (batch.length === 1) return batch[0]!.values;
  const length = batch.reduce((sum, { values }) => sum + values.length, 0);
  const all = batch[0]!.values instanceof Float32Array ? new Float32Array(length) : new Uint8Array(length);
  let at = 0;
  for (const { values } of batch) {
    all.set(values, at);
    at += values.length;
  }
  return all;
}

const part = ({ classes, exits, scores, macs }: Answers, first: number, count: number): Answers => ({
  classes: classes.subarray(first, first + count),
  exits: exits.subarray(first, first + count),
  scores: scores.subarray(first, first + count),
  macs: macs.subarray(first, first + count),
});
