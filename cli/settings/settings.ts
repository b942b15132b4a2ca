// Settings from three places, later over earlier: what is preset, a JSON file, flags. Which settings there are is said
// by options alone; flags, help, checks and messages come from them. Knows nothing of what the settings mean.

import type { ParseArgsConfig } from "node:util";
import {
  firstOf,
  guessOf,
  isRecord,
  misfit,
  nearest,
  type Option,
  type OptionSet,
  SortieError,
  what,
} from "../../base/index.ts";
import { numberFlag } from "./flags.ts";
import { columns } from "./help.ts";

/** Nested objects of plain values, as JSON has them. */
export type Plain = { readonly [key: string]: unknown };

/** A key whose value names one of several things, each with options of its own in the same group. */
interface Choice {
  readonly key: string;
  readonly of: Readonly<Record<string, { readonly options: OptionSet }>>;
}

/** Settings under one name: those of every run, and those that what is chosen brings along. */
interface Group {
  readonly options: OptionSet;
  readonly choices?: readonly Choice[];
}

/** All groups; those of "" stand at the top. */
export type Layout = Readonly<Record<string, Group>>;

/** One key that holds a value. */
export interface Leaf {
  /** With dots: `train.epochs`. */
  readonly path: string;
  readonly option: Option;
  /** For help: what it is, and what it must be. */
  readonly text: string;
  /** What alone takes it, or what does not; empty: every run has it, or the text says it. */
  readonly whose: string;
  /** Where not every run has it: the key that chooses, and what each of its things takes by this name. */
  readonly choice?: { readonly path: string; readonly options: Readonly<Record<string, Option | undefined>> };
}

/** What was chosen, by the paths of keys: `{ "method.name": "joint" }`. */
export type Chosen = Readonly<Record<string, string>>;

/** Short flags for keys: `{ epochs: "train.epochs" }`. */
export type Aliases = Readonly<Record<string, string>>;

/** Where settings stand, for messages. */
export interface Place {
  /** A file, or a command. */
  readonly where: string;
  /** What a key is called there. */
  readonly name: (path: string) => string;
}

/** Settings in a file, which has keys. */
export const inFile = (path: string): Place => ({ where: path, name: (key) => key });

/** Settings of a command line, which has flags. */
export function inFlags(command: string, aliases: Aliases): Place {
  const names = shortNames(aliases);
  return { where: command, name: (path) => `--${names.get(path) ?? path}` };
}

const pathOf = (group: string, key: string): string => (group === "" ? key : `${group}.${key}`);

/** All keys that hold values, in order. */
export function leavesOf(layout: Layout): readonly Leaf[] {
  return Object.entries(layout).flatMap(([group, { options, choices = [] }]) => {
    const shared = Object.entries(options).map(([key, option]) => leafOf(pathOf(group, key), option));
    return [...shared, ...choices.flatMap((choice) => ownLeaves(group, choice))];
  });
}

/** A key that every run has. */
export const leafOf = (path: string, option: Option): Leaf => ({
  path,
  option,
  text: describeOption(option),
  whose: "",
});

function ownLeaves(group: string, { key: name, of }: Choice): readonly Leaf[] {
  const keys = new Set(Object.values(of).flatMap(({ options }) => Object.keys(options)));
  return [...keys].map((key) => {
    const options = Object.fromEntries(Object.entries(of).map(([thing, each]) => [thing, each.options[key]]));
    const owned = Object.entries(options).flatMap(([thing, option]) => (option ? [[thing, option] as const] : []));
    const owners = owned.map(([thing]) => thing);
    const others = Object.keys(of).filter((thing) => !owners.includes(thing));
    const whose =
      others.length === 0 ? "" : others.length < owners.length ? `not ${others.join(", ")}` : owners.join(", ");
    const ways = waysOf(owned);
    const text = ways.map((way) => `${way.text}${ways.length > 1 ? ` (${way.owners.join(", ")})` : ""}`).join("; ");
    const choice = { path: pathOf(group, name), options };
    return {
      ...{ path: pathOf(group, key), option: firstOf(owned.map(([, option]) => option)), text, choice },
      whose: ways.length > 1 ? "" : whose,
    };
  });
}

/** The different things that an option of one name must be, each with whose it is. */
function waysOf(owned: readonly (readonly [thing: string, option: Option])[]) {
  return [...new Set(owned.map(([, { must }]) => must))].map((must) => {
    const alike = owned.filter(([, option]) => option.must === must);
    const about = [...new Set(alike.map(([, option]) => option.about))].join("; ");
    return { text: `${about}: ${must}`, owners: alike.map(([thing]) => thing) };
  });
}

/** Keys without those that what is chosen does not take. */
export function leavesFor(leaves: readonly Leaf[], chosen: Chosen): readonly Leaf[] {
  return leaves.flatMap((leaf) => {
    const { path, choice } = leaf;
    const name = choice && chosen[choice.path];
    if (name === undefined || !Object.hasOwn(choice?.options ?? {}, name)) return [leaf];
    const own = choice?.options[name];
    return own ? [leafOf(path, own)] : [];
  });
}

