// What `train` is told.

import { type Given, type Kinds, option } from "../../base/index.ts";
import type { Generator } from "../../engine/functions.ts";
import type { Method, TrainingPlan } from "../methods/method.ts";
import type { MultiExit } from "../network/multi-exit.ts";
import type { CheckpointStore } from "../run/checkpoint.ts";
import type { FolderLock } from "../run/lock.ts";
import type { BatchSource, ImageSet } from "./images.ts";
import type { Report } from "./progress.ts";
import { RECIPE_OPTIONS, type Recipe } from "./recipe.ts";
import { START_OPTIONS, type Start } from "./start.ts";
import { FINE_TUNING } from "./tuning-options.ts";
import { VARIANT_OPTIONS, type Variants } from "./variants.ts";

/** How often training looks up; the weights do not depend on it. */
export const CADENCE = {
  evaluateEvery: option.whole(undefined, "steps between evaluations besides those after epochs", { min: 1 }),
  checkpointEvery: option.whole(200, "steps between checkpoints besides those after epochs", { min: 1 }),
  logEvery: option.whole(20, "steps between rows of metrics.jsonl; nothing is read from the GPU in between", {
    min: 1,
  }),
} as const;

/** Seed of a run. */
export const RUN_SEED = option.seed(0, "seed of weights, order and masks");

/** Options of `train`. */
export interface TrainOptions extends Recipe, Start, Variants, Given<typeof CADENCE> {
  /** One of `METHODS`, or one of your own, with its defaults or as `method.with(options)` makes it. */
  readonly method: Method | TrainingPlan;
  /** Of the order of the images and of all masks; default 0. */
  readonly seed?: number;
  /** Run folder for checkpoints, metrics and cached logits (Node). A run found there is resumed. */
  readonly dir?: string;
  /** Where checkpoints lie instead of a folder, for pages: a run found there is resumed. */
  readonly store?: CheckpointStore;
  /**
   * Folder in which runs leave a first phase that other methods have too, and find it: `train` takes over, bit for bit,
   * what a run of the same network, as `buildNetwork` makes it, data, seed and recipe has done there. Goes with `dir`.
   */
  readonly phases?: string;
  /** The folder's lock, where the caller has taken it; else `train` takes it for as long as it runs. */
  readonly lock?: FolderLock;
  /**
   * For methods that learn from a larger network: one that was trained, with as many exits and classes. It stays as it
   * is.
   */
  readonly teacher?: MultiExit;
  /**
   * Bytes of GPU memory for what is computed once where a backbone or a teacher does not change: features and answers
   * of all images; default 512 MiB. What has no room is computed at every step.
   */
  readonly keepBytes?: number;
  /** Batches in place of plain shuffled ones, for instance augmented ones; must depend on the position alone. */
  readonly batches?: (set: ImageSet, options: { readonly batch: number; readonly seed: number }) => BatchSource;
  /** Versions, adapter, commit: written beside the cached logits, for whoever finds them. */
  readonly made?: Readonly<Record<string, string>>;
  /** Generators that own random layers draw from, besides those that the network tells of (`Module.generators`). */
  readonly generators?: readonly Generator[];
  /** Default: a progress bar on a terminal, lines elsewhere. */
  readonly report?: Report;
  /** Stops the run after the step at hand, with a checkpoint. */
  readonly signal?: AbortSignal;
}

/** An optimiser or a schedule with its options. */
const PART = {
  must: "an object of options",
  fits: (value: unknown) => typeof value === "object" && value !== null,
};

export const TRAIN_OPTIONS: Kinds<TrainOptions> = {
  ...RECIPE_OPTIONS,
  ...FINE_TUNING,
  ...START_OPTIONS,
  ...VARIANT_OPTIONS,
  epochs: "number!",
  optimizer: PART,
  schedule: PART,
  method: "any!",
  seed: RUN_SEED,
  dir: "string",
  store: "any",
  phases: "string",
  teacher: "any",
  keepBytes: "number",
  batches: "function",
  made: "any",
  generators: "any",
  ...CADENCE,
  report: "function",
  signal: "any",
  lock: "any",
};
