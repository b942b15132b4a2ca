// Policy files of `sortie calibrate`.

import { messageOf, SortieError } from "../../base/index.ts";
import { decodePolicy, type PolicyFile } from "../../calibration/index.ts";
import { readText } from "./whole.ts";

/** A policy file. @throws Error that names the file. */
export function readPolicy(path: string): PolicyFile {
  const text = readText(path);
  try {
    return decodePolicy(text);
  } catch (cause) {
    throw new SortieError(`${path} must be a policy of sortie calibrate; ${messageOf(cause)}`, { cause });
  }
}
