// Moves axes of a row-major array on the CPU, to reach a peer's own data layout.

import type { NdArray } from "../workloads/workload.ts";

/** The array whose axis i is axis `axes[i]` of the given one. */
export function permute(data: NdArray["data"], shape: readonly number[], axes: readonly number[]): NdArray {
  const strides = shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1));
  const moved = axes.map((axis) => shape[axis] as number);
  const steps = axes.map((axis) => strides[axis] as number);
  const out = data instanceof Int32Array ? new Int32Array(data.length) : new Float32Array(data.length);
  const index = moved.map(() => 0);
  let from = 0;
  for (let i = 0; i < out.length; i++) {
    out[i] = data[from] as number;
    for (let axis = moved.length - 1; axis >= 0; axis--) {
      from += steps[axis] as number;
      index[axis] = (index[axis] as number) + 1;
      if ((index[axis] as number) < (moved[axis] as number)) break;
      from -= (steps[axis] as number) * (moved[axis] as number);
      index[axis] = 0;
    }
  }
  return { shape: moved, data: out };
}
