// The error class of data sets and their files. One grammar for all messages: `op: what must hold; got what. Hint.`

import { completer, optionsReader, SortieError } from "../base/index.ts";

/** What a `DataError` knows beside its message. */
export interface DataErrorDetails {
  /** The file at fault, if it is one. */
  readonly file?: string | undefined;
  readonly cause?: unknown;
  /** Whether it is refused for its size alone: a larger limit would let it pass. */
  readonly isTooLarge?: boolean;
}

/** A missing, damaged or unfitting data file, or a data set that is asked for something it has not. */
export class DataError extends SortieError {
  override readonly name = "DataError";
  readonly file: string | undefined;
  /** Whether the file is refused for its size alone: a larger limit would let it pass. */
  readonly isTooLarge: boolean;

  constructor(message: string, { file, cause, isTooLarge = false }: DataErrorDetails = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.file = file;
    this.isTooLarge = isTooLarge;
  }
}

/** Checks the options of a function. @throws DataError */
export const readOptions = optionsReader(DataError);

/** Checks options against their descriptors and fills the gaps. @throws DataError */
export const complete = completer(readOptions);

/** Checks that `holds`; the message is made only where it does not. @throws DataError */
export function ensure(holds: boolean, message: () => string, details?: DataErrorDetails): asserts holds {
  if (!holds) throw new DataError(message(), details);
}

/** An integer option of at least `least`, or a `DataError` that names it. */
export function ensureCount(op: string, option: string, value: number, least = 0): void {
  ensure(
    Number.isSafeInteger(value) && value >= least,
    () => `${op}: ${option} must be a whole number of at least ${least}; got ${value}.`,
  );
}

/** A number option within [low, high], or a `DataError` that names it. */
export function ensureWithin(op: string, option: string, value: number, low: number, high: number): void {
  ensure(value >= low && value <= high, () => `${op}: ${option} must be within ${low} and ${high}; got ${value}.`);
}
