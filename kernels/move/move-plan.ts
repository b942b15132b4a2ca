// Which kernel moves given axes fastest: whole vec4s where everything divides by four, a blocked transpose where the
// two innermost axes change places, single elements otherwise.

import type { Dims } from "../kernel.ts";
import { type MoveUnit, numberedDims } from "../shared/items.ts";
import {
  blockTranspose,
  type ConcatSpec,
  type ConcatUniform,
  type CopySpec,
  type CopyUniform,
  concatRows,
  MAX_CONCAT,
  type PlaceSpec,
  type PlaceUniform,
  stridedCopy,
  stridedPlace,
  type TransposeSpec,
  type TransposeUniform,
} from "./move.ts";

const product = (extents: readonly number[]): number => extents.reduce((n, extent) => n * extent, 1);
const isQuads = (values: readonly number[]): boolean => values.every((value) => value % 4 === 0);
const quarter = (value: number): number => value / 4;

/** The last of `values` divided by four: extents in vec4s. */
const quarterLast = (values: readonly number[]): number[] =>
  values.map((v, i) => (i === values.length - 1 ? v / 4 : v));

/** Strides in vec4s: the innermost stays 1. */
const quarterStrides = (values: readonly number[]): number[] =>
  values.map((v, i) => (i === values.length - 1 ? v : v / 4));

/** A strided copy: axes with strides of x, from element `from`; with `yStrides` into a region of y at `to`. */
export interface CopyProblem {
  readonly unit: MoveUnit;
  readonly shape: readonly number[];
  readonly xStrides: readonly number[];
  readonly from?: number;
  readonly yStrides?: readonly number[];
  readonly to?: number;
}

export type CopyLaunch =
  | {
      readonly kind: "copy";
      readonly kernel: typeof stridedCopy;
      readonly spec: CopySpec;
      readonly dims: Dims<CopyUniform>;
    }
  | {
      readonly kind: "transpose";
      readonly kernel: typeof blockTranspose;
      readonly spec: TransposeSpec;
      readonly dims: Dims<TransposeUniform>;
    };

/** x [batch, rows, cols] with its last two axes exchanged, if that is what the copy is. */
function asTranspose({ unit, shape, xStrides, from = 0, yStrides }: CopyProblem): CopyLaunch | undefined {
  const [cols, rows] = shape.slice(-2);
  const [batch] = shape.length === 3 ? shape : [1];
  if (yStrides || from !== 0 || shape.length < 2 || shape.length > 3) return undefined;
  if (batch === undefined || rows === undefined || cols === undefined || !isQuads([rows, cols])) return undefined;
  const expected = [...(shape.length === 3 ? [rows * cols] : []), 1, cols];
  if (!xStrides.every((stride, i) => stride === expected[i])) return undefined;
  return {
    kind: "transpose",
    kernel: blockTranspose,
    spec: { unit },
    dims: { batch, rows, cols },
  };
}

/** The launch for a strided copy over at most eight axes, best collapsed before. */
export function planCopy(problem: CopyProblem): CopyLaunch {
  const transposed = asTranspose(problem);
  if (transposed) return transposed;
  const { unit, shape, xStrides, from = 0, yStrides, to = 0 } = problem;
  const all = [xStrides, ...(yStrides ? [yStrides] : [])];
  const isWide =
    all.every((strides) => strides.at(-1) === 1 && isQuads(strides.slice(0, -1))) &&
    isQuads([shape.at(-1) ?? 1, from, to]);
  const [extents, s, t] = isWide
    ? [quarterLast(shape), quarterStrides(xStrides), quarterStrides(yStrides ?? [])]
    : [shape, xStrides, yStrides ?? []];
  return {
    kind: "copy",
    kernel: stridedCopy,
    spec: { unit, width: isWide ? 4 : 1, rank: shape.length, region: yStrides !== undefined },
    dims: {
      size: product(extents),
      origin: isWide ? quarter(from) : from,
      place: isWide ? quarter(to) : to,
      ...numberedDims("n", extents, 1),
      ...numberedDims("s", s, 0),
      ...numberedDims("t", t, 0),
    },
  };
}

