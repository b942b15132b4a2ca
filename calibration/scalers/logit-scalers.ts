/**
 * Scalers that change logits: temperature, vector, matrix and Dirichlet. Each minimises the mean NLL (plus a stated
 * penalty) on the table given, per exit.
 */

import { check } from "../errors.ts";
import { increasingRoot, minimise } from "../optimise.ts";
import { softmaxInto } from "../softmax.ts";
import { forEachChunk, type Table, type Values } from "../table.ts";

/** How logits are changed. */
export type LogitMethod = "temperature" | "vector" | "matrix" | "dirichlet";

/** A fitted change of one exit's logits `[C]` to `A z + b` (for Dirichlet: `A log softmax(z) + b`). */
export interface LogitScaler {
  readonly method: LogitMethod;
  /** Temperature: `[T]`. Vector: `[a (C), b (C)]`. Matrix and Dirichlet: `[A (C x C, row-major), b (C)]`. */
  readonly parameters: Float64Array;
  /** NLL before and after, on the samples fitted. */
  readonly nllBefore: number;
  readonly nll: number;
  /** Largest entry of the gradient at the end (temperature: the derivative in log T). */
  readonly gradient: number;
  readonly iterations: number;
  /** False: the minimum was not reached (separable data, or too few iterations); do not trust the parameters. */
  readonly converged: boolean;
}

/** Penalty on off-diagonal weights and on the shift (ODIR, Kull et al. 2019), for matrix and Dirichlet. */
export interface FitOptions {
  readonly penalty?: number;
  readonly maxIterations?: number;
}

const LARGEST_LOG_TEMPERATURE = Math.log(1e4);

/** Logits of one exit, `[N, C]`, and labels. */
interface Fit {
  readonly z: Values;
  readonly labels: Int32Array;
  readonly classes: number;
}

/** Fits one exit of a table. */
export function fitLogitScaler(table: Table, exit: number, method: LogitMethod, options: FitOptions = {}): LogitScaler {
  check(exit >= 0 && exit < table.exits, "fit", `exit must lie in 0..${table.exits - 1}`, exit);
  if (method === "temperature") return fitTemperature(table, exit);
  const fit = exitLogits(table, exit);
  if (method === "vector") return fitVector(fit, options);
  if (method === "dirichlet") return fitMatrix({ ...fit, z: logSoftmaxRows(fit) }, "dirichlet", options);
  return fitMatrix(fit, "matrix", options);
}

/**
 * One T > 0 minimising the NLL of z/T, by Newton in log T: the NLL is convex in 1/T, so its derivative has one root.
 * Reads the table in chunks and keeps nothing. If every sample is right (or all are at chance) T runs to an end of
 * [1e-4, 1e4] and `converged` is false.
 */
function fitTemperature(table: Table, exit: number): LogitScaler {
  const { classes, exits, samples, labels } = table;
  // derivatives of the NLL in b = 1/T: E_p[z] - z_y, and Var_p[z]
  const derivatives = (b: number) => {
    let loss = 0;
    let first = 0;
    let second = 0;
    forEachChunk(table, (rows, start, count) => {
      for (let i = 0; i < count; i++) {
        const at = (i * exits + exit) * classes;
        let max = rows[at]!;
        for (let c = 1; c < classes; c++) if (rows[at + c]! > max) max = rows[at + c]!;
        let sum = 0;
        let mean = 0;
        let square = 0;
        for (let c = 0; c < classes; c++) {
          const d = rows[at + c]! - max;
          const e = Math.exp(b * d);
          sum += e;
          mean += e * d;
          square += e * d * d;
        }
        mean /= sum;
        const own = rows[at + labels[start + i]!]! - max;
        loss += Math.log(sum) - b * own;
        first += mean - own;
        second += square / sum - mean * mean;
      }
    });
    return { loss: loss / samples, first: first / samples, second: second / samples };
  };
  const before = derivatives(1);
  const root = increasingRoot(
    (u) => {
      const b = Math.exp(u);
      const { first, second } = derivatives(b);
      return [first * b, second * b * b + first * b];
    },
    { low: -LARGEST_LOG_TEMPERATURE, high: LARGEST_LOG_TEMPERATURE, start: 0, tolerance: 1e-9 },
  );
  const after = derivatives(Math.exp(root.x));
  return {
    method: "temperature",
    parameters: Float64Array.of(Math.exp(-root.x)),
    nllBefore: before.loss,
    nll: after.loss,
    gradient: Math.abs(after.first / Math.exp(-root.x)),
    iterations: root.iterations,
    // where samples are separable the slope dies out but the steps do not
    converged: Math.abs(root.step) <= 1e-6,
  };
}

