// Batches one after the other on one route: they are timed together, and undecided rows may wait for each other.

import { firstOf } from "../../base/index.ts";
import type { Call, Found } from "./call.ts";
import type { Turn } from "./plan.ts";
import type { WaitingRoom } from "./waiting.ts";

/** Batches whose rows wait for each other, at most. */
const MOST_BATCHES = 16;

/** A batch that was submitted, and what will have been read behind it: results, newcomers, what the call looks at. */
export interface Member {
  readonly call: Call;
  readonly first: number;
  readonly count: number;
  readonly found: Promise<Found>;
}

/** Answers of the rows that waited, and where those of each batch begin. */
interface Late {
  readonly found: readonly (Int32Array | Float32Array)[];
  readonly starts: readonly number[];
}

/** Batches on one route. */
export class Group {
  readonly turn: Turn;
  /** Where rows wait, if the route has them wait. */
  readonly room: WaitingRoom | undefined;
  readonly #batch: number;
  /** The places, in their batch, of the rows of each batch that wait, once they are known. */
  readonly #waiting: Promise<Int32Array>[] = [];
  readonly #late: Promise<Late>;
  #settle: { readonly resolve: (late: Late) => void; readonly reject: (why: unknown) => void };
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When it ends, in milliseconds of `performance.now()`. */
  #due = Infinity;
  #batches = 0;
  /** Rows that are known to wait, and rows that wait at most. */
  #known = 0;
  #most = 0;
  #images = 0;
  /** What is under way, since when, and the milliseconds of all earlier times that something was. */
  #running = 0;
  #since = 0;
  #ms = 0;
  /** When the last of it ended, and whose the last batch was. */
  #ended = 0;
  #call: Call | undefined;
  #deepest = 0;

  /** @param batch Rows of a full batch. */
  constructor(turn: Turn, batch: number) {
    this.turn = turn;
    this.room = turn.route.room;
    this.#batch = batch;
    this.#settle = { resolve: () => {}, reject: () => {} };
    this.#late = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.#late.catch(() => {});
    this.room?.clear();
  }

  /** Batches whose rows wait. */
  get waiting(): number {
    return this.room ? this.#batches : 0;
  }

  /** Whether no further batch is to join. */
  get isFull(): boolean {
    if (!this.room) return this.#batches >= this.turn.batches;
    return this.#known >= this.#batch || this.#batches >= MOST_BATCHES;
  }

  /** Whether another batch of `count` can join, whoever of it stays. */
  hasRoom(count: number): boolean {
    return !this.isFull && (!this.room || this.#most + count <= this.room.size);
  }

  /** Calls `release` in so many milliseconds if rows wait, unless it is to be called earlier. */
  hurry(patience: number, release: () => void): void {
    const due = performance.now() + patience;
    if (!this.room || due >= this.#due) return;
    clearTimeout(this.#timer);
    this.#due = due;
    this.#timer = setTimeout(release, patience);
  }

  /** Takes note of a batch that the host has worked on `since` then. */
  add({ call, count, found }: Pick<Member, "call" | "count" | "found">, since: number): void {
    this.#batches += 1;
    this.#images += count;
    this.#most += count;
    // What the host does between two batches of a call is the route's own time; what a source takes is not.
    this.#time(found, call === this.#call ? this.#ended : since);
    this.#call = call;
    if (this.turn.note && !this.room)
      found.then(([, exits]) => this.#reach(exits as Int32Array, count)).catch(() => {});
  }

  /** Has the rows of a batch wait that was added last; ends when its call has all its answers. */
  join({ call, first, count, found }: Member): Promise<void> {
    const place = this.#waiting.length;
    const entered = found.then(([, , , counts = [], places = []]) => {
      const length = firstOf(counts);
      this.#most -= count - length;
      this.#known += length;
      return Int32Array.from({ length }, (_, k) => places[k]!);
    });
    this.#waiting.push(entered);
    const answered = async (): Promise<void> => {
      const [all, rows] = await Promise.all([found, entered]);
      call.look(all.slice(5));
      const stays = new Set(rows);
      call.take(all, count, (k) => (stays.has(k) ? undefined : first + k));
      if (rows.length === 0) return;
      const late = await this.#late;
      const start = late.starts[place]!;
      const own = late.found.map((each) => each.subarray(start, start + rows.length));
      call.take(own, rows.length, (k) => first + rows[k]!);
    };
    return answered();
  }

  /** Runs what lies behind the exit on all rows that wait. */
  async run(): Promise<void> {
    clearTimeout(this.#timer);
    const since = performance.now();
    try {
      const running = this.#most === 0 ? Promise.resolve([]) : this.turn.route.runLate();
      this.#time(running, since);
      const [waiting, found] = await Promise.all([Promise.all(this.#waiting), running]);
      let next = 0;
      const starts = waiting.map(({ length }) => {
        next += length;
        return next - length;
      });
      this.#settle.resolve({ found: found as unknown as Late["found"], starts });
    } catch (error) {
      this.fail(error);
      throw error;
    }
  }

  /** Tells the planner what all took, when all have ended. */
  tell(): void {
    if (this.#images > 0) this.turn.note?.(this.#images, this.#ms, this.room ? undefined : this.#deepest);
  }

  /** Nobody who waits will be answered. */
  fail(why: unknown): void {
    clearTimeout(this.#timer);
    this.#settle.reject(why);
  }

  #time(work: Promise<unknown>, since: number): void {
    if (this.#running === 0) this.#since = since;
    this.#running += 1;
    const end = (): void => {
      this.#running -= 1;
      this.#ended = performance.now();
      if (this.#running === 0) this.#ms += this.#ended - this.#since;
    };
    work.then(end, end);
  }

  #reach(exits: Int32Array, count: number): void {
    for (let i = 0; i < count; i++) this.#deepest = Math.max(this.#deepest, exits[i]!);
  }
}
