// What makes a run the run that it is: all that decides its weights, bit for bit, on one adapter. A checkpoint of another is refused.

import type { MultiExit } from "../network/multi-exit.ts";
import { type BatchSource, checksum, type ImageSet, type ImageSplits } from "../training/images.ts";
import type { Objective } from "../training/objective.ts";
import type { FullRecipe } from "../training/recipe.ts";
import { deviceOf } from "../training/step.ts";
import type { RunOptions } from "./checkpoint.ts";

/** What a run is told from others by. */
export interface RunSubject {
  readonly net: MultiExit;
  readonly data: ImageSplits;
  readonly objective: Objective;
  readonly seed?: number;
  /** Present where batches are not plain shuffled ones. */
  readonly batches?: unknown;
  readonly recipe: FullRecipe;
  readonly source: BatchSource;
}

/** What must agree for a checkpoint to be of this run. */
export function identityOf({ net, data, objective, seed = 0, batches, recipe, source }: RunSubject): RunOptions {
  const part = (set: ImageSet) => ({
    name: set.meta.name,
    split: set.meta.split,
    size: set.size,
    shape: set.shape,
    mean: set.meta.mean,
    std: set.meta.std,
    content: checksum(set),
  });
  return {
    objective: { name: objective.name, ...objective.options },
    recipe,
    seed,
    batches: batches ? (source.options ?? "given") : "shuffled",
    data: part(data.train),
    // Decides which weights are the best.
    validation: part(data.validation),
    network: { classes: net.classes, ...Object.fromEntries(net.describe().map(({ stage, ...exit }) => [stage, exit])) },
    // Other variants of a kernel sum in another order.
    tuning: deviceOf(net).tuner.table,
  };
}
