// What losses on stacked logits [N, K, C] share: checks of operands by the letters of their axes, and sums over earlier
// exits.

import {
  ArgumentError,
  checkTensors,
  type DType,
  DTypeError,
  describe,
  ShapeError,
  type Tensor,
  tensor,
} from "../../engine/functions.ts";

/** An operand and its axes, e.g. `[confidence, "N K-1"]`; dtype f32 unless given. */
export type Operand = readonly [x: Tensor, axes: string, dtype?: DType];

/** The extents that letters stand for: samples, exits, classes, features. */
export type Extents = Readonly<Record<"N" | "K" | "C" | "D", number>>;

/** The extent of an axis such as `K`, `K-1`, `D+C` or `4`; undefined if a letter is still free. */
function extentOf(axis: string, bound: Readonly<Record<string, number>>): number | undefined {
  let total = 0;
  for (const [, sign, name = ""] of axis.matchAll(/([+-]?)(\w+)/g)) {
    const extent = /^\d+$/.test(name) ? Number(name) : bound[name];
    if (extent === undefined) return undefined;
    total += sign === "-" ? -extent : extent;
  }
  return total;
}

/**
 * The extents of the axes' letters, which the operands bind in order; 0 for letters that do not occur.
 * @throws DTypeError or ShapeError for an operand that does not fit, and ShapeError for fewer extents than `least` asks
 * for.
 */
export function checkOperands(
  op: string,
  operands: Readonly<Record<string, Operand>>,
  least: Partial<Extents> = {},
): Extents {
  const bound: Record<string, number> = {};
  const [first] = Object.entries(operands);
  for (const [what, [x, letters, dtype = "f32"]] of Object.entries(operands)) {
    checkTensors(op, { [what]: x });
    const axes = letters.split(" ");
    const beside = first && first[0] !== what ? ` for ${first[0]} ${describe(first[1][0])}` : "";
    const message = `${op}: ${what} must be ${dtype}[${axes.join(", ")}]; got ${describe(x)}${beside}.`;
    if (x.dtype !== dtype) throw new DTypeError(`${message} Use cast().`);
    const fits = axes.every((axis, i) => {
      const extent = x.shape[i];
      const wanted = extentOf(axis, bound);
      if (wanted === undefined && extent !== undefined) bound[axis] = extent;
      return wanted === undefined || wanted === extent;
    });
    if (!fits || x.rank !== axes.length) throw new ShapeError(message);
  }
  for (const [letter, count] of Object.entries(least)) {
    const extent = bound[letter] ?? 0;
    if (extent < count) throw new ShapeError(`${op}: ${letter} must be at least ${count}; got ${extent}.`);
  }
  return { N: 0, K: 0, C: 0, D: 0, ...bound };
}

/** Checks that all numbers are finite and above 0. @throws ArgumentError */
export function checkPositive(op: string, values: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(values)) {
    if (value > 0 && value < Number.POSITIVE_INFINITY) continue;
    throw new ArgumentError(`${op}: ${name} must be finite and above 0; got ${value}.`);
  }
}

/** A constant f32[rows, columns] on the device of `like`. */
export function matrix(
  [rows, columns]: readonly [number, number],
  like: Tensor,
  value: (row: number, column: number) => number,
): Tensor {
  const data = Float32Array.from({ length: rows * columns }, (_, i) => value(Math.floor(i / columns), i % columns));
  return tensor(data, { shape: [rows, columns], device: like.device });
}

/** f32[K-1, K] of ones above the diagonal: [N, K-1] times it is what has been summed before each of K exits. */
export const beforeEach = (exits: number, like: Tensor): Tensor =>
  matrix([exits - 1, exits], like, (row, column) => Number(row < column));
