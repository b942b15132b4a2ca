// Training of a multi-exit network: one captured step a batch, progress, evaluation, checkpoints. A run that is stopped
// - killed, interrupted, its device lost - goes on from its folder and ends with the weights, bit for bit, that it
// would have ended with.

import { type Given, type Kinds, option, what } from "../../base/index.ts";
import { ArgumentError, Generator, readOptions } from "../../engine/functions.ts";
import { TrainingError } from "../errors.ts";
import type { Method, TrainingPlan } from "../methods/method.ts";
import { checkNetwork, type MultiExit } from "../network/multi-exit.ts";
import {
  type CheckpointStore,
  type Found,
  openCheckpoint,
  type Position,
  readCheckpoint,
  startDigest,
} from "../run/checkpoint.ts";
import { digest } from "../run/digest.ts";
import { identityOf, type RunOptions } from "../run/identity.ts";
import type { FolderLock } from "../run/lock.ts";
import { exitScores } from "../run/metrics.ts";
import { Run } from "../run/run.ts";
import { deviceOf, LazyEvaluator, Totals } from "./evaluator.ts";
import {
  type BatchSource,
  checkApart,
  checkImages,
  checkNormalised,
  type ImageSet,
  type ImageSplits,
  shuffledBatches,
} from "./images.ts";
import { Pace } from "./pace.ts";
import { KEEP, PhaseRun } from "./phase-run.ts";
import { extentOf, layOut, phaseAt, type Span } from "./phases.ts";
import { checkWraps, phasesOf, planOf } from "./plan.ts";
import type { Report } from "./progress.ts";
import { completeRecipe, RECIPE_OPTIONS, type Recipe } from "./recipe.ts";
import { checkpointPlace, checkStore, prepareFolder, Saver } from "./saving.ts";
import type { SharedParts, SharedPhase } from "./shared-phase.ts";
import { loadStart, START_OPTIONS, type Start } from "./start.ts";
import type { StartReport } from "./start-file.ts";
import type { TeacherRun } from "./teachers.ts";
import { type Course, Teller } from "./telling.ts";
import { FINE_TUNING } from "./tuning-options.ts";
import { setVariants, VARIANT_OPTIONS, type Variants } from "./variants.ts";

/** How often training looks up; the weights do not depend on it. */
export const CADENCE = {
  evaluateEvery: option.whole(undefined, "steps between evaluations besides those after epochs", { min: 1 }),
  checkpointEvery: option.whole(200, "steps between checkpoints besides those after epochs", { min: 1 }),
  logEvery: option.whole(20, "steps between rows of metrics.jsonl; nothing is read from the GPU in between", {
    min: 1,
  }),
} as const;

/** Seed of a run. */
export const RUN_SEED = option.seed(0, "seed of weights, order and masks");

/** Options of `train`. */
export interface TrainOptions extends Recipe, Start, Variants, Given<typeof CADENCE> {
  /** One of `METHODS`, or one of your own, with its defaults or as `method.with(options)` makes it. */
  readonly method: Method | TrainingPlan;
  /** Of the order of the images and of all masks; default 0. */
  readonly seed?: number;
  /** Run folder for checkpoints, metrics and cached logits (Node). A run found there is resumed. */
  readonly dir?: string;
  /** Where checkpoints lie instead of a folder, for pages: a run found there is resumed. */
  readonly store?: CheckpointStore;
  /**
   * Folder in which runs leave a first phase that other methods have too, and find it: `train` takes over, bit for bit,
   * what a run of the same network, data, seed and recipe has done there.
   */
  readonly phases?: string;
  /** The folder's lock, where the caller has taken it; else `train` takes it for as long as it runs. */
  readonly lock?: FolderLock;
  /**
   * For methods that learn from a larger network: one that was trained, with as many exits and classes. It stays as it
   * is.
   */
  readonly teacher?: MultiExit;
  /**
   * Bytes of GPU memory for what is computed once where a backbone or a teacher does not change: features and answers
   * of all images; default 512 MiB. What has no room is computed at every step.
   */
  readonly keepBytes?: number;
  /** Batches in place of plain shuffled ones, for instance augmented ones; must depend on the position alone. */
  readonly batches?: (set: ImageSet, options: { readonly batch: number; readonly seed: number }) => BatchSource;
  /** Versions, adapter, commit: written beside the cached logits, for whoever finds them. */
  readonly made?: Readonly<Record<string, string>>;
  /** Generators that own random layers draw from, besides those that the network tells of (`Module.generators`). */
  readonly generators?: readonly Generator[];
  /** Default: a progress bar on a terminal, lines elsewhere. */
  readonly report?: Report;
  /** Stops the run after the step at hand, with a checkpoint. */
  readonly signal?: AbortSignal;
}

