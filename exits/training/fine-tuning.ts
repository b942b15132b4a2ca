// What of a network is trained, and how fast, by how the names of its parameters begin: what fine-tuning adds to a
// recipe.

import { firstOf, guessOf, lastOf } from "../../base/index.ts";
import { ArgumentError, gradNorm, mul, type Tensor } from "../../engine/functions.ts";
import type { Optimizer, StepOptions } from "../../nn/index.ts";
import type { Part, Phase } from "../methods/method.ts";
import type { MultiExit } from "../network/multi-exit.ts";
import type { FullRecipe } from "./recipe.ts";
import type { StartReport } from "./start-file.ts";
import type { RateFactors } from "./tuning-options.ts";

/** Refuses a beginning that no parameter's name has. @throws ArgumentError */
function checkBeginnings(
  net: MultiExit,
  { freeze = [], rateFactor = {} }: { readonly freeze?: readonly string[]; readonly rateFactor?: RateFactors },
): void {
  const names = [...net.namedParameters().keys()];
  const beginnings = names.flatMap((name) => [...name.matchAll(/\./g)].map(({ index }) => name.slice(0, index + 1)));
  for (const [option, given] of [
    ["freeze", freeze],
    ["rateFactor", Object.keys(rateFactor)],
  ] as const) {
    const stranger = given.find((beginning) => !names.some((name) => name.startsWith(beginning)));
    if (stranger === undefined) continue;
    throw new ArgumentError(
      `train: ${option} must be beginnings of parameters' names, such as ${names[0]}; got ${JSON.stringify(stranger)}.` +
        guessOf(stranger, beginnings),
    );
  }
}

/**
 * Refuses to freeze all that is trained, all that a phase behind the first trains, or anything that one fits, before
 * the phases in front of it are done. @throws ArgumentError
 */
function checkUnfrozen(net: MultiExit, phases: readonly Phase[], freeze: readonly string[] = []): void {
  if (freeze.length === 0) return;
  const names = [...net.namedParameters().keys()];
  const refuse = (wanted: string, why: string) => {
    const given = freeze.map((beginning) => JSON.stringify(beginning)).join(", ");
    throw new ArgumentError(`train: freeze must leave ${wanted}; got ${given}, which ${why}.`);
  };
  for (const { name, tracks, fits } of phases) {
    if (tracks.some((track) => trainsNothing(track, names)))
      refuse("every phase of the method something to train", `leaves nothing to ${name}`);
    const fitted = names.find((parameter) => fits?.part(parameter) && isFrozen(parameter, freeze));
    if (fitted !== undefined) refuse("what the method fits", `has ${fitted}, to which ${name} gives other values`);
  }
}

const trainsNothing = ({ trains }: { readonly trains?: Part }, names: readonly string[]): boolean =>
  trains !== undefined && !names.some(trains);

/** The phases of a run, and what freezing has to say of them. */
export interface Planned {
  readonly phases: readonly Phase[];
  /** What to tell at the start. */
  readonly told: readonly string[];
  /** Looks at what the run starts from. @throws ArgumentError where that is not all that the phases take as given */
  readonly checkStart?: (start: Pick<StartReport, "path" | "drawn">) => void;
}

/** A method's phases by what of the network the recipe wants trained. @throws ArgumentError for names that none has */
export function planTuning(net: MultiExit, given: readonly Phase[], recipe: FullRecipe): Planned {
  checkBeginnings(net, recipe);
  const tuned = tunePhases(given, recipe);
  if (!recipe.freeze) return { phases: tuned, told: [] };
  const phases = withoutDone(net, tuned);
  checkUnfrozen(net, phases, recipe.freeze);
  const done = given.slice(0, tuned.length - phases.length);
  return {
    phases,
    told: done.map(({ name }) => `${name} is left out: all that it trains is frozen`),
    checkStart: (start) => checkDone(net, done, start),
  };
}

/**
 * Leaves out those at the front that have nothing to train: a plain backbone that comes from elsewhere, say. Phases
 * that are to be as long as the run together still are.
 */
function withoutDone(net: MultiExit, tuned: readonly Phase[]): readonly Phase[] {
  const names = [...net.namedParameters().keys()];
  const first = tuned.findIndex(({ tracks }) => tracks.some((track) => !trainsNothing(track, names)));
  if (first <= 0) return tuned;
  const sharesOf = (phases: readonly Phase[]) =>
    phases.flatMap(({ share, epochs }) => (epochs === undefined ? [share ?? 1] : []));
  const total = (shares: readonly number[]) => shares.reduce((sum, share) => sum + share, 0);
  const rest = tuned.slice(first);
  const areOne = Math.abs(total(sharesOf(tuned)) - 1) < 1e-9;
  const left = total(sharesOf(rest));
  return rest.map((phase) =>
    areOne && phase.epochs === undefined ? { ...phase, share: (phase.share ?? 1) / left } : phase,
  );
}

