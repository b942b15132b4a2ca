// What `sortie train` can be told: the keys of its config file, their flags, and what is preset for each data set.

import type { ParseArgsConfig } from "node:util";
import {
  type Given as GivenOf,
  type OptionSet,
  type OptionValues,
  option,
  SortieError,
  what,
} from "../../base/index.ts";
import { RULE_OPTIONS } from "../../calibration/index.ts";
import type { DataSetName, DataSetOptions } from "../../data/index.ts";
import {
  FINE_TUNING,
  HEADS,
  type HeadKind,
  METHODS,
  OPTIMIZERS,
  type OptimizerRecipe,
  RECIPE_OPTIONS,
  SCHEDULES,
  type ScheduleRecipe,
  START_OPTIONS,
} from "../../exits/index.ts";
import { BACKBONES, type BackboneKind } from "../../nn/index.ts";
import { readJson } from "../files/whole.ts";
import { readFlags } from "./flags.ts";
import { FORMER, formerLeaves, inWordsOfToday, isFormer } from "./former.ts";
import { SET_NAMES, SETS } from "./sets.ts";
import {
  type Aliases,
  checkSettings,
  completeSettings,
  describeSettings,
  flagOptions,
  inFile,
  inFlags,
  isPlain,
  type Layout,
  leavesOf,
  merge,
  type Place,
  type Plain,
  settingsAsFlags,
  settingsOfFlags,
} from "./settings.ts";

const HEAD_NAMES = Object.keys(HEADS) as readonly HeadKind[];

const TOP = {
  name: option.text(undefined, "name of the run's folder (default: data, method and seed)"),
  out: option.text("runs", "folder of all runs"),
  seed: option.whole(1, "seed of weights, order and masks", { min: 0 }),
} as const;

const MODEL = {
  backbone: option.choice(Object.keys(BACKBONES), "backbone"),
  exits: option.words(undefined, "stages that early exits follow", "a list, stage1,stage2"),
  head: option.choice(HEAD_NAMES, "kind of the early exits' heads"),
  last: option.choice(["own", ...HEAD_NAMES], "head of the last exit; own is the backbone's"),
} as const;

const TRAIN = {
  ...RECIPE_OPTIONS,
  ...START_OPTIONS,
  ...FINE_TUNING,
  augment: option.choice(["none", "cgt"], "crops, RandAugment and erasing as in CGT's public code, or none"),
  optimizer: option.choice(Object.keys(OPTIMIZERS) as readonly (keyof typeof OPTIMIZERS)[], "optimiser"),
  schedule: option.choice(Object.keys(SCHEDULES) as readonly (keyof typeof SCHEDULES)[], "how the learning rate goes"),
  evaluateEvery: option.whole(undefined, "steps between evaluations besides those after epochs", { min: 1 }),
  checkpointEvery: option.whole(200, "steps between checkpoints besides those after epochs", { min: 1 }),
  logEvery: option.whole(20, "steps between rows of metrics.jsonl", { min: 1 }),
} as const;

const CALIBRATION = {
  alpha: RULE_OPTIONS.levels.alpha,
  delta: RULE_OPTIONS.levels.delta,
  scale: option.choice(["temperature", "vector", "none"], "scaling of the logits, fitted on validation"),
  control: RULE_OPTIONS.learnThenTest.control,
} as const;

const LAYOUT: Layout = {
  "": { options: TOP },
  data: { options: { name: option.choice(SET_NAMES, "data set") }, choices: [{ key: "name", of: SETS }] },
  model: { options: MODEL, choices: [{ key: "backbone", of: BACKBONES }] },
  method: {
    options: { name: option.choice(Object.keys(METHODS), "way to train, see sortie methods", { default: "soft-cgt" }) },
    choices: [{ key: "name", of: METHODS }],
  },
  train: {
    options: TRAIN,
    choices: [
      { key: "optimizer", of: OPTIMIZERS },
      { key: "schedule", of: SCHEDULES },
    ],
  },
  calibration: { options: CALIBRATION },
};

/** Settings of training that have no default. */
type Unset = "evaluateEvery" | keyof typeof START_OPTIONS | keyof typeof FINE_TUNING;

