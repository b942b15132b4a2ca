// All exits on a set of images, as a captured pass: totals of losses and right answers, or the logits themselves.

import {
  type Capture,
  capture,
  type Device,
  keep,
  noGrad,
  normaliseImages,
  packedWords,
  type Tensor,
  zeros,
} from "../../engine/functions.ts";
import { EVAL } from "../../nn/index.ts";
import type { MultiExit } from "../network/multi-exit.ts";
import { exitTally, readTally, type Tally, tallySize } from "../ops/tally.ts";
import { type ImageSet, packBytes } from "./images.ts";

/** What a captured pass is fed. */
type Images = { readonly bytes: Tensor; readonly labels: Tensor };

type ForwardCapture = Capture<Images, Record<string, number>, Tensor>;

/** The device that a network lies on. */
export function deviceOf(net: MultiExit): Device {
  return net.parameters()[0]!.device;
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
  readonly #batch: number;
  readonly #words: number;
  readonly #net: MultiExit;

  private constructor(net: MultiExit, batch: number, totals: Totals, captured: ForwardCapture, words: number) {
    this.#net = net;
    this.#batch = batch;
    this.#totals = totals;
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
          const logits = net.forward(normaliseImages(bytes, { shape, mean: set.meta.mean, std: set.meta.std }), EVAL);
          exitTally(logits, labels, totals.tensor);
          return logits;
        }),
      );
      return new Evaluator(net, batch, totals, captured, words);
    } catch (error) {
      totals.dispose();
      throw error;
    }
  }

  /** Losses and accuracies of all exits on a set. */
  async tally(set: ImageSet): Promise<Tally> {
    await this.#totals.take();
    for (let first = 0; first < set.size; first += this.#batch) this.#run(set, first);
    return this.#totals.take();
  }

  /** Logits [size, K, C] of a set. */
  async logits(set: ImageSet): Promise<Float32Array<ArrayBuffer>> {
    const width = this.#net.exits * this.#net.classes;
    const all = new Float32Array(set.size * width);
    for (let first = 0; first < set.size; first += this.#batch) {
      const rows = (await this.#run(set, first).read()) as Float32Array;
      all.set(rows.subarray(0, Math.min(this.#batch, set.size - first) * width), first * width);
    }
    return all;
  }

  /** Encodes one batch; what is missing at the end is padded and counts nothing. */
  #run(set: ImageSet, first: number): Tensor {
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
