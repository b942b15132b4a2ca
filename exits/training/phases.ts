// When a run does what: the phases of a method laid out over its steps, each with a recipe and a learning rate of its
// own.

import { lastOf } from "../../base/index.ts";
import { ArgumentError } from "../../engine/functions.ts";
import type { Schedule } from "../../nn/index.ts";
import type { Epoch, Phase, Track } from "../methods/method.ts";
import type { Extent } from "../run/checkpoint.ts";
import { completeRecipe, type FullRecipe, type Recipe } from "./recipe.ts";
import { makeSchedule } from "./schedules.ts";

/** Phases under one schedule: the number of the first, steps of those before the one at hand, and of all. */
interface Course {
  readonly phase: number;
  readonly before: number;
  readonly steps: number;
}

/** A phase and its place among the steps of a run. */
export interface Span {
  readonly phase: Phase;
  /** Steps before it. */
  readonly first: number;
  readonly steps: number;
  /** Epochs that its steps take, begun ones included. */
  readonly epochs: number;
  readonly recipe: FullRecipe;
  /** Phases that share a schedule with it. */
  readonly course: Course;
  /** By steps of the phase. */
  readonly lr: Schedule;
  /**
   * By steps of the phase, what its tracks are told: an epoch of the course; of a phase for longer, the last of the
   * course that it makes longer.
   */
  readonly epochAt: (s: number) => Epoch;
  /** Steps of a turn, where several tracks take turns. */
  readonly every: number;
}

/** Lays phases out one after the other. @throws ArgumentError for a recipe, or a length, that does not fit. */
export function layOut(phases: readonly Phase[], given: Recipe, batchesPerEpoch: number): readonly Span[] {
  const laid = phases.map((phase) => {
    const recipe = completeRecipe({ ...given, ...phase.recipe });
    const { share = 1, epochs = share * recipe.epochs, every = 1 } = phase;
    const steps = Math.max(1, Math.round(epochs * batchesPerEpoch));
    if (!(epochs > 0) || !Number.isFinite(steps) || !(Number.isInteger(every) && every >= 1)) {
      throw new ArgumentError(
        `train: a phase must have a length above 0, and turns of whole steps; got ${epochs} epochs and ${every} for ${phase.name}.`,
      );
    }
    return { phase, steps, recipe, every };
  });
  const epochsOf = (n: number) => Math.ceil(n / batchesPerEpoch);
  let first = 0;
  let last = 0;
  return laid.map(({ phase, steps, recipe, every }, i) => {
    const course = courseOf(laid, i);
    const { continues } = phase;
    if (!continues) last = epochsOf(course.steps);
    const epochs = last;
    const span = {
      phase,
      first,
      steps,
      epochs: epochsOf(steps),
      recipe,
      course,
      lr: from(makeSchedule(laid[course.phase]!.recipe, course.steps), course.before),
      epochAt: (s: number) => ({
        epoch: continues ? epochs : Math.floor((course.before + s) / batchesPerEpoch) + 1,
        epochs,
      }),
      // In a short phase every track has a turn all the same.
      every: Math.min(every, Math.ceil(steps / phase.tracks.length)),
    };
    first += steps;
    return span;
  });
}

/** A schedule of a course, by steps of a phase that begins `before` steps into it. */
export const from =
  (schedule: Schedule, before: number): Schedule =>
  (s) =>
    schedule(s + before);

/** The course that phase `i` belongs to: it and those in front of it and behind it that go on from one another. */
function courseOf(laid: readonly { readonly phase: Phase; readonly steps: number }[], i: number): Course {
  let phase = i;
  while (phase > 0 && laid[phase]!.phase.goesOn) phase -= 1;
  let end = i + 1;
  while (laid[end]?.phase.goesOn) end += 1;
  const length = (of: typeof laid) => of.reduce((sum, { steps }) => sum + steps, 0);
  return { phase, before: length(laid.slice(phase, i)), steps: length(laid.slice(phase, end)) };
}

/** The number of the phase that step `t` (from 0) belongs to; behind the last step, the last phase. */
export function phaseAt(spans: readonly Span[], t: number): number {
  const found = spans.findIndex(({ first, steps }) => t < first + steps);
  return found < 0 ? spans.length - 1 : found;
}

/** The number of the track whose turn it is at step `s` (from 0) of a phase. */
export const turnAt = ({ phase, every }: Span, s: number): number => Math.floor(s / every) % phase.tracks.length;

/** What a track says of an epoch. */
export interface EpochNumbers {
  readonly exitWeights: readonly number[];
  readonly ramp?: number;
}

/** That of a network of so many exits. */
export function epochNumbers({ exitWeights, ramp }: Track, exits: number, at: Epoch): EpochNumbers {
  return {
    exitWeights: exitWeights?.(exits, at) ?? new Array<number>(exits).fill(1),
    ...(ramp && { ramp: ramp(at) }),
  };
}

/** What a run is long. */
export function extentOf(spans: readonly Span[]): Extent {
  const { first, steps } = lastOf(spans);
  return { steps: first + steps, phases: spans.length };
}