/** All settings of a run. What a choice brings along is typed as what all of its things together take. */
export type Config = {
  readonly name?: string;
  readonly out: string;
  readonly seed: number;
  readonly data: { readonly name: DataSetName } & DataSetOptions;
  readonly model: OptionValues<typeof MODEL> & { readonly depth: number } & Plain;
  readonly method: { readonly name: string } & Plain;
  readonly train: Omit<OptionValues<typeof TRAIN>, Unset> &
    GivenOf<Pick<typeof TRAIN, Unset>> &
    Omit<OptimizerRecipe & ScheduleRecipe, "method" | "kind">;
  readonly calibration: OptionValues<typeof CALIBRATION>;
};

const ALIASES: Aliases = {
  data: "data.name",
  "data-dir": "data.dir",
  download: "data.download",
  file: "data.file",
  "max-unpacked": "data.maxUnpacked",
  method: "method.name",
  epochs: "train.epochs",
  batch: "train.batch",
  lr: "train.lr",
  weights: "train.weights",
  from: "train.from",
  freeze: "train.freeze",
  "rate-factor": "train.rateFactor",
  "more-epochs": "train.moreEpochs",
  alpha: "calibration.alpha",
  delta: "calibration.delta",
};

const LEAVES = leavesOf(LAYOUT);
const FLAG_LEAVES = [...LEAVES, ...formerLeaves(LEAVES)];
const FLAG_ALIASES: Aliases = { ...ALIASES, objective: "objective.method" };

/** What is preset for a backbone besides its own options. */
function backbonePreset(name: string, options: Plain = {}): Plain {
  const { head = "gap-linear", optimizer, ...kind }: Partial<BackboneKind> = BACKBONES[name] ?? {};
  return { model: { exits: kind.exits?.(options), head }, train: optimizer ? { optimizer } : {} };
}

/** What differs for a data set. Digits and letters are not mirrored; photographs and clothes are. */
const PRESETS: Readonly<Partial<Record<DataSetName, Plain>>> = {
  glyphs: {
    data: { validation: 2000, calibration: 4000 },
    model: { widths: [4, 16, 32], head: "gap-norm-linear", last: "pool-linear" },
    // The paper's plain form, with a gate steep enough to look at the sample: 97.5 % at the last exit; its public
    // code's defaults: 94.5 %.
    method: { name: "soft-cgt", kappa: 10, normalise: false, anneal: false, labelSmoothing: 0 },
    train: { epochs: 4, warmup: 50, logEvery: 10 },
  },
  // The first 50,000 images of the file are for training, as in the published comparisons of this recipe.
  "fashion-mnist": { data: { order: "file" }, train: { flip: 0.5, warmup: 200 } },
  cifar10: { train: { flip: 0.5 } },
  cifar100: { train: { flip: 0.5 } },
  cinic10: { train: { flip: 0.5 } },
  // From the air, left and right mean nothing.
  "indian-pines": { train: { epochs: 30, batch: 64, flip: 0.5, warmup: 100 } },
};

/** Flags and a config file as far as read. */
export interface Given {
  readonly config: Config;
  readonly isHelp: boolean;
  /** Start over, whatever the folder holds. */
  readonly isFresh: boolean;
  /** What the user should know of how the settings were given. */
  readonly notes: readonly string[];
}

/**
 * The settings of a command line: what is preset for the data set, under the file of `--config`, under the other flags.
 * @throws Error that names the key or flag.
 */
export function readConfig(command: string, args: readonly string[]): Given {
  const { settings, values, notes } = readSettings(command, args, { fresh: { type: "boolean" } });
  return {
    config: completeConfig(inFlags(command, ALIASES), settings),
    isHelp: values["help"] === true,
    isFresh: values["fresh"] === true,
    notes,
  };
}

/** Settings as they were given, the file of `--config` under flags, nothing filled; and what else the command takes. */
export interface GivenSettings {
  readonly settings: Plain;
  /** Of the command's own flags, by name. */
  readonly values: Readonly<Record<string, unknown>>;
  readonly positionals: readonly string[];
  readonly notes: readonly string[];
}

/** Reads flags of settings beside those of a command. @throws Error that names the key or flag. */
export function readSettings(
  command: string,
  args: readonly string[],
  own: NonNullable<ParseArgsConfig["options"]>,
  { allowPositionals = false, readFile = readSettingsFile }: ReadSettingsOptions = {},
): GivenSettings {
  const { values, positionals } = readFlags(command, {
    args: [...args],
    allowPositionals,
    options: {
      ...flagOptions(FLAG_LEAVES, FLAG_ALIASES),
      config: { type: "string" },
      help: { type: "boolean" },
      ...own,
    },
  });
  const flags = settingsOfFlags(command, values, FLAG_LEAVES, FLAG_ALIASES);
  const path = values["config"] as string | undefined;
  const file = path === undefined ? {} : readFile(path);
  return {
    settings: merge(inWordsOfToday(inFile(path ?? command), file), inWordsOfToday(inFlags(command, {}), flags)),
    values,
    positionals,
    notes: isFormer(flags) || isFormer(file) ? [FORMER] : [],
  };
}