/** What flags choose, by paths. */
export const chosenBy = (values: Readonly<Record<string, unknown>>, aliases: Aliases): Chosen =>
  Object.fromEntries(
    Object.entries(values).flatMap(([flag, value]) =>
      typeof value === "string" ? [[aliases[flag] ?? flag, value] as const] : [],
    ),
  );

/**
 * What `parseArgs` is told: a flag for each key by its dotted name, and one for each alias; an alias of a boolean
 * stands alone.
 */
export function flagOptions(leaves: readonly Leaf[], aliases: Aliases): NonNullable<ParseArgsConfig["options"]> {
  const kinds = new Map(leaves.map(({ path, option }) => [path, option.kind]));
  const isSwitch = (alias: string) => kinds.get(aliases[alias] ?? "") === "boolean";
  return Object.fromEntries([
    ...leaves.map(({ path }) => [path, { type: "string" }] as const),
    ...Object.keys(aliases).map((alias) => [alias, { type: isSwitch(alias) ? "boolean" : "string" }] as const),
  ]);
}

/** The flags that were given, as nested settings. @throws Error that names the flag whose text is not a number. */
export function settingsOfFlags(
  command: string,
  values: Readonly<Record<string, unknown>>,
  leaves: readonly Leaf[],
  aliases: Aliases,
): Plain {
  const chosen = chosenBy(values, aliases);
  const byPath = new Map(leaves.map((leaf) => [leaf.path, leaf]));
  return Object.entries(values).reduce((settings: Plain, [flag, value]) => {
    const path = aliases[flag] ?? flag;
    const leaf = byPath.get(path);
    return leaf === undefined || value === undefined
      ? settings
      : merge(settings, nest(path, readLeaf(command, flag, { ...leaf, chosen }, value as string | boolean)));
  }, {});
}

/**
 * A flag's text as its option reads it: that of what is chosen, or where a file may choose, the first of those by this
 * name that the value fits.
 */
function readLeaf(
  command: string,
  flag: string,
  { option, choice, chosen }: Leaf & { readonly chosen: Chosen },
  text: string | boolean,
): unknown {
  const read = (of: Option) => readValue(command, flag, of, text);
  const isFor = (of: Option): boolean => {
    try {
      return of.fits(read(of));
    } catch (error) {
      if (error instanceof SortieError) return false;
      throw error;
    }
  };
  const own = choice?.options[chosen[choice.path] ?? ""];
  const possible = Object.values(choice?.options ?? {}).filter((each) => each !== undefined);
  return read(own ?? possible.find(isFor) ?? option);
}

/**
 * A flag's text as a value of its option's kind. @throws SortieError if a number is expected and the text is not one.
 */
export function readValue(command: string, flag: string, { kind, parse }: Option, value: string | boolean): unknown {
  if (typeof value === "boolean" || kind === "text") return value;
  if (parse) return parse(value);
  if (kind === "boolean") {
    if (value === "true" || value === "false") return value === "true";
    throw new SortieError(`${command}: --${flag} must be true or false; got "${value}".`);
  }
  if (kind === "words") return value.split(",");
  const number = (text: string) => numberFlag(command, flag, text);
  return kind === "number" ? number(value) : value.split(",").map(number);
}

const nest = (path: string, value: unknown): Plain =>
  path
    .split(".")
    .reverse()
    .reduce<unknown>((inner, key) => ({ [key]: inner }), value) as Plain;

/** `over` on `under`: objects are merged key by key, everything else is replaced. */
export function merge(under: Plain, over: Plain): Plain {
  const merged: Record<string, unknown> = { ...under };
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key];
    merged[key] = isPlain(below) && isPlain(value) ? merge(below, value) : value;
  }
  return merged;
}

/** Whether a value is an object of settings. */
export const isPlain = (value: unknown): value is Plain => isRecord(value);

/** The keys of one group. */
const inGroup = (layout: Layout, group: string, settings: Plain): Plain =>
  group === ""
    ? Object.fromEntries(Object.entries(settings).filter(([key]) => !(key in layout)))
    : ((settings[group] as Plain | undefined) ?? {});

/** Which of a choice's things the settings name. */
const chosenOf = ({ key, of }: Choice, given: Plain): OptionSet | undefined =>
  Object.hasOwn(of, String(given[key])) ? of[String(given[key])]?.options : undefined;

/**
 * Checks each key for itself: that there is such a one, and its value by what is chosen, or by what may still be
 * chosen.
 * @throws Error that names the key.
 */
