/**
 * Results as JSON, so that a policy calibrated in one place runs in another. Infinite numbers, which JSON has not, are
 * written as strings; a refused result is written too, and stays refused.
 */

import type { BudgetChoice } from "./budgets.ts";
import type { ControlRiskOptions } from "./control-risk.ts";
import { check, fail } from "./errors.ts";
import type { Scaling } from "./fit.ts";
import type { LearnThenTestOptions } from "./learn-then-test.ts";
import type { Calibration } from "./result.ts";
import type { ConfidenceScaler } from "./scalers/confidence-scalers.ts";
import type { LogitScaler } from "./scalers/logit-scalers.ts";
import type { PlainScore, RunningScore } from "./scores.ts";

/** What was asked for besides the levels, so that the same can be asked again for another target. */
export type PolicyRequest = { readonly score?: PlainScore | RunningScore } & (
  | ({ readonly rule: "learnThenTest" } & Pick<
      LearnThenTestOptions,
      "control" | "procedure" | "test" | "correction" | "steps" | "seed"
    >)
  | ({ readonly rule: "controlRisk" } & Pick<ControlRiskOptions, "method" | "loss" | "bound" | "steps" | "seed">)
);

/** A result with the scaling that belongs before it. */
export interface PolicyFile {
  readonly result: Calibration | BudgetChoice;
  readonly scaling?: Scaling;
  readonly request?: PolicyRequest;
}

const FORMAT = "sortie-policy";
const VERSION = 1;

/** JSON text of a result, of the scaling that was applied to the logits it was calibrated on, and of how it was asked for. */
export function encodePolicy({ result, scaling, request }: PolicyFile): string {
  return plainJson({ format: FORMAT, version: VERSION, result, scaling, request });
}

/** Indented JSON text of anything made of plain objects and typed arrays: those as lists, NaN and infinities as strings. */
export function plainJson(value: unknown): string {
  const plain = (_: string, part: unknown) => {
    if (ArrayBuffer.isView(part)) return Array.from(part as Float64Array);
    return typeof part === "number" && !Number.isFinite(part) ? String(part) : part;
  };
  return JSON.stringify(value, plain, 2);
}

/** The way back. Throws `CalibrationError` for text that is no policy of this version. */
export function decodePolicy(text: string): PolicyFile {
  let file: Record<string, unknown>;
  try {
    file = JSON.parse(text) as Record<string, unknown>;
  } catch {
    fail("decodePolicy", "the text must be JSON", "something else");
  }
  const isPolicy = file !== null && typeof file === "object" && file["format"] === FORMAT;
  check(isPolicy, "decodePolicy", `the file must be a ${FORMAT}`, String(file?.["format"]));
  check(file["version"] === VERSION, "decodePolicy", `the version must be ${VERSION}`, String(file["version"]));
  const result = restoreResult(file["result"] as Record<string, unknown>);
  const scaling = file["scaling"] as Scaling | undefined;
  const request = file["request"] as PolicyRequest | undefined;
  const isRule = !request || request.rule === "learnThenTest" || request.rule === "controlRisk";
  check(isRule, "decodePolicy", "the request must be of learnThenTest or controlRisk", String(request?.rule));
  return { result, ...(scaling && { scaling: restoreScaling(scaling) }), ...(request && { request }) };
}

function restoreResult(plain: Record<string, unknown>): PolicyFile["result"] {
  check(
    typeof plain?.["ok"] === "boolean",
    "decodePolicy",
    "the result must say whether it is ok",
    String(plain?.["ok"]),
  );
  const isBudget = plain["method"] === "budget search";
  const restored: Record<string, unknown> = { ...plain };
  if (!isBudget) restored["delta"] = plain["delta"]; // absent from the text where there is none
  if (plain["ok"] === true) {
    restored["ids"] = plain["ids"];
    restored["thresholds"] = floats(plain["thresholds"]);
    const score = plain["score"] as { kind?: string; weights?: unknown } | string;
    if (typeof score === "object") restored["score"] = { ...score, weights: floats(score.weights) };
  } else if (!isBudget) {
    restored["smallestRisk"] = Number(plain["smallestRisk"]);
    restored["neededSamples"] = Number(plain["neededSamples"]);
  }
  return restored as unknown as PolicyFile["result"];
}

function restoreScaling(plain: Scaling): Scaling {
  const scalers = plain.scalers.map((scaler): LogitScaler | ConfidenceScaler =>
    "parameters" in scaler
      ? { ...scaler, parameters: floats(scaler.parameters) }
      : { ...scaler, knots: floats(scaler.knots), values: floats(scaler.values) },
  );
  return { ...plain, scalers };
}

function floats(values: unknown): Float64Array {
  const list = Array.isArray(values) ? values.map(Number) : undefined;
  if (!list || list.some(Number.isNaN)) fail("decodePolicy", "numbers must be written as a list", String(values));
  return Float64Array.from(list);
}
