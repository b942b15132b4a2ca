// Training of a multi-exit network: one captured step a batch, progress, evaluation, checkpoints. A run that is stopped - killed,
// interrupted, its device lost - goes on from its folder and ends with the weights, bit for bit, that it would have ended with.

import { type Kinds, leftovers, what } from "../../base/index.ts";
import {
  ArgumentError,
  copyInto,
  DeviceError,
  type Generator,
  readOptions,
  type Tensor,
} from "../../engine/functions.ts";
import type { Optimizer, Schedule } from "../../nn/index.ts";
import { TrainingError } from "../errors.ts";
import { checkNetwork, type MultiExit } from "../network/multi-exit.ts";
import { loadCheckpoint, type Position, saveCheckpoint } from "../run/checkpoint.ts";
import { fileSystem } from "../run/files.ts";
import { identityOf, type RunOptions } from "../run/identity.ts";
import { type FolderLock, lockFolder } from "../run/lock.ts";
import { exitScores, Metrics } from "../run/metrics.ts";
import { inFolder, RUN_FILES, Run } from "../run/run.ts";
import { type BatchSource, checkImages, type ImageSet, type ImageSplits, shuffledBatches } from "./images.ts";
import type { Objective } from "./objective.ts";
import { makeOptimizer } from "./optimizers.ts";
import { defaultReport, type Report } from "./progress.ts";
import { completeRecipe, type FullRecipe, RECIPE_OPTIONS, type Recipe } from "./recipe.ts";
import { makeMomentum, makeSchedule } from "./schedules.ts";
import { deviceOf, Evaluator, TrainingStep } from "./step.ts";

/** Options of `train`. */
export interface TrainOptions extends Recipe {
  readonly objective: Objective;
  /** Of the order of the images and of all masks; default 0. */
  readonly seed?: number;
  /** Run folder for checkpoints, metrics and cached logits (Node). A run found there is resumed. */
  readonly dir?: string;
  /** The folder's lock, where the caller has taken it; else `train` takes it for as long as it runs. */
  readonly lock?: FolderLock;
  /** For objectives that learn from an averaged copy: a second network of the same form. It starts as a copy of the first. */
  readonly teacher?: MultiExit;
  /** Batches in place of plain shuffled ones, for instance augmented ones; must depend on the position alone. */
  readonly batches?: (set: ImageSet, options: { readonly batch: number; readonly seed: number }) => BatchSource;
  /** Versions, adapter, commit: written beside the cached logits, for whoever finds them. */
  readonly made?: Readonly<Record<string, string>>;
  /** Generators that random layers of the network draw from. */
  readonly generators?: readonly Generator[];
  /** Steps between two reports; default 20. Nothing is read from the GPU in between. */
  readonly logEvery?: number;
  /** Steps between two evaluations on the validation images, besides the one at the end of each epoch. */
  readonly evaluateEvery?: number;
  /** Steps between two checkpoints, besides the one at the end of each epoch; default 200. */
  readonly checkpointEvery?: number;
  /** Default: a progress bar on a terminal, lines elsewhere. */
  readonly report?: Report;
  /** Stops the run after the step at hand, with a checkpoint. */
  readonly signal?: AbortSignal;
}

const TRAIN_OPTIONS: Kinds<TrainOptions> = {
  ...RECIPE_OPTIONS,
  epochs: "number!",
  optimizer: "any",
  schedule: "any",
  objective: "any!",
  seed: "number",
  dir: "string",
  teacher: "any",
  batches: "function",
  made: "any",
  generators: "any",
  logEvery: "number",
  evaluateEvery: "number",
  checkpointEvery: "number",
  report: "function",
  signal: "any",
  lock: "any",
};

function checkObjective({ losses, exitWeights }: Objective): void {
  for (const [part, value] of Object.entries({ losses, exitWeights })) {
    if (typeof value === "function") continue;
    throw new ArgumentError(
      `train: the objective must be one, such as jointCrossEntropy(); it has ${what(value)} for ${part}.`,
    );
  }
}

/** Steps that the host may be ahead of the GPU. */
const AHEAD = 2;