/** x of `shape` laid into y of `yShape`: element k of axis d goes to `lo[d] + k step[d]`, if y has it. */
export interface PlaceProblem {
  readonly unit: MoveUnit;
  readonly shape: readonly number[];
  readonly yShape: readonly number[];
  readonly lo: readonly number[];
  readonly step: readonly number[];
  /** What fills the rest, as `place` wants it. */
  readonly valueBits: number;
}

const isIdle = (problem: PlaceProblem, i: number): boolean =>
  problem.shape[i] === problem.yShape[i] && problem.lo[i] === 0 && problem.step[i] === 1;

/** Merges every axis that nothing happens to into the one before it; offsets there then count inner elements. */
function mergeIdle({ shape, yShape, lo, step, ...rest }: PlaceProblem): PlaceProblem {
  const axes: { m: number; n: number; lo: number; step: number }[] = [];
  for (let i = 0; i < shape.length; i++) {
    const own = { m: shape[i]!, n: yShape[i]!, lo: lo[i]!, step: step[i]! };
    const before = axes.at(-1);
    if (before && before.step === 1 && isIdle({ shape, yShape, lo, step, ...rest }, i)) {
      before.m *= own.m;
      before.n *= own.n;
      before.lo *= own.m;
    } else {
      axes.push(own);
    }
  }
  const list = (key: "m" | "n" | "lo" | "step"): number[] => axes.map((axis) => axis[key]);
  return { ...rest, shape: list("m"), yShape: list("n"), lo: list("lo"), step: list("step") };
}

/** The launch that lays one tensor into another; at most eight axes are left once idle ones are merged. */
export function planPlace(problem: PlaceProblem): {
  readonly kernel: typeof stridedPlace;
  readonly spec: PlaceSpec;
  readonly dims: Dims<PlaceUniform>;
} {
  const { unit, shape, yShape, lo, step, valueBits } = mergeIdle(problem);
  const isWide =
    shape.length > 0 && step.at(-1) === 1 && isQuads([shape.at(-1) ?? 1, yShape.at(-1) ?? 1, lo.at(-1) ?? 1]);
  const [m, n, offsets] = isWide ? [shape, yShape, lo].map(quarterLast) : [shape, yShape, lo];
  const strides = (m ?? []).map((_, i) => product((m ?? []).slice(i + 1)));
  return {
    kernel: stridedPlace,
    spec: { unit, width: isWide ? 4 : 1, rank: shape.length, stepped: step.some((s) => s !== 1) },
    dims: {
      size: product(n ?? []),
      value: valueBits,
      ...numberedDims("n", n ?? [], 1),
      ...numberedDims("m", m ?? [], 1),
      ...numberedDims("lo", offsets ?? [], 0),
      ...numberedDims("step", step, 1),
      ...numberedDims("s", strides, 0),
    },
  };
}

/**
 * Launches that write inputs of `lens` elements a row side by side into y [rows, sum of lens]; each takes its `inputs`.
 */
export function planConcat(
  unit: MoveUnit,
  rows: number,
  lens: readonly number[],
): {
  readonly kernel: typeof concatRows;
  readonly spec: ConcatSpec;
  readonly dims: Dims<ConcatUniform>;
  readonly inputs: readonly number[];
}[] {
  const width = isQuads(lens) ? 4 : 1;
  const filled = lens.flatMap((len, i) => (len > 0 ? [i] : []));
  const total = lens.reduce((sum, len) => sum + len, 0);
  const launches = [];
  let from = 0;
  for (let first = 0; first < filled.length; first += MAX_CONCAT) {
    const inputs = filled.slice(first, first + MAX_CONCAT);
    let end = 0;
    const ends = inputs.map((i) => {
      end += lens[i]!;
      return end / width;
    });
    launches.push({
      kernel: concatRows,
      spec: { unit, width, inputs: inputs.length } as const,
      dims: { rows, total: total / width, offset: from / width, ...concatEnds(ends) },
      inputs,
    });
    from += end;
  }
  return launches;
}

const concatEnds = (ends: readonly number[]) => {
  const at = (i: number): number => ends[i] ?? 0;
  return { e0: at(0), e1: at(1), e2: at(2), e3: at(3), e4: at(4), e5: at(5) };
};
