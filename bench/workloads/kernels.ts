// Rows of one operation each, apart from convolution: matmul, softmax, norms, cross-entropy.

import { all, compare, samples } from "./check.ts";
import { integers, normal } from "./random.ts";
import { f32, i32, type Workload } from "./workload.ts";

const EPS = 1e-5;

/** c = a b, `batch` times; entries spot-checked by their dot products. */
export function matmul(name: string, batch: number, m: number, k: number, n: number): Workload {
  const lead = batch > 1 ? [batch] : [];
  return {
    name,
    problem: { kind: "matmul", batch, m, k, n },
    flops: 2 * batch * m * k * n,
    outputs: [[...lead, m, n]],
    inputs: () => ({
      a: { shape: [...lead, m, k], data: normal(batch * m * k, 1) },
      b: { shape: [...lead, k, n], data: normal(batch * k * n, 2) },
    }),
    check([c], inputs) {
      const a = f32(inputs, "a");
      const b = f32(inputs, "b");
      return compare("c", c, batch * m * n, samples(batch * m * n, 4000), (i) => {
        const row = Math.floor(i / n);
        const column = Math.floor(row / m) * k * n + (i % n);
        let sum = 0;
        for (let j = 0; j < k; j++) sum += (a[row * k + j] as number) * (b[column + j * n] as number);
        return sum;
      });
    },
  };
}

/** Mean and reciprocal standard deviation (biased) of the entries `at(0) ... at(n - 1)`. */
function moments(n: number, at: (i: number) => number): { mean: number; rstd: number } {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += at(i);
  const mean = sum / n;
  let squares = 0;
  for (let i = 0; i < n; i++) squares += (at(i) - mean) ** 2;
  return { mean, rstd: 1 / Math.sqrt(squares / n + EPS) };
}

/** Remembers `make(row)`, since spot checks ask for several entries of few rows. */
function perRow<T>(make: (row: number) => T): (row: number) => T {
  const known = new Map<number, T>();
  return (row) => {
    const found = known.get(row) ?? make(row);
    known.set(row, found);
    return found;
  };
}

/** Entries of 64 rows, `count` in all. */
function rowSamples(rows: number, cols: number, count: number): number[] {
  const chosen = samples(rows, 62, 3);
  return samples(cols, count / chosen.length, 5).flatMap((col) => chosen.map((row) => row * cols + col));
}

/** log of the sum of exponentials of row `row`. */
function logSumExp(x: Float32Array, row: number, cols: number): number {
  const values = x.subarray(row * cols, (row + 1) * cols);
  const top = values.reduce((a, b) => Math.max(a, b), -Infinity);
  return top + Math.log(values.reduce((sum, value) => sum + Math.exp(value - top), 0));
}

/** Softmax over the last axis. */
export function softmax(name: string, rows: number, cols: number): Workload {
  return {
    name,
    problem: { kind: "softmax", rows, cols },
    flops: 0,
    outputs: [[rows, cols]],
    inputs: () => ({ x: { shape: [rows, cols], data: normal(rows * cols, 1, 3) } }),
    check([y], inputs) {
      const x = f32(inputs, "x");
      const lse = perRow((row) => logSumExp(x, row, cols));
      const value = (i: number) => Math.exp((x[i] as number) - lse(Math.floor(i / cols)));
      return compare("y", y, rows * cols, rowSamples(rows, cols, 4096), value);
    },
  };
}

/** Layer norm over the last axis, with scale and shift. */
export function layerNorm(name: string, rows: number, cols: number): Workload {
  return {
    name,
    problem: { kind: "layerNorm", rows, cols },
    flops: 0,
    outputs: [[rows, cols]],
    inputs: () => ({
      x: { shape: [rows, cols], data: normal(rows * cols, 1).map((v) => v + 0.5) },
      gamma: { shape: [cols], data: normal(cols, 2).map((v) => v + 1) },
      beta: { shape: [cols], data: normal(cols, 3) },
    }),
    check([y], inputs) {
      const [x, gamma, beta] = [f32(inputs, "x"), f32(inputs, "gamma"), f32(inputs, "beta")];
      const stats = perRow((row) => moments(cols, (i) => x[row * cols + i] as number));
      return compare("y", y, rows * cols, rowSamples(rows, cols, 4096), (i) => {
        const { mean, rstd } = stats(Math.floor(i / cols));
        return ((x[i] as number) - mean) * rstd * (gamma[i % cols] as number) + (beta[i % cols] as number);
      });
    },
  };
}