/** What differs for commands that take more than settings. */
export interface ReadSettingsOptions {
  readonly allowPositionals?: boolean;
  /** Reads the file of `--config`. */
  readonly readFile?: (path: string) => Plain;
}

/** Checked before flags are laid over it, so that a message names the file if the fault is there. */
const readSettingsFile = (path: string): Plain => settingsOfFile(path, readJson(path));

/** The settings that stand in a file. @throws Error that names the file, and the key if it is one. */
export function settingsOfFile(path: string, settings: unknown): Plain {
  if (!isPlain(settings)) throw new SortieError(`${path}: the settings must be an object; got ${what(settings)}.`);
  checkSettings(inFile(path), LAYOUT, inWordsOfToday(inFile(path), settings));
  return settings;
}

/**
 * Fills the gaps of settings. @throws Error that names the key: one that is unknown, of a wrong value, or not for this
 * data set, backbone, method, optimiser or schedule.
 */
export function completeConfig(place: Place, given: Plain): Config {
  const settings = inWordsOfToday(place, given);
  checkSettings(place, LAYOUT, settings);
  return completeSettings(place, LAYOUT, merge(presetFor(settings), settings)) as unknown as Config;
}

/**
 * What is preset for one method, backbone or schedule means nothing to another: without it, if the settings choose
 * another.
 */
function presetFor(settings: Plain): Plain {
  const chosen = (group: string, key: string) => (settings[group] as Plain | undefined)?.[key];
  const name = String(chosen("data", "name") ?? SET_NAMES[0]);
  const { model, method, train, ...rest } = (PRESETS[name as DataSetName] ?? {}) as Readonly<Record<string, Plain>>;
  const { warmup: _, ...withoutWarmup } = train ?? {};
  const backbone = chosen("model", "backbone") ?? MODEL.backbone.default;
  const isUsual = <T>(value: T, usual: T) => value === undefined || value === usual;
  const settled = {
    ...(isUsual(backbone, MODEL.backbone.default) && { model }),
    ...(isUsual(chosen("method", "name"), method?.["name"]) && { method }),
    train: isUsual(chosen("train", "schedule"), TRAIN.schedule.default) ? (train ?? {}) : withoutWarmup,
  };
  const known = Object.fromEntries(Object.entries({ ...rest, ...settled }).filter(([, part]) => part !== undefined));
  return merge(merge(backbonePreset(String(backbone), settings["model"] as Plain | undefined), known), {
    data: { name },
  });
}

/** Settings of `data` that say which files and labels there are, not how many of them are used. */
const DATA_PATHS = ["dir", "download", "file", "maxUnpacked", "labels", "split", "patch", "block", "shares"].map(
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
  return completeConfig(inFlags(command, ALIASES), merge({ data: { name } }, data)).data;
}

const defaultsOf = (options: OptionSet): Plain =>
  Object.fromEntries(
    Object.entries(options).flatMap(([key, { default: value }]) => (value === undefined ? [] : [[key, value]])),
  );

/** What is preset for every run. */
const BASE: Plain = Object.entries(LAYOUT).reduce(
  (base: Plain, [group, { options }]) =>
    merge(base, group === "" ? defaultsOf(options) : { [group]: defaultsOf(options) }),
  {},
);

/** What each thing of a choice presets, as flags. */
const presetLines = Object.entries(LAYOUT).flatMap(([group, { choices = [] }]) =>
  choices.flatMap(({ of }) =>
    Object.entries(of).map(([name, { options }]) => {
      const own: Plain = { [group]: defaultsOf(options) };
      const more =
        group === "model" ? backbonePreset(name) : group === "data" ? (PRESETS[name as DataSetName] ?? {}) : {};
      return `  ${name}: ${settingsAsFlags(merge(own, more), ALIASES).join(" ")}`.trimEnd();
    }),
  ),
);

/** The settings as help: one line each, with what is preset; then what a choice presets besides. */
export const configHelp = [
  describeSettings(LEAVES, ALIASES, BASE),
  "",
  "In brackets is what is preset, in parentheses what alone takes a setting, or does not. Preset besides:",
  "",
  ...presetLines,
].join("\n");
