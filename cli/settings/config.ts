// What `sortie train` can be told: the keys of its config file, their flags, and what is preset for each data set.

import {
  type Given as GivenOf,
  type OptionSet,
  type OptionValues,
  option,
  preset,
  SortieError,
  what,
} from "../../base/index.ts";
import { RULE_OPTIONS } from "../../calibration/index.ts";
import { AUGMENTATION, CLASS_WEIGHTS, type DataSetName, type DataSetOptions } from "../../data/index.ts";
import {
  CADENCE,
  FINE_TUNING,
  HEADS,
  type HeadKind,
  METHODS,
  OPTIMIZERS,
  type OptimizerRecipe,
  RECIPE_OPTIONS,
  RUN_SEED,
  SCHEDULES,
  type ScheduleRecipe,
  START_OPTIONS,
  VARIANT_OPTIONS,
} from "../../exits/index.ts";
import { BACKBONES, type BackboneKind } from "../../nn/index.ts";
import { readJson } from "../files/whole.ts";
import { refuseAbsent } from "./absent.ts";
import { path, type SettingFlags } from "./command.ts";
import { withContents } from "./contents.ts";
import { FORMER, formerLeaves, inWordsOfToday, isFormer } from "./former.ts";
import { wrapped } from "./help.ts";
import { SET_NAMES, SETS } from "./sets.ts";
import {
  type Aliases,
  type Chosen,
  checkSettings,
  completeSettings,
  describeSettings,
  inFile,
  inFlags,
  isPlain,
  type Layout,
  leavesFor,
  leavesOf,
  merge,
  type Place,
  type Plain,
  settingsAsFlags,
} from "./settings.ts";

const HEAD_NAMES = Object.keys(HEADS) as readonly HeadKind[];

const TOP = {
  name: option.text(undefined, "name of the run's folder (default: data, method and seed)"),
  out: option.text("runs", "folder of all runs"),
  seed: preset(RUN_SEED, 1),
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
  start: option.text(undefined, "digest of the file to start from; found, or given where it must be this one"),
  ...FINE_TUNING,
  ...VARIANT_OPTIONS,
  augment: option.choice(["none", "cgt"], "crops, RandAugment and erasing as in CGT's public code, or none"),
  ...AUGMENTATION,
  classWeights: CLASS_WEIGHTS,
  optimizer: option.choice(Object.keys(OPTIMIZERS) as readonly (keyof typeof OPTIMIZERS)[], "optimiser"),
  schedule: option.choice(Object.keys(SCHEDULES) as readonly (keyof typeof SCHEDULES)[], "how the learning rate goes"),
  ...CADENCE,
} as const;

