// Which reduction kernels to run for given extents: one launch, or two where few long lines must fill the machine.

import { ceilDiv, type StorageType } from "../kernel.ts";
import { type AdapterTraits, isNarrow } from "../shared/adapter.ts";
import {
  MAX_STRIDED_AXES,
  type ReduceDims,
  type ReduceSpec,
  type StridedReduceDims,
  type StridedReduceSpec,
} from "./reduce.ts";
import { isSum, type ReduceOp, stateWords } from "./states.ts";

/** What all reductions have to say. */
interface Reducing {
  readonly op: ReduceOp;
  readonly dtype: StorageType;
  /** Lowers the divisor of var. */
  readonly correction?: number;
  /**
   * Extent of the leading axis if it is kept, so that the launches may follow a live row count; default 0, it is not.
   */
  readonly rows?: number;
}

/** What to reduce: x [outer, len, inner] over `len`. */
export interface ReduceProblem extends Reducing {
  readonly outer: number;
  readonly len: number;
  readonly inner: number;
}

/** One launch. A step of stage `partial` writes `scratchBytes` of states, which the next step reads in place of x. */
export interface ReduceStep<S extends ReduceSpec = ReduceSpec, D = ReduceDims> {
  readonly spec: S;
  readonly dims: D;
  readonly scratchBytes: number;
}

/** How the threads are laid out on lines. */
type Layout = Pick<ReduceSpec, "across" | "group" | "lanes" | "shuffle" | "width"> & { readonly parts: number };

/** Most parts that a line is cut into: the final pass walks them with few threads. */
const MAX_PARTS = 1024;

/** Longest walk of a lane through a sum: more would cost digits (see chain.ts). */
const LONGEST = 4096;

/** Elements that the lanes of a unit take together in one step, along the line. */
const stepsOf = ({ across, lanes, width }: Layout): number => (across === "line" ? lanes * width : lanes);

const powerOfTwo = (n: number): number => 2 ** Math.floor(Math.log2(Math.max(1, n)));

/** Parts so that there are about `target` units, of at least `least` elements each. */
function partsFor(units: number, len: number, target: number, least: number): number {
  const parts = Math.min(MAX_PARTS, ceilDiv(target, Math.max(1, units)), Math.floor(len / least));
  return parts >= 2 ? parts : 1;
}

// Adapters with narrow subgroups are CPUs: a core runs a workgroup, barriers cost, and 128 units are enough.
function lineLayout(lines: number, len: number, width: 1 | 4, traits: AdapterTraits): Layout {
  const { subgroupSize } = traits;
  const steps = len / width;
  const across = "line";
  if (steps <= (isNarrow(traits) ? 4 : 8)) return { across, group: 64, lanes: 1, shuffle: 1, width, parts: 1 };
  if (isNarrow(traits)) {
    const lanes = powerOfTwo(Math.min(64, subgroupSize));
    return { across, group: 64, lanes, shuffle: lanes, width, parts: partsFor(lines, len, 128, 32 * lanes * width) };
  }
  const isShort = lines >= 512 && steps <= 1024;
  const lanes = isShort ? 32 : 256;
  const shuffle = powerOfTwo(Math.min(lanes, Math.max(1, subgroupSize)));
  return {
    across,
    group: 256,
    lanes,
    shuffle,
    width,
    parts: isShort ? 1 : partsFor(lines, len, 512, 4 * lanes * width),
  };
}

function columnLayout(lines: number, len: number, width: 1 | 4, traits: AdapterTraits): Layout {
  const across = "lines";
  if (isNarrow(traits)) {
    return { across, group: 64, lanes: 1, shuffle: 1, width, parts: lines >= 512 ? 1 : partsFor(lines, len, 1024, 32) };
  }
  if (lines >= 65536 || len < 32) return { across, group: 64, lanes: 1, shuffle: 1, width, parts: 1 };
  return { across, group: 256, lanes: 8, shuffle: 1, width, parts: partsFor(ceilDiv(lines, 32), len, 512, 64) };
}

function layoutFor({ outer, len, inner }: ReduceProblem, traits: AdapterTraits): Layout {
  if (inner === 1) return lineLayout(outer, len, len % 4 === 0 ? 4 : 1, traits);
  const width = inner % 4 === 0 ? 4 : 1;
  return columnLayout((outer * inner) / width, len, width, traits);
}

