// Values of a parsed JSON text, each checked before it is used: the message names the place. `null`, `[]`, `""` and
// `false` are no numbers.

import { SortieError } from "./errors.ts";
import { isCount, what } from "./options.ts";
import { isRecord } from "./records.ts";

/** Checks a value found at a place, and returns it as what it is. @throws SortieError that begins with the place. */
export type Reader<T> = (value: unknown, place: string) => T;

/** A parsed JSON object. */
export type Json = Readonly<Record<string, unknown>>;

function refuse(place: string, wanted: string, value: unknown): never {
  throw new SortieError(`${place} must be ${wanted}; got ${value === undefined ? "nothing" : what(value)}.`);
}

/** A reader of what passes `is`. */
const of =
  <T>(wanted: string, is: (value: unknown) => boolean): Reader<T> =>
  (value, place) =>
    is(value) ? (value as T) : refuse(place, wanted, value);

export const object = of<Json>("an object", isRecord);
export const text = of<string>("a text", (v) => typeof v === "string" && v !== "");
export const flag = of<boolean>("true or false", (v) => typeof v === "boolean");
export const count = of<number>("a whole number of at least 0", isCount);
export const finite = of<number>("a finite number", Number.isFinite);
/** Sums of shares may be off by rounding. */
export const share = of<number>("a number within 0 and 1", (v) => typeof v === "number" && v >= -1e-9 && v <= 1 + 1e-9);
export const level = of<number>("a number between 0 and 1", (v) => typeof v === "number" && v > 0 && v < 1);

/** A number, or one of the texts that stand for what JSON has not. */
export const number: Reader<number> = (value, place) => {
  if (value === "Infinity" || value === "-Infinity" || value === "NaN") return Number(value);
  return typeof value === "number" ? value : refuse(place, 'a number, "Infinity", "-Infinity" or "NaN"', value);
};

/** A threshold: infinite ones close an exit, or open it to all. */
export const threshold: Reader<number> = (value, place) => {
  const found =
    value === "NaN" ? Number.NaN : typeof value === "string" && /^-?Infinity$/.test(value) ? Number(value) : value;
  const isOne = typeof found === "number" && !Number.isNaN(found);
  return isOne ? found : refuse(place, 'a number, "Infinity" or "-Infinity"', value);
};

export const oneOf = <const T extends readonly string[]>(options: T): Reader<T[number]> =>
  of(`one of ${options.join(", ")}`, (v) => options.includes(v as string));

/** A list of things of one kind. */
export const list =
  <T>(item: Reader<T>): Reader<T[]> =>
  (value, place) =>
    Array.isArray(value) ? value.map((each, i) => item(each, `${place}[${i}]`)) : refuse(place, "a list", value);

/** Things of one kind by name. */
export const byName =
  <T>(item: Reader<T>): Reader<Readonly<Record<string, T>>> =>
  (value, place) =>
    Object.fromEntries(
      Object.entries(object(value, place)).map(([name, each]) => [name, item(each, `${place}.${name}`)]),
    );

/** A list that is there for what is in it. */
export const filled =
  <T>(item: Reader<T>): Reader<T[]> =>
  (value, place) => {
    const found = list(item)(value, place);
    return found.length > 0 ? found : refuse(place, "a list with something in it", value);
  };

/** Two things of one kind. */
export const pair =
  <T>(item: Reader<T>): Reader<readonly [T, T]> =>
  (value, place) => {
    const [first, second, ...more] = list(item)(value, place);
    return first === undefined || second === undefined || more.length > 0
      ? refuse(place, "a list of two", value)
      : [first, second];
  };

/** A list of numbers in a typed array. */
export const floats =
  (item: Reader<number>): Reader<Float64Array> =>
  (value, place) =>
    Float64Array.from(list(item)(value, place));

/** What may be absent. */
export const optional =
  <T>(item: Reader<T>): Reader<T | undefined> =>
  (value, place) =>
    value === undefined ? undefined : item(value, place);

/** What reads the parts of an object. */
type PartReaders = Readonly<Record<string, Reader<unknown>>>;

type Found<F> = F extends Reader<infer T> ? T : never;

/** Parts as their readers find them, those that may be absent optional; and whatever else the object has. */
export type Parts<R extends PartReaders> = Json & {
  readonly [K in keyof R as undefined extends Found<R[K]> ? never : K]: Found<R[K]>;
} & {
  readonly [K in keyof R as undefined extends Found<R[K]> ? K : never]?: Exclude<Found<R[K]>, undefined>;
};

/** A reader of objects with such parts. */
export const record =
  <const R extends PartReaders>(readers: R): Reader<Parts<R>> =>
  (value, place) =>
    parts(value, place, readers);

/** The object with the parts that `readers` know checked and converted; parts that are absent stay absent. */
export function parts<const R extends PartReaders>(value: unknown, place: string, readers: R): Parts<R> {
  const plain = object(value, place);
  const read = Object.entries(readers).flatMap(([name, reader]) => {
    const part = reader(plain[name], `${place}.${name}`);
    return part === undefined && !(name in plain) ? [] : [[name, part] as const];
  });
  return { ...plain, ...Object.fromEntries(read) } as Parts<R>;
}
