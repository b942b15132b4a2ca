// WebGPU or WASM, chosen by measuring: each is tried on the first batches of a size, so that exits that are taken,
// batch and machine are those of the work. Both decide alike, up to rounding.

import { firstOf, type ImageBytes, imagesWithin } from "../../base/index.ts";
import type { PictureFit } from "../../data/fit.ts";
import { DeviceError, DisposedError, Tensor } from "../../engine/functions.ts";
import {
  type Answers,
  type ClassifyOptions,
  joinAnswers,
  readNotFinite,
  refuseStrange,
  StrangeLogits,
  type StreamOptions,
} from "../deploy/answers.ts";
import type { Classifier } from "../deploy/classifier.ts";
import { bytesOfPictures } from "../deploy/given-pictures.ts";
import { copyImages, type Images, type Normalisation, type PixelImages } from "../deploy/images.ts";
import { streamOneByOne } from "./one-by-one.ts";
import { onlyRuntime, RUNTIMES, type RuntimeName, type RuntimePlan } from "./plan.ts";
import type { WasmClassifier } from "./wasm.ts";

/** Batches that are timed on each, behind a first one that is not. */
const TIMED = 3;
/** One is given up once it takes so many times as long as the other. */
const HOPELESS = 1.5;

interface Trial {
  /** Milliseconds of an image, the first batch left out. */
  readonly times: Readonly<Record<RuntimeName, number[]>>;
  readonly runs: Record<RuntimeName, number>;
  chosen: RuntimeName | undefined;
}

interface Sides {
  readonly webgpu: Classifier;
  readonly wasm: WasmClassifier;
  /** [H, W, C] */
  readonly input: readonly number[];
  readonly normalise: Normalisation;
  readonly fit: PictureFit;
  readonly batch: number;
}

/** A classifier on both runtimes, which takes the faster. */
export class ChosenClassifier {
  readonly #sides: Sides;
  readonly #trials = new Map<number, Trial>();
  /** Ends when the calls before have ended: who is timed has the machine for itself. */
  #turn: Promise<unknown> = Promise.resolve();
  /** Why the GPU answers no more. */
  #fault: string | undefined;
  #isDisposed = false;

  constructor(sides: Sides) {
    this.#sides = sides;
    this.#trial(sides.batch);
  }

  get isOriginChecked(): boolean {
    return this.#sides.webgpu.isOriginChecked;
  }

  /** The ways through the exits on WebGPU. */
  get plan(): Classifier["plan"] {
    return this.#fault === undefined ? this.#sides.webgpu.plan : [];
  }

