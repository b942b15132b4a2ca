// A command as a record: what it is called, what it does, its flags as options. Help, reading and checks come from it.

import { misfit, type Option, type OptionSet, type OptionValues, SortieError } from "../../base/index.ts";
import { type Print, readFlags } from "./flags.ts";
import { columns, paragraphs } from "./help.ts";
import {
  type Aliases,
  type Chosen,
  chosenBy,
  flagOptions,
  type Leaf,
  type Plain,
  readValue,
  settingsOfFlags,
} from "./settings.ts";

/** Settings of runs that a command takes as flags too. */
export interface SettingFlags {
  readonly leaves: readonly Leaf[];
  readonly aliases: Aliases;
  /** Below the command's own flags, for what other flags choose. */
  readonly help?: (chosen: Chosen) => string;
}

/** What stands behind a command besides flags: files and folders mostly. */
export interface Paths {
  readonly least?: number;
  readonly most: number;
  /** How messages say it: `one folder of a run`. */
  readonly must: string;
}

/** Of commands that take flags alone. */
export const NO_PATH: Paths = { most: 0, must: "no path" };

/** Of commands that work on cached logits. */
export const ONE_SOURCE: Paths = { least: 1, most: 1, must: "one logits file or one folder of a run" };

/** What a command is. */
export interface CommandSpec<F extends OptionSet = OptionSet> {
  readonly name: string;
  /** Behind the name: `LOGITS | RUN [flags]`. */
  readonly usage: string;
  readonly paths: Paths;
  readonly about: string;
  /** By key: `anyValues` is the flag `--any-values`. A toggle's default is false, and the flag stands alone. */
  readonly flags: F;
  readonly settings?: SettingFlags;
  /** Below the flags: exit codes, and lines that one would type. */
  readonly more: string;
}

/** What a command line says. */
export interface Asked<F extends OptionSet> {
  /** Defaults where nothing was given. */
  readonly values: OptionValues<F>;
  /** The flags that were given. */
  readonly given: Partial<OptionValues<F>>;
  /** The settings that were given, none filled. */
  readonly settings: Plain;
  readonly positionals: readonly string[];
}

/** A file or folder. */
export const path = (about: string): Option<string | undefined> => ({
  kind: "text",
  about,
  default: undefined,
  must: "a path",
  fits: (value) => typeof value === "string" && value !== "",
});

/** How a flag is written: `any-values`. */
export const flagOf = (key: string): string => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** What stands for a flag's value in help. */
function placeOf({ kind, must }: Option): string {
  if (kind === "boolean") return "";
  if (kind === "number") return " N";
  if (kind === "list") return " N,N,...";
  if (kind === "words") return " A,B,...";
  return must === "a path" ? " FILE" : " NAME";
}

/** A flag's row in help. */
function rowOf([key, option]: readonly [key: string, option: Option]): readonly [name: string, about: string] {
  const { kind, about, must, default: value } = option;
  const isPlain = kind === "boolean" || /^(a path|a text|a number|a list of (numbers|names))$/.test(must);
  const preset = value === undefined || kind === "boolean" ? "" : ` [${String(value)}]`;
  return [`--${flagOf(key)}${placeOf(option)}`, `${about}${isPlain ? "" : `: ${must}`}${preset}`];
}

/** The first line of help. */
export const titleOf = ({ name, usage }: CommandSpec): string => `sortie ${name} ${usage}`;

/** The page of `sortie NAME --help`, of settings those that what is chosen takes. */
export function helpOf(spec: CommandSpec, chosen: Chosen = {}): string {
  const rows = Object.entries(spec.flags).map(rowOf);
  const settings = spec.settings?.help?.(chosen);
  const flags = [...(rows.length > 0 ? [columns(rows)] : []), ...(settings ? [settings] : [])];
  const parts = [titleOf(spec), paragraphs(spec.about), flags.join("\n"), paragraphs(spec.more)];
  return parts.filter((part) => part !== "").join("\n\n");
}

/**
 * Reads a command line; undefined where help was asked for, which is printed. @throws SortieError that names the flag,
 * or says how many paths there must be.
 */
export function readCommand<F extends OptionSet>(
  spec: CommandSpec<F>,
  args: readonly string[],
  print: Print,
): Asked<F> | undefined {
  const { leaves, aliases }: SettingFlags = spec.settings ?? { leaves: [], aliases: {} };
  const types = Object.entries(spec.flags).map(([key, option]) => [flagOf(key), { type: typeOf(option) }] as const);
  const { values: texts, positionals } = readFlags(spec.name, {
    args: [...args],
    allowPositionals: true,
    options: { ...flagOptions(leaves, aliases), ...Object.fromEntries(types), help: { type: "boolean" } },
  });
  const found: Readonly<Record<string, string | boolean | undefined>> = texts;
  if (found["help"] === true) {
    print(helpOf(spec, chosenBy(found, aliases)));
    return undefined;
  }
  const given = Object.entries(spec.flags).flatMap(([key, option]) => {
    const flag = flagOf(key);
    const text = found[flag];
    if (text === undefined) return [];
    const value = readValue(spec.name, flag, option, text);
    if (!option.fits(value)) throw new SortieError(`${spec.name}: ${misfit(`--${flag}`, option, value)}`);
    return [[key, value] as const];
  });
  const { least = 0, most, must } = spec.paths;
  if (positionals.length < least || positionals.length > most)
    throw new SortieError(`${spec.name}: ${must} must be given; got ${positionals.length}.`);
  const presets = Object.entries(spec.flags).map(([key, option]) => [key, option.default] as const);
  return {
    values: Object.fromEntries([...presets, ...given]) as OptionValues<F>,
    given: Object.fromEntries(given) as Partial<OptionValues<F>>,
    settings: settingsOfFlags(spec.name, without(found, Object.keys(spec.flags).map(flagOf)), leaves, aliases),
    positionals,
  };
}

const typeOf = ({ kind }: Option): "boolean" | "string" => (kind === "boolean" ? "boolean" : "string");

/** What a command's own flags do not take. */
const without = (found: Readonly<Record<string, unknown>>, own: readonly string[]) =>
  Object.fromEntries(Object.entries(found).filter(([flag]) => !own.includes(flag)));
