/**
 * Settings from three places, later over earlier: what is preset, a JSON file, flags. One valibot schema says which keys there are;
 * flags, help and messages come from it. Knows nothing of what the settings mean.
 */

import type { ParseArgsConfig } from "node:util";
import * as v from "valibot";
import { nearest, SortieError } from "../../base/index.ts";
import { numberFlag } from "./flags.ts";

/** Nested objects of plain values, as JSON has them. */
export type Plain = { readonly [key: string]: unknown };

/** One key that holds a value. */
export interface Leaf {
  /** With dots: `train.epochs`. */
  readonly path: string;
  readonly kind: "number" | "boolean" | "text" | "list";
  readonly description: string;
}

/** Short flags for keys: `{ epochs: "train.epochs" }`. */
export type Aliases = Readonly<Record<string, string>>;

/** A description for help, `what it is: what it must be`; the second part goes into messages. */
export const describe = <T extends v.GenericSchema>(schema: T, text: string) => v.pipe(schema, v.description(text));

type Unknown = v.GenericSchema & {
  readonly wrapped?: Unknown;
  readonly entries?: Readonly<Record<string, Unknown>>;
};

/** All keys of a schema that hold values, in its order. */
export function leavesOf(schema: v.GenericSchema, prefix = ""): readonly Leaf[] {
  return Object.entries((schema as Unknown).entries ?? {}).flatMap(([name, entry]) => {
    const path = `${prefix}${name}`;
    const inner = unwrapped(entry);
    if (inner.entries) return leavesOf(inner, `${path}.`);
    return [{ path, kind: kindOf(inner), description: v.getDescription(entry) ?? v.getDescription(inner) ?? "" }];
  });
}

function unwrapped(schema: Unknown): Unknown {
  return schema.wrapped ? unwrapped(schema.wrapped) : schema;
}

function kindOf({ type }: Unknown): Leaf["kind"] {
  if (type === "number" || type === "boolean") return type;
  return type === "array" || type === "tuple" ? "list" : "text";
}

/** What `parseArgs` is told: a flag for each key by its dotted name, and one for each alias; an alias of a boolean stands alone. */
export function flagOptions(leaves: readonly Leaf[], aliases: Aliases): NonNullable<ParseArgsConfig["options"]> {
  const kinds = new Map(leaves.map(({ path, kind }) => [path, kind]));
  const isSwitch = (alias: string) => kinds.get(aliases[alias] ?? "") === "boolean";
  return Object.fromEntries([
    ...leaves.map(({ path }) => [path, { type: "string" }] as const),
    ...Object.keys(aliases).map((alias) => [alias, { type: isSwitch(alias) ? "boolean" : "string" }] as const),
  ]);
}

/** The flags that were given, as nested settings. @throws Error that names the flag of a number that is none. */
export function settingsOfFlags(
  command: string,
  values: Readonly<Record<string, unknown>>,
  leaves: readonly Leaf[],
  aliases: Aliases,
): Plain {
  const kinds = new Map(leaves.map(({ path, kind }) => [path, kind]));
  return Object.entries(values).reduce((settings: Plain, [flag, value]) => {
    const path = aliases[flag] ?? flag;
    const kind = kinds.get(path);
    return kind === undefined || value === undefined
      ? settings
      : merge(settings, nest(path, read(command, flag, kind, value as string | boolean)));
  }, {});
}

function read(command: string, flag: string, kind: Leaf["kind"], value: string | boolean): unknown {
  if (typeof value === "boolean" || kind === "text") return value;
  if (kind === "boolean") {
    if (value === "true" || value === "false") return value === "true";
    throw new SortieError(`${command}: --${flag} must be true or false; got "${value}".`);
  }
  const number = (text: string) => numberFlag(command, flag, text);
  if (kind === "number") return number(value);
  return value.split(",").map((item) => (/^[-+.\d]/.test(item) ? number(item) : item));
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
    merged[key] = isObject(below) && isObject(value) ? merge(below, value) : value;
  }
  return merged;
}

const isObject = (value: unknown): value is Plain =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The settings as the schema's type. @throws Error that names the key: unknown, missing, or of a wrong value. */
export function checkSettings<T extends v.GenericSchema>(
  where: string,
  schema: T,
  settings: unknown,
): v.InferOutput<T> {
  const result = v.safeParse(schema, settings, { abortEarly: true });
  if (result.success) return result.output;
  const issue = result.issues[0];
  const path = v.getDotPath(issue) ?? "";
  const known = leavesOf(schema).map((leaf) => leaf.path);
  if (issue.type === "strict_object" && issue.expected === "never") {
    const meant = nearest(path, known);
    const guess = meant ? ` Did you mean "${meant}"?` : "";
    throw new SortieError(`${where}: unknown key "${path}".${guess} Known keys: ${near(path, known).join(", ")}.`);
  }
  const leaf = leavesOf(schema).find((each) => path === each.path || path.startsWith(`${each.path}.`));
  // Descriptions say what a key is, a colon, and what it must be; the first part may have colons of its own.
  const wanted = leaf ? leaf.description.replace(/^.*: /, "") : "an object of settings";
  const got = issue.input === undefined ? "nothing" : JSON.stringify(issue.input);
  throw new SortieError(`${where}: ${(leaf?.path ?? path) || "the settings"} must be ${wanted}; got ${got}.`);
}

/** The keys in the same object as `path`, or all. */
function near(path: string, known: readonly string[]): readonly string[] {
  const parent = path.slice(0, path.lastIndexOf(".") + 1);
  const siblings = known.filter((each) => each.startsWith(parent));
  return siblings.length > 0 ? siblings : known;
}

/** A line for each key: its flag, what it must be, and in brackets what is preset. */
export function describeSettings(leaves: readonly Leaf[], aliases: Aliases, preset: Plain = {}): string {
  const names = shortNames(aliases);
  const values = new Map(entriesOf(preset));
  const flags = leaves.map(({ path }) => `--${names.has(path) ? `${names.get(path)}, --` : ""}${path}`);
  const width = Math.max(...flags.map(({ length }) => length));
  const lineOf = ({ path, description }: Leaf, i: number) =>
    `  ${flags[i]!.padEnd(width)}  ${description}${values.has(path) ? ` [${values.get(path)}]` : ""}`;
  return leaves.map(lineOf).join("\n");
}

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
    isObject(value) ? entriesOf(value, `${prefix}${key}.`) : [[`${prefix}${key}`, value] as const],
  );
}