/**
 * Trains `net` on `data.train` and watches it on `data.validation`. Deterministic given the seed.
 * @throws TrainingError for a loss that is not finite (naming step and learning rate) and for an abort; DeviceError for a lost
 *   device; CheckpointError for a folder that holds another run; TrainingError for a folder that another process trains into.
 */
export async function train(net: MultiExit, data: ImageSplits, options: TrainOptions): Promise<Run> {
  const { dir } = options;
  const lock = dir === undefined || options.lock ? undefined : await lockFolder("train", dir);
  try {
    return await trainLocked(net, data, options);
  } finally {
    await lock?.release();
  }
}

async function trainLocked(net: MultiExit, data: ImageSplits, options: TrainOptions): Promise<Run> {
  const trainer = await Trainer.start(net, data, options);
  try {
    return await trainer.run();
  } catch (error) {
    trainer.forget();
    throw trainer.explain(error);
  } finally {
    trainer.dispose();
  }
}

class Trainer {
  readonly #net: MultiExit;
  readonly #data: ImageSplits;
  readonly #options: TrainOptions;
  readonly #recipe: FullRecipe;
  readonly #source: BatchSource;
  readonly #optimizer: Optimizer;
  readonly #step: TrainingStep;
  readonly #lr: Schedule;
  readonly #momentum: Schedule | undefined;
  readonly #steps: number;
  readonly #metrics: Metrics;
  readonly #report: Report;
  readonly #identity: RunOptions;
  readonly #queue: Promise<unknown>[] = [];
  /** Ends the wait for a step: the device will not. */
  #wake = () => {};
  #evaluator: Evaluator | undefined;
  #position: Position = { step: 0 };
  /** The step of the checkpoint that a resumed run starts from; 0 while there is none. */
  #saved = 0;
  /** The step, and the time, that the totals count from. */
  #window = { step: 0, time: 0 };

  private constructor(net: MultiExit, data: ImageSplits, options: TrainOptions, parts: Made) {
    this.#net = net;
    this.#data = data;
    this.#options = options;
    this.#recipe = parts.recipe;
    this.#source = parts.source;
    this.#optimizer = parts.optimizer;
    this.#step = parts.step;
    this.#steps = parts.recipe.epochs * parts.source.batchesPerEpoch;
    this.#lr = makeSchedule(parts.recipe, this.#steps);
    this.#momentum = makeMomentum(parts.recipe, parts.optimizer, this.#steps);
    this.#identity = identityOf({ ...options, ...parts, net, data });
    this.#metrics = new Metrics(options.dir === undefined ? undefined : inFolder(options.dir, RUN_FILES.metrics));
    this.#report = options.report ?? defaultReport();
  }

  static async start(net: MultiExit, data: ImageSplits, options: TrainOptions): Promise<Trainer> {
    checkNetwork("train", net);
    checkObjective(readOptions("train", options, TRAIN_OPTIONS).objective);
    const { objective, seed = 0, teacher, batches = shuffledBatches } = options;
    const recipe = completeRecipe(options);
    // All parts now: a fault in the test images must not show after hours of training.
    for (const part of ["train", "validation", "calibration", "test"] as const) {
      if (data?.[part]?.meta === undefined)
        throw new ArgumentError(`train: data must be a data set in four parts, as data sets load; got ${what(data)}.`);
      checkImages("train", data[part], net);
    }
    if (options.dir !== undefined) await prepareFolder(options.dir);
    const source = batches(data.train, { batch: recipe.batch, seed });
    const optimizer = makeOptimizer(net.flat(), recipe);
    try {
      if (teacher) copyNetwork(net, teacher);
      const { batch, flip } = recipe;
      const step = await TrainingStep.record({
        ...options,
        net,
        objective,
        optimizer,
        set: data.train,
        batch,
        flip,
        seed,
        isMixed: source.isMixed,
      });
      return new Trainer(net, data, options, { recipe, source, optimizer, step });
    } catch (error) {
      optimizer.dispose();
      throw error;
    }
  }

