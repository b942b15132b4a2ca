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

/** What the system calls an error: `ENOENT`; undefined for errors of others. */
export function codeOf(error: unknown): string | undefined {
  const isCoded = typeof error === "object" && error !== null && "code" in error;
  return isCoded && typeof error.code === "string" ? error.code : undefined;
}

/** What whatever was thrown says. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
