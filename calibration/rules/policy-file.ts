// Results as JSON, so that a policy calibrated in one place runs in another. Infinite numbers, which JSON has not, are
// written as strings; a refused result is written too, and stays refused.

import type { Kinds } from "../../base/index.ts";
import { check, fail, readOptions } from "../errors.ts";
import type { Scaling } from "../scalers/fit.ts";
import type { PolicyOrigin } from "../table/origin.ts";
import type { PlainScore, RunningScore } from "../table/scores.ts";
import type { BudgetChoice } from "./budgets.ts";
import type { ControlRiskOptions } from "./control-risk.ts";
import * as read from "./json-reader.ts";
import type { LearnThenTestOptions } from "./learn-then-test.ts";
import type { Calibration } from "./result.ts";

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
/** 2: results remember their origin. */
const VERSION = 2;

const POLICY: Kinds<PolicyFile> = { result: "any!", scaling: "any", request: "any" };

/** JSON text of a result, of the scaling that was applied to the logits it was calibrated on, and of how it was asked for. */
export function encodePolicy(file: PolicyFile): string {
  const { result, scaling, request } = readOptions("encodePolicy", file, POLICY);
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

/** The way back, every field checked. Throws `CalibrationError` for text that is no policy of this version. */
export function decodePolicy(text: string): PolicyFile {
  check(typeof text === "string", "decodePolicy", "a policy must be given as the text of its file", typeof text);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    fail("decodePolicy", "the text must be JSON", "something else");
  }
  const file = (typeof parsed === "object" && parsed !== null ? parsed : {}) as read.Json;
  check(file["format"] === FORMAT, "decodePolicy", `the file must be a ${FORMAT}`, String(file["format"]));
  const version = String(file["version"]);
  check(file["version"] === VERSION, "decodePolicy", `the version must be ${VERSION}`, version, "Calibrate again.");
  const result = readResult(file["result"], "result");
  const scaling = read.optional(readScaling)(file["scaling"], "scaling");
  const request = read.optional(readRequest)(file["request"], "request");
  if (result.ok && scaling) checkScalers(scaling, result.origin);
  return { result, ...(scaling && { scaling }), ...(request && { request }) };
}

const SCORES = ["maxProb", "margin", "entropy", "normalisedEntropy", "energy", "maxLogit"] as const;
const RUNNING = ["patience", "productOfExperts", "geometricEnsemble", "arithmeticEnsemble"] as const;

const readScore: read.Reader<unknown> = (value, place) => {
  if (typeof value === "string") return read.oneOf([...SCORES, ...RUNNING, "given"])(value, place);
  return read.parts(value, place, {
    kind: read.oneOf(["gate"]),
    weights: read.floats(read.finite),
    converged: read.flag,
  });
};

const readId: read.Reader<string | number> = (value, place) =>
  typeof value === "string" ? value : read.finite(value, place);

const readOrigin: read.Reader<unknown> = (value, place) =>
  read.parts(value, place, {
    exits: read.count,
    classes: read.count,
    weights: read.optional(read.text),
    scaling: read.optional(read.text),
  });

const readMarks: read.Reader<unknown> = (value, place) =>
  read.parts(value, place, { marks: read.filled(read.finite), repeated: read.share });

const readGuarantee: read.Reader<unknown> = (value, place) =>
  read.parts(value, place, {
    kind: read.oneOf(["marginal", "with probability 1 - delta", "none"]),
    promise: read.text,
    assumptions: read.list(read.text),
  });

const readGroup: read.Reader<unknown> = (value, place) =>
  read.parts(value, place, {
    name: read.text,
    exit: read.optional(read.count),
    accepted: read.count,
    errors: read.count,
    pValue: read.share,
  });

const ANSWER = { method: read.text, n: read.count, guarantee: readGuarantee } as const;
const LEVELS = { alpha: read.level, delta: read.optional(read.level) } as const;
const THRESHOLDS = {
  score: readScore,
  thresholds: read.floats(read.threshold),
  ids: read.optional(read.list(readId)),
  marks: read.optional(read.filled(readMarks)),
  origin: read.optional(readOrigin),
} as const;

