// Kernels of reductions, moves, gathers and compaction: every layout that a plan may choose on some adapter agrees with
// the formula, so that adapters which are not at hand run texts that were run.

import { gatherRows, isScanCheaper, linkRows, markRows, sumRowsLinked, sumRowsScanned } from "../../kernels/gather.ts";
import { liveGrids } from "../../kernels/live-grids.ts";
import { type MoveUnit, planCopy, planPlace } from "../../kernels/move/index.ts";
import {
  planReduce,
  planReduceStrided,
  type ReduceOp,
  type ReduceSpec,
  reduceAxes,
  reduceLines,
} from "../../kernels/reduce/index.ts";
import { adapterSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { close, runKernel, sample, type Words } from "./lab.ts";

/**
 * Adapters as plans see them: a CPU with narrow subgroups, none at all, and a GPU; shuffles stay within the 8 lanes
 * here.
 */
const ADAPTERS = {
  narrow: { subgroupSize: 8, hasSubgroups: true, isSoftware: false },
  none: { subgroupSize: 0, hasSubgroups: false, isSoftware: false },
  wide: { subgroupSize: 32, hasSubgroups: true, isSoftware: false },
} as const;

const runnable = <S extends ReduceSpec>(spec: S): S => ({ ...spec, shuffle: Math.min(8, spec.shuffle) });

const OPS: readonly ReduceOp[] = ["sum", "max", "var", "logsumexp", "argmin"];

function formula(op: ReduceOp, line: readonly number[]): number {
  const sum = line.reduce((a, b) => a + b, 0);
  switch (op) {
    case "sum":
      return sum;
    case "max":
      return Math.max(...line);
    case "var":
      return line.reduce((total, value) => total + (value - sum / line.length) ** 2, 0) / line.length;
    case "logsumexp":
      return Math.log(line.reduce((total, value) => total + Math.exp(value), 0));
    default:
      return line.indexOf(Math.min(...line));
  }
}

/** Outer, len, inner: short and long lines, few and many, wide and narrow columns. */
const SHAPES: readonly (readonly [number, number, number])[] = [
  [70, 4, 1],
  [3, 1000, 1],
  [600, 257, 1],
  [2, 40000, 1],
  [2, 9, 4],
  [1, 3000, 12],
  [3, 70, 33],
];

const reductions = adapterSuite("reduction kernels");

for (const [name, traits] of Object.entries(ADAPTERS)) {
  reductions(`agree with the formula as planned for subgroups: ${name}`, async () => {
    for (const [outer, len, inner] of SHAPES) {
      const x = sample(outer * len * inner, 3 + len);
      for (const op of OPS) {
        let words: Float32Array | Uint32Array = x;
        let got: Float32Array = x;
        for (const { spec, dims, scratchBytes } of planReduce({ op, dtype: "f32", outer, len, inner }, traits)) {
          const y = scratchBytes > 0 ? scratchBytes / 4 : outer * inner;
          const result: Record<string, Words> = await runKernel(reduceLines, runnable(spec), dims, { x: words, y });
          words = (result.y as NonNullable<typeof result.y>).u32;
          got = op === "argmin" ? Float32Array.from(new Int32Array(words.buffer)) : new Float32Array(words.buffer);
        }
        const want = Float64Array.from({ length: outer * inner }, (_, i) => {
          const [line, column] = [Math.floor(i / inner), i % inner];
          return formula(
            op,
            Array.from({ length: len }, (_, k) => x[(line * len + k) * inner + column] as number),
          );
        });
        close(got, want, { rtol: 2e-5, atol: 2e-5 * Math.sqrt(len), title: `${op} ${outer}x${len}x${inner}` });
      }
    }
  });
}

reductions("over scattered axes agree with the formula on all adapters", async () => {
  const shape = [3, 40, 2, 90];
  const x = sample(3 * 40 * 2 * 90, 5);
  const axis = (i: number) => ({ extent: shape[i] as number, stride: shape.slice(i + 1).reduce((a, b) => a * b, 1) });
  for (const traits of Object.values(ADAPTERS)) {
    for (const [keptAxes, reducedAxes] of [
      [
        [0, 2],
        [1, 3],
      ],
      [
        [1, 3],
        [0, 2],
      ],
    ] as const) {
      const [kept, reduced] = [keptAxes.map(axis), reducedAxes.map(axis)];
      const offsets = (axes: typeof kept) =>
        axes.reduce<number[]>(
          (all, { extent, stride }) => all.flatMap((at) => Array.from({ length: extent }, (_, i) => at + i * stride)),
          [0],
        );
      const want = offsets(kept).map((at) =>
        formula(
          "var",
          offsets(reduced).map((step) => x[at + step] as number),
        ),
      );
      const { first, rest } = planReduceStrided({ op: "var", dtype: "f32", kept, reduced }, traits);
      const y = first.scratchBytes > 0 ? first.scratchBytes / 4 : want.length;
      let result = await runKernel(reduceAxes, runnable(first.spec), first.dims, { x, y });
      for (const { spec, dims } of rest) {
        const states = (result.y as NonNullable<typeof result.y>).u32;
        result = await runKernel(reduceLines, runnable(spec), dims, { x: states, y: want.length });
      }
      close((result.y as NonNullable<typeof result.y>).f32, want, { rtol: 1e-5, title: `kept ${keptAxes}` });
    }
  }
});

const moves = adapterSuite("move kernels");

/** Strides of a row-major tensor of `shape`. */
const stridesOf = (shape: readonly number[]): number[] =>
  shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1));