const TRAIN_OPTIONS: Kinds<TrainOptions> = {
  ...RECIPE_OPTIONS,
  ...FINE_TUNING,
  ...START_OPTIONS,
  ...VARIANT_OPTIONS,
  epochs: "number!",
  optimizer: "any",
  schedule: "any",
  method: "any!",
  seed: RUN_SEED,
  dir: "string",
  store: "any",
  phases: "string",
  teacher: "any",
  keepBytes: "number",
  batches: "function",
  made: "any",
  generators: "any",
  ...CADENCE,
  report: "function",
  signal: "any",
  lock: "any",
};

/**
 * Trains `net` on `data.train` and watches it on `data.validation`. Deterministic given the seed.
 * @throws TrainingError for a loss that is not finite (naming step and learning rate) and for an abort; DeviceError for
 *   a lost device; CheckpointError for a folder that holds another run; TrainingError for a folder that another process
 *   trains into.
 *
 * @example
 * ```ts
 * import { glyphs } from "sortie/data";
 * import { buildNetwork, joint, train } from "sortie/exits";
 *
 * const data = glyphs({ train: 64, validation: 32, calibration: 32, test: 32, seed: 1 });
 * const architecture = { backbone: "resnet", options: { depth: 8, widths: [4, 4, 8] }, exits: ["stage1"] };
 * const net = buildNetwork({ ...architecture, input: [28, 28, 1], classes: 10 });
 * const run = await train(net, data, { method: joint, epochs: 1, batch: 32, report: () => {} });
 * const { samples, exits, classes } = await run.logits("test"); // what calibration works on
 * console.log(samples, exits, classes); // 32 2 10
 * run.dispose();
 * net.dispose();
 * ```
 */
export async function train(net: MultiExit, data: ImageSplits, options: TrainOptions): Promise<Run> {
  const { dir, store } = readOptions("train", options, TRAIN_OPTIONS);
  checkStore({ store, dir });
  const lock = dir === undefined || options.lock ? undefined : await locked(dir);
  try {
    return await trainLocked(net, data, options);
  } finally {
    await lock?.release();
  }
}

/** Pages have no folders, and need no locks. */
async function locked(dir: string): Promise<FolderLock> {
  const { lockFolder } = await import("../run/lock.ts");
  return lockFolder("train", dir);
}

