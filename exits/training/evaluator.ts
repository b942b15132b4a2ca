// All exits on a set of images, as a captured pass: totals of losses and right answers, or the logits themselves.

import { firstOf, packBytes } from "../../base/index.ts";
import {
  type Capture,
  capture,
  type Device,
  keep,
  noGrad,
  normaliseImages,
  packedWords,
  read,
  type Tensor,
  zeros,
} from "../../engine/functions.ts";
import { EVAL } from "../../nn/index.ts";
import type { MultiExit } from "../network/multi-exit.ts";
import { stackRecords } from "../network/output.ts";
import { exitTally, readTally, type Tally, tallySize } from "../ops/tally.ts";
import type { ImageSet } from "./images.ts";
import { Pace } from "./pace.ts";

/** What all exits say of a set. */
export interface ExitAnswers {
  /** [size, K, C] */
  readonly logits: Float32Array<ArrayBuffer>;
  /** [size, K - 1], before the sigmoid. */
  readonly confidence?: Float32Array<ArrayBuffer>;
}

/** What a captured pass is fed. */
type Images = { readonly bytes: Tensor; readonly labels: Tensor };

/**
 * What a captured pass finds: logits [batch, K, C] and, where all early exits say it, their confidence [batch, K - 1].
 */
type Said = { readonly logits: Tensor; readonly confidence?: Tensor };

type ForwardCapture = Capture<Images, Record<string, number>, Said>;

/** The device that a network lies on. */
export function deviceOf(net: MultiExit): Device {
  return firstOf(net.parameters()).device;
}

/** Totals that steps add to, read now and then. */
export class Totals {
  readonly tensor: Tensor;

  constructor(exits: number, device: Device) {
    this.tensor = keep(zeros([tallySize(exits)], { device }));
  }

  /** What was counted since the last call; counting starts afresh. Waits for the GPU. */
  async take(): Promise<Tally> {
    const tally = readTally(await this.tensor.read());
    this.tensor.write(new Float32Array(this.tensor.size));
    return tally;
  }

  dispose(): void {
    this.tensor.dispose();
  }
}

/** All exits' logits of a set, and how right they are. It follows the network wherever its parameters move. */
export class Evaluator {
  readonly #capture: ForwardCapture;
  readonly #totals: Totals;
  readonly #pace: Pace;
  readonly #batch: number;
  readonly #words: number;
  readonly #net: MultiExit;
  /** Ends when the questions before have ended: all of them add to the same totals. */
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(net: MultiExit, batch: number, totals: Totals, captured: ForwardCapture, words: number) {
    this.#net = net;
    this.#batch = batch;
    this.#totals = totals;
    this.#pace = new Pace(deviceOf(net));
    this.#capture = captured;
    this.#words = words;
  }

  /** Records the forward pass; `set` gives the images' shape and normalisation. */
  static async record(net: MultiExit, set: Pick<ImageSet, "shape" | "meta">, batch = 256): Promise<Evaluator> {
    const device = deviceOf(net);
    const totals = new Totals(net.exits, device);
    const shape = [batch, ...set.shape];
    const words = packedWords(shape);
    const inputs = {
      bytes: { shape: [words], dtype: "u32" as const },
      labels: { shape: [batch], dtype: "i32" as const },
    };
    const state = [totals.tensor];
    try {
      const captured = await capture({ label: "evaluation", device, inputs, state }, ({ bytes, labels }) =>
        noGrad(() => {
          const images = normaliseImages(bytes, { shape, mean: set.meta.mean, std: set.meta.std });
          const exits = net.records(images, EVAL);
          const { logits } = stackRecords(exits);
          exitTally(logits, labels, totals.tensor);
          const early = stackRecords(exits.slice(0, -1))["confidence"];
          return early?.shape[1] === net.exits - 1 ? { logits, confidence: early } : { logits };
        }),
      );
      return new Evaluator(net, batch, totals, captured, words);
    } catch (error) {
      totals.dispose();
      throw error;
    }
  }

  /** Losses and accuracies of all exits on a set. Waits for what was asked before, as all questions do. */
  tally(set: ImageSet): Promise<Tally> {
    return this.#inTurn(async () => {
      await this.#totals.take();
      // Images that were handed over are held until the GPU has taken them.
      for (let first = 0; first < set.size; first += this.#batch) {
        this.#run(set, first);
        await this.#pace.keep();
      }
      return this.#totals.take();
    });
  }

  /** Logits [size, K, C] of a set. */
  async logits(set: ImageSet): Promise<Float32Array<ArrayBuffer>> {
    return (await this.answers(set)).logits;
  }

  /**
   * Logits [size, K, C] of a set and, where all early exits say it, their confidence [size, K - 1] before the sigmoid.
   */
  answers(set: ImageSet): Promise<ExitAnswers> {
    return this.#inTurn(() => this.#answers(set));
  }

  async #answers(set: ImageSet): Promise<ExitAnswers> {
    const { exits, classes } = this.#net;
    const logits = new Float32Array(set.size * exits * classes);
    let confidence: Float32Array<ArrayBuffer> | undefined;
    for (let first = 0; first < set.size; first += this.#batch) {
      const said = this.#run(set, first);
      const answers = await read(said.confidence ? [said.logits, said.confidence] : [said.logits]);
      const sure = answers[1];
      const count = Math.min(this.#batch, set.size - first);
      const put = (all: Float32Array, found: ArrayLike<number>, width: number) =>
        all.set((found as Float32Array).subarray(0, count * width), first * width);
      put(logits, firstOf(answers), exits * classes);
      if (!sure) continue;
      confidence ??= new Float32Array(set.size * (exits - 1));
      put(confidence, sure, exits - 1);
    }
    return { logits, ...(confidence && { confidence }) };
  }

  /** Does the work when all that was asked before is answered, or refused. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  /** Encodes one batch; what is missing at the end is padded and counts nothing. */
  #run(set: ImageSet, first: number): Said {
    const last = Math.min(first + this.#batch, set.size);
    const pixels = set.shape[0] * set.shape[1] * set.shape[2];
    const labels = new Int32Array(this.#batch).fill(-1);
    labels.set(set.labels.subarray(first, last));
    return this.#capture.run({
      bytes: packBytes(set.images.subarray(first * pixels, last * pixels), this.#words),
      labels,
    });
  }

  dispose(): void {
    this.#capture.dispose();
    this.#totals.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** The evaluator of a network, recorded when it is first asked for: once, however many ask at the same time. */
export class LazyEvaluator {
  readonly #record: () => Promise<Evaluator>;
  #recording: Promise<Evaluator> | undefined;
  #made: Evaluator | undefined;

  /** `set` gives the images' shape and normalisation. */
  constructor(net: MultiExit, set: Pick<ImageSet, "shape" | "meta">) {
    this.#record = () => Evaluator.record(net, set);
  }

  async get(): Promise<Evaluator> {
    if (this.#made) return this.#made;
    this.#recording ??= this.#record();
    const recording = this.#recording;
    try {
      const made = await recording;
      // Who disposed of it in the meantime has nobody left who would.
      if (this.#recording === recording) this.#made = made;
      else made.dispose();
      return made;
    } catch (error) {
      if (this.#recording === recording) this.#recording = undefined;
      throw error;
    }
  }

  /** The next call records again. */
  dispose(): void {
    this.#made?.dispose();
    this.#made = undefined;
    this.#recording = undefined;
  }
}
