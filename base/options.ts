// One reader of options for every function that takes some: an unknown name, a missing one, or a value of another kind
// is refused with a sentence. What a function takes is a record that the compiler holds against the type of its
// options.

import type { SortieError } from "./errors.ts";
import { nearest } from "./nearest.ts";

export type KindOf<T> = [T] extends [boolean]
  ? "boolean"
  : [T] extends [number]
    ? "number"
    : [T] extends [string]
      ? "string"
      : [T] extends [(...rest: never[]) => unknown]
        ? "function"
        : "any";

/**
 * What each option of `O` is, as `typeof` says it, and a number that is one; "any" where the function looks for itself;
 * `!` where it must be given; or a record that says what it must be.
 */
export type Kinds<O> = {
  readonly [K in keyof O]-?: undefined extends O[K]
    ? KindOf<Exclude<O[K], undefined>> | "any" | Checked
    : `${KindOf<O[K]>}!` | "any!";
};

/** What a reader asks of an option that is described whole; see `option.ts`. */
export interface Checked {
  readonly must: string;
  readonly fits: (value: unknown) => boolean;
}

/** Checks the options `given` to `op` and returns them, without those that are undefined: they hide no default. */
export type OptionsReader = <O extends object>(op: string, given: O, kinds: Kinds<O>) => O;

/** A reader that throws errors of the class `Failure`. */
export function optionsReader(Failure: new (message: string) => SortieError): OptionsReader {
  return <O extends object>(op: string, given: O, kinds: Kinds<O>): O => {
    const takes = kinds as Readonly<Record<string, string | Checked>>;
    const names = Object.keys(takes);
    const refuse = (why: string): never => {
      throw new Failure(`${op}: ${why}${why.endsWith("?") ? "" : "."} It takes ${names.join(", ")}.`);
    };
    if (!isPlain(given)) refuse(`options must be a plain object; got ${what(given)}`);
    const values = given as Readonly<Record<string, unknown>>;
    for (const name of Object.keys(values)) {
      if (Object.hasOwn(takes, name)) continue;
      const meant = nearest(name, names);
      refuse(`unknown option "${name}"${meant ? `. Did you mean "${meant}"?` : ""}`);
    }
    for (const name of names) {
      const kind = takes[name]!;
      const value = values[name];
      if (typeof kind === "object") {
        if (value !== undefined && !kind.fits(value))
          throw new Failure(`${op}: ${name} must be ${kind.must}; got ${what(value)}.`);
        continue;
      }
      const type = kind.replace("!", "");
      if (value === undefined) {
        if (type !== kind) refuse(`${name} must be given; got none`);
      } else if (type !== "any" && (typeof value !== type || Number.isNaN(value))) {
        throw new Failure(`${op}: ${name} must be a ${type}; got ${what(value)}.`);
      }
    }
    if (!Object.values(values).includes(undefined)) return given;
    return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as O;
  };
}

/** Who reads each option that not everybody reads, by its name. */
export type Readers = Readonly<Record<string, readonly string[]>>;

/**
 * What to say of the first given option that `choice`, the value of the option `by`, does not read; undefined where all
 * are read. `call` makes of names what users know them by.
 */
export function unread(
  given: object,
  [by, choice]: readonly [by: string, choice: string],
  readers: Readers,
  call = (name: string): string => name,
): string | undefined {
  const isGiven = (name: string) => (given as Readonly<Record<string, unknown>>)[name] !== undefined;
  const stray = Object.entries(readers).find(([name, all]) => isGiven(name) && !all.includes(choice));
  if (!stray) return undefined;
  const [name, all] = stray;
  const others = [all.slice(0, -1).join(", "), all.at(-1)].filter(Boolean).join(" or ");
  return `${call(name)} goes with ${call(by)} ${others}; got ${call(by)} ${choice}.`;
}

/** Checks that `value` is one of the few words `known`. @throws Error of its class */
export type WordCheck = <K extends string>(
  op: string,
  name: string,
  value: unknown,
  known: readonly K[],
) => asserts value is K;

/** A check that throws errors of the class `Failure`. */
export function wordCheck(Failure: new (message: string) => SortieError): WordCheck {
  return (op, name, value, known: readonly unknown[]) => {
    if (known.includes(value)) return;
    throw new Failure(`${op}: ${name} must be one of ${known.join(", ")}; got ${what(value)}.`);
  };
}

/** Whether it is a whole number of at least 0 that a float64 holds exactly. */
export const isCount = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0;

function isPlain(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const parent = Object.getPrototypeOf(value);
  // A plain object of another realm has another Object for its parent, which has no parent either.
  return parent === null || Object.getPrototypeOf(parent) === null;
}

/** How any value reads in an error message: `"mean"`, `NaN`, `an array of 3`, `a Promise (is an await missing?)`. */
export function what(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "function") return `the function ${value.name}`.trim();
  if (typeof value !== "object" || value === null) return String(value);
  if (Array.isArray(value)) {
    const isShort = value.length <= 8 && value.every((entry) => entry === null || typeof entry !== "object");
    return isShort ? `[${value.map(what).join(",")}]` : `an array of ${value.length}`;
  }
  if ("then" in value) return "a Promise (is an await missing?)";
  if (isPlain(value)) return `an object with ${Object.keys(value).join(", ") || "nothing in it"}`;
  const tag = Object.prototype.toString.call(value).slice(8, -1);
  if (tag !== "Object") return `a ${tag}`;
  return value.toString === Object.prototype.toString ? `a ${value.constructor.name}` : String(value);
}