/** Where the run finds its first phase, or leaves it, if it may. */
async function sharedPhase(parts: SharedParts): Promise<SharedPhase | undefined> {
  if (parts.options.phases === undefined) return undefined;
  const { SharedPhase } = await import("./shared-phase.ts");
  return SharedPhase.of(parts);
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
  readonly #made: Made;
  readonly #course: Course;
  readonly #teller: Teller;
  readonly #saver: Saver;
  readonly #pace: Pace;
  readonly #evaluator: LazyEvaluator;
  #phase: PhaseRun | undefined;
  #position: Position = { step: 0, phase: 0 };
  /** Let go once its values are where they belong. */
  #found: Found | undefined;

  private constructor(made: Made, identity: RunOptions, found: Found | undefined) {
    const { spans, source, options, net, data } = made;
    const { batchesPerEpoch } = source;
    const { steps } = extentOf(spans);
    const lr = (t: number) => {
      const span = spans[phaseAt(spans, t)]!;
      return span.lr(t - span.first);
    };
    this.#made = made;
    this.#course = { epochs: Math.ceil(steps / batchesPerEpoch), steps, batchesPerEpoch, lr };
    this.#teller = new Teller(this.#course, options);
    this.#saver = new Saver(options, identity, found?.position.step);
    this.#found = found;
    this.#pace = new Pace(deviceOf(net));
    this.#evaluator = new LazyEvaluator(net, data.train);
  }

  static async start(net: MultiExit, data: ImageSplits, options: TrainOptions): Promise<Trainer> {
    checkNetwork("train", net);
    const plan = planOf(readOptions("train", options, TRAIN_OPTIONS).method);
    const { teacher: given, seed = 0, batches = shuffledBatches, keepBytes = KEEP } = options;
    const recipe = completeRecipe(options);
    // All parts now: a fault in the test images must not show after hours of training.
    for (const part of ["train", "validation", "calibration", "test"] as const) {
      if (data?.[part]?.meta === undefined)
        throw new ArgumentError(`train: data must be a data set in four parts, as data sets load; got ${what(data)}.`);
      checkImages("train", data[part], net);
    }
    checkApart("train", data);
    checkNormalised("train", data);
    checkWraps(plan, net);
    const source = batches(data.train, { batch: recipe.batch, seed });
    const spans = layOut(await phasesOf(plan, net, recipe), options, source.batchesPerEpoch);
    const place = checkpointPlace(options, "last");
    const file = place === undefined ? undefined : await openCheckpoint(place);
    const start = await loadStart(net, options, () => file && startDigest(file));
    const teaching = plan.teacher || given ? await import("./teachers.ts") : undefined;
    const teacher = await teaching?.makeTeacher(plan, net, given, data.validation);
    const { tuner } = deviceOf(net);
    const variants = tuner.table;
    try {
      if (options.dir !== undefined) await prepareFolder(options.dir);
      const taught = given && (await digest(given.state().values()));
      const told = { start: start?.digest, teacher: taught };
      const generators = [...new Set([...(options.generators ?? []), ...net.generators()])];
      await setVariants({ net, batch: recipe.batch, generators }, file, options);
      const identity = identityOf({ ...options, net, data, plan, keepBytes, recipe, source, ...told });
      const found = file && readCheckpoint(file, identity, extentOf(spans), net.state());
      const generator = new Generator({ seed, stream: MASK_STREAM, device: deviceOf(net) });
      const totals = new Totals(net.exits, deviceOf(net));
      const taughtSteps = spans.reduce((sum, { phase, steps }) => sum + (phase.isTaught === false ? 0 : steps), 0);
      const note = teaching?.slowness(plan.teacher, taughtSteps);
      const own = { ...options, generators };
      const shared = await sharedPhase({
        ...{ net, spans, identity, options, isTaught: teacher !== undefined },
        generators: [generator, ...generators],
      });
      const from = start?.report;
      const made = { net, data, options: own, source, spans, from, teacher, generator, totals, note, shared };
      return new Trainer(made, identity, found);
    } catch (error) {
      teacher?.dispose();
      await tuner.replace(variants);
      throw error;
    }
  }

  async run(): Promise<Run> {
    await this.#begin();
    for (let t = this.#position.step; t < this.#course.steps; t++) await this.#advance(t);
    this.#teller.end();
    const { net, data, options } = this.#made;
    const { history } = this.#teller;
    return new Run({ net, data, dir: options.dir, made: options.made, history, evaluator: this.#evaluator });
  }

  /** From a checkpoint, from a first phase that another run has done, or from the start. */
  async #begin(): Promise<void> {
    const { spans, note, shared } = this.#made;
    const found = this.#found;
    this.#found = undefined;
    const taken = found ? undefined : await shared?.take();
    this.#position = found?.position ?? (taken ? { step: spans[1]!.first, phase: 1 } : this.#position);
    await this.#enter(found);
    if (taken) await this.#save("last");
    const { step, phase } = this.#position;
    // A run that had ended goes on as it would have, had it been as long from the first.
    if (step < this.#course.steps && phaseAt(spans, step) > phase) {
      this.#position = { step, phase: phase + 1 };
      await this.#enter();
    }
    await this.#teller.start(step, { resumedFrom: found?.path, weights: this.#made.from, taken });
    if (note !== undefined) this.#teller.note(note);
  }

  /** Begins the phase of the position, or goes on in it from a checkpoint. */
  async #enter(found?: Parameters<typeof PhaseRun.start>[1]): Promise<void> {
    const before = this.#phase;
    this.#phase = undefined;
    const span = this.#made.spans[this.#position.phase]!;
    this.#phase = await PhaseRun.start({ ...this.#made, span, evaluator: () => this.#evaluator.get() }, found, before);
  }

  /** Step `t` and what is due after it. */
  async #advance(t: number): Promise<void> {
    const {
      logEvery = CADENCE.logEvery.default,
      evaluateEvery = Number.POSITIVE_INFINITY,
      checkpointEvery = CADENCE.checkpointEvery.default,
      signal,
    } = this.#made.options;
    const { source, spans, totals } = this.#made;
    const { batchesPerEpoch, steps } = this.#course;
    const batch = source.at({ epoch: Math.floor(t / batchesPerEpoch), batch: t % batchesPerEpoch });
    await (this.#phase as PhaseRun).run(t, batch);
    await this.#pace.keep();
    const done = t + 1;
    this.#position = { ...this.#position, step: done };
    const isPhaseOver = done < steps && phaseAt(spans, done) > this.#position.phase;
    const isEnd = done % batchesPerEpoch === 0 || isPhaseOver || done === steps;
    // What was the best before is not fitted.
    if ((isPhaseOver || done === steps) && (await this.#phase?.fit()))
      this.#position = { step: done, phase: this.#position.phase };
    const isStopped = signal?.aborted === true;
    const evaluates = isEnd || done % evaluateEvery === 0;
    const saves = isEnd || isStopped || done % checkpointEvery === 0;
    if (done === 1 || done % logEvery === 0 || evaluates || saves)
      await this.#teller.trained(done, await totals.take(), this.#saver.last);
    if (evaluates) await this.#validate();
    if (isPhaseOver) {
      if (this.#position.phase === 0) await this.#made.shared?.put();
      this.#position = { step: done, phase: this.#position.phase + 1 };
      await this.#enter();
      this.#teller.restart(done);
    }
    if (saves) await this.#save("last");
    if (isStopped && done < steps) {
      throw new TrainingError(`train: it was stopped at step ${done} of ${steps}.${this.#saver.howToResume}`, {
        cause: signal.reason,
      });
    }
  }

  /**
   * Looks at the validation images, and keeps the weights if they are the best of the phase: by the last exit or, where
   * that does not change, by the mean of all.
   */
  async #validate(): Promise<void> {
    const { validation } = this.#made.data;
    const { step, phase, best } = this.#position;
    const exits = exitScores(await (await this.#evaluator.get()).tally(validation));
    // The update after the last loss that was looked at may have been the bad one; such weights are not kept.
    if (!exits.every(({ loss }) => Number.isFinite(loss))) throw this.#notFinite("the loss on validation");
    const looked = this.#phase?.movesLastExit ? exits.slice(-1) : exits;
    const accuracy = looked.reduce((sum, each) => sum + each.accuracy, 0) / looked.length;
    const isBest = best === undefined || accuracy > best.accuracy;
    await this.#teller.evaluated(step, exits, isBest);
    if (isBest) {
      this.#position = { step, phase, best: { step, accuracy } };
      await this.#save("best");
    }
    this.#teller.restart(step);
  }

  async #save(which: "last" | "best"): Promise<void> {
    const tensors = (this.#phase as PhaseRun).tensors;
    if (!(await this.#saver.save(which, this.#position, tensors))) throw this.#notFinite("the network");
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
    this.#evaluator.dispose();
  }

  dispose(): void {
    const { teacher, generator, totals } = this.#made;
    for (const made of [this.#phase, teacher, generator, totals]) made?.dispose();
  }
}

/** Random streams of masks that training itself draws. */
const MASK_STREAM = 0xf11b;

/** What `Trainer.start` makes before there is a trainer. */
interface Made {
  readonly net: MultiExit;
  readonly data: ImageSplits;
  readonly options: TrainOptions;
  readonly source: BatchSource;
  readonly spans: readonly Span[];
  /** Where the weights came from, if they were not drawn. */
  readonly from: StartReport | undefined;
  readonly teacher: TeacherRun | undefined;
  /** What to tell at the start. */
  readonly note: string | undefined;
  /** The first phase, where others have it too. */
  readonly shared: SharedPhase | undefined;
  /** Where masks are drawn from. */
  readonly generator: Generator;
  readonly totals: Totals;
}
