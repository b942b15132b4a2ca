// Training of a multi-exit network: one captured step a batch, progress, evaluation, checkpoints. A run that is stopped - killed,
// interrupted, its device lost - goes on from its folder and ends with the weights, bit for bit, that it would have ended with.

import { type Kinds, what } from "../../base/index.ts";
import { ArgumentError, copyInto, type Generator, readOptions, type Tensor } from "../../engine/functions.ts";
import type { Optimizer, Schedule } from "../../nn/index.ts";
import { TrainingError } from "../errors.ts";
import { checkNetwork, type MultiExit } from "../network/multi-exit.ts";
import type { Position } from "../run/checkpoint.ts";
import { identityOf } from "../run/identity.ts";
import { type FolderLock, lockFolder } from "../run/lock.ts";
import { exitScores } from "../run/metrics.ts";
import { Run } from "../run/run.ts";
import { type BatchSource, checkImages, type ImageSet, type ImageSplits, shuffledBatches } from "./images.ts";
import type { Objective } from "./objective.ts";
import { makeOptimizer } from "./optimizers.ts";
import { Pace } from "./pace.ts";
import type { Report } from "./progress.ts";
import { completeRecipe, type FullRecipe, RECIPE_OPTIONS, type Recipe } from "./recipe.ts";
import { prepareFolder, Saver } from "./saving.ts";
import { makeMomentum, makeSchedule } from "./schedules.ts";
import { deviceOf, Evaluator, TrainingStep } from "./step.ts";
import { type Course, Teller } from "./telling.ts";

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

/** The loop: a batch, a step, and what is due after it. */
class Trainer {
  readonly #net: MultiExit;
  readonly #data: ImageSplits;
  readonly #options: TrainOptions;
  readonly #parts: Made;
  readonly #course: Course;
  readonly #momentum: Schedule | undefined;
  readonly #teller: Teller;
  readonly #saver: Saver;
  readonly #pace: Pace;
  #evaluator: Evaluator | undefined;
  #position: Position = { step: 0 };

  private constructor(net: MultiExit, data: ImageSplits, options: TrainOptions, parts: Made) {
    const { recipe, source, optimizer } = parts;
    const { batchesPerEpoch } = source;
    const steps = recipe.epochs * batchesPerEpoch;
    this.#net = net;
    this.#data = data;
    this.#options = options;
    this.#parts = parts;
    this.#course = { epochs: recipe.epochs, steps, batchesPerEpoch, lr: makeSchedule(recipe, steps) };
    this.#momentum = makeMomentum(recipe, optimizer, steps);
    this.#teller = new Teller(this.#course, options);
    const identity = identityOf({ ...options, ...parts, net, data });
    this.#saver = new Saver(options.dir, tensorsOf(net, options, parts), identity);
    this.#pace = new Pace(deviceOf(net));
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
    const found = await this.#saver.load(this.#course.steps);
    this.#position = found?.position ?? this.#position;
    await this.#teller.start(this.#position.step, found?.path);
    for (let t = this.#position.step; t < this.#course.steps; t++) await this.#advance(t);
    this.#teller.end();
    const { history } = this.#teller;
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
    const { source, step, optimizer } = this.#parts;
    const { batchesPerEpoch, epochs, steps, lr } = this.#course;
    const epoch = Math.floor(t / batchesPerEpoch);
    const batch = source.at({ epoch, batch: t % batchesPerEpoch });
    const exitWeights = objective.exitWeights(this.#net.exits, { epoch: epoch + 1, epochs });
    if (this.#momentum) optimizer.momentum = this.#momentum(t);
    step.run(batch, exitWeights, lr(t));
    await this.#pace.keep();
    const done = t + 1;
    this.#position = { ...this.#position, step: done };
    const isEnd = done % batchesPerEpoch === 0;
    const isStopped = signal?.aborted === true;
    const evaluates = isEnd || done % evaluateEvery === 0;
    const saves = isEnd || isStopped || done % checkpointEvery === 0;
    if (done === 1 || done % logEvery === 0 || evaluates || saves)
      await this.#teller.trained(done, await step.totals.take(), this.#saver.last);
    if (evaluates) await this.#evaluate();
    if (saves) await this.#save("last");
    if (isStopped && done < steps) {
      throw new TrainingError(`train: it was stopped at step ${done} of ${steps}.${this.#saver.howToResume}`, {
        cause: signal.reason,
      });
    }
  }

  /** Looks at the validation images, and keeps the weights if their last exit is the best so far. */
  async #evaluate(): Promise<void> {
    const { validation } = this.#data;
    const { step, best } = this.#position;
    this.#evaluator ??= await Evaluator.record(this.#net, validation);
    const exits = exitScores(await this.#evaluator.tally(validation));
    // The update after the last loss that was looked at may have been the bad one; such weights are not kept.
    if (!exits.every(({ loss }) => Number.isFinite(loss))) throw this.#notFinite("the loss on validation");
    const { accuracy } = exits.at(-1) as { readonly accuracy: number };
    const isBest = best === undefined || accuracy > best.accuracy;
    await this.#teller.evaluated(step, exits, isBest);
    if (isBest) {
      this.#position = { step, best: { step, accuracy } };
      await this.#save("best");
    }
    this.#teller.restart(step);
  }

  async #save(which: "last" | "best"): Promise<void> {
    if (!(await this.#saver.save(which, this.#position))) throw this.#notFinite("the network");
  }

  #notFinite(what: string): TrainingError {
    return this.#teller.notFinite(what, this.#position.step, this.#saver.last);
  }

  /** The error as the user is to see it. */
  explain(error: unknown): unknown {
    return this.#saver.explain(error);
  }

  /** Frees the evaluator, which a successful run passes on. */
  forget(): void {
    this.#evaluator?.dispose();
  }

  dispose(): void {
    this.#parts.step.dispose();
    this.#parts.optimizer.dispose();
  }
}

/** What `Trainer.start` makes before there is a trainer. */
interface Made {
  readonly recipe: FullRecipe;
  readonly source: BatchSource;
  readonly optimizer: Optimizer;
  readonly step: TrainingStep;
}

/** Everything that a step reads and changes, by the names of checkpoints. */
function tensorsOf(
  net: MultiExit,
  { teacher, generators = [] }: TrainOptions,
  { optimizer, step }: Made,
): Map<string, Tensor> {
  const under = (prefix: string, tensors: Iterable<readonly [string, Tensor]>) =>
    [...tensors].map(([name, tensor]) => [`${prefix}.${name}`, tensor] as const);
  const random = [step.generator, ...generators].map((generator, i) => [String(i), generator.state[0]!] as const);
  return new Map([
    ...under("net", net.state()),
    ...under("optimizer", optimizer.moments),
    ...under("random", random),
    ...under("teacher", teacher?.state() ?? []),
  ]);
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
