// Scalers that change logits: temperature, vector, failure, matrix and Dirichlet. Each minimises the mean NLL (plus a
// stated penalty, or what failure adds) on the table given, per exit.

import { firstOf, type Kinds } from "../../base/index.ts";
import { check, checkOneOf, checkRead, readOptions } from "../errors.ts";
import { type FailureTarget, failureTargets } from "../metrics/eefp.ts";
import { addTo, column } from "../numeric/arrays.ts";
import { increasingRoot, minimise } from "../numeric/optimise.ts";
import { argmax, softmaxInto } from "../numeric/softmax.ts";
import { outcomes } from "../table/outcomes.ts";
import { forEachChunk, type Table, type Values } from "../table/table.ts";

/**
 * How logits are changed. Failure is the change of vector, fitted so that confidence ranks as well: a reconstruction of
 * the correction of *Rethinking Calibration for Early-Exit Neural Networks* (arXiv 2508.21495), whose details nobody
 * has seen; the other one is `fitGate`.
 */
export type LogitMethod = "temperature" | "vector" | "failure" | "matrix" | "dirichlet";

/** A fitted change of one exit's logits `[C]` to `A z + b` (for Dirichlet: `A log softmax(z) + b`). */
export interface LogitScaler {
  readonly method: LogitMethod;
  /**
   * Temperature: `[T]`. Vector and failure: `[a (C), b (C)]`. Matrix and Dirichlet: `[A (C x C, row-major), b (C)]`.
   */
  readonly parameters: Float64Array;
  /** NLL before and after, on the samples fitted. */
  readonly nllBefore: number;
  readonly nll: number;
  /** Largest entry of the gradient at the end (temperature: the derivative in log T). */
  readonly gradient: number;
  readonly iterations: number;
  /** False: the minimum was not reached (too few iterations), or there is none (see `note`). */
  readonly converged: boolean;
  /** Why the logits are left as they are, or the temperature stopped short of its minimum. */
  readonly note?: string;
}

/** What some methods read. */
export interface FitOptions {
  /** On off-diagonal weights and on the shift (ODIR, Kull et al. 2019), for matrix and Dirichlet; default 1e-3. */
  readonly penalty?: number;
  /** Of failure: how much ranking counts beside the NLL; default 1. */
  readonly weight?: number;
  /** Of failure: who should be sure; default `oracle`. */
  readonly target?: FailureTarget;
  readonly maxIterations?: number;
}

export const FIT: Kinds<FitOptions> = {
  penalty: "number",
  weight: "number",
  target: "string",
  maxIterations: "number",
};

/** Which methods read them. */
export const FIT_READERS = {
  penalty: ["matrix", "dirichlet"],
  weight: ["failure"],
  target: ["failure"],
  maxIterations: ["vector", "failure", "matrix", "dirichlet"],
} as const;

const LARGEST_LOG_TEMPERATURE = Math.log(1e4);

/**
 * A temperature may not stretch the median distance between the two largest logits beyond this: nearly all scores would
 * be 1.
 */
const LARGEST_MEDIAN_GAP = 30;

/** Logits of one exit, `[N, C]`, and labels. */
export interface ExitLogits {
  readonly z: Values;
  readonly labels: Int32Array;
  readonly classes: number;
  /** For failure: 1 where a sample should leave here. */
  readonly targets?: Uint8Array;
}

/** How many parameters a scaler of a method has. @internal */
export const parameterCount = (method: LogitMethod, classes: number): number =>
  method === "temperature" ? 1 : isVector(method) ? 2 * classes : classes * (classes + 1);

const isVector = (method: LogitMethod): method is "vector" | "failure" => method === "vector" || method === "failure";

/** Fits one exit of a table. */
export function fitLogitScaler(table: Table, exit: number, method: LogitMethod, options: FitOptions = {}): LogitScaler {
  readOptions("fitLogitScaler", options, FIT);
  checkOneOf("fitLogitScaler", "method", method, ["temperature", "vector", "failure", "matrix", "dirichlet"]);
  checkRead("fitLogitScaler", options, ["method", method], FIT_READERS);
  check(exit >= 0 && exit < table.exits, "fit", `exit must lie in 0..${table.exits - 1}`, exit);
  const own = firstOf(readExits(table, exit, 1));
  if (method !== "failure") return fitExitLogits(own, method, options);
  const { errors, exits } = outcomes(table);
  const targets = column(failureTargets("fitLogitScaler", errors, exits, options.target ?? "oracle"), exits, exit);
  return fitExitLogits({ ...own, targets: Uint8Array.from(targets) }, method, options);
}

