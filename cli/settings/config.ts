/** What `sortie train` can be told: the keys of its config file, their flags, and what is preset for each data set. */

import type { ParseArgsConfig } from "node:util";
import * as v from "valibot";
import { SortieError, what } from "../../base/index.ts";
import { readJson } from "../files/whole.ts";
import { readFlags } from "./flags.ts";
import { knownSet, SET_NAMES, type SetKey, type SetName } from "./sets.ts";
import {
  type Aliases,
  checkSettings,
  describe,
  describeSettings,
  flagOptions,
  leavesOf,
  merge,
  type Plain,
  settingsAsFlags,
  settingsOfFlags,
} from "./settings.ts";

const whole = (least: number, text: string) =>
  describe(v.pipe(v.number(), v.integer(), v.minValue(least)), `${text}: a whole number of at least ${least}`);
const within = (low: number, high: number, text: string) =>
  describe(v.pipe(v.number(), v.minValue(low), v.maxValue(high)), `${text}: within ${low} and ${high}`);
const positive = (text: string) => describe(v.pipe(v.number(), v.finite(), v.gtValue(0)), `${text}: a number above 0`);
const atLeast0 = (text: string) =>
  describe(v.pipe(v.number(), v.finite(), v.minValue(0)), `${text}: a number of at least 0`);
const yes = (text: string) => describe(v.boolean(), `${text}: true or false`);
const words = (text: string) => describe(v.pipe(v.string(), v.minLength(1)), `${text}: a text`);
const choice = <const T extends readonly string[]>(options: T, text: string) =>
  describe(v.picklist(options), `${text}: one of ${options.join(", ")}`);

const HEADS = [
  "gap-linear",
  "gap-norm-linear",
  "pool-linear",
  "conv-pool-linear",
  "attention",
  "class-token",
  "mean-token",
] as const;

/** Ways to train, by the name that `--objective` takes. */
export const METHODS = ["joint", "soft-cgt", "hard-cgt", "confidence-cgt", "schedule-only", "safe-kd"] as const;

/** Backbones, by the name that `--model.backbone` takes: what is preset for each, and which settings it alone takes. */
const BACKBONES = {
  resnet: {
    model: { depth: 8, widths: [16, 32, 64], exits: ["stage1", "stage2"], head: "gap-linear" },
    train: {},
    takes: ["widths", "shortcut"],
  },
  "imagenet-resnet": {
    model: { depth: 18, stem: "small", exits: ["stage1", "stage2", "stage3"], head: "gap-linear" },
    train: {},
    takes: ["stem"],
  },
  vit: {
    model: { depth: 6, dim: 64, patch: 4, exits: ["stage1", "stage2"], head: "class-token" },
    train: { optimizer: "adamw" },
    takes: ["dim", "patch"],
  },
} as const;

const BACKBONE_NAMES = Object.keys(BACKBONES) as readonly (keyof typeof BACKBONES)[];

const list = <T extends v.GenericSchema>(item: T, text: string) => describe(v.array(item), text);