  async run(): Promise<Run> {
    const { dir, made } = this.#options;
    const last = dir === undefined ? undefined : inFolder(dir, RUN_FILES.last);
    const found =
      last === undefined ? undefined : await loadCheckpoint(last, this.#tensors(), this.#identity, this.#steps);
    this.#position = found ?? this.#position;
    this.#saved = this.#position.step;
    await this.#metrics.resume(this.#position.step);
    this.#report({ kind: "start", step: this.#position.step, steps: this.#steps, resumedFrom: found && last });
    void deviceOf(this.#net).gpu.lost.then(() => this.#wake());
    const began = performance.now();
    this.#window = { step: this.#position.step, time: began };
    for (let t = this.#position.step; t < this.#steps; t++) await this.#advance(t);
    this.#report({ kind: "end", step: this.#steps, seconds: (performance.now() - began) / 1000 });
    const history = this.#metrics.rows;
    return new Run({ net: this.#net, data: this.#data, dir, made, history, evaluator: this.#evaluator });
  }

  /** Step `t` and what is due after it. */
  async #advance(t: number): Promise<void> {
    const {
      logEvery = 20,
      evaluateEvery = Number.POSITIVE_INFINITY,
      checkpointEvery = 200,
      objective,
      signal,
    } = this.#options;
    const { batchesPerEpoch } = this.#source;
    const epoch = Math.floor(t / batchesPerEpoch);
    const batch = this.#source.at({ epoch, batch: t % batchesPerEpoch });
    const exitWeights = objective.exitWeights(this.#net.exits, { epoch: epoch + 1, epochs: this.#recipe.epochs });
    if (this.#momentum) this.#optimizer.momentum = this.#momentum(t);
    this.#step.run(batch, exitWeights, this.#lr(t));
    await this.#throttle();
    const done = t + 1;
    this.#position = { ...this.#position, step: done };
    const isEnd = done % batchesPerEpoch === 0;
    const isStopped = signal?.aborted === true;
    const evaluates = isEnd || done % evaluateEvery === 0;
    const saves = isEnd || isStopped || done % checkpointEvery === 0;
    if (done === 1 || done % logEvery === 0 || evaluates || saves) await this.#log(epoch, t);
    if (evaluates) await this.#evaluate(epoch);
    if (saves) await this.#save(RUN_FILES.last);
    if (isStopped && done < this.#steps) {
      throw new TrainingError(`train: it was stopped at step ${done} of ${this.#steps}.${this.#howToResume()}`, {
        cause: signal.reason,
      });
    }
  }

  /**
   * Keeps the host at most `AHEAD` steps in front of the GPU, which bounds memory and lets timers run. Where the GPU is software it
   * needs the processor that preparing and waiting would take: the host stays with it, step by step.
   */
  async #throttle(): Promise<void> {
    const device = deviceOf(this.#net);
    if (device.info.isSoftware) return device.sync();
    this.#queue.push(device.gpu.queue.onSubmittedWorkDone().catch(() => {}));
    if (this.#queue.length <= AHEAD) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      void this.#queue.shift()?.then(() => resolve());
    });
    device.check("train");
  }

  /** Reads the totals: one row of metrics. Throws TrainingError for a loss that was not finite. */
  async #log(epoch: number, t: number): Promise<void> {
    const tally = await this.#step.totals.take();
    if (tally.firstBad > 0) throw this.#notFinite("the loss", this.#window.step + tally.firstBad);
    const now = performance.now();
    const seconds = (now - this.#window.time) / 1000;
    const row = {
      kind: "train",
      step: t + 1,
      epoch: epoch + 1,
      loss: tally.loss,
      lr: this.#lr(t),
      exits: exitScores(tally),
      imagesPerSecond: tally.samples / seconds,
    } as const;
    const secondsLeft = ((this.#steps - t - 1) * seconds) / tally.steps;
    this.#window = { step: t + 1, time: now };
    await this.#metrics.add(row);
    this.#report({ ...row, steps: this.#steps, epochs: this.#recipe.epochs, secondsLeft });
  }

  #notFinite(what: string, step: number): TrainingError {
    const epoch = Math.floor((step - 1) / this.#source.batchesPerEpoch) + 1;
    const rate = Number(this.#lr(step - 1).toPrecision(3));
    const place = `step ${step} of ${this.#steps} (epoch ${epoch}), learning rate ${rate}`;
    const last =
      this.#options.dir !== undefined && this.#saved > 0 ? ` The last checkpoint is from step ${this.#saved}.` : "";
    return new TrainingError(
      `train: ${what} must stay finite; it was NaN or infinite at ${place}. Lower the rate or lengthen the warm-up.${last}`,
    );
  }

  /** Looks at the validation images, and keeps the weights if their last exit is the best so far. */
  async #evaluate(epoch: number): Promise<void> {
    const { validation } = this.#data;
    const { step, best } = this.#position;
    this.#evaluator ??= await Evaluator.record(this.#net, validation);
    const exits = exitScores(await this.#evaluator.tally(validation));
    // The update after the last loss that was looked at may have been the bad one; such weights are not kept.
    if (!exits.every(({ loss }) => Number.isFinite(loss))) throw this.#notFinite("the loss on validation", step);
    const { accuracy } = exits.at(-1) as { readonly accuracy: number };
    const isBest = best === undefined || accuracy > best.accuracy;
    const row = { kind: "evaluation", step, epoch: epoch + 1, exits, isBest } as const;
    await this.#metrics.add(row);
    this.#report({ ...row, epochs: this.#recipe.epochs });
    if (isBest) {
      this.#position = { step, best: { step, accuracy } };
      await this.#save(RUN_FILES.best);
    }
    // What evaluating took is no training time.
    this.#window = { step, time: performance.now() };
  }

  async #save(name: string): Promise<void> {
    const { dir } = this.#options;
    if (dir === undefined) return;
    const { step } = this.#position;
    const isSaved = await saveCheckpoint(inFolder(dir, name), this.#tensors(), {
      position: this.#position,
      run: this.#identity,
    });
    if (!isSaved) throw this.#notFinite("the network", step);
    if (name === RUN_FILES.last) this.#saved = step;
  }

  /** Everything that a step reads and changes. */
  #tensors(): Map<string, Tensor> {
    const { teacher, generators = [] } = this.#options;
    const under = (prefix: string, tensors: Iterable<readonly [string, Tensor]>) =>
      [...tensors].map(([name, tensor]) => [`${prefix}.${name}`, tensor] as const);
    return new Map([
      ...under("net", this.#net.state()),
      ...under("optimizer", this.#optimizer.moments),
      ...under(
        "random",
        [this.#step.generator, ...generators].map((generator, i) => [String(i), generator.state[0] as Tensor]),
      ),
      ...under("teacher", teacher?.state() ?? []),
    ]);
  }

  #howToResume(): string {
    const { dir } = this.#options;
    if (dir === undefined) return "";
    const where =
      this.#saved > 0
        ? `resume at step ${this.#saved} from ${dir}`
        : `start over in ${dir}: there is no checkpoint yet`;
    return ` Run the same again to ${where}.`;
  }

  /** The error as the user is to see it. */
  explain(error: unknown): unknown {
    if (error instanceof DeviceError)
      return new DeviceError(`${error.message}${this.#howToResume()}`, { cause: error });
    if ((error as { readonly code?: string }).code !== "ENOSPC") return error;
    return new TrainingError(
      `train: the disk of ${this.#options.dir} is full. Nothing half-written is left; free space.${this.#howToResume()}`,
      { cause: error },
    );
  }

  /** Frees the evaluator, which a successful run passes on. */
  forget(): void {
    this.#evaluator?.dispose();
  }

  dispose(): void {
    this.#step.dispose();
    this.#optimizer.dispose();
  }
}

/** What `Trainer.start` makes before there is a trainer. */
interface Made {
  readonly recipe: FullRecipe;
  readonly source: BatchSource;
  readonly optimizer: Optimizer;
  readonly step: TrainingStep;
}

/** Makes the run folder, and removes what a killed process left half-written there. */
async function prepareFolder(dir: string): Promise<void> {
  const fs = fileSystem("train");
  await fs.mkdir(dir, { recursive: true });
  for (const name of [RUN_FILES.last, RUN_FILES.best, RUN_FILES.metrics]) {
    for (const left of await leftovers(inFolder(dir, name))) await fs.rm(left, { force: true });
  }
}

/** Makes `to` a copy of `from`, tensor by tensor. */
function copyNetwork(from: MultiExit, to: MultiExit): void {
  const target = to.state();
  to.flat();
  for (const [name, tensor] of from.state()) {
    const copy = target.get(name);
    if (!copy) throw new TrainingError(`train: the teacher must have the network's form; it has no ${name}.`);
    copyInto(copy, tensor);
  }
}