/**
 * Fits on logits in memory. Where no error is left, the likelihood grows with the scale of the logits without end, and
 * scores of 1 for everybody would be called the best: such an exit is left as it is, and `note` says so.
 */
export function fitExitLogits(own: ExitLogits, method: LogitMethod, options: FitOptions = {}): LogitScaler {
  if (errorsOf(own) === 0) return leftAlone(own, method);
  if (method === "temperature") return fitTemperature(own);
  const fitted = isVector(method)
    ? fitVector(own, method, options)
    : fitMatrix(method === "matrix" ? own : { ...own, z: logSoftmaxRows(own) }, method, options);
  return errorsOf(own, fitted) === 0 ? leftAlone(own, method) : fitted;
}

/** Wrong answers, after scaling if there is a scaler. */
function errorsOf({ z, labels, classes }: ExitLogits, scaler?: LogitScaler): number {
  const row = new Float64Array(classes);
  return labels.reduce((errors, label, i) => {
    row.set(z.subarray(i * classes, (i + 1) * classes));
    if (scaler) applyLogitScaler(scaler, row, 0, classes);
    return errors + (argmax(row, 0, classes) === label ? 0 : 1);
  }, 0);
}

/** The scaler that changes nothing. */
function leftAlone(own: ExitLogits, method: LogitMethod): LogitScaler {
  const { classes, labels } = own;
  const nll = temperatureDerivatives(own, 1).loss;
  const parameters = new Float64Array(parameterCount(method, classes));
  if (method === "temperature") parameters[0] = 1;
  else if (isVector(method)) parameters.fill(1, 0, classes);
  else for (let c = 0; c < classes; c++) parameters[c * (classes + 1)] = 1;
  const note = `all right on ${labels.length} samples, which do not tell how sure it may be: it is left as it is`;
  return { method, parameters, nllBefore: nll, nll, gradient: Number.NaN, iterations: 0, converged: false, note };
}

/** Mean NLL of `b z` and its derivatives in b: E_p[z] - z_y, and Var_p[z]. */
function temperatureDerivatives({ z, labels, classes }: ExitLogits, b: number) {
  const samples = labels.length;
  let loss = 0;
  let first = 0;
  let second = 0;
  for (let i = 0; i < samples; i++) {
    const at = i * classes;
    const max = z[at + argmax(z, at, classes)]!;
    let sum = 0;
    let mean = 0;
    let square = 0;
    for (let c = 0; c < classes; c++) {
      const d = z[at + c]! - max;
      const e = Math.exp(b * d);
      sum += e;
      mean += e * d;
      square += e * d * d;
    }
    mean /= sum;
    const own = z[at + labels[i]!]! - max;
    loss += Math.log(sum) - b * own;
    first += mean - own;
    second += square / sum - mean * mean;
  }
  return { loss: loss / samples, first: first / samples, second: second / samples };
}

/**
 * One T > 0 minimising the NLL of z/T, by Newton in log T: the NLL is convex in 1/T, so its derivative has one root. A
 * minimum outside the bounds (errors by a hair only, or answers at chance) ends there, and `converged` is false.
 */
function fitTemperature(own: ExitLogits): LogitScaler {
  const before = temperatureDerivatives(own, 1);
  const gap = medianGap(own);
  const sharpest = Math.min(LARGEST_LOG_TEMPERATURE, Math.max(0, Math.log(LARGEST_MEDIAN_GAP / gap)));
  const root = increasingRoot(
    (u) => {
      const b = Math.exp(u);
      const { first, second } = temperatureDerivatives(own, b);
      return [first * b, second * b * b + first * b];
    },
    { low: -LARGEST_LOG_TEMPERATURE, high: sharpest, start: 0, tolerance: 1e-9 },
  );
  const after = temperatureDerivatives(own, Math.exp(root.x));
  // at an end of the bracket the steps do not die out
  const converged = Math.abs(root.step) <= 1e-6;
  const T = Math.exp(-root.x);
  const end = root.x > 0 ? "nearly all scores would be 1" : "answers are at chance";
  return {
    method: "temperature",
    parameters: Float64Array.of(T),
    nllBefore: before.loss,
    nll: after.loss,
    gradient: Math.abs(after.first / T),
    iterations: root.iterations,
    converged,
    ...(!converged && { note: `the temperature is held at ${Number(T.toPrecision(3))}: ${end} beyond` }),
  };
}