const SCHEMA = v.strictObject({
  name: v.optional(words("name of the run's folder (default: data, objective and seed)")),
  out: words("folder of all runs"),
  seed: whole(0, "seed of weights, order and masks"),
  data: v.strictObject({
    name: choice(SET_NAMES, "data set"),
    dir: v.optional(words("folder of its files (default: the cache, see sortie data)")),
    download: v.optional(yes("fetch missing files")),
    file: v.optional(words("npz file, or folder of npy files (npz)")),
    train: v.optional(whole(1, "training images (default: all that the others leave)")),
    validation: v.optional(whole(1, "images for choices")),
    calibration: v.optional(whole(1, "images for thresholds")),
    test: v.optional(whole(1, "test images, where the set does not fix them")),
    order: v.optional(choice(["shuffled", "file"], "how the official training images are split")),
    labels: v.optional(choice(["fine", "coarse"], "100 or 20 classes (cifar100)")),
    split: v.optional(choice(["disjoint-block", "random"], "how the scene is split (indian-pines)")),
    patch: v.optional(whole(1, "side of a sample in pixels, odd (indian-pines)")),
    block: v.optional(whole(1, "side of a block in pixels (indian-pines)")),
    shares: v.optional(
      describe(
        v.pipe(v.array(v.pipe(v.number(), v.minValue(0), v.maxValue(1))), v.length(4)),
        "shares of train, validation, calibration and test (indian-pines): a list of four numbers, 0.4,0.1,0.2,0.3",
      ),
    ),
  } satisfies Record<SetKey | "name", unknown>),
  model: v.strictObject({
    backbone: choice(BACKBONE_NAMES, "backbone"),
    depth: whole(1, "layers of a resnet (8, 14, 20, ... or 18, 34, 50), blocks of a vit"),
    widths: v.optional(
      list(
        v.pipe(v.number(), v.integer(), v.minValue(1)),
        "channels of the stages (resnet): a list of whole numbers, 16,32,64",
      ),
    ),
    shortcut: v.optional(choice(["A", "B"], "where shapes change: A pads, B projects (resnet)")),
    stem: v.optional(choice(["large", "small"], "7x7 and a pool, or 3x3 for small images (imagenet-resnet)")),
    dim: v.optional(whole(1, "width of the tokens (vit)")),
    patch: v.optional(whole(1, "side of the patches (vit)")),
    exits: list(v.string(), "stages that early exits follow: a list, stage1,stage2"),
    head: choice(HEADS, "kind of the early exits' heads"),
    last: choice(["own", ...HEADS], "head of the last exit; own is the backbone's"),
  }),
  objective: v.strictObject({
    method: choice(METHODS, "objective"),
    tau: v.optional(within(0, 1, "confidence that counts as handled (cgt)")),
    kappa: v.optional(positive("steepness of the gate (soft-cgt)")),
    leak: v.optional(atLeast0("added to every weight (cgt)")),
    normalise: v.optional(yes("divide each sample's weights by their sum (cgt)")),
    anneal: v.optional(yes("move the weights to later exits over the epochs (cgt)")),
    annealFrom: v.optional(
      list(v.pipe(v.number(), v.minValue(0)), "factor of each exit in the first epoch (cgt): a list of numbers"),
    ),
    annealTo: v.optional(
      list(v.pipe(v.number(), v.minValue(0)), "factor of each exit in the last epoch (cgt): a list of numbers"),
    ),
    labelSmoothing: v.optional(within(0, 1, "label smoothing")),
    weights: v.optional(
      list(v.pipe(v.number(), v.minValue(0)), "weight of each exit (joint, safe-kd): a list of numbers"),
    ),
    weighting: v.optional(
      choice(
        ["fixed", "linear", "sdn"],
        "weights are those of the exits, of the first and the last, or what early ones grow to (joint)",
      ),
    ),
    temperature: v.optional(positive("temperature (safe-kd)")),
    emaDecay: v.optional(within(0, 1, "decay of the teacher's averages (safe-kd)")),
  }),
  train: v.strictObject({
    epochs: whole(1, "passes over the training images"),
    batch: whole(1, "images a step"),
    flip: within(0, 1, "chance of mirroring an image"),
    augment: choice(["none", "cgt"], "crops, RandAugment and erasing as in CGT's public code, or none"),
    optimizer: choice(["sgd", "adam", "adamw", "rmsprop"], "optimiser"),
    lr: v.optional(positive("learning rate (default 0.1 for sgd, 0.001 for others)")),
    momentum: v.optional(within(0, 1, "momentum (sgd, rmsprop)")),
    nesterov: v.optional(yes("Nesterov's momentum (sgd)")),
    weightDecay: v.optional(atLeast0("weight decay (default 0.0005 for sgd, 0.05 for adamw, 0 for others)")),
    decay: v.optional(choice(["all", "matrices"], "what decays: all, or all but biases and norms")),
    clipNorm: v.optional(positive("largest norm of the gradients")),
    schedule: choice(["cosine", "constant", "steps", "oneCycle"], "how the learning rate goes"),
    warmup: v.optional(
      whole(0, "steps of rising learning rate (default a tenth of the run, at most 200; 0 for oneCycle)"),
    ),
    minLr: v.optional(atLeast0("learning rate at the end (cosine)")),
    milestones: v.optional(
      list(within(0, 1, "share"), "shares of the run after which the rate falls (steps): a list, 0.5,0.75"),
    ),
    gamma: v.optional(positive("factor by which it falls (steps)")),
    evaluateEvery: v.optional(whole(1, "steps between evaluations besides those after epochs")),
    checkpointEvery: whole(1, "steps between checkpoints besides those after epochs"),
    logEvery: whole(1, "steps between rows of metrics.jsonl"),
  }),
  calibration: v.strictObject({
    alpha: describe(v.pipe(v.number(), v.gtValue(0), v.ltValue(1)), "target risk: between 0 and 1"),
    delta: describe(v.pipe(v.number(), v.gtValue(0), v.ltValue(1)), "failure probability: between 0 and 1"),
    scale: choice(["temperature", "vector", "none"], "scaling of the logits, fitted on validation"),
    control: choice(["exit", "early", "label", "predictedClass"], "whose error rate is promised"),
  }),
});

