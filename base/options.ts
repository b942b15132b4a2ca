// One reader of options for every function that takes some: an unknown name, a missing one, or a value of another kind is refused
// with a sentence. What a function takes is a record that the compiler holds against the type of its options.

import type { SortieError } from "./errors.ts";
import { nearest } from "./nearest.ts";

type KindOf<T> = [T] extends [boolean]
  ? "boolean"
  : [T] extends [number]
    ? "number"
    : [T] extends [string]
      ? "string"
      : [T] extends [(...rest: never[]) => unknown]
        ? "function"
        : "any";

/** What each option of `O` is, as `typeof` says it; "any" where the function looks for itself; `!` where it must be given. */
export type Kinds<O> = {
  readonly [K in keyof O]-?: undefined extends O[K] ? KindOf<Exclude<O[K], undefined>> : `${KindOf<O[K]>}!`;
};

/** Checks the options `given` to `op` and returns them. */
export type OptionsReader = <O extends object>(op: string, given: O, kinds: Kinds<O>) => O;

/** A reader that throws errors of the class `Failure`. */
export function optionsReader(Failure: new (message: string) => SortieError): OptionsReader {
  return <O extends object>(op: string, given: O, kinds: Kinds<O>): O => {
    const takes = kinds as Readonly<Record<string, string>>;
    const names = Object.keys(takes);
    const hint = `It takes ${names.join(", ")}.`;
    if (!isPlain(given)) throw new Failure(`${op}: options must be a plain object; got ${what(given)}. ${hint}`);
    const values = given as Readonly<Record<string, unknown>>;
    for (const name of Object.keys(values)) {
      if (Object.hasOwn(takes, name)) continue;
      const meant = nearest(name, names);
      throw new Failure(`${op}: unknown option "${name}".${meant ? ` Did you mean "${meant}"?` : ""} ${hint}`);
    }
    for (const name of names) {
      const kind = takes[name] as string;
      const value = values[name];
      const type = kind.replace("!", "");
      if (value === undefined) {
        if (type !== kind) throw new Failure(`${op}: ${name} must be given; got none. ${hint}`);
      } else if (type !== "any" && (typeof value !== type || Number.isNaN(value))) {
        throw new Failure(`${op}: ${name} must be a ${type}; got ${what(value)}.`);
      }
    }
    return given;
  };
}

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
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if ("then" in value) return "a Promise (is an await missing?)";
  return isPlain(value)
    ? `an object with ${Object.keys(value).join(", ") || "nothing in it"}`
    : `a ${value.constructor.name}`;
}
