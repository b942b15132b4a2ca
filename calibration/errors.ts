// The one error class of calibration and the checks that throw it.
// Grammar of every message: `op: what must hold; got what. Hint.`

import { optionsReader, type Readers, SortieError, unread, type WordCheck, wordCheck } from "../base/index.ts";

/** Thrown for input that no calibration could make sense of. Never thrown for "nothing is safe": that is a result. */
export class CalibrationError extends SortieError {
  override readonly name = "CalibrationError";
}

/** Checks the options of a function. @throws CalibrationError */
export const readOptions = optionsReader(CalibrationError);

/** Checks that `condition` holds. @throws CalibrationError `op: requirement; got actual. hint` */
export function check(
  condition: boolean,
  op: string,
  requirement: string,
  actual: string | number,
  hint = "",
): asserts condition {
  if (!condition) fail(op, requirement, actual, hint);
}

/** Fails. @throws CalibrationError `op: requirement; got actual. hint` */
export function fail(op: string, requirement: string, actual: string | number, hint = ""): never {
  throw new CalibrationError(`${op}: ${requirement}; got ${actual}.${hint && ` ${hint}`}`);
}

/** A level such as alpha or delta: strictly between 0 and 1. */
export function checkLevel(op: string, name: string, value: number): void {
  check(value > 0 && value < 1, op, `${name} must lie strictly between 0 and 1`, value);
}

/** Checks an option that is one of a few words. @throws CalibrationError */
export const checkOneOf: WordCheck = wordCheck(CalibrationError);

/** Refuses options that the choice made would pass over in silence; see `unread`. */
export function checkRead(op: string, given: object, choice: readonly [by: string, choice: string], readers: Readers) {
  const stray = unread(given, choice, readers);
  if (stray !== undefined) throw new CalibrationError(`${op}: ${stray}`);
}

/** Two arrays that run over the same samples. */
export function checkLengths(op: string, a: string, nA: number, b: string, nB: number): void {
  check(nA === nB, op, `${a} and ${b} must have equal length`, `${nA} and ${nB}`);
}

/** At least one sample. */
export function checkNotEmpty(op: string, what: string, n: number): void {
  check(n > 0, op, `${what} must not be empty`, `${n} samples`);
}
