// What makes a run the run that it is: all that decides its weights, bit for bit, on one adapter. A checkpoint of
// another is refused.

import type { TrainingPlan } from "../methods/method.ts";
import type { MultiExit } from "../network/multi-exit.ts";
import { architectureOf } from "../network/origin.ts";
import { deviceOf } from "../training/evaluator.ts";
import { type BatchSource, checksum, type ImageSet, type ImageSplits } from "../training/images.ts";
import type { FullRecipe } from "../training/recipe.ts";
import { isBeginning } from "../training/tuning-options.ts";

/** All that makes a run what it is; a checkpoint of another one is refused. */
export type RunOptions = Readonly<Record<string, unknown>>;

/** What a run is told from others by. */
export interface RunSubject {
  readonly net: MultiExit;
  readonly data: ImageSplits;
  readonly plan: TrainingPlan;
  /** Digest of the weights that it starts from, unless they are drawn. */
  readonly start?: string | undefined;
  /** Digest of the weights of a teacher that was given. */
  readonly teacher?: string | undefined;
  readonly seed?: number;
  /** Present where batches are not plain shuffled ones. */
  readonly batches?: unknown;
  /** Decides what is computed once, in batches of another size. */
  readonly keepBytes: number;
  readonly recipe: FullRecipe;
  readonly source: BatchSource;
}

/** What must agree for a checkpoint to be of this run. */
export function identityOf({
  net,
  data,
  plan,
  start,
  teacher,
  seed = 0,
  batches,
  keepBytes,
  recipe,
  source,
}: RunSubject): RunOptions {
  const architecture = architectureOf(net);
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
    method: { name: plan.name, ...plan.options },
    ...(start !== undefined && { start }),
    ...(teacher !== undefined && { teacher }),
    recipe,
    seed,
    batches: batches ? (source.options ?? "given") : "shuffled",
    data: part(data.train),
    // Decides which weights are the best.
    validation: part(data.validation),
    ...(net.wraps.length > 0 && { wraps: net.wraps }),
    ...(net.chances().length > 0 && { chances: net.chances() }),
    network: { classes: net.classes, ...Object.fromEntries(net.describe().map(({ stage, ...exit }) => [stage, exit])) },
    // Networks of the same costs may differ in heads of attention, or in what norms add.
    ...(architecture && { architecture }),
    keepBytes,
    // Other variants of a kernel sum in another order.
    tuning: deviceOf(net).tuner.table,
  };
}

/** What older checkpoints do not say, or not of every network. */
const NOT_ALWAYS = ["architecture", "keepBytes"] as const;

/** What both say of two runs: what one of them lacks is compared with nothing. */
export function comparable(there: RunOptions, here: RunOptions): readonly [there: RunOptions, here: RunOptions] {
  const lacking = new Set<string>(NOT_ALWAYS.filter((name) => !(name in there && name in here)));
  const without = (run: RunOptions): RunOptions =>
    Object.fromEntries(Object.entries(run).filter(([name]) => !lacking.has(name)));
  return [without(there), without(here)];
}

/** What a run was, as if it had been meant to be as long as this one; another where it cannot go on as this one. */
export function grown(there: RunOptions, here: RunOptions): RunOptions {
  const [was, is] = [there, here].map(({ recipe }) => (recipe ?? {}) as Partial<FullRecipe>) as [
    Partial<FullRecipe>,
    Partial<FullRecipe>,
  ];
  if (!is.moreEpochs || !isBeginning(was.moreEpochs, is.moreEpochs)) return there;
  return { ...there, recipe: { ...was, moreEpochs: is.moreEpochs } };
}
