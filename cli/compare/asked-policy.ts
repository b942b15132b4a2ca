// Whether the policy in a run's folder is what the run's settings ask for: whoever calibrates a run in another way must
// not find that under a promise that it does not make.

import { existsSync } from "node:fs";
import type { PolicyRequest } from "../../calibration/index.ts";
import { readLogits } from "../files/logits-file.ts";
import { readPolicy } from "../files/policy-file.ts";
import type { RunFolder } from "../files/run-folder.ts";
import type { Config } from "../settings/config.ts";

/** What is not asked for by the settings of a run, but may be said of how thresholds are found. */
const ASKED: readonly string[] = ["rule", "control", "seed"];

const isAsked = (request: PolicyRequest | undefined, control: string): boolean =>
  request?.rule === "learnThenTest" &&
  (request.control ?? "exit") === control &&
  Object.keys(request).every((key) => ASKED.includes(key));

/**
 * Why the policy of a run is not the one that its settings, or those given, ask for; undefined where it is, and where
 * nobody can leave early.
 */
export function policyFault(
  folder: RunFolder,
  { calibration }: Pick<Config, "calibration"> = folder.config(),
): string | undefined {
  const path = folder.path("policy");
  if (!folder.hasEarlyExit) return undefined;
  if (!existsSync(path)) return "not calibrated";
  const { result, request, scaling } = readPolicy(path);
  const { alpha, delta, control, scale } = calibration;
  const levels = { alpha: undefined, delta: undefined, ...result };
  const scaled = scaling?.scalers[0]?.method ?? "none";
  const isSame = levels.alpha === alpha && levels.delta === delta && scaled === scale;
  // One that was found on the samples that it was laid out on has levels, and promises nothing.
  const isPromised = result.guarantee.kind !== "none";
  if (!isSame || !isPromised || !isAsked(request, control)) return "calibrated in another way";
  const weights = result.origin?.weights;
  const own = readLogits(folder.logits("test")).origin?.weights;
  return weights === undefined || own === undefined || weights === own ? undefined : "calibrated with other weights";
}
