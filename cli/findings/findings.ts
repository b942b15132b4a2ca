// What test logits and a policy say, for all who show it: of a run, of files, of a network's own answers.

import { existsSync } from "node:fs";
import { lastOf, SortieError } from "../../base/index.ts";
import {
  applyScaling,
  type Cascade,
  cascade,
  checkOrigin,
  type Evaluation,
  evaluate,
  evaluatePolicy,
  explain,
  type PolicyEvaluation,
  type PolicyFile,
  type PolicyOrigin,
  type Source,
  type Table,
} from "../../calibration/index.ts";
import { exitNames } from "../exit-names.ts";
import { type CostChoice, costed } from "../files/costs-file.ts";
import { type LogitsOptions, readLogits } from "../files/logits-file.ts";
import { readPolicy } from "../files/policy-file.ts";
import { RunFolder } from "../files/run-folder.ts";

/** Everything `evaluate` and `report` show. */
export interface Findings {
  /** What the exits are called. */
  readonly names: readonly string[];
  readonly metrics: Evaluation;
  /** The test logits as they came. */
  readonly raw: Table;
  /** The test samples as the policy sees them: after its scaling, if it has one. */
  readonly source: Source;
  /** By the policy's score, or the largest probability without one. */
  readonly scored: Cascade;
  readonly file: PolicyFile | undefined;
  /** Whether the policy is of another network or scaling, and was taken all the same: its promise says nothing here. */
  readonly isForeign: boolean;
  /** Undefined without a policy, or if the policy refuses: then everything runs to the end. */
  readonly policy: PolicyEvaluation | undefined;
}

/** What is asked of samples and a policy. */
export interface Asked {
  readonly resamples?: number;
  /** Take a policy of another network or scaling. */
  readonly anyOrigin?: boolean;
  /** Evaluate even on samples that shaped the policy. */
  readonly sameSamples?: boolean;
}

/** Options of `findings`. */
interface FindingsOptions extends Asked, LogitsOptions {
  /** What costs are counted in; default MACs. */
  readonly cost?: CostChoice;
}

/** A policy, and what messages call it. */
interface Named {
  readonly name: string;
  readonly file: PolicyFile;
}

const HINTS = {
  weights: "Calibrate on logits of these weights, or say --any-origin.",
  scaling: "Calibrate again, or say --any-origin.",
};

/**
 * Reads the files, or those of the run in the folder `path`, and computes all there is to know. Refuses test samples
 * that were used for calibration, and a policy of another network.
 */
export function findings(
  path: string,
  policyPath: string | undefined,
  { cost, resamples, anyOrigin, sameSamples, ...logits }: FindingsOptions = {},
): Findings {
  const folder = RunFolder.at(path);
  const testPath = folder?.logits("test") ?? path;
  const counted = cost ?? { costs: "macs", times: undefined, batch: undefined };
  const raw = costed("evaluate", readLogits(testPath, logits), counted, folder);
  const own = folder && existsSync(folder.path("policy")) ? folder.path("policy") : undefined;
  const chosen = policyPath ?? own;
  const policy = chosen === undefined ? undefined : { name: chosen, file: readPolicy(chosen) };
  const asked = {
    ...(resamples !== undefined && { resamples }),
    ...(anyOrigin !== undefined && { anyOrigin }),
    ...(sameSamples !== undefined && { sameSamples }),
  };
  return findingsOf({ name: testPath, raw, names: exitNames(raw.exits, folder) }, policy, asked);
}

/** The same of a table; `name` is what messages call it. */
export function findingsOf(
  { name, raw, names }: Pick<Findings, "raw" | "names"> & { readonly name: string },
  policy: Named | undefined,
  { resamples = 0, anyOrigin = false, sameSamples = false }: Asked = {},
): Findings {
  const file = policy?.file;
  if (policy) checkFits(`${policy.name} must fit the ${raw.exits} exits of ${name}`, policy.file, raw);
  const { result, scaling, request } = file ?? {};
  const source = scaling ? applyScaling(raw, scaling) : raw;
  const score = result?.ok ? result.score : request?.score;
  const isForeign =
    policy !== undefined && result !== undefined && !isOwn(policy.name, result.origin, source, anyOrigin);
  return {
    names,
    metrics: evaluate(raw, { resamples, ...(scaling && { scaling }) }),
    raw,
    source,
    scored: cascade(source, score === "given" ? undefined : score),
    file,
    isForeign,
    policy: result?.ok ? evaluatePolicy(source, result, { anyOrigin: true, sameSamples }) : undefined,
  };
}

/** Whether a policy is of these samples' weights and scaling. @throws CalibrationError where it must be */
function isOwn(name: string, origin: PolicyOrigin | undefined, source: Source, isAnyTaken: boolean): boolean {
  try {
    checkOrigin(name, origin, source, HINTS);
    return true;
  } catch (error) {
    if (!isAnyTaken) throw error;
    return false;
  }
}

/** What a policy promises here, in words. @throws TypeError without one */
export function promiseOf({ file, isForeign }: Pick<Findings, "file" | "isForeign">): string {
  const { result } = file as PolicyFile;
  return `${isForeign ? "Of another network or scaling, so that this promise says nothing here: " : ""}${explain(result)}`;
}

function checkFits(requirement: string, { result, scaling }: PolicyFile, { exits, classes }: Table): void {
  const early = exits - 1;
  const thresholds = result.ok ? result.thresholds.length : early;
  const scalers = scaling?.scalers.length ?? exits;
  if ((thresholds === early || thresholds === early * classes) && scalers === exits) return;
  const held = [
    ...(result.ok ? [`${thresholds} ${thresholds === 1 ? "threshold" : "thresholds"}`] : []),
    ...(scaling ? [`the scaling of ${scalers} exits`] : []),
  ];
  throw new SortieError(
    `${requirement}, ${early} of them early, and its ${classes} classes; it holds ${held.join(" and ")}.`,
  );
}

/** That of the last exit, which the full network answers at. */
export const fullAccuracy = ({ exits }: Evaluation): number => lastOf(exits).accuracy;
