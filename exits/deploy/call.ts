// One call of a classifier: its images, what was asked of them, and the answers that have come.

import { take } from "../../base/index.ts";
import type { Tensor } from "../../engine/functions.ts";
import { type Answers, refuseStrange, StrangeLogits } from "./answers.ts";
import type { GivenImages } from "./host-batches.ts";

/** Answers, exits and scores, as they were read. */
export type Found = readonly ArrayLike<number>[];

/** A call of `classify`, or a lot of a stream. */
export class Call {
  readonly given: GivenImages;
  readonly size: number;
  /** Milliseconds that images may wait for those of other calls; undefined: not behind the end of the call. */
  readonly patience: number | undefined;
  readonly #batches: Promise<void>[] = [];
  readonly #isRefusing: boolean;
  readonly #classes: Int32Array;
  readonly #exits: Int32Array;
  readonly #scores: Float32Array;
  #strange: readonly number[];
  /** Images whose scores are no numbers. */
  readonly #unanswered: number[] = [];

  /** @throws ArgumentError for images with pixels that are no numbers, where that is an error. */
  constructor(given: GivenImages, notFinite: "error" | "mark", patience: number | undefined) {
    this.given = given;
    this.size = given.size;
    this.patience = patience;
    this.#isRefusing = notFinite === "error";
    this.#classes = new Int32Array(given.size);
    this.#exits = new Int32Array(given.size);
    this.#scores = new Float32Array(given.size);
    this.#strange = given.strange;
    if (this.#isRefusing) refuseStrange(given.strange);
  }

  /** Another batch will be answered when this ends. */
  expect(answered: Promise<void>): void {
    this.#batches.push(answered);
    answered.catch(() => {});
  }

  /** What to read behind the batch that begins at `first`, besides its results. */
  lookedAt(first: number): readonly Tensor[] {
    return first === 0 && this.given.isStrange ? [this.given.isStrange] : [];
  }

  /** What was looked at. @throws ArgumentError if pixels of the call are no numbers, and that is an error. */
  look([flags]: Found): void {
    if (!flags) return;
    this.#strange = Array.from(flags).flatMap((flag, i) => (flag > 0 ? [i] : []));
    if (this.#isRefusing) refuseStrange(this.#strange);
  }

  /** Results, row k of which is image `at(k)`'s; undefined: nobody's, yet. */
  take([answers = [], exits = [], scores = []]: Found, rows: number, at: (k: number) => number | undefined): void {
    for (let k = 0; k < rows; k++) {
      const i = at(k);
      if (i === undefined) continue;
      this.#classes[i] = answers[k]!;
      this.#exits[i] = exits[k]!;
      this.#scores[i] = scores[k]!;
      if (Number.isNaN(scores[k])) this.#unanswered.push(i);
    }
  }

  /** All answers, once they have come; `macs` of each exit. @throws ArgumentError for logits that are no numbers. */
  async answers(macs: readonly number[]): Promise<Answers> {
    await Promise.all(this.#batches);
    // No answer though the pixels are numbers: the network's own fault, whatever becomes of strange images. Those may
    // be known behind other batches only.
    const unanswered = this.#unanswered.find((i) => !this.#strange.includes(i));
    if (unanswered !== undefined) throw new StrangeLogits(unanswered);
    const [classes, exits, scores] = [this.#classes, this.#exits, this.#scores];
    const cost = Float64Array.from(take(macs, exits));
    for (const i of this.#strange) {
      classes[i] = exits[i] = -1;
      scores[i] = Number.NaN;
    }
    return { classes, exits, scores, macs: cost };
  }
}