/** The launches for a problem laid out so, as they are for a contiguous tensor. */
function stepsFor(problem: ReduceProblem, layout: Layout, traits: AdapterTraits): ReduceStep[] {
  const { op, dtype, outer, len, inner, correction = 0, rows = 0 } = problem;
  const { parts: planned, ...geometry } = layout;
  const wanted = isSum(op, dtype) && rows === 0 ? Math.max(planned, ceilDiv(len, stepsOf(layout) * LONGEST)) : planned;
  const count = len - correction;
  const align = geometry.across === "line" ? geometry.width : 1;
  const chunk = Math.max(align, ceilDiv(ceilDiv(len, wanted), align) * align);
  const parts = Math.max(1, ceilDiv(len, chunk));
  const dims: ReduceDims = { outer, len, inner, parts, chunk, count };
  if (parts === 1) return [{ spec: { op, dtype, stage: "whole", ...geometry }, dims, scratchBytes: 0 }];
  const { parts: _, ...finalGeometry } =
    inner === 1 ? lineLayout(outer, parts, 1, traits) : columnLayout(outer * inner, parts, 1, traits);
  return [
    {
      spec: { op, dtype, stage: "partial", ...geometry },
      dims,
      scratchBytes: outer * parts * inner * 4 * stateWords(op, dtype),
    },
    {
      spec: { op, dtype, stage: "final", ...finalGeometry },
      dims: { outer, len: parts, inner, parts: 1, chunk: parts, count },
      scratchBytes: 0,
    },
  ];
}

/** Launches of `reduceLines` that solve `problem`: one, or a `partial` and a `final`. */
export function planReduce(problem: ReduceProblem, traits: AdapterTraits): ReduceStep[] {
  return stepsFor(problem, layoutFor(problem, traits), traits);
}

/** An axis of a strided tensor: its extent, and the elements from one index to the next. */
export interface StridedAxis {
  readonly extent: number;
  readonly stride: number;
}

/** What to reduce where reduced axes are scattered among kept ones; each list in row-major order, at most 4 long. */
export interface StridedReduceProblem extends Reducing {
  readonly kept: readonly StridedAxis[];
  readonly reduced: readonly StridedAxis[];
}

const extents = (axes: readonly StridedAxis[]): number => axes.reduce((n, { extent }) => n * extent, 1);

/** Numbered uniforms of up to four axes. */
function numbered(axes: readonly StridedAxis[], extent: "n" | "m", stride: "s" | "t"): Record<string, number> {
  const entries = Array.from({ length: MAX_STRIDED_AXES }, (_, i) => [
    [`${extent}${i}`, axes[i]?.extent ?? 1],
    [`${stride}${i}`, axes[i]?.stride ?? 0],
  ]);
  return Object.fromEntries(entries.flat());
}

/**
 * Launches that solve `problem`: one of `reduceAxes`, and, where lines were cut into parts, one of `reduceLines` after
 * it.
 */
export function planReduceStrided(
  { kept, reduced, ...what }: StridedReduceProblem,
  traits: AdapterTraits,
): { readonly first: ReduceStep<StridedReduceSpec, StridedReduceDims>; readonly rest: readonly ReduceStep[] } {
  const lines = extents(kept);
  const len = extents(reduced);
  const nearest = (axes: readonly StridedAxis[]): number => axes.at(-1)?.stride ?? Number.POSITIVE_INFINITY;
  const isAcrossLines = nearest(kept) < nearest(reduced);
  const problem = { ...what, len, outer: isAcrossLines ? 1 : lines, inner: isAcrossLines ? lines : 1 };
  const layout = isAcrossLines ? columnLayout(lines, len, 1, traits) : lineLayout(lines, len, 1, traits);
  const [first, ...rest] = stepsFor(problem, layout, traits) as [ReduceStep, ...ReduceStep[]];
  const dims = { ...first.dims, ...numbered(kept, "n", "s"), ...numbered(reduced, "m", "t") } as StridedReduceDims;
  return { first: { ...first, spec: { ...first.spec, kept: kept.length, reduced: reduced.length }, dims }, rest };
}
