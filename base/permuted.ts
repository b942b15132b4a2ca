// Arrays on the host with their axes in another order.

import { take } from "./lists.ts";

/**
 * Values of an array of a shape with its axes in another order, written to `out`, which is returned: output axis i is
 * input axis order[i].
 */
export function permuted<T extends { [at: number]: number }>(
  values: ArrayLike<number>,
  shape: readonly number[],
  order: readonly number[],
  out: T,
): T {
  const steps = order.map((axis) => shape.slice(axis + 1).reduce((n, extent) => n * extent, 1));
  const [extent = 1, ...outer] = take(shape, order).reverse();
  const [step = 1, ...outerSteps] = steps.reverse();
  let to = 0;
  const fill = (axis: number, from: number): void => {
    if (axis < 0) for (let i = 0; i < extent; i++) out[to++] = values[from + i * step]!;
    else for (let i = 0; i < (outer[axis] ?? 0); i++) fill(axis - 1, from + i * (outerSteps[axis] ?? 0));
  };
  fill(outer.length - 1, 0);
  return out;
}
