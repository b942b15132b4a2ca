// One phase of a run at work: an optimiser and a recorded step for each of its tracks, what it prepared, and what it
// keeps.

import { firstOf, zip } from "../../base/index.ts";
import { ArgumentError, keep, type Tensor, tensor } from "../../engine/functions.ts";
import type { Optimizer, Schedule } from "../../nn/index.ts";
import type { Part } from "../methods/method.ts";
import { trunk } from "../methods/parts.ts";
import { type Found, restore, under } from "../run/checkpoint.ts";
import { deviceOf } from "./evaluator.ts";
import type { Stepping } from "./fine-tuning.ts";
import type { ImageBatch } from "./images.ts";
import type { Keeping, Kept } from "./kept.ts";
import { makeOptimizer } from "./optimizers.ts";
import { askedOf, type PhaseParts, trainsAll } from "./phase-parts.ts";
import { epochNumbers, from, type Span, turnAt } from "./phases.ts";
import { makeMomentum } from "./schedules.ts";
import type { SkippingStep } from "./skipping-step.ts";
import { type StepParts, TrainingStep } from "./step.ts";

/** A track at work. */
interface TrackRun {
  readonly optimizer: Stepping;
  readonly momentum: Schedule | undefined;
  readonly step: TrainingStep | SkippingStep;
}

interface Owned {
  dispose(): void;
}

/** What a phase may leave to the next one. */
interface PassedOn {
  /** What it keeps, if it is what the next one wants and nothing in between changes it. */
  readonly kept: Kept | undefined;
  /** What it prepared, as it is by now, if the next one is this phase for longer. */
  readonly numbers: ReadonlyMap<string, Tensor>;
}

/** A phase from its first step, or from a checkpoint, to its last. */
export class PhaseRun {
  readonly #parts: PhaseParts;
  readonly #tracks: readonly TrackRun[];
  /** Everything that a step reads and changes, by the names of checkpoints. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly #owned: Owned[];
  readonly #passedOn: PassedOn;

  private constructor(
    parts: PhaseParts,
    tracks: readonly TrackRun[],
    tensors: ReadonlyMap<string, Tensor>,
    owned: Owned[],
    passedOn: PassedOn,
  ) {
    this.#parts = parts;
    this.#tracks = tracks;
    this.tensors = tensors;
    this.#owned = owned;
    this.#passedOn = passedOn;
  }

  /** Begins a phase, behind another one that it takes the place of, or goes on from a checkpoint in it. */
  static async start(parts: PhaseParts, found?: Found, before?: PhaseRun): Promise<PhaseRun> {
    const { span, teacher } = parts;
    const owned: Owned[] = [];
    const own = <T extends Owned>(made: T): T => {
      if (!owned.includes(made)) owned.push(made);
      return made;
    };
    const mayKeep = teacher || span.phase.tracks.every(({ trains }) => trains);
    const { Kept, keepingOf } = mayKeep ? await import("./kept.ts") : {};
    const keeping = keepingOf?.(parts);
    const handed = before?.handOver(span, keeping) ?? {};
    for (const made of [handed.kept, ...(handed.numbers?.values() ?? [])]) if (made) own(made);
    before?.dispose();
    try {
      const optimizers: Stepping[] = [];
      for (const { trains } of span.phase.tracks) optimizers.push(await optimizerFor(parts, trains, own));
      if (!found) {
        if (!span.phase.continues) teacher?.refresh?.();
        if (span.phase.anew) await (await import("./phase-on-host.ts")).drawAnew(parts, span.phase.anew);
      }
      const numbers = handed.numbers ?? (await numbersOf(parts, found));
      for (const tensor of numbers.values()) own(tensor);
      const tensors = tensorsOf(parts, optimizers, numbers);
      if (found) restore(found, tensors);
      const kept = handed.kept ?? (keeping && (await Kept?.make(keeping)));
      if (kept) own(kept);
      const tracks: TrackRun[] = [];
      for (const [track, optimizer] of zip(span.phase.tracks, optimizers)) {
        const of = stepParts(parts, { track, optimizer, numbers, kept });
        const step = own(await stepOf(of));
        const momentum = makeMomentum(span.recipe, optimizer, span.course.steps);
        tracks.push({ optimizer, step, momentum: momentum && from(momentum, span.course.before) });
      }
      return new PhaseRun(parts, tracks, tensors, owned, { kept, numbers });
    } catch (error) {
      for (const made of owned.reverse()) made.dispose();
      throw error;
    }
  }

  /** Whether what the last exit says may change. */
  get movesLastExit(): boolean {
    const { net, span } = this.#parts;
    const isTrunk = trunk(net);
    return span.phase.tracks.some(({ trains }) =>
      [...net.namedParameters().keys()].some((name) => isTrunk(name) && (trains?.(name) ?? true)),
    );
  }

