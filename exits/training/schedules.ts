// How a learning rate can go over a run, as data: what each way is, its options, and the rate of each step that they
// make.

import { type Given, option, preset } from "../../base/index.ts";
import {
  lrConstant,
  lrCosine,
  lrMultiStep,
  lrOneCycle,
  lrRamp,
  momentumOneCycle,
  type Optimizer,
  type Schedule,
} from "../../nn/index.ts";

const SHARED = {
  warmup: option.whole(undefined, "steps over which the rate rises (default: a tenth of the run, at most 200)", {
    min: 0,
  }),
} as const;
const oneCycle = { warmup: preset(SHARED.warmup, 0) } as const;
const cosine = { ...SHARED, minLr: option.number(0, "learning rate at the end", { min: 0 }) } as const;
const steps = {
  ...SHARED,
  milestones: option.list([0.5, 0.75], "shares of the run after which the rate falls", {
    must: "a list of numbers within 0 and 1, 0.5,0.75",
    min: 0,
    max: 1,
  }),
  gamma: option.number(0.1, "factor by which it falls", { above: 0 }),
} as const;

/** Every way that a recipe can name. `make` gets the base rate, the steps of the run, and complete options. */
export const SCHEDULES = {
  cosine: {
    about: "half a cosine, down to minLr",
    options: cosine,
    make: (baseLr: number, length: number, { minLr = 0 }: ScheduleRecipe): Schedule =>
      lrCosine({ baseLr, minLr, steps: length }),
  },
  constant: { about: "one rate", options: SHARED, make: (lr: number): Schedule => lrConstant(lr) },
  steps: {
    about: "falls by gamma after each milestone",
    options: steps,
    make: (baseLr: number, length: number, { milestones = [], gamma = 1 }: ScheduleRecipe): Schedule =>
      lrMultiStep({ baseLr, milestones: milestones.map((share) => Math.round(share * length)), gamma }),
  },
  oneCycle: {
    about: "up and down once, the momentum (Adam: beta1) the other way, as PyTorch does",
    options: oneCycle,
    make: (maxLr: number, length: number): Schedule => lrOneCycle({ maxLr, steps: length }),
  },
} as const;

/** How the learning rate goes, by name, and its options; what only some ways have is refused by the others. */
export interface ScheduleRecipe extends Given<typeof cosine & typeof steps> {
  /** Default cosine. */
  readonly kind?: keyof typeof SCHEDULES;
}

/** A way and its options; the warm-up may still depend on the length of the run. */
export type FullSchedule = ScheduleRecipe & Required<Pick<ScheduleRecipe, "kind">>;

/** What a rate is made from. */
interface Rates {
  readonly optimizer: { readonly lr: number };
  readonly schedule: FullSchedule;
}

/** The momentum of each of `steps` steps, where it moves: in one cycle, of an optimiser that has some. */
export function makeMomentum(
  { schedule }: Rates,
  { momentum }: Pick<Optimizer, "momentum">,
  steps: number,
): Schedule | undefined {
  return schedule.kind === "oneCycle" && momentum > 0 ? momentumOneCycle({ steps }) : undefined;
}

/** The learning rate of each of `steps` steps. */
export function makeSchedule({ optimizer, schedule }: Rates, steps: number): Schedule {
  const { warmup = Math.min(200, Math.ceil(steps / 10)) } = schedule;
  return lrRamp(SCHEDULES[schedule.kind].make(optimizer.lr, steps, schedule), warmup);
}
