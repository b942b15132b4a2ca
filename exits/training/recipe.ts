// How weights are trained, as plain data that can stand in a configuration file: optimiser, learning rate, batches,
// epochs.

import { type Given, lookUp, type OptionSet, only, option } from "../../base/index.ts";
import { ArgumentError } from "../../engine/functions.ts";
import { complete } from "../options.ts";
import { type FullOptimizer, OPTIMIZERS, type OptimizerRecipe, SHARED_NAMES } from "./optimizers.ts";
import { type FullSchedule, SCHEDULES, type ScheduleRecipe } from "./schedules.ts";
import { FINE_TUNING } from "./tuning-options.ts";

/** Options of a recipe besides its optimiser and its schedule. */
export const RECIPE_OPTIONS = {
  epochs: option.whole(5, "passes over the training images", { min: 1 }),
  batch: option.whole(128, "images a step; a last batch that is not full is dropped", { min: 1 }),
  flip: option.number(0, "chance of mirroring an image left to right", { min: 0, max: 1 }),
} as const;

/** A whole recipe. */
export interface Recipe extends Omit<Given<typeof RECIPE_OPTIONS>, "epochs">, Given<typeof FINE_TUNING> {
  readonly epochs: number;
  readonly optimizer?: OptimizerRecipe;
  readonly schedule?: ScheduleRecipe;
}

/** A recipe without gaps, but for a warm-up that depends on the length of the run. */
export interface FullRecipe extends Given<typeof FINE_TUNING> {
  readonly epochs: number;
  readonly batch: number;
  readonly optimizer: FullOptimizer;
  readonly schedule: FullSchedule;
  readonly flip: number;
}

/** Fills the gaps of a recipe. @throws ArgumentError for what is out of range. */
export function completeRecipe({ epochs, batch, optimizer = {}, schedule = {}, flip, ...more }: Recipe): FullRecipe {
  const rest = { ...(batch !== undefined && { batch }), ...(flip !== undefined && { flip }) };
  const recipe = complete("train", RECIPE_OPTIONS, { epochs, ...rest });
  const { method = "sgd", ...given } = optimizer;
  const { kind = "cosine", ...way } = schedule;
  const tuning = complete("train", FINE_TUNING, only(FINE_TUNING, more));
  return {
    ...recipe,
    ...(Object.fromEntries(Object.entries(tuning).filter(([, value]) => value !== undefined)) as Given<
      typeof FINE_TUNING
    >),
    optimizer: completeOf("optimizer", "method", OPTIMIZERS, method, given) as FullOptimizer,
    schedule: completeOf("schedule", "kind", SCHEDULES, kind, way) as FullSchedule,
  };
}

/** The chosen one among several, under its key, and its options. */
function completeOf(
  part: string,
  key: string,
  all: Readonly<Record<string, { readonly options: OptionSet }>>,
  name: string,
  given: object,
): unknown {
  const { options } = lookUp(`train: ${part}.${key}`, all, name, ArgumentError);
  const known = Object.values(all).flatMap((each) => Object.keys(each.options));
  const stranger = Object.keys(given).find((option) => !Object.hasOwn(options, option) && known.includes(option));
  if (stranger !== undefined) {
    const own = Object.keys(options).filter((option) => !SHARED_NAMES.includes(option));
    throw new ArgumentError(`train: ${part}.${stranger} must be an option of ${name}; it has ${own.join(", ")}.`);
  }
  const which = option.choice(Object.keys(all), "which one");
  return complete(`train: ${part}`, { [key]: which, ...options }, { [key]: name, ...given });
}
