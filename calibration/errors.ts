// The one error class of calibration and the checks that throw it.
// Grammar of every message: `op: what must hold; got what. Hint.`

import { optionsReader, type Readers, SortieError, unread, type WordCheck, what, wordCheck } from "../base/index.ts";

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

/** What is taken for what it is called: a property that it has, and where it comes from. */
const KINDS = {
  table: ["read", "one of createTable"],
  outcomes: ["nll", "those of outcomes"],
  answered: ["errors", "those of outcomes, or a cascade"],
  cascade: ["scores", "one of cascade or cascadeFromScores"],
  scaling: ["scalers", "one of fit"],
  rule: ["quantile", "one of calibrateSets or calibrateNestedSets"],
  measured: ["times", "what was measured, or of readCosts"],
  stages: ["passing", "those of one size of batches"],
  groups: ["groups", "those of groupScores"],
  source: ["samples", "a table, outcomes or a cascade"],
  result: ["guarantee", "one of a calibration, or of meetBudget"],
  list: ["length", "a list of numbers"],
} as const;

/**
 * Refuses what is something else, such as a promise: `op: the name must be one of ...; got ...`. @throws
 * CalibrationError
 */
export function checkKind(op: string, kind: keyof typeof KINDS, value: unknown, name: string = kind): void {
  const [property, origin] = KINDS[kind];
  if (typeof value !== "object" || value === null || !(property in value))
    fail(op, kind === "list" ? `${name} must be ${origin}` : `the ${name} must be ${origin}`, what(value));
}

/** Whether samples are right, or wrong: a list of 0 and 1, or booleans. @throws CalibrationError */
export function checkFlags(op: string, name: string, flags: ArrayLike<unknown>): void {
  checkKind(op, "list", flags, name);
  for (let i = 0; i < flags.length; i++) {
    const flag = flags[i];
    if (flag === 0 || flag === 1 || typeof flag === "boolean") continue;
    fail(op, `${name} must be 0 or 1`, `${what(flag)} at ${i}`);
  }
}

/**
 * Scores and whether their samples are right. @throws CalibrationError for lists that do not go together, or are empty
 */
export function checkScored(op: string, scores: ArrayLike<number>, correct: ArrayLike<number>): void {
  checkKind(op, "list", scores, "scores");
  checkFlags(op, "correct", correct);
  checkLengths(op, "scores", scores.length, "correct", correct.length);
  checkNotEmpty(op, "scores", scores.length);
}

/** A number of bins, draws or the like: a whole one of at least 1. */
export function checkPositiveCount(op: string, name: string, value: number): void {
  check(Number.isSafeInteger(value) && value > 0, op, `${name} must be a positive whole number`, value);
}

/** Two arrays that run over the same samples. */
export function checkLengths(op: string, a: string, nA: number, b: string, nB: number): void {
  check(nA === nB, op, `${a} and ${b} must have equal length`, `${nA} and ${nB}`);
}

/** At least one sample. */
export function checkNotEmpty(op: string, what: string, n: number): void {
  check(n > 0, op, `${what} must not be empty`, `${n} samples`);
}
