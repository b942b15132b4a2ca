// Rows of the ops that move elements: each against coordinates written out.

import type { DType, Tensor } from "../../../engine/index.ts";
import * as s from "../../../engine/index.ts";
import { type OpCase, type OpRow, type Ref, ref } from "./row.ts";

type Shape = readonly number[];
type Coordinates = readonly number[];

const coordinatesOf = (shape: Shape, index: number): number[] => {
  const at = new Array<number>(shape.length);
  let rest = index;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    at[axis] = rest % (shape[axis] as number);
    rest = Math.floor(rest / (shape[axis] as number));
  }
  return at;
};

const indexOf = (shape: Shape, at: Coordinates): number =>
  at.reduce((index, coordinate, axis) => index * (shape[axis] as number) + coordinate, 0);

/** y of `shape` whose element at `c` is that of x at `from(c)`, or `value` where that is undefined. */
function moved(x: Ref, shape: Shape, from: (c: Coordinates) => Coordinates | undefined, value = 0): Ref {
  return ref(shape, (i) => {
    const at = from(coordinatesOf(shape, i));
    return at === undefined ? value : (x.data[indexOf(x.shape, at)] as number);
  });
}

interface Move {
  readonly shape: Shape;
  readonly dtype?: DType;
  readonly label?: string;
  readonly call: (x: Tensor) => Tensor;
  readonly to: Shape;
  readonly from: (c: Coordinates) => Coordinates | undefined;
  readonly value?: number;
}

const cases = (moves: readonly Move[]): OpCase[] =>
  moves.map(({ shape, dtype = "f32", label = `[${shape}] -> `, call, to, from, value }) => ({
    label: `${label} [${to}] ${dtype}`,
    inputs: { x: { shape, dtype, range: dtype === "bool" ? [0, 2] : [-3, 3] } },
    call: ({ x }) => call(x as Tensor),
    oracle: ({ x }) => moved(x as Ref, to, from, value),
    grads: dtype === "f32" ? ["x"] : [],
    rtol: 0,
    atol: dtype === "f32" ? 1e-6 : 0,
  }));

const permuted = (shape: Shape, dims: readonly number[], dtype: DType = "f32"): Move => {
  const axes = dims.map((axis) => (axis < 0 ? axis + shape.length : axis));
  return {
    shape,
    dtype,
    label: `[${shape}] by [${dims}]`,
    call: (x) => s.permute(x, dims),
    to: axes.map((axis) => shape[axis] as number),
    from: (c) => axes.map((_, axis) => c[axes.indexOf(axis)] as number),
  };
};

const sliced = (
  shape: Shape,
  options: s.SliceOptions,
  to: Shape,
  starts: readonly number[],
  steps: readonly number[],
): Move => ({
  shape,
  label: JSON.stringify(options),
  call: (x) => s.slice(x, options),
  to,
  from: (c) => c.map((coordinate, axis) => (starts[axis] as number) + coordinate * (steps[axis] as number)),
});

const flipped = (shape: Shape, dims: number | readonly number[]): Move => {
  const axes = (typeof dims === "number" ? [dims] : dims).map((axis) => (axis < 0 ? axis + shape.length : axis));
  return {
    shape,
    label: `[${shape}] along [${axes}]`,
    call: (x) => s.flip(x, dims),
    to: shape,
    from: (c) =>
      c.map((coordinate, axis) => (axes.includes(axis) ? (shape[axis] as number) - 1 - coordinate : coordinate)),
  };
};

const expanded = (shape: Shape, given: Shape, to: Shape, dtype: DType = "f32"): Move => ({
  shape,
  dtype,
  call: (x) => s.expand(x, given),
  to,
  from: (c) => shape.map((extent, axis) => (extent === 1 ? 0 : (c[axis + c.length - shape.length] as number))),
});

const padded = (
  shape: Shape,
  padding: readonly (readonly [number, number])[],
  value = 0,
  dtype: DType = "f32",
): Move => ({
  shape,
  dtype,
  label: JSON.stringify(padding),
  call: (x) => s.pad(x, padding, { value }),
  to: shape.map(
    (extent, axis) => extent + (padding[axis] as [number, number])[0] + (padding[axis] as [number, number])[1],
  ),
  from: (c) => {
    const at = c.map((coordinate, axis) => coordinate - (padding[axis] as [number, number])[0]);
    return at.every((coordinate, axis) => coordinate >= 0 && coordinate < (shape[axis] as number)) ? at : undefined;
  },
  value,
});

/** Concatenation of inputs whose extents along `dim` are `lens`. */
function joined(shape: Shape, dim: number, lens: readonly number[], dtype: DType = "f32"): OpCase {
  const axis = dim < 0 ? dim + shape.length : dim;
  const names = lens.map((_, k) => `x${k}`);
  const total = lens.reduce((sum, len) => sum + len, 0);
  const withLen = (len: number) => shape.map((extent, i) => (i === axis ? len : extent));
  return {
    label: `[${shape}] by [${lens}] along ${dim}, ${dtype}`,
    inputs: Object.fromEntries(
      names.map((name, k) => [
        name,
        { shape: withLen(lens[k] as number), dtype, range: dtype === "bool" ? [0, 2] : [-3, 3] },
      ]),
    ),
    call: (t) =>
      s.concat(
        names.map((name) => t[name] as Tensor),
        { dim },
      ),
    oracle: (t) =>
      ref(withLen(total), (i) => {
        const at = coordinatesOf(withLen(total), i);
        let k = 0;
        for (; (at[axis] as number) >= (lens[k] as number); k++) at[axis] = (at[axis] as number) - (lens[k] as number);
        const x = t[`x${k}`] as Ref;
        return x.data[indexOf(x.shape, at)] as number;
      }),
    grads: dtype === "f32" && total < 40 ? names : [],
    rtol: 0,
    atol: 1e-6,
  };
}

