// What is measured: a problem stated without any engine, its inputs, its float operations and its check.
// Layouts are canonical here: images [N, H, W, C], conv weights [kh, kw, in, out], linear weights [in, out].

/** A convolution's sizes; `groups` is 1, or `c` for a depthwise one (weights [k, k, 1, c]). */
export interface ConvShape {
  readonly n: number;
  readonly h: number;
  readonly w: number;
  readonly c: number;
  readonly o: number;
  readonly k: number;
  readonly stride: number;
  readonly pad: number;
  readonly groups: number;
}

export type NetName = "cnn" | "resnet20" | "vit";

/**
 * What an engine is asked to compute. Inputs -> outputs by kind:
 * - `matmul`: a [batch, m, k], b [batch, k, n] -> c. Rank 2 if batch is 1.
 * - `conv`: `fwd` x, w -> y; `dx` g, w -> dx; `dw` x, g -> dw.
 * - `softmax`: x [rows, cols] -> y. `layerNorm`: x, gamma, beta -> y (eps 1e-5).
 * - `batchNorm`: x, g [n, h, w, c], gamma, beta [c] -> y, dx, dgamma, dbeta (eps 1e-5, biased batch variance).
 * - `crossEntropy`: logits [rows, classes], labels i32 [rows] -> mean loss [1], dlogits.
 * - `train`: x, labels -> loss [1] of the step just run, before its update; the state carries over to the next run.
 * - `infer`: x -> logits, in evaluation mode.
 */
type Problem =
  | { readonly kind: "matmul"; readonly batch: number; readonly m: number; readonly k: number; readonly n: number }
  | { readonly kind: "conv"; readonly pass: "fwd" | "dx" | "dw"; readonly shape: ConvShape }
  | { readonly kind: "softmax" | "layerNorm"; readonly rows: number; readonly cols: number }
  | { readonly kind: "batchNorm"; readonly n: number; readonly h: number; readonly w: number; readonly c: number }
  | { readonly kind: "crossEntropy"; readonly rows: number; readonly classes: number }
  | { readonly kind: "train" | "infer"; readonly net: NetName; readonly batch: number };

/** A named input: shape and values. */
export interface NdArray {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array;
}

export type Inputs = Readonly<Record<string, NdArray>>;

/** One row of the benchmark. */
export interface Workload {
  readonly name: string;
  readonly problem: Problem;
  /** Floating-point operations of one run (an FMA counts 2); 0 where a rate would say nothing. */
  readonly flops: number;
  /** Shapes of the outputs, in the order that `Problem` states. */
  readonly outputs: readonly (readonly number[])[];
  /** Makes the inputs, always the same. */
  inputs(): Inputs;
  /**
   * Compares outputs with a float64 reference.
   * @param run Number of runs since `prepare` that led to these outputs; training losses depend on it.
   * @returns What is wrong, or undefined.
   */
  check(outputs: readonly Float32Array[], inputs: Inputs, run: number): string | undefined;
}

/** The product of a shape's extents. */
export const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** The input `name`, which must be float32. */
export function f32(inputs: Inputs, name: string): Float32Array {
  const data = inputs[name]?.data;
  if (!(data instanceof Float32Array)) throw new Error(`bench: no float32 input "${name}"`);
  return data;
}

/** The input `name`, which must be int32. */
export function i32(inputs: Inputs, name: string): Int32Array {
  const data = inputs[name]?.data;
  if (!(data instanceof Int32Array)) throw new Error(`bench: no int32 input "${name}"`);
  return data;
}

/** Height and width of a convolution's output. */
export function convOutput({ h, w, k, stride, pad }: ConvShape): readonly [number, number] {
  return [Math.floor((h + 2 * pad - k) / stride) + 1, Math.floor((w + 2 * pad - k) / stride) + 1];
}
