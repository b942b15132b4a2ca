// An option said once: its type, default, check and help line in one record. Readers of options, flags, help,
// configuration files and the identity of a run are derived from it.

import { isCount, type Kinds, type OptionsReader, what } from "./options.ts";

/** One option whose values are `T`; undefined among them means that it has no default of its own. */
export interface Option<T = unknown> {
  /**
   * How a flag's text becomes a value: a number, true or false, numbers or words with commas, the text itself, or what
   * `parse` makes of it.
   */
  readonly kind: "number" | "boolean" | "list" | "words" | "text" | "parsed";
  /** What it is and does, for help. */
  readonly about: string;
  readonly default: T;
  /** What it must be, as messages say it: `a number above 0`. */
  readonly must: string;
  readonly fits: (value: unknown) => boolean;
  /** Where the default comes from, if not from the paper: `the public code`, `reconstructed, 65 %`. */
  readonly basis?: string;
  /** Only of kind `parsed`; text that it cannot read it returns, so that `fits` refuses it. */
  readonly parse?: (text: string) => unknown;
}

/** Options by name. */
export type OptionSet = Readonly<Record<string, Option>>;

/** What options are when all gaps are filled. */
export type OptionValues<S extends OptionSet> = { readonly [K in keyof S]: S[K] extends Option<infer T> ? T : never };

/** What may be given: any of them. */
export type Given<S extends OptionSet> = { readonly [K in keyof S]?: Exclude<OptionValues<S>[K], undefined> };

type Basis = { readonly basis?: string };

/** Bounds of a number: at least, at most, above, below. */
interface Bounds extends Basis {
  readonly min?: number;
  readonly max?: number;
  readonly above?: number;
  readonly below?: number;
}

const within = ({ min = -Infinity, max = Infinity, above = -Infinity, below = Infinity }: Bounds, value: unknown) =>
  typeof value === "number" && value >= min && value <= max && value > above && value < below;

function boundsText({ min, max, above, below }: Bounds, noun = "a number"): string {
  if (above !== undefined && below !== undefined) return `between ${above} and ${below}`;
  if (above !== undefined) return max === undefined ? `${noun} above ${above}` : `above ${above} and at most ${max}`;
  if (min === undefined) return noun;
  if (below !== undefined) return `at least ${min} and below ${below}`;
  return max === undefined ? `${noun} of at least ${min}` : `within ${min} and ${max}`;
}

/** A finite number. */
function number<T extends number | undefined>(value: T, about: string, bounds: Bounds = {}): Option<T | number> {
  const fits = (given: unknown) => within(bounds, given) && Number.isFinite(given);
  return { kind: "number", about, default: value, must: boundsText(bounds), fits, ...basisOf(bounds) };
}

/** A whole number. */
function whole<T extends number | undefined>(value: T, about: string, bounds: Bounds = {}): Option<T | number> {
  const fits = (given: unknown) => within(bounds, given) && Number.isSafeInteger(given);
  return { ...number(value, about, bounds), must: boundsText(bounds, "a whole number"), fits };
}

/** A seed: anything else would be cut to 32 bits, and so be another seed in silence, 0 mostly. */
export const SEED = {
  must: "a whole number in 0..2^53 - 1",
  fits: (value: unknown): boolean => isCount(value),
} as const;

/** A seed. */
const seed = (value: number, about: string): Option<number> => ({ kind: "number", about, default: value, ...SEED });

/** Some numbers; `length`: so many, or from .. to. */
function list<T extends readonly number[] | undefined>(
  value: T,
  about: string,
  bounds: Bounds & {
    readonly must?: string;
    readonly length?: number | readonly [number, number];
    readonly whole?: boolean;
  } = {},
): Option<T | readonly number[]> {
  const { must = "a list of numbers", length = [0, Infinity], whole: isWhole = false } = bounds;
  const [fewest, most] = typeof length === "number" ? [length, length] : length;
  const fits = (given: unknown) =>
    Array.isArray(given) &&
    given.length >= fewest &&
    given.length <= most &&
    given.every((x) => within(bounds, x) && (isWhole ? Number.isSafeInteger(x) : Number.isFinite(x)));
  return { kind: "list", about, default: value, must, fits, ...basisOf(bounds) };
}

/** Some words. */
function words<T extends readonly string[] | undefined>(
  value: T,
  about: string,
  must: string,
): Option<T | readonly string[]> {
  const fits = (given: unknown) => Array.isArray(given) && given.every((word) => typeof word === "string");
  return { kind: "words", about, default: value, must, fits };
}

/** One of some words; the first by default, or none. */
function choice<const T extends string, D extends T | undefined = T>(
  of: readonly T[],
  about: string,
  rest: Basis & { readonly default?: D } = {},
): Option<T | D> {
  const value = ("default" in rest ? rest.default : of[0]) as D;
  const fits = (given: unknown) => (of as readonly unknown[]).includes(given);
  return { kind: "text", about, default: value, must: `one of ${of.join(", ")}`, fits, ...basisOf(rest) };
}

/** True or false. */
function toggle<T extends boolean | undefined>(value: T, about: string, rest: Basis = {}): Option<T | boolean> {
  const fits = (given: unknown) => typeof given === "boolean";
  return { kind: "boolean", about, default: value, must: "true or false", fits, ...rest };
}

/** A text that is not empty. */
function text<T extends string | undefined>(value: T, about: string): Option<T | string> {
  const fits = (given: unknown) => typeof given === "string" && given !== "";
  return { kind: "text", about, default: value, must: "a text", fits };
}

const basisOf = ({ basis }: Basis): Basis => (basis === undefined ? {} : { basis });

/** Makers of options: first the default, or undefined; then what the option is. */
export const option = { number, whole, seed, list, words, choice, toggle, text } as const;

/**
 * A bound on bytes or milliseconds. One that is NaN is passed by whatever is compared with it, so that there would be
 * no bound at all.
 */
export const LIMIT = {
  must: "a positive number or Infinity",
  fits: (value: unknown): boolean => typeof value === "number" && value > 0,
} as const;

/** Without the keys whose value is undefined: exact optional properties do not take those. */
export function defined<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
}

/** The same option with another default. */
export const preset = <T, D extends T>(of: Option<T>, value: D, rest: Basis = {}): Option<Exclude<T, undefined>> =>
  ({ ...of, default: value, ...rest }) as Option<Exclude<T, undefined>>;

/** Those of some options that a set describes. */
export function only<S extends OptionSet>(set: S, given: Given<S>): Given<S> {
  return Object.fromEntries(Object.entries(given).filter(([name]) => Object.hasOwn(set, name))) as Given<S>;
}

/** Checks what is given, and fills the gaps; the defaults of a set have its order. */
export type Complete = <S extends OptionSet>(op: string, set: S, given: Given<S>) => OptionValues<S>;

/** Fills gaps behind a reader, whose errors it so throws. */
export function completer(read: OptionsReader): Complete {
  return <S extends OptionSet>(op: string, set: S, given: Given<S>) => {
    const values = read<Given<S>>(op, given, set as unknown as Kinds<Given<S>>) as Readonly<Record<string, unknown>>;
    return Object.fromEntries(
      Object.entries(set).map(([name, of]) => [name, values[name] === undefined ? of.default : values[name]]),
    ) as OptionValues<S>;
  };
}

/** `name must be ...; got ...` for a value that does not fit its option. */
export const misfit = (name: string, { must }: Option, value: unknown): string =>
  `${name} must be ${must}; got ${what(value)}.`;
