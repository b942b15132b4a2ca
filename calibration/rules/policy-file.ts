// Results as JSON, so that a policy calibrated in one place runs in another. Infinite numbers, which JSON has not, are
// written as strings; a refused result is written too, and stays refused.

import { json, type Kinds, type Option, SortieError, what } from "../../base/index.ts";
import { CalibrationError, check, fail, readOptions } from "../errors.ts";
import type { Scaling } from "../scalers/fit.ts";
import { parameterCount } from "../scalers/logit-scalers.ts";
import type { PolicyOrigin } from "../table/origin.ts";
import type { PlainScore, RunningScore, ToldScore } from "../table/scores.ts";
import type { BudgetChoice } from "./budgets.ts";
import type { ControlRiskOptions } from "./control-risk.ts";
import type { LearnThenTestOptions } from "./learn-then-test.ts";
import { RULE_OPTIONS, SCALING_METHOD, SCORE } from "./options.ts";
import type { PublishedChoice } from "./published.ts";
import type { Calibration } from "./result.ts";

/** What was asked for besides the levels, so that the same can be asked again for another target. */
export type PolicyRequest = {
  readonly score?: PlainScore | RunningScore | ToldScore;
  /** What thresholds were laid out by in place of MACs. */
  readonly costs?: "milliseconds";
  /** The name of the table on which they were laid out, where it was another than the run's own. */
  readonly validation?: string;
} & (
  | ({ readonly rule: "learnThenTest" } & Pick<
      LearnThenTestOptions,
      "control" | "procedure" | "test" | "correction" | "steps" | "seed"
    >)
  | ({ readonly rule: "controlRisk" } & Pick<ControlRiskOptions, "method" | "loss" | "bound" | "steps" | "seed">)
);

/** A result with the scaling that belongs before it. */
export interface PolicyFile {
  readonly result: Calibration | BudgetChoice | PublishedChoice;
  readonly scaling?: Scaling;
  readonly request?: PolicyRequest;
}

const FORMAT = "sortie-policy";
/** 2: results remember their origin. */
const VERSION = 2;

const POLICY: Kinds<PolicyFile> = { result: "any!", scaling: "any", request: "any" };

/**
 * JSON text of a result, of the scaling that was applied to the logits it was calibrated on, and of how it was asked
 * for.
 */
export function encodePolicy(file: PolicyFile): string {
  const { result, scaling, request } = readOptions("encodePolicy", file, POLICY);
  return plainJson({ format: FORMAT, version: VERSION, result, scaling, request });
}

/**
 * Indented JSON text of anything made of plain objects and typed arrays: those as lists, NaN and infinities as strings.
 */
export function plainJson(value: unknown): string {
  const plain = (_: string, part: unknown) => {
    if (ArrayBuffer.isView(part)) return Array.from(part as Float64Array);
    return typeof part === "number" && !Number.isFinite(part) ? String(part) : part;
  };
  return JSON.stringify(value, plain, 2);
}

/** The way back, every field checked. @throws CalibrationError for text that is no policy of this version. */
export function decodePolicy(text: string): PolicyFile {
  check(typeof text === "string", "decodePolicy", "a policy must be given as the text of its file", typeof text);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    fail("decodePolicy", "the text must be JSON", "something else");
  }
  const file = (typeof parsed === "object" && parsed !== null ? parsed : {}) as json.Json;
  check(file["format"] === FORMAT, "decodePolicy", `the file must be a ${FORMAT}`, String(file["format"]));
  const version = String(file["version"]);
  check(file["version"] === VERSION, "decodePolicy", `the version must be ${VERSION}`, version, "Calibrate again.");
  try {
    return readFile(file);
  } catch (cause) {
    if (cause instanceof CalibrationError || !(cause instanceof SortieError)) throw cause;
    throw new CalibrationError(`decodePolicy: ${cause.message}`, { cause });
  }
}

function readFile(file: json.Json): PolicyFile {
  const result = readResult(file["result"], "result");
  const scaling = json.optional(readScaling)(file["scaling"], "scaling");
  const request = json.optional(readRequest)(file["request"], "request");
  if (result.ok && scaling) checkScalers(scaling, result.origin);
  return { result, ...(scaling && { scaling }), ...(request && { request }) };
}

/** What an option describes. */
const described =
  <T>(option: Option<T>): json.Reader<T> =>
  (value, place) => {
    if (value !== undefined && option.fits(value)) return value as T;
    throw new SortieError(`${place} must be ${option.must}; got ${value === undefined ? "nothing" : what(value)}.`);
  };

const readScore: json.Reader<unknown> = (value, place) => {
  if (typeof value === "string") return value === "given" ? value : described(SCORE)(value, place);
  return json.parts(value, place, {
    kind: json.oneOf(["gate"]),
    weights: json.floats(json.finite),
    converged: json.flag,
  });
};

