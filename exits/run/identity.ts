// What makes a run the run that it is: all that decides its weights, bit for bit, on one adapter. A checkpoint of another is refused.

import type { OptionSet } from "../../base/index.ts";
import type { MultiExit } from "../network/multi-exit.ts";
import { type BatchSource, checksum, type ImageSet, type ImageSplits } from "../training/images.ts";
import type { Objective } from "../training/objective.ts";
import { OPTIMIZERS } from "../training/optimizers.ts";
import type { FullRecipe } from "../training/recipe.ts";
import { SCHEDULES } from "../training/schedules.ts";
import { deviceOf } from "../training/step.ts";

/** All that makes a run what it is; a checkpoint of another one is refused. */
export type RunOptions = Readonly<Record<string, unknown>>;

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

type Fields = Readonly<Record<string, unknown>>;

/** The defaults of the chosen one's options, where there is one of that name. */
function defaultsOf(all: Readonly<Record<string, { readonly options: OptionSet }>>, name: unknown): Fields {
  const { options = {} } = (Object.hasOwn(all, String(name)) && all[String(name)]) || {};
  return Object.fromEntries(Object.entries(options).map(([option, of]) => [option, of.default]));
}

/** What a checkpoint of an earlier version says of its run, as this version would say it: it may be resumed. */
export function inWordsOfToday(run: unknown): unknown {
  const { objective, recipe, ...rest } = (run ?? {}) as { readonly objective?: Fields; readonly recipe?: Fields };
  if (!objective || !recipe) return run;
  const { weights, ...options } = objective;
  const { kind, ...way } = (recipe["schedule"] ?? {}) as Fields;
  const { method, ...optimizer } = (recipe["optimizer"] ?? {}) as Fields;
  const known = defaultsOf(SCHEDULES, kind);
  const own = Object.entries(way).filter(([name]) => name in known);
  return {
    ...rest,
    objective: weights === undefined ? objective : { exitWeights: weights, ...options },
    recipe: {
      ...recipe,
      optimizer: { ...defaultsOf(OPTIMIZERS, method), ...optimizer, method },
      schedule: { ...Object.fromEntries(own), kind },
    },
  };
}
