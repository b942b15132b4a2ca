// The optimisers that a recipe can name, as data: what they are, their options with the recipe's defaults, and how they
// are made.

import { type Given, option, preset } from "../../base/index.ts";
import type { Flat } from "../../engine/functions.ts";
import { isMatrix, OPTIMIZER_PARTS, type Optimizer, SGD } from "../../nn/index.ts";

const SHARED = {
  lr: option.number(1e-3, "learning rate", { above: 0 }),
  weightDecay: option.number(0, "weight decay", { min: 0 }),
  decay: option.choice(["all", "matrices"], "what decays: all, or all but biases and norms"),
  clipNorm: option.number(undefined, "largest norm of the gradients (default: no clipping)", { above: 0 }),
} as const;

const momentum = option.number(0, "momentum", { min: 0, below: 1 });
const eps = option.number(1e-8, "added to the root of the mean square", { min: 0 });

const sgd = {
  ...SHARED,
  lr: preset(SHARED.lr, 0.1),
  weightDecay: preset(SHARED.weightDecay, 5e-4),
  momentum: preset(momentum, 0.9),
  nesterov: option.toggle(true, "Nesterov's momentum"),
  dampening: option.number(0, "share of a gradient that the momentum does not take; not with nesterov", { min: 0 }),
} as const;
const adam = {
  ...SHARED,
  beta1: option.number(0.9, "decay of the mean gradient", { min: 0, below: 1 }),
  beta2: option.number(0.999, "decay of the mean square", { min: 0, below: 1 }),
  eps,
  amsgrad: option.toggle(false, "divide by the largest mean square so far"),
} as const;
const adamw = { ...adam, weightDecay: preset(SHARED.weightDecay, 0.05) } as const;
const rmsprop = {
  ...SHARED,
  alpha: option.number(0.99, "decay of the mean square", { min: 0, below: 1 }),
  eps,
  momentum,
  centered: option.toggle(false, "subtract the squared mean gradient from the mean square"),
} as const;

/** What one optimiser is given of a recipe. */
type Own<S> = Omit<S, keyof typeof SHARED> & Record<"lr" | "weightDecay", number>;

/** Every optimiser that a recipe can name. */
export const OPTIMIZERS = {
  sgd: {
    about: "stochastic gradient descent with momentum",
    options: sgd,
    make: async (flat: Flat, options: Own<Given<typeof sgd>>): Promise<Optimizer> => new SGD(flat, options),
  },
  adam: {
    about: "Adam; weight decay joins the gradient",
    options: adam,
    make: async (flat: Flat, options: Own<Given<typeof adam>>): Promise<Optimizer> => {
      const { Adam } = await OPTIMIZER_PARTS.adam();
      return new Adam(flat, options);
    },
  },
  adamw: {
    about: "Adam with decoupled weight decay",
    options: adamw,
    make: async (flat: Flat, options: Own<Given<typeof adamw>>): Promise<Optimizer> => {
      const { AdamW } = await OPTIMIZER_PARTS.adam();
      return new AdamW(flat, options);
    },
  },
  rmsprop: {
    about: "gradients over the root of their mean square",
    options: rmsprop,
    make: async (flat: Flat, options: Own<Given<typeof rmsprop>>): Promise<Optimizer> => {
      const { RMSprop } = await OPTIMIZER_PARTS.rmsprop();
      return new RMSprop(flat, options);
    },
  },
} as const;

/** Options that all of them have. */
export const SHARED_NAMES: readonly string[] = Object.keys(SHARED);

/** Which optimiser, by name, and its options; what only some have is refused by the others. */
export interface OptimizerRecipe extends Given<typeof sgd & typeof adam & typeof rmsprop> {
  /** Default sgd. */
  readonly method?: keyof typeof OPTIMIZERS;
}

/** An optimiser and all its options. */
export type FullOptimizer = OptimizerRecipe & Required<Pick<OptimizerRecipe, "method" | "lr" | "weightDecay">>;

/** The optimiser of a recipe on parameters that lie in one buffer. */
export function makeOptimizer(flat: Flat, { optimizer }: { readonly optimizer: FullOptimizer }): Promise<Optimizer> {
  const { method, decay, clipNorm, ...options } = optimizer;
  return OPTIMIZERS[method].make(flat, {
    ...options,
    ...(decay === "matrices" && { decays: isMatrix }),
    ...(clipNorm !== undefined && { clip: { maxNorm: clipNorm } }),
  });
}
