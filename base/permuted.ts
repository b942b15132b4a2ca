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
  // The two inner axes are one loop: the last is often as short as a pixel.
  const [columns = 1, rows = 1, ...outer] = take(shape, order).reverse();
  const [across = 1, down = 0, ...outerSteps] = steps.reverse();
  let to = 0;
  const fill = (axis: number, from: number): void => {
    const [extent = rows, step = down] = axis < 0 ? [] : [outer[axis], outerSteps[axis]];
    for (let i = 0; i < extent; i++) {
      const first = from + i * step;
      if (axis >= 0) fill(axis - 1, first);
      else for (let k = 0; k < columns; k++) out[to++] = values[first + k * across]!;
    }
  };
  fill(outer.length - 1, 0);
  return out;
}
