// A command as a record: what it is called, what it does, its flags as options. Help, reading and checks come from it.

import { misfit, type Option, type OptionSet, type OptionValues, SortieError } from "../../base/index.ts";
import { type Print, readFlags } from "./flags.ts";
import { readValue } from "./settings.ts";

/** What a command is. */
export interface CommandSpec<F extends OptionSet = OptionSet> {
  readonly name: string;
  /** Behind the name: `LOGITS | RUN [flags]`. */
  readonly usage: string;
  readonly about: string;
  /** By key: `anyValues` is the flag `--any-values`. A toggle's default is false, and the flag stands alone. */
  readonly flags: F;
  /** Below the flags: exit codes, and lines that one would type. */
  readonly more: string;
}

/** What a command line says. */
export interface Asked<F extends OptionSet> {
  /** Defaults where nothing was given. */
  readonly values: OptionValues<F>;
  /** The flags that were given. */
  readonly given: Partial<OptionValues<F>>;
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

const WIDTH = 120;

/** What stands for a flag's value in help. */
function placeOf({ kind, must }: Option): string {
  if (kind === "boolean") return "";
  if (kind === "number") return " N";
  if (kind === "list") return " N,N,...";
  return must === "a path" ? " FILE" : " NAME";
}

/** A flag's line in help, wrapped. */
function lineOf(key: string, option: Option, width: number): string {
  const { kind, about, must, default: value } = option;
  const isPlain = kind === "boolean" || /^(a path|a text|a number|a list of numbers)$/.test(must);
  const preset = value === undefined || kind === "boolean" ? "" : ` [${String(value)}]`;
  const words = `${about}${isPlain ? "" : `: ${must}`}${preset}`.split(" ");
  const lines = [`  ${`--${flagOf(key)}${placeOf(option)}`.padEnd(width)} `];
  for (const word of words) {
    const last = lines[lines.length - 1]!;
    if (last.length + 1 + word.length > WIDTH) lines.push(`${" ".repeat(width + 3)} ${word}`);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines.join("\n");
}

/** The page of `sortie NAME --help`. */
export function helpOf({ name, usage, about, flags, more }: CommandSpec): string {
  const entries = Object.entries(flags);
  const width = Math.max(...entries.map(([key, option]) => `--${flagOf(key)}${placeOf(option)}`.length));
  const lines = entries.map(([key, option]) => lineOf(key, option, width));
  return [`sortie ${name} ${usage}`, about, ...(lines.length > 0 ? [lines.join("\n")] : []), more].join("\n\n");
}

/**
 * Reads a command line; undefined where help was asked for, which is printed. @throws SortieError that names the flag.
 */
export function readCommand<F extends OptionSet>(
  spec: CommandSpec<F>,
  args: readonly string[],
  print: Print,
): Asked<F> | undefined {
  const keys = Object.keys(spec.flags);
  const types = keys.map((key) => [flagOf(key), { type: typeOf(spec.flags[key]!) }] as const);
  const { values: texts, positionals } = readFlags(spec.name, {
    args: [...args],
    allowPositionals: true,
    options: { ...Object.fromEntries(types), help: { type: "boolean" } },
  });
  const found: Readonly<Record<string, string | boolean | undefined>> = texts;
  if (found["help"] === true) {
    print(helpOf(spec));
    return undefined;
  }
  const given = keys.flatMap((key) => {
    const [flag, option] = [flagOf(key), spec.flags[key]!];
    const text = found[flag];
    if (text === undefined) return [];
    const value = readValue(spec.name, flag, option, text);
    if (!option.fits(value)) throw new SortieError(`${spec.name}: ${misfit(`--${flag}`, option, value)}`);
    return [[key, value] as const];
  });
  const presets = keys.map((key) => [key, spec.flags[key]!.default] as const);
  return {
    values: Object.fromEntries([...presets, ...given]) as OptionValues<F>,
    given: Object.fromEntries(given) as Partial<OptionValues<F>>,
    positionals,
  };
}

const typeOf = ({ kind }: Option): "boolean" | "string" => (kind === "boolean" ? "boolean" : "string");