function stacked(shape: Shape, dim: number, n: number): OpCase {
  const axis = dim < 0 ? dim + shape.length + 1 : dim;
  const names = Array.from({ length: n }, (_, k) => `x${k}`);
  const to = [...shape.slice(0, axis), n, ...shape.slice(axis)];
  return {
    label: `${n} of [${shape}] along ${dim}`,
    inputs: Object.fromEntries(names.map((name) => [name, { shape }])),
    call: (t) =>
      s.stack(
        names.map((name) => t[name] as Tensor),
        { dim },
      ),
    oracle: (t) =>
      ref(to, (i) => {
        const at = coordinatesOf(to, i);
        const x = t[`x${at[axis]}`] as Ref;
        return x.data[indexOf(shape, at.toSpliced(axis, 1))] as number;
      }),
    grads: names,
    rtol: 0,
    atol: 1e-6,
  };
}

const bits = Array.from({ length: 8 }, () => 2);

export const rows: readonly OpRow[] = [
  {
    op: "permute",
    live: "some",
    cases: cases([
      permuted([], []),
      permuted([3, 5], [1, 0]),
      permuted([8, 12], [-1, 0]),
      permuted([2, 33, 4], [0, 2, 1]),
      permuted([2, 36, 40], [0, 2, 1]),
      permuted([2, 3, 4, 8], [0, 2, 1, 3]),
      permuted([2, 3, 4, 5], [3, 2, 1, 0], "i32"),
      permuted([4, 8], [1, 0], "bool"),
      permuted([1, 3, 1, 2], [2, 1, 0, 3]),
      permuted(bits, [7, 6, 5, 4, 3, 2, 1, 0]),
      permuted([0, 3], [1, 0]),
    ]),
  },
  {
    op: "slice",
    live: "some",
    cases: cases([
      sliced([7], { starts: [2], ends: [-1] }, [4], [2], [1]),
      sliced([257], { starts: [1], steps: [3] }, [86], [1], [3]),
      sliced([4, 8], { starts: [1, 4], ends: [3, 8] }, [2, 4], [1, 4], [1, 1]),
      sliced([3, 5], { starts: [-2, -99], ends: [99, 4], steps: [1, 2] }, [2, 2], [1, 0], [1, 2]),
      sliced([3, 5], { starts: [null, 4], ends: [null, 2] }, [3, 0], [0, 4], [1, 1]),
      sliced([2, 3, 4], { ends: [1] }, [1, 3, 4], [0, 0, 0], [1, 1, 1]),
      sliced([2, 3], {}, [2, 3], [0, 0], [1, 1]),
    ]),
  },
  {
    op: "flip",
    live: "some",
    cases: cases([
      flipped([257], 0),
      flipped([3, 4], [0, 1]),
      flipped([3, 4, 8], [-2]),
      flipped([2, 0], 1),
      flipped([3, 2], []),
    ]),
  },
  {
    op: "expand",
    live: "some",
    cases: cases([
      expanded([3, 1], [3, 4], [3, 4]),
      expanded([1, 4], [5, -1], [5, 4]),
      expanded([4], [2, 3, 4], [2, 3, 4]),
      expanded([], [3], [3]),
      expanded([2, 1, 3], [2, 33, 3], [2, 33, 3]),
      expanded([1, 3], [0, 3], [0, 3]),
      expanded([1, 3], [2, 3], [2, 3], "bool"),
      expanded([2, 1], [2, 3], [2, 3], "i32"),
    ]),
  },
  {
    op: "pad",
    live: "some",
    cases: cases([
      padded([], []),
      padded([5], [[1, 2]]),
      padded(
        [3, 4],
        [
          [1, 0],
          [4, 4],
        ],
        2.5,
      ),
      padded(
        [2, 3, 4],
        [
          [0, 0],
          [1, 1],
          [0, 0],
        ],
      ),
      padded(
        [2, 4, 4, 8],
        [
          [0, 0],
          [1, 1],
          [1, 1],
          [0, 0],
        ],
      ),
      padded(
        [4, 5],
        [
          [-1, 1],
          [2, -3],
        ],
        -1,
      ),
      padded(
        [0, 2],
        [
          [1, 1],
          [0, 0],
        ],
        7,
      ),
      padded([3], [[1, 1]], -4, "i32"),
      padded([3], [[0, 2]], 1, "bool"),
      padded(
        [2, 2],
        [
          [0, 0],
          [0, 0],
        ],
      ),
    ]),
  },
  {
    op: "concat",
    live: "some",
    cases: [
      joined([2, 3], 0, [1, 2]),
      joined([2, 3], -1, [3, 1, 2]),
      joined([3, 4, 2], 1, [4, 2]),
      joined([5], 0, [0, 5, 3]),
      joined([2, 1], 1, [1, 2, 3, 1, 2, 3, 1, 2]),
      joined([257, 8], 1, [4, 8]),
      joined([2, 3], 0, [3], "i32"),
      joined([2, 3], 1, [1, 1], "bool"),
      joined([0, 3], 1, [3, 2]),
    ],
  },
  {
    op: "stack",
    live: "some",
    cases: [
      stacked([2, 3], 0, 2),
      stacked([2, 3], 1, 3),
      stacked([2, 3], -1, 2),
      stacked([], 0, 3),
      stacked([4], 0, 1),
    ],
  },
];
