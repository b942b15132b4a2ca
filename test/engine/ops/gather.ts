// Rows of the ops that pick by index, and of compaction: repeated and stray indices, long lists, live counts.

import type { Tensor } from "../../../engine/index.ts";
import * as s from "../../../engine/index.ts";
import { type OpCase, type OpRow, type Ref, ref, SIZES } from "./row.ts";

const product = (shape: readonly number[]): number => shape.reduce((n, extent) => n * extent, 1);

const stridesOf = (shape: readonly number[]): number[] => shape.map((_, axis) => product(shape.slice(axis + 1)));

const coordinate = (shape: readonly number[], index: number, axis: number): number =>
  Math.floor(index / product(shape.slice(axis + 1))) % (shape[axis] as number);

function selected(
  shape: readonly number[],
  n: number,
  dim: number,
  hasGrads = true,
  dtype: "f32" | "i32" | "bool" = "f32",
): OpCase {
  const axis = dim < 0 ? dim + shape.length : dim;
  const rows = shape[axis] as number;
  const inner = product(shape.slice(axis + 1));
  return {
    label: `${n} of ${dtype}[${shape}] along ${dim}`,
    inputs: {
      x: { shape, dtype, range: dtype === "bool" ? [0, 2] : [-2, 2] },
      index: { shape: [n], dtype: "i32", range: [0, rows] },
    },
    call: ({ x, index }) => s.indexSelect(x as Tensor, index as Tensor, { dim }),
    oracle: (t) => {
      const [x, index] = [t.x as Ref, t.index as Ref];
      return ref(shape.with(axis, n), (i) => {
        const row = index.data[Math.floor(i / inner) % n] as number;
        return x.data[(Math.floor(i / inner / n) * rows + row) * inner + (i % inner)] as number;
      });
    },
    grads: hasGrads && dtype === "f32" ? ["x"] : [],
    atol: 1e-5,
  };
}

function gathered(shape: readonly number[], by: readonly number[], dim: number, dtype: "i32" | "u32" = "i32"): OpCase {
  const axis = dim < 0 ? dim + shape.length : dim;
  return {
    label: `[${shape}] by ${dtype}[${by}] along ${dim}`,
    inputs: { x: { shape }, index: { shape: by, dtype, range: [0, shape[axis] as number] } },
    call: ({ x, index }) => s.gather(x as Tensor, index as Tensor, { dim }),
    oracle: (t) => {
      const [x, index] = [t.x as Ref, t.index as Ref];
      const steps = stridesOf(shape);
      return ref(by, (i) => {
        const at = by.map((_, d) => (d === axis ? (index.data[i] as number) : coordinate(by, i, d)));
        return x.data[at.reduce((sum, c, d) => sum + c * (steps[d] as number), 0)] as number;
      });
    },
    grads: ["x"],
    atol: 1e-5,
  };
}

function embedded(rows: number, width: number, by: readonly number[], hasGrads = true): OpCase {
  return {
    inputs: { weight: { shape: [rows, width] }, index: { shape: by, dtype: "i32", range: [0, rows] } },
    call: ({ weight, index }) => s.embedding(weight as Tensor, index as Tensor),
    oracle: (t) => {
      const [weight, index] = [t.weight as Ref, t.index as Ref];
      return ref(
        [...by, width],
        (i) => weight.data[(index.data[Math.floor(i / width)] as number) * width + (i % width)] as number,
      );
    },
    grads: hasGrads ? ["weight"] : [],
    atol: 1e-5,
  };
}

const stray: OpCase = {
  label: "an index out of range reads NaN and gets no gradient",
  inputs: {
    x: { shape: [3, 2], values: [1, 2, 3, 4, 5, 6] },
    index: { shape: [4], dtype: "i32", values: [2, -1, 3, 2] },
  },
  call: ({ x, index }) => {
    const leaf = (x as Tensor).detach().requiresGrad();
    // Made on the GPU: what the host knows is refused.
    const y = s.indexSelect(leaf, s.add(index as Tensor, 0));
    s.backward(y, { gradient: s.ones([4, 2]) });
    return [y, s.copy(leaf.grad)];
  },
  oracle: () => [
    ref([4, 2], (i) => [5, 6, Number.NaN, Number.NaN, Number.NaN, Number.NaN, 5, 6][i] as number),
    ref([3, 2], (i) => (i < 4 ? 0 : 2)),
  ],
};

