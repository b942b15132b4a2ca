// From settings to the things that train: data, network, objective, recipe.

import { defined, type Given, lookUp, type OptionSet, only, SortieError } from "../../base/index.ts";
import {
  AUGMENTATION,
  type AugmentOptions,
  augmentationOf,
  CGT_AUGMENTATION,
  createLoader,
  type ImageBytes,
  type Splits,
} from "../../data/index.ts";
import type { Device } from "../../engine/index.ts";
import {
  buildNetwork,
  FINE_TUNING,
  METHODS,
  type MultiExit,
  OPTIMIZERS,
  type OptimizerRecipe,
  type Recipe,
  SCHEDULES,
  type ScheduleRecipe,
  START_OPTIONS,
  type Teacher,
  type TrainingPlan,
  type TrainOptions,
  VARIANT_OPTIONS,
} from "../../exits/index.ts";
import { BACKBONES } from "../../nn/index.ts";
import { decodeProgress, downloadProgress } from "../commands/data.ts";
import { type Config, completeConfig } from "./config.ts";
import type { Print } from "./flags.ts";
import { knownSet } from "./sets.ts";
import { inFile, type Plain } from "./settings.ts";

type NetworkTeacher = Extract<Teacher, { readonly kind: "network" }>;

/** Loads the data set of a run. @throws DataError that names a missing or damaged file. */
export async function loadData({ data, seed }: Config, print: Print): Promise<Splits<ImageBytes>> {
  const { name, content: _, ...options } = data;
  return knownSet("train", name).load({
    ...defined({ ...options, seed }),
    onProgress: downloadProgress(print),
    ...(name === "folder" && { onDecoded: decodeProgress(print) }),
  });
}

/** What images a network is for. */
export interface ImageSpec {
  readonly shape: readonly [number, number, number];
  readonly classes: readonly string[];
}

/** The network of a run, for images as the data has them. @throws ArgumentError for what cannot be made. */
export function makeNetwork(config: Config, { train }: { readonly train: ImageSpec }, device: Device): MultiExit {
  const { model, seed } = config;
  const { backbone, exits = [], head, last, ...options } = model;
  const images = { input: train.shape, classes: train.classes.length };
  const wraps = makePlan(config).wraps.map(({ name }) => name);
  return buildNetwork({ backbone, options, ...images, exits, head, last, wraps }, { seed, device });
}

/** The method of a run, with its options. */
export function makePlan({ method: { name, ...options } }: Config): TrainingPlan {
  return lookUp("train: method", METHODS, name).with(options);
}

/**
 * The settings of the run that trains the teacher of another, into a folder within that one's. @throws SortieError for
 * a backbone of which no larger one is known, and for an unknown method, or one that learns from a larger network
 * itself.
 */
export function teacherConfig(config: Config, { method, wider, deeper }: NetworkTeacher, folder: string): Config {
  const { backbone, exits, head, last, ...options } = config.model;
  const kind = lookUp("train: backbone", BACKBONES, backbone);
  if (!kind.enlarge)
    throw new SortieError(
      `train: a larger network must be known of the backbone; none is of ${backbone}. Choose another method.`,
    );
  const model = { backbone, exits, head, last, ...kind.enlarge(options, { wider, deeper }) };
  const teacher = completeConfig(inFile("teacher"), {
    ...config,
    model,
    method: { name: method },
    // It starts from nothing, and all of it is trained.
    train: without(config.train, { ...FINE_TUNING, ...START_OPTIONS, start: true }),
    out: folder,
    name: "teacher",
  });
  if (makePlan(teacher).teacher?.kind === "network")
    throw new SortieError(
      `train: the teacher's method must learn from no larger network itself; got ${method}. Choose another teacherMethod, such as joint.`,
    );
  return teacher;
}

/** Options of `train` that are settings by the same names, without a default. */
const SAME = { ...FINE_TUNING, ...START_OPTIONS, ...VARIANT_OPTIONS };

/** How the weights are trained. */
export function makeRecipe({ train, seed }: Config): Recipe & Pick<TrainOptions, "batches" | keyof typeof SAME> {
  const { epochs, batch, flip, augment, classWeights, optimizer: method, schedule: kind } = train;
  const own = augmentationOf(only(AUGMENTATION, train as Given<typeof AUGMENTATION>));
  // The augmentation flips by itself.
  const augmented: AugmentOptions | undefined =
    augment === "cgt" || Object.keys(own).length > 0
      ? { ...(augment === "cgt" && CGT_AUGMENTATION), flip, ...own }
      : undefined;
  return {
    epochs,
    batch,
    flip: augmented ? 0 : flip,
    ...only(SAME, train as Given<typeof SAME>),
    optimizer: { method, ...among<OptimizerRecipe>(train, OPTIMIZERS[method].options) },
    schedule: { kind, ...among<ScheduleRecipe>(train, SCHEDULES[kind].options) },
    ...((augmented || classWeights) && {
      batches: (set) =>
        createLoader(set as Splits<ImageBytes>["train"], {
          ...{ batch, seed, last: "drop" },
          ...(augmented && { augment: augmented }),
          ...(classWeights && { classWeights }),
        }),
    }),
  };
}

/** Those of the settings that are no options of a set. */
const without = (settings: Plain, options: object): Plain =>
  Object.fromEntries(Object.entries(settings).filter(([key]) => !Object.hasOwn(options, key)));

/** Those of the settings that are options of a set. */
const among = <T extends object>(settings: T, options: OptionSet): T =>
  Object.fromEntries(Object.entries(settings).filter(([key]) => Object.hasOwn(options, key))) as T;
