// Options of everything in this folder: checked and completed in one place, with ArgumentError.

import { completer } from "../base/index.ts";
import { readOptions } from "../engine/functions.ts";

/**
 * Checks options against their descriptors and fills the gaps. @throws ArgumentError that names function and option.
 */
export const complete = completer(readOptions);