  /** What is known by now, the largest batches first. */
  get runtimes(): readonly RuntimePlan[] {
    if (this.#fault !== undefined) return onlyRuntime("wasm", this.#sides.batch, `WebGPU failed; ${this.#fault}`);
    const sizes = [...this.#trials.keys()].sort((a, b) => b - a);
    return sizes.map((upTo) => planOf(upTo, this.#trials.get(upTo) as Trial));
  }

  /**
   * As `classify` of a deployed classifier; tensors stay on their GPU. @throws ArgumentError, DisposedError as it does
   */
  async classify(images: Images, options: ClassifyOptions = {}): Promise<Answers> {
    const notFinite = readNotFinite(options);
    this.#checkAlive();
    const { webgpu, input, normalise } = this.#sides;
    const pictures = bytesOfPictures(images, this.#sides);
    const ready = pictures ? await pictures : (images as PixelImages);
    if (ready instanceof Tensor) return webgpu.classify(ready, options);
    const { values, size, strange } = copyImages(ready, { input, normalise });
    if (notFinite === "error") refuseStrange(strange);
    // As they were given: the runtimes mark them.
    if (values instanceof Float32Array) for (const i of strange) values[(i * values.length) / size] = Number.NaN;
    const lots = this.#lots(size);
    if (lots.every(([, count]) => this.#chosen(count))) {
      const answers = await Promise.all(lots.map((lot) => this.#answer(values, size, lot, options)));
      return joinAnswers(answers);
    }
    const turn = this.#turn.then(() => this.#tryOut(values, size, options));
    this.#turn = turn.catch(() => {});
    return turn;
  }

  /** As `stream` of a deployed classifier. @throws Error as `classify` does, at the lot in question */
  stream(
    source: Iterable<Images> | AsyncIterable<Images>,
    options: StreamOptions = {},
  ): AsyncGenerator<Answers, void, undefined> {
    return streamOneByOne(this, source, options);
  }

  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#sides.wasm.dispose();
    this.#sides.webgpu.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #checkAlive(): void {
    if (this.#isDisposed) throw new DisposedError("classify: the classifier must be alive; it was disposed.");
  }

  /** Whole batches, and what is left: first image and how many. */
  #lots(size: number, first = 0): (readonly [first: number, count: number])[] {
    const whole = size - first - ((size - first) % this.#sides.batch);
    const lots = [[first, whole] as const, [first + whole, size - first - whole] as const];
    return size === 0 ? [[0, 0]] : lots.filter(([, count]) => count > 0);
  }

  /** Goes through a call batch by batch, for as long as there is something to find out. */
  async #tryOut(values: ImageBytes | Float32Array, size: number, options: ClassifyOptions): Promise<Answers> {
    const found: Answers[] = [];
    for (let first = 0; first < size; ) {
      this.#checkAlive();
      const lot = firstOf(this.#lots(size, first))[1];
      const count = this.#chosen(lot) ? lot : Math.min(lot, this.#sides.batch);
      found.push(await this.#answer(values, size, [first, count], options));
      first += count;
    }
    return joinAnswers(found);
  }

  /** Answers of some images, timed where their size is not settled. */
  async #answer(
    values: ImageBytes | Float32Array,
    size: number,
    [first, count]: readonly [number, number],
    options: ClassifyOptions,
  ): Promise<Answers> {
    const trial = this.#trial(count);
    const chosen = this.#chosen(count);
    const name = chosen ?? (trial.runs.wasm < trial.runs.webgpu ? "wasm" : "webgpu");
    const pixels = values.length / Math.max(1, size);
    const start = performance.now();
    try {
      const part = imagesWithin(values, first * pixels, (first + count) * pixels);
      const answers = await this.#sides[name].classify(part, options);
      if (!chosen) this.#note(trial, name, (performance.now() - start) / count, count);
      return answers;
    } catch (error) {
      if (name === "webgpu" && error instanceof DeviceError) {
        // A device that failed once is not asked again: a lost one stays so, and others seldom recover.
        this.#fault ??= error.message;
        return this.#answer(values, size, [first, count], options);
      }
      throw error instanceof StrangeLogits ? new StrangeLogits(first + error.image) : error;
    }
  }

  /** What images of so many run on, once that is settled. */
  #chosen(count: number): RuntimeName | undefined {
    return this.#fault === undefined ? this.#trial(count).chosen : "wasm";
  }

  #note(trial: Trial, name: RuntimeName, ms: number, count: number): void {
    if (trial.runs[name] > 0) trial.times[name].push(ms);
    trial.runs[name] += 1;
    const [gpu, wasm] = RUNTIMES.map((each) => fastest(trial.times[each])) as [number, number];
    if (!(trial.times.webgpu.length >= TIMED && trial.times.wasm.length >= TIMED)) return;
    // WebGPU tries ways of its own; only then is it known how fast it can be, unless that makes no difference.
    const size = this.#sizeOf(count);
    const isReady = this.plan.some(({ upTo, isSettled }) => upTo === size && isSettled);
    if (isReady || gpu > HOPELESS * wasm || wasm > HOPELESS * gpu) trial.chosen = gpu <= wasm ? "webgpu" : "wasm";
  }

  #sizeOf(count: number): number {
    return Math.min(this.#sides.batch, 2 ** Math.ceil(Math.log2(Math.max(1, count))));
  }

  /** Sizes up to a factor of two share a choice. */
  #trial(count: number): Trial {
    const size = this.#sizeOf(count);
    const known = this.#trials.get(size);
    if (known) return known;
    const trial: Trial = { times: { webgpu: [], wasm: [] }, runs: { webgpu: 0, wasm: 0 }, chosen: undefined };
    this.#trials.set(size, trial);
    return trial;
  }
}

const fastest = (times: readonly number[]): number => (times.length === 0 ? Number.NaN : Math.min(...times));

function planOf(upTo: number, { times, chosen }: Trial): RuntimePlan {
  const tried = RUNTIMES.map((runtime) => {
    return { runtime, ms: upTo * fastest(times[runtime]), timed: times[runtime].length };
  });
  const told = tried.filter(({ timed }) => timed > 0).map(({ runtime, ms }) => `${runtime} ${ms.toFixed(2)} ms`);
  const size = upTo === 1 ? "an image alone" : `batches of up to ${upTo}`;
  const reason = chosen
    ? `${size}: ${chosen}, the faster of ${told.join(" and ")}`
    : `${size}: not settled yet${told.length > 0 ? `; ${told.join(" and ")}` : ""}`;
  return { upTo, runtime: chosen ?? "webgpu", isSettled: chosen !== undefined, tried, reason };
}