/** All settings of a run. */
export type Config = v.InferOutput<typeof SCHEMA>;

const ALIASES: Aliases = {
  data: "data.name",
  "data-dir": "data.dir",
  download: "data.download",
  file: "data.file",
  objective: "objective.method",
  epochs: "train.epochs",
  batch: "train.batch",
  lr: "train.lr",
  alpha: "calibration.alpha",
  delta: "calibration.delta",
};

const LEAVES = leavesOf(SCHEMA);

/** For every data set; of `data`, what a set takes. */
const BASE: Plain = {
  out: "runs",
  seed: 1,
  data: { name: "glyphs", validation: 5000, calibration: 5000, order: "shuffled" },
  model: { backbone: "resnet", last: "own" },
  objective: { method: "soft-cgt" },
  train: {
    epochs: 5,
    batch: 128,
    flip: 0,
    augment: "none",
    optimizer: "sgd",
    schedule: "cosine",
    checkpointEvery: 200,
    logEvery: 20,
  },
  calibration: { alpha: 0.05, delta: 0.1, scale: "temperature", control: "exit" },
};

/** What differs from `BASE`. Digits and letters are not mirrored; photographs and clothes are. */
const PRESETS: Readonly<Partial<Record<SetName, Plain>>> = {
  glyphs: {
    data: { train: 8000, validation: 2000, calibration: 4000, test: 2000 },
    model: { widths: [4, 16, 32], head: "gap-norm-linear", last: "pool-linear" },
    // The paper's plain form, with a gate steep enough to look at the sample: 97.5 % at the last exit; its public code's defaults: 94.5 %.
    objective: { method: "soft-cgt", kappa: 10, normalise: false, anneal: false, labelSmoothing: 0 },
    train: { epochs: 4, warmup: 50, logEvery: 10 },
  },
  // The first 50,000 images of the file are for training, as in the published comparisons of this recipe.
  "fashion-mnist": { data: { order: "file" }, train: { flip: 0.5, warmup: 200 } },
  cifar10: { train: { flip: 0.5 } },
  cifar100: { data: { labels: "fine" }, train: { flip: 0.5 } },
  cinic10: { train: { flip: 0.5 } },
  // Four tenths of 10,249 pixels make 64 steps an epoch. From the air, left and right mean nothing.
  "indian-pines": {
    data: { split: "disjoint-block", patch: 9, block: 12, shares: [0.4, 0.1, 0.2, 0.3] },
    train: { epochs: 30, batch: 64, flip: 0.5, warmup: 100 },
  },
};

/** Flags and a config file as far as read. */
export interface Given {
  readonly config: Config;
  readonly isHelp: boolean;
  /** Start over, whatever the folder holds. */
  readonly isFresh: boolean;
}

/**
 * The settings of a command line: what is preset for the data set, under the file of `--config`, under the other flags.
 * @throws Error that names the key or flag.
 */
export function readConfig(command: string, args: readonly string[]): Given {
  const { values } = readFlags(command, {
    args: [...args],
    options: {
      ...flagOptions(LEAVES, ALIASES),
      config: { type: "string" },
      fresh: { type: "boolean" },
      help: { type: "boolean" },
    },
  });
  const flags = settingsOfFlags(command, values, LEAVES, ALIASES);
  const path = values["config"] as string | undefined;
  const file = path === undefined ? {} : readFile(path);
  return {
    config: completeConfig(command, merge(file, flags)),
    isHelp: values["help"] === true,
    isFresh: values["fresh"] === true,
  };
}

/** Checked before flags are laid over it, so that a message names the file if the fault is there. */
function readFile(path: string): Plain {
  const settings = readJson(path);
  if (typeof settings !== "object" || settings === null || Array.isArray(settings))
    throw new SortieError(`${path}: the settings must be an object; got ${what(settings)}.`);
  fillGaps(path, settings as Plain);
  return settings as Plain;
}

/**
 * Fills the gaps of settings. @throws Error that names the key: one that is unknown, of a wrong value, or not for this data set or
 * backbone.
 */