/** Batch norm in training mode, forwards and backwards. */
export function batchNorm(name: string, n: number, h: number, w: number, c: number): Workload {
  const shape = [n, h, w, c];
  const pixels = n * h * w;
  return {
    name,
    problem: { kind: "batchNorm", n, h, w, c },
    flops: 0,
    outputs: [shape, shape, [c], [c]],
    inputs: () => ({
      x: { shape, data: normal(pixels * c, 1).map((v) => 1.5 * v + 0.5) },
      g: { shape, data: normal(pixels * c, 2) },
      gamma: { shape: [c], data: normal(c, 3).map((v) => v + 1) },
      beta: { shape: [c], data: normal(c, 4) },
    }),
    check([y, dx, dgamma, dbeta], inputs) {
      const [x, g] = [f32(inputs, "x"), f32(inputs, "g")];
      const [gamma, beta] = [f32(inputs, "gamma"), f32(inputs, "beta")];
      const stats = all(c).map((ch) => moments(pixels, (p) => x[p * c + ch] as number));
      const hat = (i: number) => {
        const { mean, rstd } = stats[i % c] as { mean: number; rstd: number };
        return ((x[i] as number) - mean) * rstd;
      };
      const sumG = new Float64Array(c);
      const sumGX = new Float64Array(c);
      for (let i = 0; i < pixels * c; i++) {
        sumG[i % c] = (sumG[i % c] as number) + (g[i] as number);
        sumGX[i % c] = (sumGX[i % c] as number) + (g[i] as number) * hat(i);
      }
      const gradient = (i: number) => {
        const ch = i % c;
        const centred = (g[i] as number) - ((sumG[ch] as number) + hat(i) * (sumGX[ch] as number)) / pixels;
        return (gamma[ch] as number) * (stats[ch] as { rstd: number }).rstd * centred;
      };
      const spots = samples(pixels * c, 4000);
      return (
        compare("y", y, pixels * c, spots, (i) => hat(i) * (gamma[i % c] as number) + (beta[i % c] as number)) ??
        compare("dx", dx, pixels * c, spots, gradient) ??
        compare("dgamma", dgamma, c, all(c), (i) => sumGX[i] as number) ??
        compare("dbeta", dbeta, c, all(c), (i) => sumG[i] as number)
      );
    },
  };
}

/** Mean cross-entropy and its gradient in the logits. */
export function crossEntropy(name: string, rows: number, classes: number): Workload {
  return {
    name,
    problem: { kind: "crossEntropy", rows, classes },
    flops: 0,
    outputs: [[1], [rows, classes]],
    inputs: () => ({
      logits: { shape: [rows, classes], data: normal(rows * classes, 1, 2) },
      labels: { shape: [rows], data: integers(rows, classes, 2) },
    }),
    check([loss, dlogits], inputs) {
      const [x, labels] = [f32(inputs, "logits"), i32(inputs, "labels")];
      const lse = perRow((row) => logSumExp(x, row, classes));
      const mean = () => {
        let sum = 0;
        for (let row = 0; row < rows; row++) sum += lse(row) - (x[row * classes + (labels[row] as number)] as number);
        return sum / rows;
      };
      return (
        compare("loss", loss, 1, [0], mean) ??
        compare("dlogits", dlogits, rows * classes, rowSamples(rows, classes, 4096), (i) => {
          const row = Math.floor(i / classes);
          const hit = i % classes === labels[row] ? 1 : 0;
          return (Math.exp((x[i] as number) - lse(row)) - hit) / rows;
        })
      );
    },
  };
}