moves("vec4, blocked and element-wise copies agree, and leave the rest of a region alone", async () => {
  const unit: MoveUnit = "u32";
  const cases = [
    { shape: [3, 36, 40], xStrides: [1440, 1, 36], kind: "transpose", width: undefined },
    { shape: [36, 40], xStrides: [1, 36], kind: "transpose", width: undefined },
    { shape: [5, 7], xStrides: [1, 5], kind: "copy", width: 1 },
    { shape: [4, 3, 8], xStrides: [8, 32, 1], kind: "copy", width: 4 },
    { shape: [3, 8], xStrides: [8, 1], yStrides: [20, 1], to: 4, kind: "copy", width: 4 },
    { shape: [3, 5], xStrides: [-5, -1], from: 14, yStrides: [9, 1], to: 2, kind: "copy", width: 1 },
  ] as const;
  for (const { kind, width, ...problem } of cases) {
    const { shape, xStrides } = problem;
    const [from, to] = ["from" in problem ? problem.from : 0, "to" in problem ? problem.to : 0];
    const yStrides = "yStrides" in problem ? problem.yStrides : stridesOf(shape);
    const size = shape.reduce<number>((a, b) => a * b, 1);
    const x = Uint32Array.from({ length: size }, (_, i) => i * 2654435761);
    const offset = (list: readonly number[], i: number): number =>
      list.reduce(
        (sum, stride, axis) =>
          sum + stride * (Math.floor(i / (stridesOf(shape)[axis] as number)) % (shape[axis] as number)),
        0,
      );
    const length = to + offset(yStrides, size - 1) + 1;
    const want = new Uint32Array(length).fill(7);
    for (let i = 0; i < size; i++) want[to + offset(yStrides, i)] = x[from + offset(xStrides, i)] as number;
    const plan = planCopy({ unit, ...problem });
    assert.is(plan.kind, kind);
    const y = new Uint32Array(Math.ceil(length / 4) * 4).fill(7);
    const run =
      plan.kind === "copy"
        ? runKernel(plan.kernel, plan.spec, plan.dims, { x, y })
        : runKernel(plan.kernel, plan.spec, plan.dims, { x, y });
    if (plan.kind === "copy") assert.is(plan.spec.width, width);
    assert.equal((await run).y?.u32.slice(0, length), want, JSON.stringify(problem));
  }
});