const readId: json.Reader<string | number> = (value, place) =>
  typeof value === "string" ? value : json.finite(value, place);

const readOrigin = json.record({
  exits: json.count,
  classes: json.count,
  weights: json.optional(json.text),
  scaling: json.optional(json.text),
});

const readMarks = json.record({
  marks: json.filled(json.finite),
  repeated: json.share,
  named: json.optional(json.flag),
});

const readGuarantee = json.record({
  kind: json.oneOf(["marginal", "with probability 1 - delta", "none"]),
  promise: json.text,
  assumptions: json.list(json.text),
});

const readGroup = json.record({
  name: json.text,
  exit: json.optional(json.count),
  accepted: json.count,
  errors: json.count,
  pValue: json.share,
});

const ANSWER = {
  ...{ method: json.text, n: json.count, guarantee: readGuarantee },
  origin: json.optional(readOrigin),
} as const;
const LEVELS = { alpha: json.level, delta: json.optional(json.level) } as const;
const THRESHOLDS = {
  score: readScore,
  thresholds: json.floats(json.threshold),
  ids: json.optional(json.list(readId)),
  marks: json.optional(json.filled(readMarks)),
} as const;

/** Methods whose results carry no guarantee. */
const UNCERTIFIED: readonly unknown[] = ["budget search", "fixed threshold", "class precision margin"] satisfies (
  | BudgetChoice
  | PublishedChoice
)["method"][];

function readResult(value: unknown, place: string): PolicyFile["result"] {
  const plain = json.object(value, place);
  const isOk = json.flag(plain["ok"], `${place}.ok`);
  const isUncertified = UNCERTIFIED.includes(plain["method"]);
  const own = isUncertified
    ? isOk
      ? { ...THRESHOLDS, accuracy: json.share, cost: json.finite, isTime: json.flag }
      : { reason: json.text }
    : isOk
      ? {
          ...LEVELS,
          ...THRESHOLDS,
          risk: json.share,
          coverage: json.share,
          cost: json.share,
          tests: json.list(readGroup),
        }
      : {
          ...LEVELS,
          reason: json.text,
          smallestRisk: json.share,
          neededSamples: json.threshold,
          short: json.optional(json.oneOf(["calibration", "validation"])),
        };
  // Absent from the text where they are undefined.
  const absent = { origin: undefined, ...(!isUncertified && { delta: undefined }), ...(isOk && { ids: undefined }) };
  const result = { ...absent, ...json.parts(plain, place, { ...ANSWER, ...own }) } as unknown as PolicyFile["result"];
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

const readScaler: json.Reader<unknown> = (value, place) => {
  const plain = json.object(value, place);
  const method = described(SCALING_METHOD)(plain["method"], `${place}.method`);
  if (method === "histogram" || method === "isotonic" || method === "beta") {
    const values = json.floats(method === "beta" ? json.finite : json.share);
    return json.parts(plain, place, {
      knots: json.floats(json.finite),
      values,
      converged: json.flag,
      note: json.optional(json.text),
    });
  }
  const scaler = json.parts(plain, place, {
    parameters: json.floats(json.finite),
    nllBefore: json.number,
    nll: json.number,
    gradient: json.number,
    iterations: json.count,
    converged: json.flag,
    note: json.optional(json.text),
  });
  const { parameters } = scaler;
  if (method === "temperature") {
    const isOne = parameters.length === 1 && parameters.every((T) => T > 0);
    check(isOne, "decodePolicy", `${place}.parameters must be one temperature above 0`, `[${parameters.join(", ")}]`);
  }
  return scaler;
};

function readScaling(value: unknown, place: string): Scaling {
  const scaling = json.parts(value, place, {
    scalers: json.list(readScaler),
    samples: json.list(json.count),
    converged: json.flag,
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
    const wanted = parameterCount(scaler.method, c);
    const { length } = scaler.parameters;
    check(length === wanted, "decodePolicy", `scaling.scalers[${j}].parameters must be ${wanted}`, length);
  });
}

function readRequest(value: unknown, place: string): PolicyRequest {
  const plain = json.object(value, place);
  const rule = json.oneOf(["learnThenTest", "controlRisk"])(plain["rule"], `${place}.rule`);
  const options = { ...RULE_OPTIONS[rule], score: SCORE, seed: RULE_OPTIONS.levels.seed };
  const readers = Object.entries<Option>(options).map(([name, of]) => [name, json.optional(described(of))] as const);
  const others = { costs: json.optional(json.oneOf(["milliseconds"])), validation: json.optional(json.text) };
  return json.parts(plain, place, { ...others, ...Object.fromEntries(readers) }) as unknown as PolicyRequest;
}
