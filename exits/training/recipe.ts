// How weights are trained, as plain data that can stand in a configuration file: optimiser, learning rate, batches, epochs.

import type { Kinds } from "../../base/index.ts";
import { ArgumentError, type Flat, readOptions } from "../../engine/functions.ts";
import {
  Adam,
  AdamW,
  isMatrix,
  lrConstant,
  lrCosine,
  lrMultiStep,
  lrOneCycle,
  lrRamp,
  momentumOneCycle,
  type Optimizer,
  RMSprop,
  type Schedule,
  SGD,
} from "../../nn/index.ts";

/** Which optimiser, by name, and its options as in nn; what only some methods have is refused by the others. */
export interface OptimizerRecipe {
  /** Default sgd. */
  readonly method?: "sgd" | "adam" | "adamw" | "rmsprop";
  /** Default 0.1 for sgd, 0.001 for others. */
  readonly lr?: number;
  /** sgd, default 0.9; rmsprop, default 0. */
  readonly momentum?: number;
  /** sgd; default true. */
  readonly nesterov?: boolean;
  /** sgd */
  readonly dampening?: number;
  /** adam, adamw */
  readonly beta1?: number;
  /** adam, adamw */
  readonly beta2?: number;
  /** adam, adamw, rmsprop */
  readonly eps?: number;
  /** adam, adamw */
  readonly amsgrad?: boolean;
  /** rmsprop */
  readonly alpha?: number;
  /** rmsprop */
  readonly centered?: boolean;
  /** Default 0.0005 for sgd, 0.05 for adamw, 0 for others. */
  readonly weightDecay?: number;
  /** Which parameters decay; default all. `matrices` leaves out biases and norms. */
  readonly decay?: "all" | "matrices";
  /** Largest norm of the gradients; default no clipping. */
  readonly clipNorm?: number;
}

/** How the learning rate goes. */
export interface ScheduleRecipe {
  /** Default cosine, to `minLr` (0) at the end. `oneCycle` moves the momentum (Adam: beta1) too, as PyTorch does. */
  readonly kind?: "cosine" | "constant" | "steps" | "oneCycle";
  /** Steps over which the rate is multiplied by (t + 1) / warmup; default a tenth of the run, at most 200; 0 for oneCycle. */
  readonly warmup?: number;
  readonly minLr?: number;
  /** steps: shares of the run after which the rate is multiplied by `gamma` (0.1); default [0.5, 0.75]. */
  readonly milestones?: readonly number[];
  readonly gamma?: number;
}

/** A whole recipe. */
export interface Recipe {
  readonly epochs: number;
  /** Images a step; default 128. The last batch of an epoch is dropped if it is not full. */
  readonly batch?: number;
  readonly optimizer?: OptimizerRecipe;
  readonly schedule?: ScheduleRecipe;
  /** Chance of mirroring an image left to right, drawn on the GPU; default 0. */
  readonly flip?: number;
}

export const RECIPE: Kinds<Recipe> = {
  epochs: "number!",
  batch: "number",
  optimizer: "any",
  schedule: "any",
  flip: "number",
};

/** Without gaps, but for a warm-up that depends on the length of the run. */
type FullSchedule = Required<Omit<ScheduleRecipe, "warmup">> & Pick<ScheduleRecipe, "warmup">;

/** A recipe without gaps. */
export interface FullRecipe {
  readonly epochs: number;
  readonly batch: number;
  readonly optimizer: OptimizerRecipe & {
    readonly method: NonNullable<OptimizerRecipe["method"]>;
    readonly lr: number;
  };
  readonly schedule: FullSchedule;
  readonly flip: number;
}

/** Fills the gaps of a recipe. Throws ArgumentError for what is out of range. */
export function completeRecipe(recipe: Recipe): FullRecipe {
  const { epochs, batch = 128, optimizer = {}, schedule = {}, flip = 0 } = recipe;
  readOptions("train: schedule", schedule, SCHEDULE);
  for (const [name, value] of Object.entries({ epochs, batch })) {
    if (!Number.isInteger(value) || value < 1)
      throw new ArgumentError(`train: ${name} must be a whole number of at least 1; got ${value}.`);
  }
  if (!(flip >= 0 && flip <= 1)) throw new ArgumentError(`train: flip must be in 0..1; got ${flip}.`);
  const { method = "sgd" } = optimizer;
  const { kind = "cosine" } = schedule;
  if (!(method in MAKERS))
    throw new ArgumentError(`train: optimizer.method must be one of ${Object.keys(MAKERS).join(", ")}; got ${method}.`);
  const stranger = Object.keys(optimizer).find((name) => !SHARED.includes(name) && !OWN[method].includes(name));
  if (stranger !== undefined)
    throw new ArgumentError(
      `train: optimizer.${stranger} must be an option of ${method}; it has ${OWN[method].join(", ")}.`,
    );
  readOptions("train: optimizer", optimizer, OPTIMIZER);
  if (!(kind in SCHEDULES))
    throw new ArgumentError(`train: schedule.kind must be one of ${Object.keys(SCHEDULES).join(", ")}; got ${kind}.`);
  return {
    epochs,
    batch,
    flip,
    optimizer: { ...DEFAULTS[method], decay: "all", ...optimizer, method } as FullRecipe["optimizer"],
    schedule: {
      kind,
      ...(kind === "oneCycle" && { warmup: 0 }),
      minLr: 0,
      milestones: [0.5, 0.75],
      gamma: 0.1,
      ...schedule,
    },
  };
}