/** Median distance between the two largest logits. */
function medianGap({ z, labels, classes }: ExitLogits): number {
  const gaps = Float64Array.from(labels, (_, i) => {
    let [first, second] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (let c = 0; c < classes; c++) {
      const value = z[i * classes + c]!;
      if (value > first) [first, second] = [value, first];
      else if (value > second) second = value;
    }
    return first - second;
  }).sort();
  return gaps[gaps.length >> 1]!;
}

/** With targets (failure), what `addFailure` says of each sample counts too. */
function fitVector(own: ExitLogits, method: LogitMethod, options: FitOptions): LogitScaler {
  const { z, labels, classes, targets } = own;
  const { maxIterations = 500, weight = 1 } = options;
  const n = labels.length;
  const residuals = new Float64Array(classes);
  const scaled = new Float64Array(classes);
  let nll = 0;
  const objective = (x: Float64Array, g: Float64Array) => {
    g.fill(0);
    nll = 0;
    let failure = 0;
    for (let i = 0; i < n; i++) {
      const at = i * classes;
      applyVector(x, z, at, classes, scaled);
      nll += crossEntropyInto(scaled, labels[i]!, residuals) / n;
      if (targets) failure += addFailure(scaled, argmax(z, at, classes), targets[i]!, weight, residuals) / n;
      for (let c = 0; c < classes; c++) {
        const d = residuals[c]! / n;
        addTo(g, c, d * z[at + c]!);
        addTo(g, classes + c, d);
      }
    }
    return nll + failure;
  };
  const start = new Float64Array(2 * classes).fill(1, 0, classes);
  const fitted = finish(method, objective, start, maxIterations);
  if (!targets) return fitted;
  const nllAt = (x: Float64Array) => {
    objective(x, new Float64Array(x.length));
    return nll;
  };
  return { ...fitted, nllBefore: nllAt(start), nll: nllAt(fitted.parameters) };
}

function fitMatrix(
  { z, labels, classes }: ExitLogits,
  method: "matrix" | "dirichlet",
  { penalty = 1e-3, maxIterations = 500 }: FitOptions,
): LogitScaler {
  const n = labels.length;
  const shift = classes * classes;
  const residuals = new Float64Array(classes);
  const scaled = new Float64Array(classes);
  const offDiagonal = penalty / Math.max(1, classes * (classes - 1));
  const objective = (x: Float64Array, g: Float64Array) => {
    g.fill(0);
    let loss = 0;
    for (let i = 0; i < n; i++) {
      const at = i * classes;
      applyMatrix(x, z, at, classes, scaled);
      loss += crossEntropyInto(scaled, labels[i]!, residuals) / n;
      for (let r = 0; r < classes; r++) {
        const d = residuals[r]! / n;
        for (let c = 0; c < classes; c++) addTo(g, r * classes + c, d * z[at + c]!);
        addTo(g, shift + r, d);
      }
    }
    for (const [k, value] of x.entries()) {
      const isDiagonal = k < shift && k % (classes + 1) === 0;
      const weight = isDiagonal ? 0 : k < shift ? offDiagonal : penalty / classes;
      loss += weight * value ** 2;
      addTo(g, k, 2 * weight * value);
    }
    return loss;
  };
  const start = new Float64Array(shift + classes);
  for (let c = 0; c < classes; c++) start[c * (classes + 1)] = 1;
  return finish(method, objective, start, maxIterations);
}

