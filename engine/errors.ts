// The engine's error classes, and its reader of options, which throws one of them.

import { optionsReader, SortieError, type WordCheck, wordCheck } from "../base/index.ts";

export { SortieError };

/** Shapes, axes or extents that do not fit an operation. */
export class ShapeError extends SortieError {
  override readonly name = "ShapeError";
}

/** An element type that an operation does not take. */
export class DTypeError extends SortieError {
  override readonly name = "DTypeError";
}

/** An option or attribute out of its range. */
export class ArgumentError extends SortieError {
  override readonly name = "ArgumentError";
}

/** Checks the options of an op. @throws ArgumentError */
export const readOptions = optionsReader(ArgumentError);

/** Checks an option that is one of a few words. @throws ArgumentError */
export const checkOneOf: WordCheck = wordCheck(ArgumentError);

/** No adapter, a lost device, an exceeded limit, or a GPU error. */
export class DeviceError extends SortieError {
  override readonly name = "DeviceError";
}

/** A tensor, scope, capture or device used after `dispose()`. */
export class DisposedError extends SortieError {
  override readonly name = "DisposedError";
}

/** A differentiation that cannot be done. */
export class GradientError extends SortieError {
  override readonly name = "GradientError";
}

/** A capture that cannot be recorded, or fed something else than it was recorded with. */
export class CaptureError extends SortieError {
  override readonly name = "CaptureError";
}

/** A malformed file. */
export class FormatError extends SortieError {
  override readonly name = "FormatError";
}