export function completeConfig(where: string, settings: Plain): Config {
  const config = fillGaps(where, settings);
  const { data, model } = config;
  checkTaken(where, "data", data, { owner: data.name, shared: ["name"], takes: knownSet(where, data.name).takes });
  const shared = ["backbone", "depth", "exits", "head", "last"];
  checkTaken(where, "model", model, { owner: model.backbone, shared, takes: BACKBONES[model.backbone].takes });
  return config;
}

/** Throws Error for a key of a group that is neither `shared` nor among those that `owner` takes. */
function checkTaken(
  where: string,
  group: string,
  given: Plain,
  {
    owner,
    shared,
    takes,
  }: { readonly owner: string; readonly shared: readonly string[]; readonly takes: readonly string[] },
): void {
  const stranger = Object.keys(given).find((key) => !shared.includes(key) && !takes.includes(key));
  if (stranger === undefined) return;
  throw new SortieError(
    `${where}: ${group}.${stranger} is no setting of ${owner}, which takes ${takes.join(", ")}. Leave it out.`,
  );
}

/** Each key is right in itself; whether the data set takes it is another question, since a flag may still name the set. */
function fillGaps(where: string, settings: Plain): Config {
  const name = String((settings["data"] as Plain | undefined)?.["name"] ?? "glyphs");
  return checkSettings(where, SCHEMA, merge(fittingPreset(presetOf(name), settings), settings));
}

/** What is preset for one method, backbone or schedule means nothing to another: without it, if the settings choose another. */
function fittingPreset({ objective, model, train, ...rest }: Preset, settings: Plain): Plain {
  const chosen = (group: string, key: string) => (settings[group] as Plain | undefined)?.[key];
  const method = chosen("objective", "method") ?? objective["method"];
  const backbone = String(chosen("model", "backbone") ?? model["backbone"]);
  const schedule = chosen("train", "schedule") ?? train["schedule"];
  const own = BACKBONES[backbone as keyof typeof BACKBONES] ?? BACKBONES.resnet;
  const { warmup: _, ...withoutWarmup } = train;
  return {
    ...rest,
    objective: method === objective["method"] ? objective : { method },
    model: merge(own.model, backbone === model["backbone"] ? model : { backbone, last: "own" }),
    train: merge(schedule === train["schedule"] ? train : withoutWarmup, own.train),
  };
}

/** Settings of which some groups are looked into. */
type Preset = Plain & Readonly<Record<"objective" | "model" | "train", Plain>>;

function presetOf(name: string): Preset {
  const preset = merge(BASE, PRESETS[name as SetName] ?? {}) as Preset;
  // The schema refuses the name of an unknown set.
  const takes: readonly string[] = SET_NAMES.includes(name as SetName) ? knownSet("config", name).takes : [];
  const data = Object.entries(preset["data"] as Plain).filter(([key]) => takes.includes(key));
  return { ...preset, data: { name, ...Object.fromEntries(data) } };
}

/** Settings of `data` that say which files and labels there are, not how many of them are used. */
const DATA_PATHS = ["dir", "download", "file", "labels", "split", "patch", "block", "shares"].map(
  (key) => `data.${key}`,
);
const DATA_LEAVES = LEAVES.filter(({ path }) => DATA_PATHS.includes(path));
const DATA_ALIASES = Object.fromEntries(Object.entries(ALIASES).filter(([, path]) => DATA_PATHS.includes(path)));

/** Flags of commands that look at a data set, as `parseArgs` takes them. */
export const dataFlags: NonNullable<ParseArgsConfig["options"]> = flagOptions(DATA_LEAVES, DATA_ALIASES);

/** Those flags as help. */
export const dataFlagsHelp = describeSettings(DATA_LEAVES, DATA_ALIASES);

/** What those flags and the presets say of a data set. @throws Error that names the flag or key. */
export function dataSettings(command: string, name: string, flags: Readonly<Record<string, unknown>>): Config["data"] {
  const data = settingsOfFlags(command, flags, DATA_LEAVES, DATA_ALIASES);
  return completeConfig(command, merge({ data: { name } }, data)).data;
}

const backbonePresets = Object.entries(BACKBONES).map(([name, { model, train }]) => [name, { model, train }] as const);

/** The settings as help: one line each, with what is preset; then what a backbone or a data set presets otherwise. */
export const configHelp = [
  describeSettings(LEAVES, ALIASES, BASE),
  "",
  "In brackets is what is preset; of data, a set takes a part. Backbones and some sets preset more:",
  "",
  ...[...backbonePresets, ...Object.entries(PRESETS)].map(
    ([name, preset]) => `  ${name}: ${settingsAsFlags(preset, ALIASES).join(" ")}`,
  ),
].join("\n");