/**
 * Refuses to take a phase for done of which a part was not in what the run starts from. @throws ArgumentError
 */
function checkDone(net: MultiExit, done: readonly Phase[], { path, drawn }: Pick<StartReport, "path" | "drawn">): void {
  const parameters = net.namedParameters();
  for (const { name: phase, tracks } of done) {
    const missing = drawn.find((name) => parameters.has(name) && tracks.some(({ trains }) => trains?.(name) ?? true));
    if (missing !== undefined)
      throw new ArgumentError(
        `train: what freeze keeps of ${phase} must come from ${path}; got ${missing}, which stays as it was drawn. Leave it out of freeze, and ${phase} trains it.`,
      );
  }
}

const isFrozen = (name: string, freeze: readonly string[]): boolean =>
  freeze.some((beginning) => name.startsWith(beginning));

/**
 * A method's phases without what is frozen, and with the last one going on for what further epochs there are: each with
 * a schedule of its own, but with the numbers, the teacher and the weights that it had.
 */
export function tunePhases(
  phases: readonly Phase[],
  { freeze = [], moreEpochs = [] }: { readonly freeze?: readonly string[]; readonly moreEpochs?: readonly number[] },
): readonly Phase[] {
  const { share: _, goesOn: __, anew: ___, prepare: ____, ...last } = lastOf(phases);
  const more = moreEpochs.map(
    (epochs, i): Phase => ({ ...last, name: `${last.name}, ${i + 1} more`, epochs, continues: true }),
  );
  const all = [...phases, ...more];
  if (freeze.length === 0) return all;
  const unfrozen = (part: Part | undefined): Part => {
    return (name) => (part?.(name) ?? true) && !isFrozen(name, freeze);
  };
  return all.map((phase) => {
    const [first, ...rest] = phase.tracks;
    const tuned = <T extends { readonly trains?: Part }>(track: T): T => ({ ...track, trains: unfrozen(track.trains) });
    const anew = phase.anew && { anew: unfrozen(phase.anew) };
    return { ...phase, ...anew, tracks: [tuned(first), ...rest.map(tuned)] };
  });
}

/** The factor of a parameter's learning rate. */
export function factorOf(name: string, factors: RateFactors = {}): number {
  const fitting = Object.keys(factors).filter((beginning) => name.startsWith(beginning));
  const longest = fitting.reduce((a, b) => (b.length > a.length ? b : a), "");
  return factors[longest] ?? 1;
}

/** What a step asks of an optimiser. */
export type Stepping = Pick<Optimizer, "zeroGrad" | "step" | "state" | "moments" | "momentum" | "dispose">;

/** One optimiser for each factor of the learning rate. Gradients are clipped by the norm of all of them together. */
export class OptimizerGroup implements Stepping {
  readonly #members: readonly { readonly optimizer: Optimizer; readonly factor: number }[];
  readonly #maxNorm: number | undefined;

  /** The members clip nothing by themselves. */
  constructor(
    members: readonly { readonly optimizer: Optimizer; readonly factor: number }[],
    maxNorm: number | undefined,
  ) {
    this.#members = members;
    this.#maxNorm = maxNorm;
  }

  get state(): readonly Tensor[] {
    return this.#members.flatMap(({ optimizer }) => optimizer.state);
  }

  get moments(): ReadonlyMap<string, Tensor> {
    return new Map(
      this.#members.flatMap(({ optimizer }, i) =>
        [...optimizer.moments].map(([name, tensor]) => [i === 0 ? name : `${name}@${i}`, tensor] as const),
      ),
    );
  }

  get momentum(): number {
    return firstOf(this.#members).optimizer.momentum;
  }

  set momentum(value: number) {
    for (const { optimizer } of this.#members) optimizer.momentum = value;
  }

  zeroGrad(): void {
    for (const { optimizer } of this.#members) optimizer.zeroGrad();
  }

  /** With the learning rate of a captured step, which each member takes times its factor. */
  step({ lr }: Required<Pick<StepOptions, "lr">>): void {
    const grads = this.#members.flatMap(({ optimizer: { flat } }) => {
      flat.settle();
      return flat.parts.map((part) => part.grads);
    });
    const clip = this.#maxNorm === undefined ? undefined : gradNorm(grads, { maxNorm: this.#maxNorm });
    for (const { optimizer, factor } of this.#members) {
      const own = factor === 1 ? lr : mul(lr, factor);
      optimizer.step({ lr: own, ...(clip && { clip }) });
      if (own !== lr) own.dispose();
    }
    clip?.dispose();
  }

  dispose(): void {
    for (const { optimizer } of this.#members) optimizer.dispose();
  }
}
