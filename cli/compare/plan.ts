// What is compared: every method on every backbone and data set with every seed, or those runs of them that a plan
// lists; each a run of its own, in an order that soon shows all methods once, or in the listed one.

import { dirname, resolve } from "node:path";
import { guessOf, option, SortieError, what } from "../../base/index.ts";
import { readJson } from "../files/whole.ts";
import { path } from "../settings/command.ts";
import { type Config, completeConfig, settingsOfFile } from "../settings/config.ts";
import { type Digests, withContents } from "../settings/contents.ts";
import { inFile, isPlain, merge, type Place, type Plain } from "../settings/settings.ts";

/** One of the things that are compared: what it is called here, and what it sets. */
interface Variant {
  readonly label: string;
  readonly settings: Plain;
}

/** Runs that vary in everything that is named here. */
interface Crossing {
  readonly data: readonly Variant[];
  readonly backbones: readonly Variant[];
  readonly methods: readonly Variant[];
  readonly seeds: readonly number[];
}

/** What varies, and what does not. */
export interface Plan {
  /** One after the other; a run of several is one run. */
  readonly runs: readonly Crossing[];
  /** The method, by its label, that others are held against. */
  readonly against: string;
  /** Folder of all runs, and of what is written about them. */
  readonly out: string;
  /** Of all runs. */
  readonly settings: Plain;
}

/** Which run it is, in the labels of a plan. */
export interface RunKey {
  readonly data: string;
  readonly backbone: string;
  readonly method: string;
  readonly seed: number;
}

/** One run of a plan. */
export interface Experiment extends RunKey {
  /** Of its folder. */
  readonly name: string;
  readonly config: Config;
}

const NAMES = "a list of names";

/** A plan as flags. `--data` names one data set, as everywhere. */
export const PLAN_FLAGS = {
  methods: option.words(undefined, "methods, see sortie methods", NAMES),
  backbones: option.words(["resnet"], "backbones", NAMES),
  sets: option.words(["glyphs"], "data sets", NAMES),
  seeds: option.list([1], "seeds", { min: 0, whole: true, must: "different whole numbers of at least 0" }),
  against: option.text(undefined, "the method that others are held against (default: the first)"),
  out: {
    ...path(
      "folder of the runs, and of comparison.html, .json and .md (of finished folders: the current one, unless it is given)",
    ),
    default: "runs/compare",
  },
} as const;

/** Keys of a plan's file. */
export const PLAN_KEYS = ["methods", "backbones", "data", "seeds", "runs", "against", "out", "settings"] as const;

/** What a file or flags say of a plan; entries are names, or objects with a `label` of their own. */
export type GivenPlan = { readonly [K in (typeof PLAN_KEYS)[number]]?: unknown };

/** Each kind of variant: where its name stands in settings, and its flag. */
const KINDS = {
  data: { group: "data", key: "name", flag: PLAN_FLAGS.sets },
  backbones: { group: "model", key: "backbone", flag: PLAN_FLAGS.backbones },
  methods: { group: "method", key: "name", flag: PLAN_FLAGS.methods },
} as const;

/**
 * The plan of a file, checked, over the plan that it `extends`, by a path from where it lies. @throws Error that names
 * file and key.
 */
export function planOfFile(file: string, from: readonly string[] = []): GivenPlan {
  const { where } = inFile(file);
  const read = readJson(file);
  if (!isPlain(read)) throw new SortieError(`${where}: a comparison must be an object; got ${what(read)}.`);
  const { extends: base, ...given } = read;
  if (base !== undefined && typeof base !== "string")
    throw new SortieError(`${where}: extends must be the path of a comparison; got ${what(base)}.`);
  const strange = Object.keys(given).find((key) => !(PLAN_KEYS as readonly string[]).includes(key));
  if (strange !== undefined)
    throw new SortieError(`${where}: unknown key ${strange}. A comparison has extends, ${PLAN_KEYS.join(", ")}.`);
  if (base === undefined) return given;
  const resolved = resolve(file);
  if (from.includes(resolved)) throw new SortieError(`${where}: a comparison must not extend itself.`);
  return { ...planOfFile(resolve(dirname(file), base), [...from, resolved]), ...given };
}

const LABEL = /^[\w.+-]+$/;

function variantOf(place: Place, kind: keyof typeof KINDS, given: unknown): Variant {
  const { group, key } = KINDS[kind];
  const plain = typeof given === "string" ? { [key]: given } : given;
  if (!isPlain(plain) || typeof plain[key] !== "string")
    throw new SortieError(`${place.where}: ${kind} must hold names, or objects with ${key}; got ${what(given)}.`);
  const { label = plain[key], ...settings } = plain;
  if (typeof label !== "string" || !LABEL.test(label)) {
    const names = "letters, digits, and . + - _, since folders are called by them";
    throw new SortieError(`${place.where}: a label of ${kind} must be made of ${names}; got ${what(label)}.`);
  }
  return { label, settings: { [group]: settings } };
}

function variantsOf(place: Place, kind: keyof typeof KINDS, given: unknown): readonly Variant[] {
  const list = given ?? KINDS[kind].flag.default;
  if (list === undefined)
    throw new SortieError(`${place.where}: ${kind} must be given, such as --${kind} joint,soft-cgt; got none.`);
  const variants = [list].flat().map((each) => variantOf(place, kind, each));
  const labels = variants.map(({ label }) => label);
  const twice = labels.find((label, i) => labels.indexOf(label) !== i);
  if (twice !== undefined)
    throw new SortieError(
      `${place.where}: ${kind} must have labels of their own; got ${twice} twice. Give each a "label".`,
    );
  if (variants.length === 0) throw new SortieError(`${place.where}: ${kind} must not be empty.`);
  return variants;
}

