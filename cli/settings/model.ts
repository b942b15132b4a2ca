// From settings to the things that train: data, network, objective, recipe.

import type { OptionSet } from "../../base/index.ts";
import { type AugmentOptions, CGT_AUGMENTATION, createLoader, type Splits } from "../../data/index.ts";
import type { Device } from "../../engine/index.ts";
import {
  buildNetwork,
  METHODS,
  type MultiExit,
  type Objective,
  OPTIMIZERS,
  type OptimizerRecipe,
  type Recipe,
  SCHEDULES,
  type ScheduleRecipe,
  type TrainOptions,
} from "../../exits/index.ts";
import { downloadProgress } from "../commands/data.ts";
import type { Config } from "./config.ts";
import type { Print } from "./flags.ts";
import { defined, knownSet } from "./sets.ts";

/** Loads the data set of a run. @throws DataError that names a missing or damaged file. */
export async function loadData({ data, seed }: Config, print: Print): Promise<Splits> {
  const { name, ...options } = data;
  return knownSet("train", name).load({ ...defined({ ...options, seed }), onProgress: downloadProgress(print) });
}

/** What images a network is for. */
export interface ImageSpec {
  readonly shape: readonly [number, number, number];
  readonly classes: readonly string[];
}

/** The network of a run, for images as the data has them. @throws ArgumentError for what cannot be made. */
export function makeNetwork(
  { model, seed }: Config,
  { train }: { readonly train: ImageSpec },
  device: Device,
): MultiExit {
  const { backbone, exits = [], head, last, ...options } = model;
  const images = { input: train.shape, classes: train.classes.length };
  return buildNetwork({ backbone, options, ...images, exits, head, last }, { seed, device });
}

/** The objective of a run. */
export function makeObjective({ method: { name, ...options } }: Config): Objective {
  return METHODS[name]!.objective(options);
}

/** How the weights are trained. */
export function makeRecipe({ train, seed }: Config): Recipe & Pick<TrainOptions, "batches"> {
  const { epochs, batch, flip, augment, optimizer: method, schedule: kind } = train;
  // The augmentation flips by itself.
  const augmented: AugmentOptions | undefined = augment === "cgt" ? { ...CGT_AUGMENTATION, flip } : undefined;
  return {
    epochs,
    batch,
    flip: augmented ? 0 : flip,
    optimizer: { method, ...among<OptimizerRecipe>(train, OPTIMIZERS[method].options) },
    schedule: { kind, ...among<ScheduleRecipe>(train, SCHEDULES[kind].options) },
    ...(augmented && {
      batches: (set) => createLoader(set as Splits["train"], { batch, seed, last: "drop", augment: augmented }),
    }),
  };
}

/** Those of the settings that are options of a set. */
const among = <T extends object>(settings: T, options: OptionSet): T =>
  Object.fromEntries(Object.entries(settings).filter(([key]) => Object.hasOwn(options, key))) as T;