export function checkSettings(place: Place, layout: Layout, settings: Plain): void {
  const known = leavesOf(layout).map(({ path }) => path);
  for (const name of Object.keys(layout)) {
    if (name === "" || settings[name] === undefined || isPlain(settings[name])) continue;
    throw new SortieError(`${place.where}: ${name} must be an object of settings; got ${what(settings[name])}.`);
  }
  for (const [group, { options, choices = [] }] of Object.entries(layout)) {
    const given = inGroup(layout, group, settings);
    for (const [key, value] of Object.entries(given)) {
      const path = pathOf(group, key);
      const chosen = choices.map((choice) => chosenOf(choice, given)).find((set) => set && Object.hasOwn(set, key));
      const option = (Object.hasOwn(options, key) ? options : chosen)?.[key];
      const possible = choices.flatMap(({ of }) => Object.values(of).flatMap((each) => each.options[key] ?? []));
      const fitting = option ? [option] : possible;
      if (fitting.length === 0) throw unknownKey(place.where, path, known);
      if (value === undefined || fitting.some(({ fits }) => fits(value))) continue;
      const named = choices.find((choice) => choice.key === key);
      const guess = named && typeof value === "string" ? guessOf(value, Object.keys(named.of)) : "";
      throw new SortieError(`${place.where}: ${misfit(place.name(path), firstOf(fitting), value)}${guess}`);
    }
  }
}

function unknownKey(where: string, path: string, known: readonly string[]): SortieError {
  const meant = nearest(path, known);
  const guess = meant ? ` Did you mean "${meant}"?` : "";
  return new SortieError(`${where}: unknown key "${path}".${guess} Known keys: ${near(path, known).join(", ")}.`);
}

/** The keys in the same object as `path`; where there is no such object, the objects. */
function near(path: string, known: readonly string[]): readonly string[] {
  const parent = path.slice(0, path.lastIndexOf(".") + 1);
  const siblings = known.filter((each) => each.startsWith(parent));
  return siblings.length > 0 ? siblings : [...new Set(known.map((each) => firstOf(each.split(".", 1))))];
}

/**
 * Settings without gaps, group by group in the layout's order; what has no default stays out. @throws Error that names
 * a key which is unknown, of a wrong value, or not of what is chosen.
 */
export function completeSettings(place: Place, layout: Layout, settings: Plain): Plain {
  checkSettings(place, layout, settings);
  const complete: Record<string, unknown> = {};
  for (const [group, parts] of Object.entries(layout)) {
    const full = completeGroup(place, group, parts, inGroup(layout, group, settings));
    if (group === "") Object.assign(complete, full);
    else complete[group] = full;
  }
  return complete;
}

function completeGroup(place: Place, group: string, { options, choices = [] }: Group, given: Plain): Plain {
  const full: Record<string, unknown> = { ...filled(options, given) };
  for (const choice of choices) {
    const own = chosenOf(choice, full) ?? {};
    const all = Object.values(choice.of).flatMap((each) => Object.keys(each.options));
    const stranger = all.find((key) => given[key] !== undefined && !Object.hasOwn(own, key));
    if (stranger !== undefined) {
      throw new SortieError(
        `${place.where}: ${place.name(pathOf(group, stranger))} is no setting of ${full[choice.key]}, which takes ${Object.keys(own).join(", ")}. Leave it out.`,
      );
    }
    Object.assign(full, filled(own, given));
  }
  return full;
}

const filled = (options: OptionSet, given: Plain): Plain =>
  Object.fromEntries(
    Object.entries(options)
      .map(([key, { default: value }]) => [key, given[key] ?? value] as const)
      .filter(([, value]) => value !== undefined),
  );

/** A line for each key: its flag, what it must be, who alone takes it, and in brackets what is preset. */
export function describeSettings(leaves: readonly Leaf[], aliases: Aliases, preset: Plain = {}): string {
  const names = shortNames(aliases);
  const values = new Map(entriesOf(preset));
  return columns(
    leaves.map(({ path, text, whose }) => {
      const short = names.get(path);
      const now = values.has(path) ? ` [${values.get(path)}]` : "";
      return [`--${short ? `${short}, --` : ""}${path}`, `${text}${whose && ` (${whose})`}${now}`];
    }),
  );
}

/** `what it is: what it must be` */
export const describeOption = ({ about, must }: Option): string => `${about}: ${must}`;

/** Settings as the flags that say the same: `--epochs 3`. */
export function settingsAsFlags(settings: Plain, aliases: Aliases): readonly string[] {
  const names = shortNames(aliases);
  return entriesOf(settings).map(([path, value]) => `--${names.get(path) ?? path} ${value}`);
}

const shortNames = (aliases: Aliases): ReadonlyMap<string, string> =>
  new Map(Object.entries(aliases).map(([alias, path]) => [path, alias]));

/** All values with their dotted keys. */
function entriesOf(settings: Plain, prefix = ""): readonly (readonly [path: string, value: unknown])[] {
  return Object.entries(settings).flatMap(([key, value]) =>
    isPlain(value) ? entriesOf(value, `${prefix}${key}.`) : [[`${prefix}${key}`, value] as const],
  );
}