moves("idle axes of a placement merge, and wide rows travel as vec4", async () => {
  const x = Uint32Array.from({ length: 2 * 3 * 4 * 8 }, (_, i) => i + 1);
  const plan = planPlace({
    unit: "u32",
    shape: [2, 3, 4, 8],
    yShape: [2, 5, 4, 8],
    lo: [0, 1, 0, 0],
    step: [1, 1, 1, 1],
    valueBits: 9,
  });
  assert.equal(plan.spec, { unit: "u32", width: 4, rank: 2, stepped: false });
  const { y } = await runKernel(plan.kernel, plan.spec, plan.dims, { x, y: 2 * 5 * 32 });
  const want = Uint32Array.from({ length: 320 }, (_, i) => {
    const row = Math.floor(i / 32) % 5;
    return row === 0 || row === 4 ? 9 : (x[Math.floor(i / 160) * 96 + (row - 1) * 32 + (i % 32)] as number);
  });
  assert.equal(y?.u32, want);
});

const gathers = adapterSuite("gather kernels");

gathers("scanned and chained sums of repeated rows are equal bit for bit", async () => {
  for (const [outer, rows, count, inner, width] of [
    [1, 5, 300, 8, 4],
    [2, 40, 33, 3, 1],
    [1, 257, 1, 4, 4],
  ] as const) {
    const index = Int32Array.from({ length: count }, (_, i) => ((i * 7919) % (rows + 2)) - 1);
    const g = sample(outer * count * inner, 11);
    const dims = { outer, rows, count, inner: inner / width };
    const spec = { dtype: "f32", width } as const;
    const size = outer * rows * inner;
    assert.ok(isScanCheaper(dims));
    const scanned = await runKernel(sumRowsScanned, spec, dims, { g, index, dx: size });
    const ends = (await runKernel(markRows, {}, dims, { index, ends: new Uint32Array(2 * rows) })).ends?.u32 ?? 0;
    const next = (await runKernel(linkRows, {}, dims, { index, ends, next: count })).next?.u32 ?? 0;
    const chained = await runKernel(sumRowsLinked, spec, dims, { g, ends, next, dx: size });
    assert.equal(chained.dx?.u32, scanned.dx?.u32);
    const want = new Float64Array(size);
    g.forEach((value, i) => {
      const row = index[Math.floor(i / inner) % count] as number;
      const at = (Math.floor(i / inner / count) * rows + row) * inner + (i % inner);
      if (row >= 0 && row < rows) want[at] = (want[at] as number) + value;
    });
    close(scanned.dx?.f32 ?? [], want, { atol: 1e-5 });
  }
});

gathers("an index out of range reads what is missing", async () => {
  const x = Uint32Array.of(1, 2, 3, 4);
  const dims = { outer: 1, rows: 4, count: 3, inner: 1, missing: 99 };
  const { y } = await runKernel(gatherRows, { unit: "u32", width: 1 }, dims, {
    x,
    index: Int32Array.of(3, -1, 4),
    y: 3,
  });
  assert.equal(Array.from(y?.u32 ?? []), [4, 99, 99]);
});

gathers("grids of live rows follow the count, fold past the limit, and stay where rows do not matter", async () => {
  const capacity = 1 << 16;
  const table = [
    ...[1, 3, 2, 1, 2, 64, 2048], // grid y: 2 units a row, 64 a workgroup
    ...[1, 1, 4, 3, 3, 1, 3 << 16], // folded: 3 units a row, one a workgroup; tiles of columns along z
    ...[5, 6, 7, 4, 0, 1, 0], // whatever the rows
  ];
  const grids = async (count: number): Promise<number[]> => {
    const args = Uint32Array.from([...new Array<number>(9).fill(0), ...table]);
    const result = await runKernel(liveGrids, {}, { launches: 3, capacity }, { count: Uint32Array.of(count), args });
    return Array.from(result.args?.u32.slice(0, 9) ?? []);
  };
  assert.equal(await grids(0), [1, 0, 2, 0, 1, 4, 5, 6, 7]);
  assert.equal(await grids(33), [1, 2, 2, 99, 1, 4, 5, 6, 7]);
  assert.equal(await grids(capacity), [1, 2048, 2, 49152, 4, 4, 5, 6, 7]);
  assert.equal(await grids(capacity + 9), await grids(capacity));
});
