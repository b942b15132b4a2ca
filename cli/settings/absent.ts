// Methods that are asked for and are not here, with the reason.

import { SortieError } from "../../base/index.ts";

/** By the names that they are asked for. */
export const ABSENT: Readonly<Record<string, string>> = {
  racs: "no text, formula or code of it could be had, so nothing is trained by that name",
};

/** @throws SortieError for the name of one, with the reason. */
export function refuseAbsent(what: string, name: unknown): void {
  if (typeof name === "string" && Object.hasOwn(ABSENT, name))
    throw new SortieError(`${what} must be of a method that is here; got ${name}: ${ABSENT[name]}.`);
}
