// What functions ask of their arguments besides declared operands: each question stands here once.

import { type Checked, what } from "../base/index.ts";
import { ArgumentError, DTypeError, ShapeError } from "./errors.ts";
import { type Described, describe, sameShape } from "./shape.ts";

/** A number of at least `least`, and at most `most`; NaN is none. */
const within = (x: unknown, least: number, most = Infinity): boolean =>
  typeof x === "number" && x >= least && x <= most;

/** What options and arguments must be; `readOptions` takes these as kinds. */
export const NUMBER: Checked = { must: "a number", fits: (x) => typeof x === "number" };
export const FINITE: Checked = { must: "finite", fits: Number.isFinite };
export const NOT_NEGATIVE: Checked = { must: "a number of at least 0", fits: (x) => within(x, 0) };
export const ABOVE_ZERO: Checked = { must: "above 0", fits: (x) => within(x, Number.MIN_VALUE) };
export const SHARE: Checked = { must: "in 0..1", fits: (x) => within(x, 0, 1) };
export const INTEGER: Checked = { must: "an integer", fits: Number.isInteger };
export const WHOLE: Checked = {
  must: "an integer of at least 0",
  fits: (n) => Number.isSafeInteger(n) && within(n, 0),
};
export const COUNT: Checked = {
  must: "an integer of at least 1",
  fits: (n) => Number.isSafeInteger(n) && within(n, 1),
};

/** Checks one argument. @throws ArgumentError */
export function checkValue(op: string, name: string, value: unknown, { must, fits }: Checked): void {
  if (!fits(value)) throw new ArgumentError(`${op}: ${name} must be ${must}; got ${what(value)}.`);
}

/** Checks that an argument is there to be called. @throws ArgumentError */
export const checkFunction = (op: string, name: string, fn: unknown): void =>
  checkValue(op, name, fn, { must: "a function", fits: (value) => typeof value === "function" });

/** One number for both axes, or [rows, columns]. */
export type Pair = number | readonly [rows: number, columns: number];

/** Both numbers of a pair that are as `each` says. @throws ArgumentError */
export function pairOf(op: string, name: string, value: Pair, each: Checked): [rows: number, columns: number] {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value, value];
  checkValue(op, name, value, {
    must: `${each.must}, or two of them`,
    fits: () => list.length === 2 && list.every(each.fits),
  });
  return typeof value === "number" ? [value, value] : [...value];
}

/** Checks that a tensor is as described. @throws ShapeError; DTypeError where the dtype alone differs */
export function checkIs(op: string, name: string, x: Described | undefined, wanted: Described): void {
  if (!x || (x.dtype === wanted.dtype && sameShape(x.shape, wanted.shape))) return;
  const Failure = sameShape(x.shape, wanted.shape) ? DTypeError : ShapeError;
  throw new Failure(`${op}: ${name} must be ${describe(wanted)}; got ${describe(x)}.`);
}

/** As a sentence lists them. */
const listed = (words: readonly string[]): string => `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;

/** That all tensors must have one of something, and what they are. */
const oneOf = (op: string, what: string, tensors: Readonly<Record<string, Described>>): string =>
  `${op}: ${listed(Object.keys(tensors))} must have one ${what}; got ${listed(Object.values(tensors).map(describe))}.`;

/** Checks that all have one dtype. @throws DTypeError */
export function checkOneDType(op: string, tensors: Readonly<Record<string, Described>>): void {
  if (new Set(Object.values(tensors).map(({ dtype }) => dtype)).size <= 1) return;
  throw new DTypeError(`${oneOf(op, "dtype", tensors)} Use cast().`);
}

/** Checks that all have one shape. @throws ShapeError */
export function checkOneShape(op: string, tensors: Readonly<Record<string, Described>>): void {
  const [first, ...others] = Object.values(tensors);
  if (others.every(({ shape }) => !first || sameShape(shape, first.shape))) return;
  throw new ShapeError(oneOf(op, "shape", tensors));
}
