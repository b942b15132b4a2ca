// Training of a multi-exit network: one captured step a batch, progress, evaluation, checkpoints. A run that is stopped
// - killed, interrupted, its device lost - goes on from its folder and ends with the weights, bit for bit, that it
// would have ended with.

import { what } from "../../base/index.ts";
import { ArgumentError, Generator, readOptions } from "../../engine/functions.ts";
import { TrainingError } from "../errors.ts";
import { checkNetwork, type MultiExit } from "../network/multi-exit.ts";
import { type Found, openCheckpoint, type Position, readCheckpoint, startDigest } from "../run/checkpoint.ts";
import { digest } from "../run/digest.ts";
import { identityOf, type RunOptions } from "../run/identity.ts";
import { exitScores } from "../run/metrics.ts";
import { Run } from "../run/run.ts";
import { deviceOf, LazyEvaluator, Totals } from "./evaluator.ts";
import {
  type BatchSource,
  checkApart,
  checkImages,
  checkNormalised,
  type ImageSplits,
  shuffledBatches,
} from "./images.ts";
import { Pace } from "./pace.ts";
import { KEEP } from "./phase-parts.ts";
import { PhaseRun } from "./phase-run.ts";
import { extentOf, layOut, phaseAt, type Span } from "./phases.ts";
import { checkWraps, phasesOf, planOf } from "./plan.ts";
import { completeRecipe } from "./recipe.ts";
import { checkpointPlace, checkStore, Saver } from "./saving.ts";
import type { SharedPhase } from "./shared-phase.ts";
import { loadStart } from "./start.ts";
import type { StartReport } from "./start-file.ts";
import type { TeacherRun } from "./teachers.ts";
import { type Course, Teller } from "./telling.ts";
import { CADENCE, TRAIN_OPTIONS, type TrainOptions } from "./train-options.ts";
import { setVariants } from "./variants.ts";

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
  // Pages have no folders, and need no locks.
  const locks = dir !== undefined && !options.lock;
  const lock = locks ? await (await import("../run/lock.ts")).lockFolder("train", dir) : undefined;
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
    throw trainer.failed(error);
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
    const { phases, told, checkStart } = await phasesOf(plan, net, recipe);
    if (source.isMixed || phases.some(({ anew, tracks }, i) => i > 0 || anew || tracks.some(({ skips }) => skips))) {
      const { checkPhases } = await import("./phase-checks.ts");
      checkPhases(phases, { net, source, plan });
    }
    const spans = layOut(phases, options, source.batchesPerEpoch);
    const place = checkpointPlace(options, "last");
    const file = place === undefined ? undefined : await openCheckpoint(place);
    const start = await loadStart(net, options, () => file && startDigest(file));
    const teaching = plan.teacher || given ? await import("./teachers.ts") : undefined;
    const teacher = await teaching?.makeTeacher(plan, net, given, data.validation);
    const device = deviceOf(net);
    const { tuner } = device;
    const variants = tuner.table;
    const generator = new Generator({ seed, stream: MASK_STREAM, device });
    const totals = new Totals(net.exits, device);
    try {
      if (options.dir !== undefined) await (await import("./folder.ts")).prepareFolder(options.dir);
      if (start?.report) checkStart?.(start.report);
      const generators = [...new Set([...(options.generators ?? []), ...net.generators()])];
      await setVariants({ net, batch: recipe.batch, generators }, file, options);
      const taught = given && (await digest(given.state().values()));
      const origins = { start: start?.digest, teacher: taught };
      const identity = identityOf({ ...options, net, data, plan, keepBytes, recipe, source, ...origins });
      const found = file && readCheckpoint(file, identity, extentOf(spans), net.state());
      const notes = told.concat(teaching?.slowness(plan.teacher, spans) ?? []);
      const own = { ...options, generators };
      const sharing = options.phases === undefined ? undefined : await import("./shared-phase.ts");
      const shared = await sharing?.SharedPhase.of({
        ...{ net, spans, identity, options, isTaught: teacher !== undefined },
        generators: [generator, ...generators],
      });
      const from = start?.report;
      const made = { net, data, options: own, source, spans, from, teacher, generator, totals, notes, shared };
      return new Trainer(made, identity, found);
    } catch (error) {
      for (const made of [teacher, generator, totals]) made?.dispose();
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
    const { spans, notes, shared, from } = this.#made;
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
    await this.#teller.start(step, { resumedFrom: found?.path, weights: from, taken });
    for (const note of notes) this.#teller.note(note);
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
    const isStopped = signal?.aborted;
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
    const movesLast = this.#phase?.movesLastExit;
    const looked = movesLast ? exits.slice(-1) : exits;
    const accuracy = looked.reduce((sum, each) => sum + each.accuracy, 0) / looked.length;
    // Gates move no answer: of those beside the same ones, the last are trained the longest.
    const isBest = !best || accuracy > best.accuracy || (accuracy === best.accuracy && !movesLast);
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

  /** The error as the user is to see it; frees the evaluator, which a successful run passes on. */
  failed(error: unknown): unknown {
    this.#evaluator.dispose();
    return this.#saver.explain(error);
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
  readonly notes: readonly string[];
  /** The first phase, where others have it too. */
  readonly shared: SharedPhase | undefined;
  /** Where masks are drawn from. */
  readonly generator: Generator;
  readonly totals: Totals;
}
