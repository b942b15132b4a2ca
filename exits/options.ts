// Options of everything in this folder: checked and completed in one place, with ArgumentError.

import { completer } from "../base/index.ts";
import { readOptions } from "../engine/functions.ts";

/** Checks options against their descriptors and fills the gaps. Throws ArgumentError that names function and option. */
export const complete = completer(readOptions);

/** The same options under the names of today; what is given under its new name wins. */
export function renamed<O extends object>(given: O, names: Readonly<Record<string, string>>): O {
  // The reader refuses what is no plain object.
  const isFormer = (name: string) => typeof given === "object" && given !== null && Object.hasOwn(given, name);
  if (!Object.keys(names).some(isFormer)) return given;
  return Object.fromEntries(
    Object.entries(given).flatMap(([name, value]) => {
      const now = names[name];
      if (now === undefined) return [[name, value]];
      return now in given ? [] : [[now, value]];
    }),
  ) as O;
}
