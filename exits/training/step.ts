// One training step as a capture - bytes in, parameters changed, totals moved - and evaluation as another.

import {
  ArgumentError,
  backward,
  bernoulli,
  type Capture,
  capture,
  type Device,
  Generator,
  keep,
  noGrad,
  normaliseImages,
  packedWords,
  type Tensor,
  zeros,
} from "../../engine/functions.ts";
import { EMA, EVAL, type Optimizer, TRAIN } from "../../nn/index.ts";
import { TrainingError } from "../errors.ts";
import type { MultiExit } from "../network/multi-exit.ts";
import { exitTally, readTally, type Tally, tallySize } from "../ops/tally.ts";
import { type ImageBatch, type ImageSet, packBytes } from "./images.ts";
import type { Objective } from "./objective.ts";

/** What a training step consists of. */
export interface StepParts {
  readonly net: MultiExit;
  readonly objective: Objective;
  readonly optimizer: Optimizer;
  /** Shape and normalisation of the images. */
  readonly set: Pick<ImageSet, "shape" | "meta">;
  readonly batch: number;
  /** Chance of mirroring an image. */
  readonly flip: number;
  readonly seed: number;
  /** Whether batches are blends of two images each; default false. */
  readonly isMixed?: boolean | undefined;
  /** A second network of the same form, if the objective wants a teacher; it becomes the average of the first. */
  readonly teacher?: MultiExit | undefined;
  /** What random layers of the network draw from. */
  readonly generators?: readonly Generator[];
}

/** Random streams of masks that training itself draws. */
const MASK_STREAM = 0xf11b;

/** What a captured pass is fed. */
type Images = { readonly bytes: Tensor; readonly labels: Tensor };

/** What a step is fed besides; the last two for blended images only. */
type StepInputs = Images & {
  readonly exitWeights: Tensor;
  readonly otherLabels?: Tensor;
  readonly share?: Tensor;
};

type StepCapture = Capture<StepInputs, { readonly lr: number }, unknown>;
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

/** A recorded training step. It holds what it reads and writes, as every capture does; the network may be forgotten. */
export class TrainingStep {
  readonly totals: Totals;
  /** Where masks are drawn from. */
  readonly generator: Generator;
  readonly #capture: StepCapture;
  readonly #average: EMA | undefined;
  readonly #parts: StepParts;

  private constructor({ totals, generator, average }: StepState, captured: StepCapture, parts: StepParts) {
    this.totals = totals;
    this.generator = generator;
    this.#capture = captured;
    this.#average = average;
    this.#parts = parts;
  }

  /** Records the step without running it. */
  static async record(parts: StepParts): Promise<TrainingStep> {
    const { net, seed } = parts;
    const device = deviceOf(net);
    const average = teacherAverage(parts);
    const totals = new Totals(net.exits, device);
    const generator = new Generator({ seed, stream: MASK_STREAM, device });
    try {
      const captured = await captureStep(parts, { totals, generator, average });
      return new TrainingStep({ totals, generator, average }, captured, parts);
    } catch (error) {
      for (const made of [average, totals, generator]) made?.dispose();
      throw error;
    }
  }

  /** Encodes one step; returns at once. Throws ArgumentError for a batch that is not as the source said. */
  run(given: ImageBatch, exitWeights: readonly number[], lr: number): void {
    const { batch, set, isMixed = false } = this.#parts;
    const { images, labels, mixed, count = labels.length } = given;
    if (labels.length !== batch || count !== batch)
      throw new ArgumentError(
        `train: every batch must have ${batch} images; got ${count}. Drop the last batch of an epoch if it is not full.`,
      );
    if ((mixed !== undefined) !== isMixed)
      throw new ArgumentError(
        `train: a batch must be mixed if and only if its source says so; got ${mixed ? "a mixed" : "a plain"} one. Set isMixed there.`,
      );
    const inputs = { bytes: packBytes(images, packedWords([batch, ...set.shape])), labels, exitWeights };
    this.#capture.run(mixed ? { ...inputs, otherLabels: mixed.labels, share: mixed.share } : inputs, { lr });
  }

  dispose(): void {
    this.#capture.dispose();
    this.#average?.dispose();
    this.generator.dispose();
    this.totals.dispose();
  }
}

/** What a step changes besides the network and its optimiser. */
interface StepState {
  readonly totals: Totals;
  readonly generator: Generator;
  readonly average: EMA | undefined;
}

function captureStep(parts: StepParts, { totals, generator, average }: StepState): Promise<StepCapture> {
  const { net, objective, optimizer, set, batch, isMixed, teacher, generators = [] } = parts;
  const inputs = {
    bytes: { shape: [packedWords([batch, ...set.shape])], dtype: "u32" as const },
    labels: { shape: [batch], dtype: "i32" as const },
    exitWeights: { shape: [net.exits], dtype: "f32" as const },
    ...(isMixed && {
      otherLabels: { shape: [batch], dtype: "i32" as const },
      share: { shape: [batch], dtype: "f32" as const },
    }),
  };
  const state = [optimizer, generator, ...generators, ...net.buffers(), totals.tensor, ...(average ? [average] : [])];
  return capture(
    { label: "training step", device: deviceOf(net), inputs, scalars: { lr: 0 }, state },
    ({ bytes, labels, exitWeights, otherLabels, share }: StepInputs, { lr }) => {
      const images = imagesOf(parts, bytes, generator);
      const mixed = otherLabels && share && { labels: otherLabels, share };
      const taught = teacher && noGrad(() => teacher.lastOf(teacher.forward(images, EVAL)));
      const logits = net.forward(images, TRAIN);
      const { loss } = objective.losses({ logits, labels, exitWeights, mixed, teacher: taught });
      optimizer.zeroGrad();
      backward(loss);
      optimizer.step({ lr });
      average?.update();
      exitTally(logits, labels, totals.tensor, { loss });
    },
  );
}

function imagesOf({ set, batch, flip }: StepParts, bytes: Tensor, generator: Generator): Tensor {
  const flips = flip > 0 ? bernoulli([batch], { p: flip, generator }) : undefined;
  return normaliseImages(bytes, { shape: [batch, ...set.shape], mean: set.meta.mean, std: set.meta.std, flips });
}

/** The averages that make the teacher: its parameters as one tensor, and each of its running statistics. */
function teacherAverage({ net, objective, teacher }: StepParts): EMA | undefined {
  if (objective.teacherDecay === undefined) return undefined;
  if (!teacher) {
    throw new TrainingError(
      `train: ${objective.name} learns from an averaged copy; got no teacher. Pass { teacher }, a second network made like the first.`,
    );
  }
  const all = (of: MultiExit) => [...of.flat().parts.map(({ values }) => values), ...of.buffers()];
  return new EMA(all(net), { decay: objective.teacherDecay, target: all(teacher) });
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
}