/** Indices below the count, and the count; what lies behind the count is anything, and is masked out here. */
function compacted(n: number, live?: number): OpCase {
  const kept = (mask: Ref): number[] =>
    Array.from(mask.data.keys()).filter((i) => mask.data[i] !== 0 && i < (live ?? n));
  return {
    label: `${n} rows${live === undefined ? "" : `, ${live} live`}`,
    inputs: { mask: { shape: [n], dtype: "bool", range: [0, 2] } },
    call: ({ mask }) => {
      const rows = live === undefined ? {} : { rows: s.tensor(Uint32Array.of(live)) };
      const { indices, count } = s.compact(mask as Tensor, rows);
      const place = s.arange(n);
      return [s.where(s.lt(place, s.cast(count, "i32")), indices, s.full([n], -1, { dtype: "i32" })), count];
    },
    oracle: ({ mask }) => {
      const list = kept(mask as Ref);
      return [ref([n], (i) => list[i] ?? -1), ref([1], () => list.length)];
    },
  };
}

function scattered(count?: number): OpCase {
  const shape = [5, 8];
  return {
    label: count === undefined ? "all rows" : `the first ${count} rows`,
    inputs: { target: { shape }, x: { shape: [3, 8] }, index: { shape: [3], dtype: "i32", values: [4, 0, 2] } },
    call: ({ target, x, index }) => {
      const copied = s.copy(target as Tensor);
      s.scatterRows(
        copied,
        index as Tensor,
        x as Tensor,
        count === undefined ? {} : { count: s.tensor(Uint32Array.of(count)) },
      );
      return copied;
    },
    oracle: (t) => {
      const [target, x] = [t.target as Ref, t.x as Ref];
      const order = [4, 0, 2].slice(0, count ?? 3);
      return ref(shape, (i) => {
        const k = order.indexOf(Math.floor(i / 8));
        return (k < 0 ? target.data[i] : x.data[k * 8 + (i % 8)]) as number;
      });
    },
  };
}

export const rows: readonly OpRow[] = [
  {
    op: "indexSelect",
    live: "some",
    cases: [
      ...SIZES.map((n) => selected([5, 4], n, 0)),
      selected([3, 5, 7], 4, 1),
      selected([3, 5], 9, -1),
      selected([4, 3], 5, 0, false, "i32"),
      selected([4, 3], 5, 0, false, "bool"),
      selected([700, 3], 6000, 0),
      stray,
    ],
  },
  {
    op: "gather",
    live: "some",
    cases: [
      gathered([4, 5], [4, 1], 1),
      gathered([4, 5], [2, 5], 0),
      gathered([3, 4, 5], [2, 7, 5], 1, "u32"),
      gathered([6], [9], 0),
      gathered([33, 10], [33, 3], -1),
      gathered([2, 3], [2, 0], 1),
    ],
  },
  {
    op: "embedding",
    live: "some",
    cases: [
      embedded(10, 4, [2, 3]),
      embedded(7, 3, []),
      embedded(257, 8, [33]),
      embedded(5000, 16, [2, 1000]),
      embedded(3, 4, [0]),
    ],
  },
  {
    op: "oneHot",
    live: "rows",
    cases: [[], [5], [2, 3], [0]].map((shape) => ({
      label: `[${shape}]`,
      inputs: { index: { shape, dtype: "i32", range: [-1, 5] } },
      call: ({ index }) => s.oneHot(index as Tensor, { numClasses: 4 }),
      oracle: ({ index }) => ref([...shape, 4], (i) => Number((index as Ref).data[Math.floor(i / 4)] === i % 4)),
    })),
  },
  { op: "scatterRows", live: "refused", cases: [scattered(), scattered(2), scattered(0)] },
  {
    op: "compact",
    live: "refused",
    cases: [...SIZES, 1024, 1025, 5000].flatMap((n) => [compacted(n), compacted(n, Math.floor(n / 2))]),
  },
];