function finish(
  method: LogitMethod,
  objective: (x: Float64Array, g: Float64Array) => number,
  start: Float64Array,
  maxIterations: number,
): LogitScaler {
  const before = objective(start, new Float64Array(start.length));
  const { x, value, gradient, iterations, converged } = minimise(objective, start, { maxIterations });
  return { method, parameters: x, nllBefore: before, nll: value, gradient, iterations, converged };
}

/** Changes one row of logits in place. */
export function applyLogitScaler(scaler: LogitScaler, z: Float64Array, at: number, classes: number): void {
  const { method, parameters } = scaler;
  if (method === "temperature") {
    const [T = 1] = parameters;
    for (let c = 0; c < classes; c++) z[at + c] = z[at + c]! / T;
    return;
  }
  const own = z.slice(at, at + classes);
  if (method === "dirichlet") logSoftmaxInPlace(own, 0, classes);
  const apply = isVector(method) ? applyVector : applyMatrix;
  apply(parameters, own, 0, classes, z.subarray(at, at + classes));
}

/** `a z + b` of one row. */
function applyVector(x: Float64Array, z: Values, at: number, classes: number, out: Float64Array): void {
  for (let c = 0; c < classes; c++) out[c] = x[c]! * z[at + c]! + x[classes + c]!;
}

/** `A z + b` of one row. */
function applyMatrix(x: Float64Array, z: Values, at: number, classes: number, out: Float64Array): void {
  for (let r = 0; r < classes; r++) {
    let sum = x[classes * classes + r]!;
    for (let c = 0; c < classes; c++) sum += x[r * classes + c]! * z[at + c]!;
    out[r] = sum;
  }
}

/** Cross-entropy of one row; leaves its gradient, softmax minus label, in `g`. */
function crossEntropyInto(z: Float64Array, label: number, g: Float64Array): number {
  softmaxInto(z, 0, z.length, g);
  const p = g[label]!;
  g[label] = p - 1;
  return -Math.log(Math.max(p, 1e-300));
}

/**
 * Weight times the binary cross-entropy of one row's confidence against its target: -log p of the class that the exit
 * answers where it should leave, -log(1 - p) where it should not. Adds its gradient to `g`.
 */
function addFailure(z: Float64Array, answer: number, target: number, weight: number, g: Float64Array): number {
  const max = z[argmax(z, 0, z.length)]!;
  const own = Math.exp(z[answer]! - max);
  let rest = 0;
  for (let c = 0; c < z.length; c++) if (c !== answer) rest += Math.exp(z[c]! - max);
  const total = own + rest;
  // the derivative in the odds of the answer, which those of the other classes share
  const slope = weight * (own / total - target);
  for (let c = 0; c < z.length; c++) {
    addTo(g, c, c === answer ? slope : (-slope * Math.exp(z[c]! - max)) / Math.max(rest, 1e-300));
  }
  return -weight * Math.log(Math.max((target === 1 ? own : rest) / total, 1e-300));
}

/** The logits of `count` exits from `first` on, in one reading of the table, as precise as the table holds them. */
export function readExits(table: Table, first: number, count: number): readonly ExitLogits[] {
  const { samples, exits, classes, labels } = table;
  const size = samples * classes;
  let found: readonly ExitLogits[] | undefined;
  forEachChunk(table, (rows, start, length) => {
    const make = () => (rows instanceof Float32Array ? new Float32Array(size) : new Float64Array(size));
    found ??= Array.from({ length: count }, () => ({ z: make(), labels, classes }));
    for (const [k, { z }] of found.entries()) {
      for (let i = 0; i < length; i++) {
        const at = (i * exits + first + k) * classes;
        z.set(rows.subarray(at, at + classes), (start + i) * classes);
      }
    }
  });
  return found ?? [];
}

function logSoftmaxRows({ z, classes }: ExitLogits): Float64Array {
  const out = Float64Array.from(z);
  for (let at = 0; at < out.length; at += classes) logSoftmaxInPlace(out, at, classes);
  return out;
}

function logSoftmaxInPlace(z: Float64Array, at: number, classes: number): void {
  const max = z[at + argmax(z, at, classes)]!;
  let sum = 0;
  for (let c = 0; c < classes; c++) sum += Math.exp(z[at + c]! - max);
  const norm = max + Math.log(sum);
  for (let c = 0; c < classes; c++) addTo(z, at + c, -norm);
}