function seedsOf(place: Place, given: unknown, key = "seeds"): readonly number[] {
  const { default: preset, must, fits } = PLAN_FLAGS.seeds;
  const seeds = [given ?? preset].flat();
  if (seeds.length > 0 && fits(seeds) && new Set(seeds).size === seeds.length) return seeds as number[];
  throw new SortieError(`${place.where}: ${key} must be ${must}; got ${what(given)}.`);
}

/** The variants that labels name; all where nothing is named. */
function named(place: Place, key: string, all: readonly Variant[], labels: unknown): readonly Variant[] {
  if (labels === undefined) return all;
  return [labels].flat().map((label) => {
    const found = all.find((variant) => variant.label === label);
    if (found) return found;
    const known = all.map((variant) => variant.label);
    const guess = typeof label === "string" ? guessOf(label, known) : "";
    throw new SortieError(`${place.where}: ${key} must be among ${known.join(", ")}; got ${what(label)}.${guess}`);
  });
}

/** What `runs` lists: labels of the plan's variants, and seeds. What one of them leaves out is all of the plan's. */
function crossingsOf(place: Place, whole: Omit<Crossing, "seeds">, { seeds, runs }: GivenPlan): readonly Crossing[] {
  if (runs === undefined) return [{ ...whole, seeds: seedsOf(place, seeds) }];
  if (seeds !== undefined)
    throw new SortieError(`${place.where}: seeds must stand in runs where a plan lists its runs; got both.`);
  if (!Array.isArray(runs) || runs.length === 0)
    throw new SortieError(`${place.where}: runs must be a list of objects; got ${what(runs)}.`);
  return runs.map((given: unknown, i) => {
    const key = `runs[${i}]`;
    const known = [...Object.keys(KINDS), "seeds"];
    if (!isPlain(given)) throw new SortieError(`${place.where}: ${key} must be an object; got ${what(given)}.`);
    const strange = Object.keys(given).find((name) => !known.includes(name));
    if (strange !== undefined)
      throw new SortieError(`${place.where}: unknown key ${key}.${strange}. It may have ${known.join(", ")}.`);
    const of = (kind: keyof typeof KINDS) => named(place, `${key}.${kind}`, whole[kind], given[kind]);
    const seedsHere = seedsOf(place, given["seeds"], `${key}.seeds`);
    return { data: of("data"), backbones: of("backbones"), methods: of("methods"), seeds: seedsHere };
  });
}

/**
 * A checked plan, with the `settings` of all runs. @throws Error that names the key, for a variant that does not exist
 * too.
 */
export function completePlan(place: Place, given: GivenPlan, settings: Plain): Plan {
  const { out = PLAN_FLAGS.out.default } = given;
  if (typeof out !== "string") throw new SortieError(`${place.where}: out must be a folder; got ${what(out)}.`);
  const methods = variantsOf(place, "methods", given.methods);
  const [data, backbones] = [variantsOf(place, "data", given.data), variantsOf(place, "backbones", given.backbones)];
  const { against = methods[0]?.label } = given;
  if (typeof against !== "string" || !methods.some(({ label }) => label === against)) {
    const labels = methods.map(({ label }) => label).join(", ");
    throw new SortieError(`${place.where}: against must be one of ${labels}; got ${what(against)}.`);
  }
  return { runs: crossingsOf(place, { data, backbones, methods }, given), against, out, settings };
}

/** All runs of a plan, each with complete settings. @throws Error that names the setting that a run cannot have. */
export function experimentsOf(place: Place, { runs, out, settings }: Plan): Experiment[] {
  const experiments = new Map<string, Experiment>();
  const digests: Digests = new Map();
  for (const [seed, set, backbone, method] of runs.flatMap(combinations)) {
    const key = { data: set.label, backbone: backbone.label, method: method.label, seed };
    const name = folderName(key);
    const before = experiments.get(name);
    if (before && (before.data !== key.data || before.backbone !== key.backbone || before.method !== key.method))
      throw new SortieError(
        `${place.where}: labels must give every run a folder of its own; got ${name} for ${before.backbone} by ${before.method} and for ${key.backbone} by ${key.method}.`,
      );
    if (before) continue;
    const varied = [set, backbone, method].reduce((all, each) => merge(all, each.settings), settings);
    const config = completeConfig(place, merge(varied, { out, seed, name }));
    experiments.set(name, { ...key, name, config: withContents(place, config, digests) });
  }
  return [...experiments.values()];
}

/** Methods vary fastest, seeds slowest. */
const combinations = ({ data, backbones, methods, seeds }: Crossing) =>
  seeds.flatMap((seed) =>
    data.flatMap((set) =>
      backbones.flatMap((backbone) => methods.map((method) => [seed, set, backbone, method] as const)),
    ),
  );

const folderName = ({ data, backbone, method, seed }: RunKey): string => `${data}-${backbone}-${method}-seed${seed}`;

/** The runs that a file plans; `dataDir` is where the data set's files lie. @throws Error that names file and key. */
export function experimentsOfFile(file: string, dataDir?: string): readonly Experiment[] {
  const given = planOfFile(file);
  const settings = settingsOfFile(file, given.settings ?? {});
  const place = inFile(file);
  const common = dataDir === undefined ? settings : merge(settings, { data: { dir: dataDir } });
  return experimentsOf(place, completePlan(place, given, common));
}