function fitVector({ z, labels, classes }: Fit, { maxIterations = 500 }: FitOptions): LogitScaler {
  const n = labels.length;
  const p = new Float64Array(classes);
  const scaled = new Float64Array(classes);
  const objective = (x: Float64Array, g: Float64Array) => {
    g.fill(0);
    let loss = 0;
    for (let i = 0; i < n; i++) {
      const at = i * classes;
      for (let c = 0; c < classes; c++) scaled[c] = x[c]! * z[at + c]! + x[classes + c]!;
      loss += crossEntropyInto(scaled, labels[i]!, p) / n;
      for (let c = 0; c < classes; c++) {
        const d = (p[c]! - (c === labels[i] ? 1 : 0)) / n;
        g[c] = g[c]! + d * z[at + c]!;
        g[classes + c] = g[classes + c]! + d;
      }
    }
    return loss;
  };
  const start = new Float64Array(2 * classes).fill(1, 0, classes);
  return finish("vector", objective, start, maxIterations);
}

function fitMatrix(
  { z, labels, classes }: Fit,
  method: "matrix" | "dirichlet",
  { penalty = 1e-3, maxIterations = 500 }: FitOptions,
): LogitScaler {
  const n = labels.length;
  const shift = classes * classes;
  const p = new Float64Array(classes);
  const scaled = new Float64Array(classes);
  const offDiagonal = penalty / Math.max(1, classes * (classes - 1));
  const objective = (x: Float64Array, g: Float64Array) => {
    g.fill(0);
    let loss = 0;
    for (let i = 0; i < n; i++) {
      apply(x, z, i * classes, classes, scaled);
      loss += crossEntropyInto(scaled, labels[i]!, p) / n;
      for (let r = 0; r < classes; r++) {
        const d = (p[r]! - (r === labels[i] ? 1 : 0)) / n;
        for (let c = 0; c < classes; c++) g[r * classes + c] = g[r * classes + c]! + d * z[i * classes + c]!;
        g[shift + r] = g[shift + r]! + d;
      }
    }
    for (let k = 0; k < x.length; k++) {
      const isDiagonal = k < shift && k % (classes + 1) === 0;
      const weight = isDiagonal ? 0 : k < shift ? offDiagonal : penalty / classes;
      loss += weight * x[k]! ** 2;
      g[k] = g[k]! + 2 * weight * x[k]!;
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
  const x = scaler.parameters;
  if (scaler.method === "temperature") {
    for (let c = 0; c < classes; c++) z[at + c] = z[at + c]! / x[0]!;
  } else if (scaler.method === "vector") {
    for (let c = 0; c < classes; c++) z[at + c] = x[c]! * z[at + c]! + x[classes + c]!;
  } else {
    const from = Float64Array.from(z.subarray(at, at + classes));
    if (scaler.method === "dirichlet") logSoftmaxInPlace(from, 0, classes);
    const out = new Float64Array(classes);
    apply(x, from, 0, classes, out);
    z.set(out, at);
  }
}

/** `A z + b` of one row. */
function apply(x: Float64Array, z: Values, at: number, classes: number, out: Float64Array): void {
  for (let r = 0; r < classes; r++) {
    let sum = x[classes * classes + r]!;
    for (let c = 0; c < classes; c++) sum += x[r * classes + c]! * z[at + c]!;
    out[r] = sum;
  }
}

/** Cross-entropy of one row; leaves its softmax in `p`. */
function crossEntropyInto(z: Float64Array, label: number, p: Float64Array): number {
  softmaxInto(z, 0, z.length, p);
  return -Math.log(Math.max(p[label]!, 1e-300));
}

function exitLogits(table: Table, exit: number): Fit {
  const { samples, exits, classes, labels } = table;
  const z = new Float64Array(samples * classes);
  forEachChunk(table, (rows, first, count) => {
    for (let i = 0; i < count; i++) {
      const at = (i * exits + exit) * classes;
      z.set(rows.subarray(at, at + classes), (first + i) * classes);
    }
  });
  return { z, labels, classes };
}

function logSoftmaxRows({ z, classes }: Fit): Float64Array {
  const out = Float64Array.from(z);
  for (let at = 0; at < out.length; at += classes) logSoftmaxInPlace(out, at, classes);
  return out;
}

function logSoftmaxInPlace(z: Float64Array, at: number, classes: number): void {
  let max = Number.NEGATIVE_INFINITY;
  for (let c = 0; c < classes; c++) max = Math.max(max, z[at + c]!);
  let sum = 0;
  for (let c = 0; c < classes; c++) sum += Math.exp(z[at + c]! - max);
  const norm = max + Math.log(sum);
  for (let c = 0; c < classes; c++) z[at + c] = z[at + c]! - norm;
}
