// Policy files of `sortie calibrate`.

import { createHash } from "node:crypto";
import { messageOf, SortieError } from "../../base/index.ts";
import { decodePolicy, type PolicyFile, plainJson } from "../../calibration/index.ts";
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

/** Names all of a policy that decides where samples leave, and what is promised of that; one for no policy, too. */
export function policyDigest(file: PolicyFile | undefined): string {
  if (!file) return "none";
  const { result, scaling, request } = file;
  const { thresholds, score } = result.ok ? result : {};
  const { alpha, delta } = { alpha: undefined, delta: undefined, ...result };
  const decisive = plainJson({ thresholds, score, scaling, request, alpha, delta });
  return createHash("sha256").update(decisive).digest("hex").slice(0, 16);
}