const CALIBRATION = {
  alpha: RULE_OPTIONS.levels.alpha,
  delta: RULE_OPTIONS.levels.delta,
  scale: option.choice(["temperature", "vector", "failure", "none"], "scaling of the logits, fitted on validation"),
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
type Unset =
  | "evaluateEvery"
  | "classWeights"
  | "start"
  | keyof typeof AUGMENTATION
  | keyof typeof START_OPTIONS
  | keyof typeof FINE_TUNING
  | keyof typeof VARIANT_OPTIONS;

/** All settings of a run. What a choice brings along is typed as what all of its things together take. */
export type Config = {
  readonly name?: string;
  readonly out: string;
  readonly seed: number;
  readonly data: { readonly name: DataSetName; readonly content?: string } & DataSetOptions;
  readonly model: OptionValues<typeof MODEL> & { readonly depth: number } & Plain;
  readonly method: { readonly name: string } & Plain;
  readonly train: Omit<OptionValues<typeof TRAIN>, Unset> &
    GivenOf<Pick<typeof TRAIN, Unset>> &
    Omit<OptimizerRecipe & ScheduleRecipe, "method" | "kind">;
  readonly calibration: OptionValues<typeof CALIBRATION>;
};

const ALIASES: Aliases = {
  data: "data.name",
  dir: "data.dir",
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
  tune: "train.tune",
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
  // Small sets: more passes, and batches that they can fill.
  folder: { train: { epochs: 20, batch: 32, flip: 0.5, logEvery: 10 } },
  // From the air, left and right mean nothing.
  "indian-pines": { train: { epochs: 30, batch: 64, flip: 0.5, warmup: 100 } },
};

/** Flags of a run as settings. */
export const RUN_SETTINGS: SettingFlags = { leaves: FLAG_LEAVES, aliases: FLAG_ALIASES };

/** Other flags of a run. */
export const RUN_FLAGS = {
  config: path("settings as JSON"),
  fresh: option.toggle(false, "start over if the folder holds a run; one that was stopped goes on without it"),
} as const;

/** Settings as far as read. */
interface Given<S> {
  readonly config: S;
  /** What the user should know of how the settings were given. */
  readonly notes: readonly string[];
}

/**
 * The settings of a command line: what is preset for the data set, under those of a file, under those of flags.
 * @throws Error that names the key or flag, or the digest that one's own files do not have.
 */
export function configOf(command: string, flags: Plain, file: string | undefined): Given<Config> {
  const under = file === undefined ? undefined : { path: file, settings: readSettingsFile(file) };
  const { config, notes } = layered(command, flags, under);
  const place = inFlags(command, ALIASES);
  return { config: withContents(place, completeConfig(place, config)), notes };
}

/** Flags over a file, in words of today, nothing filled. @throws Error that names the key or flag. */
export function layered(
  command: string,
  flags: Plain,
  file?: { readonly path: string; readonly settings: Plain } | undefined,
): Given<Plain> {
  const under = file ? inWordsOfToday(inFile(file.path), file.settings) : {};
  return {
    config: merge(under, inWordsOfToday(inFlags(command, {}), flags)),
    notes: isFormer(flags) || (file && isFormer(file.settings)) ? [FORMER] : [],
  };
}

/** Checked before flags are laid over it, so that a message names the file if the fault is there. */
const readSettingsFile = (file: string): Plain => settingsOfFile(file, readJson(file));

/** The settings that stand in a file. @throws Error that names the file, and the key if it is one. */
export function settingsOfFile(file: string, settings: unknown): Plain {
  if (!isPlain(settings)) throw new SortieError(`${file}: the settings must be an object; got ${what(settings)}.`);
  checkSettings(inFile(file), LAYOUT, inWordsOfToday(inFile(file), settings));
  return settings;
}

/**
 * Fills the gaps of settings. @throws Error that names the key: one that is unknown, of a wrong value, or not for this
 * data set, backbone, method, optimiser or schedule.
 */
export function completeConfig(place: Place, given: Plain): Config {
  const settings = inWordsOfToday(place, given);
  refuseAbsent(`${place.where}: ${place.name("method.name")}`, (settings["method"] as Plain | undefined)?.["name"]);
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
const DATA_PATHS = [
  ...["dir", "download", "file", "maxUnpacked", "labels", "split", "patch", "block", "shares"],
  ...["layout", "size", "channels", "fit", "filter", "keep"],
].map((key) => `data.${key}`);
const DATA_LEAVES = LEAVES.filter(({ path }) => DATA_PATHS.includes(path));
const DATA_ALIASES = Object.fromEntries(Object.entries(ALIASES).filter(([, path]) => DATA_PATHS.includes(path)));

/** Flags of commands that look at a data set. */
export const DATA_SETTINGS: SettingFlags = {
  leaves: DATA_LEAVES,
  aliases: DATA_ALIASES,
  help: (chosen) => describeSettings(leavesFor(DATA_LEAVES, chosen), DATA_ALIASES),
};

/** What those flags and the presets say of a data set. @throws Error that names the flag or key. */
export const dataSettings = (command: string, name: string, flags: Plain): Config["data"] =>
  completeConfig(inFlags(command, ALIASES), merge({ data: { name } }, flags)).data;

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

/** What each thing of a choice presets besides, as flags; where one is chosen, that one. */
const presetLines = (chosen: Chosen) =>
  Object.entries(LAYOUT).flatMap(([group, { choices = [] }]) =>
    choices.flatMap(({ key, of }) => {
      const name = chosen[`${group}.${key}`];
      const things = Object.entries(of).filter(([thing]) => !name || !Object.hasOwn(of, name) || thing === name);
      return things.map(([thing, { options }]) => {
        const own: Plain = { [group]: defaultsOf(options) };
        const more =
          group === "model" ? backbonePreset(thing) : group === "data" ? (PRESETS[thing as DataSetName] ?? {}) : {};
        return `  ${wrapped(`${thing}: ${settingsAsFlags(merge(own, more), ALIASES).join(" ")}`.trimEnd(), 4)}`;
      });
    }),
  );

/** The settings as help: one line each, with what is preset; then what a choice presets besides. */
export const configHelp = (chosen: Chosen = {}): string =>
  [
    describeSettings(leavesFor(LEAVES, chosen), ALIASES, BASE),
    "",
    "In brackets is what is preset, in parentheses what alone takes a setting, or does not. With --method, --data,",
    "--model.backbone, --train.optimizer or --train.schedule help tells only what that takes. Preset besides:",
    "",
    ...presetLines(chosen),
  ].join("\n");