  /** Encodes step `t` of the run on a batch. */
  async run(t: number, batch: ImageBatch): Promise<void> {
    const { net, span } = this.#parts;
    const s = t - span.first;
    const turn = turnAt(span, s);
    const { optimizer, momentum, step } = this.#tracks[turn]!;
    const numbers = epochNumbers(span.phase.tracks[turn]!, net.exits, span.epochAt(s));
    if (momentum) optimizer.momentum = momentum(s);
    askedOf(this.#parts)?.before?.(t);
    await step.run(batch, numbers, span.lr(s));
  }

  /**
   * Behind the last step: fits what the phase fits; whether there is such a thing. @throws ArgumentError for values
   * that do not fit.
   */
  async fit(): Promise<boolean> {
    const { fits } = this.#parts.span.phase;
    if (!fits) return false;
    const { fit } = await import("./phase-on-host.ts");
    await fit(this.#parts, fits);
    return true;
  }

  /** What the next phase has of this one, which lets go of it. */
  handOver({ phase }: Span, keeping: Keeping | undefined): Partial<PassedOn> {
    const { kept, numbers } = this.#passedOn;
    // A teacher that is the network as it was is another one by then.
    const isMoved = keeping?.teacher?.refresh !== undefined && !phase.continues;
    const isChanged = this.#parts.span.phase.fits !== undefined || phase.anew !== undefined || isMoved;
    const isSame = kept !== undefined && keeping !== undefined && !isChanged && kept.isOf(keeping);
    const passed: Partial<PassedOn> = { ...(isSame && { kept }), ...(phase.continues && { numbers }) };
    const gone = new Set<Owned | undefined>([passed.kept, ...(passed.numbers?.values() ?? [])]);
    for (const made of this.#owned.splice(0)) if (!gone.has(made)) this.#owned.push(made);
    return passed;
  }

  dispose(): void {
    for (const made of this.#owned.splice(0).reverse()) made.dispose();
  }
}

/**
 * The optimiser of what a track trains, by the factors of its learning rate. @throws ArgumentError where that is
 * nothing.
 */
async function optimizerFor(
  { net, span }: PhaseParts,
  trains: Part | undefined,
  own: (made: Owned) => unknown,
): Promise<Stepping> {
  const named = [...net.namedParameters()];
  const chosen = new Set(named.flatMap(([name, parameter]) => ((trains?.(name) ?? true) ? [parameter] : [])));
  if (chosen.size === 0)
    throw new ArgumentError(`train: ${span.phase.name} must train some parameter; this network has none of them.`);
  const optimizerOf = async (of: ReadonlySet<Tensor>, recipe: Parameters<typeof makeOptimizer>[1]) => {
    const isAll = of.size === named.length;
    const flat = isAll ? net.flat() : net.flat().select((parameter) => of.has(parameter));
    if (!isAll) {
      keep(flat.state);
      own(flat);
    }
    const optimizer = await makeOptimizer(flat, recipe);
    own(optimizer);
    return optimizer;
  };
  const { rateFactor, optimizer } = span.recipe;
  if (!rateFactor) return optimizerOf(chosen, span.recipe);
  const { factorOf, OptimizerGroup } = await import("./fine-tuning.ts");
  const factors = new Map(named.map(([name, parameter]) => [parameter, factorOf(name, rateFactor)] as const));
  const { clipNorm, ...unclipped } = optimizer;
  const members: { readonly optimizer: Optimizer; readonly factor: number }[] = [];
  for (const factor of new Set([...chosen].map((parameter) => factors.get(parameter) as number))) {
    const of = new Set([...chosen].filter((parameter) => factors.get(parameter) === factor));
    members.push({ optimizer: await optimizerOf(of, { optimizer: unclipped }), factor });
  }
  return new OptimizerGroup(members, clipNorm);
}

/**
 * What the phase prepared: now, or when the checkpoint's run began it. @throws ArgumentError for numbers that are not
 * finite.
 */
async function numbersOf(parts: PhaseParts, found: Found | undefined): Promise<ReadonlyMap<string, Tensor>> {
  const { net, span } = parts;
  const device = deviceOf(net);
  const made = new Map<string, Tensor>();
  if (found) {
    for (const [name, { data: values, shape }] of under(found.tensors, "numbers."))
      made.set(name, keep(tensor(values as Float32Array, { shape, device })));
    return made;
  }
  if (!span.phase.prepare) return made;
  const { prepared } = await import("./phase-on-host.ts");
  for (const [name, { data: values, shape }] of await prepared(parts, span.phase.prepare))
    made.set(name, keep(tensor(values, { shape, device })));
  return made;
}

/** By the names of checkpoints; those of a track's optimiser are numbered from the second on. */
function tensorsOf(
  { net, teacher, generator, options }: PhaseParts,
  optimizers: readonly Stepping[],
  numbers: ReadonlyMap<string, Tensor>,
): ReadonlyMap<string, Tensor> {
  const within = (prefix: string, tensors: Iterable<readonly [string, Tensor]>) =>
    [...tensors].map(([name, tensor]) => [`${prefix}.${name}`, tensor] as const);
  const random = [generator, ...(options.generators ?? [])].map((each, i) => [String(i), firstOf(each.state)] as const);
  return new Map([
    ...within("net", net.state()),
    ...optimizers.flatMap(({ moments }, i) => within(i === 0 ? "optimizer" : `optimizer${i + 1}`, moments)),
    ...within("random", random),
    ...within("teacher", teacher?.state ?? []),
    ...within("numbers", numbers),
  ]);
}

/** The step of a track: recorded, or one that leaves out what exits have handled. */
async function stepOf(parts: StepParts): Promise<TrainingStep | SkippingStep> {
  const { skips } = parts.track;
  if (!skips) return TrainingStep.record(parts);
  const { SkippingStep } = await import("./skipping-step.ts");
  return new SkippingStep(parts, skips);
}

/** What a step of a track consists of. */
function stepParts(parts: PhaseParts, own: Pick<StepParts, "track" | "optimizer" | "numbers" | "kept">): StepParts {
  const { net, data, source, span, generator, totals, options } = parts;
  const { trains: _, ...track } = own.track;
  const { batch, flip } = span.recipe;
  return {
    ...{ net, set: data.train, batch, flip, isMixed: source.isMixed, teacher: askedOf(parts), generator, totals },
    ...own,
    track: trainsAll(net, own.track) ? track : own.track,
    generators: options.generators,
  };
}