const OPTIMIZER: Kinds<OptimizerRecipe> = {
  method: "string",
  lr: "number",
  momentum: "number",
  nesterov: "boolean",
  dampening: "number",
  beta1: "number",
  beta2: "number",
  eps: "number",
  amsgrad: "boolean",
  alpha: "number",
  centered: "boolean",
  weightDecay: "number",
  decay: "string",
  clipNorm: "number",
};
const SCHEDULE: Kinds<ScheduleRecipe> = {
  kind: "string",
  warmup: "number",
  minLr: "number",
  milestones: "any",
  gamma: "number",
};

const DEFAULTS: Readonly<Record<NonNullable<OptimizerRecipe["method"]>, OptimizerRecipe>> = {
  sgd: { lr: 0.1, momentum: 0.9, nesterov: true, weightDecay: 5e-4 },
  adam: { lr: 1e-3, weightDecay: 0 },
  adamw: { lr: 1e-3, weightDecay: 0.05 },
  rmsprop: { lr: 1e-3, momentum: 0, weightDecay: 0 },
};

/** Options of every method. */
const SHARED: readonly string[] = ["method", "lr", "weightDecay", "decay", "clipNorm"];

/** Options of one method. */
const OWN: Readonly<Record<NonNullable<OptimizerRecipe["method"]>, readonly string[]>> = {
  sgd: ["momentum", "nesterov", "dampening"],
  adam: ["beta1", "beta2", "eps", "amsgrad"],
  adamw: ["beta1", "beta2", "eps", "amsgrad"],
  rmsprop: ["alpha", "eps", "momentum", "centered"],
};

const MAKERS = {
  sgd: (flat: Flat, options: ConstructorParameters<typeof SGD>[1]) => new SGD(flat, options),
  adam: (flat: Flat, options: ConstructorParameters<typeof Adam>[1]) => new Adam(flat, options),
  adamw: (flat: Flat, options: ConstructorParameters<typeof AdamW>[1]) => new AdamW(flat, options),
  rmsprop: (flat: Flat, options: ConstructorParameters<typeof RMSprop>[1]) => new RMSprop(flat, options),
} as const;

/** The optimiser of a recipe on parameters that lie in one buffer. */
export function makeOptimizer(flat: Flat, { optimizer }: FullRecipe): Optimizer {
  const { method, decay, clipNorm, ...options } = optimizer;
  return MAKERS[method](flat, {
    ...options,
    ...(decay === "matrices" && { decays: isMatrix }),
    ...(clipNorm !== undefined && { clip: { maxNorm: clipNorm } }),
  });
}

const SCHEDULES: Readonly<
  Record<NonNullable<ScheduleRecipe["kind"]>, (lr: number, steps: number, recipe: FullSchedule) => Schedule>
> = {
  cosine: (baseLr, steps, { minLr }) => lrCosine({ baseLr, minLr, steps }),
  constant: (lr) => lrConstant(lr),
  steps: (baseLr, steps, { milestones, gamma }) =>
    lrMultiStep({ baseLr, milestones: milestones.map((share) => Math.round(share * steps)), gamma }),
  oneCycle: (maxLr, steps) => lrOneCycle({ maxLr, steps }),
};

/** The momentum of each of `steps` steps, where it moves: in one cycle, of an optimiser that has some. */
export function makeMomentum({ schedule }: FullRecipe, { momentum }: Optimizer, steps: number): Schedule | undefined {
  return schedule.kind === "oneCycle" && momentum > 0 ? momentumOneCycle({ steps }) : undefined;
}

/** The learning rate of each of `steps` steps. */
export function makeSchedule({ optimizer, schedule }: FullRecipe, steps: number): Schedule {
  const { warmup = Math.min(200, Math.ceil(steps / 10)) } = schedule;
  return lrRamp(SCHEDULES[schedule.kind](optimizer.lr, steps, schedule), warmup);
}