function readResult(value: unknown, place: string): PolicyFile["result"] {
  const plain = read.object(value, place);
  const isOk = read.flag(plain["ok"], `${place}.ok`);
  const isBudget = plain["method"] === "budget search";
  const own = isBudget
    ? isOk
      ? { ...THRESHOLDS, accuracy: read.share, cost: read.finite, isTime: read.flag }
      : { reason: read.text }
    : isOk
      ? {
          ...LEVELS,
          ...THRESHOLDS,
          risk: read.share,
          coverage: read.share,
          cost: read.share,
          tests: read.list(readGroup),
        }
      : {
          ...LEVELS,
          reason: read.text,
          smallestRisk: read.share,
          neededSamples: read.threshold,
          short: read.optional(read.oneOf(["calibration", "validation"])),
        };
  // Absent from the text where they are undefined.
  const absent = { ...(!isBudget && { delta: undefined }), ...(isOk && { ids: undefined, origin: undefined }) };
  const result = { ...absent, ...read.parts(plain, place, { ...ANSWER, ...own }) } as unknown as PolicyFile["result"];
  if (result.ok) checkThresholdCount(result, place);
  return result;
}

/** One per early exit, or one per early exit and class: as many as the exits and classes that the result remembers. */
function checkThresholdCount(
  { thresholds, origin }: Extract<PolicyFile["result"], { readonly ok: true }>,
  place: string,
): void {
  const early = origin ? origin.exits - 1 : thresholds.length;
  const fits =
    thresholds.length > 0 && (thresholds.length === early || thresholds.length === early * (origin?.classes ?? 1));
  const wanted = origin ? `${early} or ${early * origin.classes} values` : "at least one value";
  check(fits, "decodePolicy", `${place}.thresholds must hold ${wanted}`, thresholds.length);
}

const readScaler: read.Reader<unknown> = (value, place) => {
  const plain = read.object(value, place);
  const method = read.oneOf(["temperature", "vector", "matrix", "dirichlet", "histogram", "isotonic", "beta"])(
    plain["method"],
    `${place}.method`,
  );
  if (method === "histogram" || method === "isotonic" || method === "beta") {
    const values = read.floats(method === "beta" ? read.finite : read.share);
    return read.parts(plain, place, {
      knots: read.floats(read.finite),
      values,
      converged: read.flag,
      note: read.optional(read.text),
    });
  }
  const scaler = read.parts(plain, place, {
    parameters: read.floats(read.finite),
    nllBefore: read.number,
    nll: read.number,
    gradient: read.number,
    iterations: read.count,
    converged: read.flag,
    note: read.optional(read.text),
  });
  const { parameters } = scaler as { readonly parameters: Float64Array };
  if (method === "temperature") {
    const isOne = parameters.length === 1 && parameters[0]! > 0;
    check(isOne, "decodePolicy", `${place}.parameters must be one temperature above 0`, `[${parameters.join(", ")}]`);
  }
  return scaler;
};

function readScaling(value: unknown, place: string): Scaling {
  const scaling = read.parts(value, place, {
    scalers: read.list(readScaler),
    samples: read.list(read.count),
    converged: read.flag,
  });
  return scaling as unknown as Scaling;
}

/** As many scalers as exits, each of the right number of parameters. */
function checkScalers({ scalers }: Scaling, origin: PolicyOrigin | undefined): void {
  if (!origin) return;
  const { exits, classes: c } = origin;
  check(scalers.length === exits, "decodePolicy", `scaling.scalers must be ${exits}, one per exit`, scalers.length);
  scalers.forEach((scaler, j) => {
    if (!("parameters" in scaler)) return;
    const wanted = scaler.method === "temperature" ? 1 : scaler.method === "vector" ? 2 * c : c * c + c;
    const { length } = scaler.parameters;
    check(length === wanted, "decodePolicy", `scaling.scalers[${j}].parameters must be ${wanted}`, length);
  });
}

function readRequest(value: unknown, place: string): PolicyRequest {
  const plain = read.object(value, place);
  const rule = read.oneOf(["learnThenTest", "controlRisk"])(plain["rule"], `${place}.rule`);
  const own =
    rule === "learnThenTest"
      ? {
          control: read.oneOf(["exit", "early", "label", "predictedClass"]),
          procedure: read.oneOf(["path", "sequential", "split", "union", "allSamples"]),
          test: read.oneOf(["binomial", "hoeffdingBentkus", "wsr"]),
          correction: read.oneOf(["fixedSequence", "holm", "bonferroni"]),
        }
      : {
          method: read.oneOf(["crc", "ucb", "ltt"]),
          loss: read.oneOf(["acceptedAndWrong", "disagreement", "gap", "brierGap", "brierDisagreement", "hellinger"]),
          bound: read.oneOf(["clopperPearson", "wsr", "hoeffdingBentkus"]),
        };
  const shared = { score: read.oneOf([...SCORES, ...RUNNING]), steps: read.count, seed: read.count };
  const readers = Object.entries({ ...shared, ...own }).map(([name, reader]) => [
    name,
    read.optional<string | number>(reader),
  ]);
  return read.parts(plain, place, Object.fromEntries(readers)) as unknown as PolicyRequest;
}
