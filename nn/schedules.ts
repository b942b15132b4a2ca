// Learning-rate schedules: pure functions of the step, counted from 0. Nothing here knows an optimiser.

import { type Kinds, what } from "../base/index.ts";
import { ArgumentError, readOptions } from "../engine/functions.ts";

/** The value at a step. */
export type Schedule = (step: number) => number;

/** `lr` at every step. */
export const lrConstant =
  (lr: number): Schedule =>
  () =>
    lr;

/** From a to b along half a cosine as u goes from 0 to 1. */
const cosine = (a: number, b: number, u: number): number => b + ((a - b) / 2) * (1 + Math.cos(Math.PI * u));
const linear = (a: number, b: number, u: number): number => a + (b - a) * u;

/** Options of `lrCosine`. */
export interface CosineOptions {
  readonly baseLr: number;
  /** What the last step approaches; default 0. */
  readonly minLr?: number;
  /** Length of the whole schedule; the rate stays at `minLr` after it. */
  readonly steps: number;
}

/** Options of `lrCosineWarmup`. */
export interface CosineWarmupOptions extends CosineOptions {
  readonly warmupSteps: number;
  /** Share of the base rate at step 0; default 0. */
  readonly warmupStartFactor?: number;
}

const COSINE: Kinds<CosineOptions> = { baseLr: "number!", minLr: "number", steps: "number!" };
const WARMUP: Kinds<CosineWarmupOptions> = { ...COSINE, warmupSteps: "number!", warmupStartFactor: "number" };

/** Cosine annealing (Loshchilov and Hutter, SGDR, ICLR 2017, without restarts). */
export function lrCosine(options: CosineOptions): Schedule {
  return lrCosineWarmup({ ...readOptions("lrCosine", options, COSINE), warmupSteps: 0 });
}

/** Cosine annealing after a linear rise from `warmupStartFactor` times the base rate. */
export function lrCosineWarmup(options: CosineWarmupOptions): Schedule {
  const {
    baseLr,
    minLr = 0,
    steps,
    warmupSteps,
    warmupStartFactor: f = 0,
  } = readOptions("lrCosineWarmup", options, WARMUP);
  return (t) => {
    if (t < warmupSteps) return baseLr * linear(f, 1, t / warmupSteps);
    return cosine(baseLr, minLr, Math.min(1, (t - warmupSteps) / Math.max(1, steps - warmupSteps)));
  };
}

/**
 * `schedule` times min(1, (t + 1) / rampSteps): a rise from nearly nothing in front of any schedule, whose own course
 * stays.
 */
export function lrRamp(schedule: Schedule, rampSteps: number): Schedule {
  return (t) => schedule(t) * Math.min(1, (t + 1) / Math.max(1, rampSteps));
}

/** Options of `lrMultiStep`. */
export interface MultiStepOptions {
  readonly baseLr: number;
  readonly milestones: readonly number[];
  /** Default 0.1. */
  readonly gamma?: number;
}

const MULTI_STEP: Kinds<MultiStepOptions> = { baseLr: "number!", milestones: "any!", gamma: "number" };

/** `baseLr * gamma^(number of milestones that are <= step)`. */
export function lrMultiStep(options: MultiStepOptions): Schedule {
  const { baseLr, milestones, gamma = 0.1 } = readOptions("lrMultiStep", options, MULTI_STEP);
  if (!Array.isArray(milestones))
    throw new ArgumentError(`lrMultiStep: milestones must be a list of steps; got ${what(milestones)}.`);
  return (t) => baseLr * gamma ** milestones.filter((milestone) => milestone <= t).length;
}

/** Options of `lrOneCycle` and `momentumOneCycle`; defaults as in PyTorch. */
export interface OneCycleOptions {
  readonly maxLr: number;
  readonly steps: number;
  /** Share of the steps in which the rate rises; default 0.3. */
  readonly pctStart?: number;
  readonly annealStrategy?: "cos" | "linear";
  /** The rate starts at maxLr / divFactor; default 25. */
  readonly divFactor?: number;
  /** The rate ends at the starting rate / finalDivFactor; default 10 000. */
  readonly finalDivFactor?: number;
  readonly baseMomentum?: number;
  readonly maxMomentum?: number;
}

/** Those of `lrOneCycle`, whose rate does not matter here. */
export type MomentumOptions = Omit<OneCycleOptions, "maxLr"> & Partial<Pick<OneCycleOptions, "maxLr">>;

const MOMENTUM_CYCLE: Kinds<MomentumOptions> = {
  maxLr: "number",
  steps: "number!",
  pctStart: "number",
  annealStrategy: "string",
  divFactor: "number",
  finalDivFactor: "number",
  baseMomentum: "number",
  maxMomentum: "number",
};
const ONE_CYCLE: Kinds<OneCycleOptions> = { ...MOMENTUM_CYCLE, maxLr: "number!" };

/** low -> high -> end in the two phases of a cycle, the first of which ends at step pctStart * steps - 1. */
function cycle(
  [start, peak, end]: readonly [number, number, number],
  options: Omit<OneCycleOptions, "maxLr">,
): Schedule {
  const { steps, pctStart = 0.3, annealStrategy = "cos" } = options;
  if (annealStrategy !== "cos" && annealStrategy !== "linear")
    throw new ArgumentError(`lrOneCycle: annealStrategy must be "cos" or "linear"; got ${what(annealStrategy)}.`);
  const anneal = annealStrategy === "cos" ? cosine : linear;
  const turn = pctStart * steps - 1;
  return (t) => {
    if (t <= turn) return turn > 0 ? anneal(start, peak, t / turn) : peak;
    return anneal(peak, end, Math.min(1, (t - turn) / (steps - 1 - turn)));
  };
}

/** The learning rate of one cycle (Smith and Topin, "Super-convergence", 2018; two phases). */
export function lrOneCycle(options: OneCycleOptions): Schedule {
  const { maxLr, divFactor = 25, finalDivFactor = 1e4 } = readOptions("lrOneCycle", options, ONE_CYCLE);
  const start = maxLr / divFactor;
  return cycle([start, maxLr, start / finalDivFactor], options);
}

/** The momentum that goes with `lrOneCycle`: high where the rate is low. */
export function momentumOneCycle(options: MomentumOptions): Schedule {
  const { baseMomentum = 0.85, maxMomentum = 0.95 } = readOptions("momentumOneCycle", options, MOMENTUM_CYCLE);
  return cycle([maxMomentum, baseMomentum, maxMomentum], options);
}
