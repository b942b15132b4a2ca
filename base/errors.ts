// The root of every error that the library throws on purpose. One grammar for all messages:
// `op: what must hold; got what. Hint.`

import { printable } from "./printable.ts";

/** Base of everything that the library throws on purpose: `error instanceof SortieError` tells it from a defect. */
export class SortieError extends Error {
  override readonly name: string = "SortieError";

  /** Messages quote foreign files, whose control characters must not reach a terminal. */
  constructor(message: string, options?: ErrorOptions) {
    super(printable(message), options);
  }
}
