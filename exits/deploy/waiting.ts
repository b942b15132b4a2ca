// Where undecided rows of several batches wait for each other, so that what lies behind an exit is run on many at once.

import {
  arange,
  type Capture,
  capture,
  type Device,
  keep,
  read,
  type Survivors,
  scope,
  type Tensor,
  tensor,
  zeros,
} from "../../engine/functions.ts";
import { appendRows } from "../ops/append.ts";
import type { ExitResults } from "../ops/decide.ts";

/** Full batches of rows that there is room for: one is run while the rows of those under way still find a place. */
const BATCHES = 3;
/** Bytes that rows which wait may take, but for one batch. */
const MOST_BYTES = 256 * 2 ** 20;

/** What a batch leaves behind an exit: rows of these tensors, by what `compact` found. */
export interface Newcomers {
  readonly from: readonly Tensor[];
  readonly survivors: Survivors;
  readonly ids: Tensor;
}

type Append = Capture<Record<string, never>, Record<string, never>, Tensor>;

/** Rows that wait, and how they come in. */
export class WaitingRoom {
  /** Rows that there is room for. */
  readonly size: number;
  /** How many wait, u32[1], and their numbers, i32 [size]. */
  readonly filled: Tensor;
  readonly all: Tensor;
  /** Where their answers go, [size] each. */
  readonly results: ExitResults;
  /** u32[1] and i32 [batch]: how many of the last batch came in, and their places in it, in order. */
  readonly entered: readonly [count: Tensor, ids: Tensor];
  readonly #append: Append;
  readonly #rooms: ReadonlyMap<Tensor, Tensor>;
  readonly #owned: readonly { dispose(): void }[];

  private constructor(parts: {
    readonly size: number;
    readonly tensors: Readonly<Record<"filled" | "all" | "answers" | "exits" | "scores", Tensor>>;
    readonly rooms: ReadonlyMap<Tensor, Tensor>;
    readonly append: Append;
    readonly entered: WaitingRoom["entered"];
  }) {
    const { size, tensors, rooms, append, entered } = parts;
    const { filled, all, ...results } = tensors;
    this.size = size;
    this.filled = filled;
    this.all = all;
    this.results = results;
    this.entered = entered;
    this.#append = append;
    this.#rooms = rooms;
    this.#owned = [append, ...Object.values(tensors), ...rooms.values()];
  }

  /** Makes room for what a capture leaves in batches of `batch`. */
  static async make(device: Device, batch: number, { from, survivors, ids }: Newcomers): Promise<WaitingRoom> {
    const bytes = from.reduce((sum, x) => sum + x.bytes, 0) / batch;
    // One binding holds all rows of a tensor.
    const widest = Math.max(...from.map((x) => x.bytes)) / batch;
    const rows = Math.min(MOST_BYTES / bytes, device.pool.mostBytes / widest);
    const size = Math.max(batch, Math.min(BATCHES * batch, Math.floor(rows)));
    const made: Tensor[] = [];
    const own = (one: Tensor): Tensor => {
      made.push(keep(one));
      return one;
    };
    try {
      const { tensors, rooms } = scope(() => ({
        tensors: {
          filled: own(tensor(Uint32Array.of(0), { device })),
          all: own(arange(0, size, 1, { device })),
          answers: own(zeros([size], { dtype: "i32", device })),
          exits: own(zeros([size], { dtype: "i32", device })),
          scores: own(zeros([size], { device })),
        },
        rooms: from.map((x) => [x, own(zeros([size, ...x.shape.slice(1)], { dtype: x.dtype, device }))] as const),
      }));
      const state = [tensors.filled, ...rooms.map(([, room]) => room)];
      let places: Tensor | undefined;
      const append = await capture({ label: "rows that wait", device, inputs: {}, scalars: {}, state }, () => {
        places = appendRows({ rooms, filled: tensors.filled }, survivors, ids);
        return places;
      });
      const entered = [survivors.count, places as Tensor] as const;
      return new WaitingRoom({ size, tensors, rooms: new Map(rooms), append: keep(append), entered });
    } catch (error) {
      for (const one of made) one.dispose();
      throw error;
    }
  }

  /** Where the rows of one of the tensors wait. */
  roomOf(x: Tensor): Tensor {
    return this.#rooms.get(x) as Tensor;
  }

  /** Nobody waits any more. */
  clear(): void {
    this.filled.write([0]);
  }

  /** Takes in what the batch that ran last has left. */
  enter(): void {
    this.#append.run({});
  }

  /** Answers, exits and scores of those that waited. */
  answers(): Promise<ArrayLike<number>[]> {
    const { answers, exits, scores } = this.results;
    return read([answers, exits, scores]);
  }

  dispose(): void {
    for (const one of this.#owned) one.dispose();
  }
}
