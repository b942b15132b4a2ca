// Exit after exit: each early exit gets the loosest threshold that passes on the samples that earlier exits refused.
// The procedures differ in how they pay for the labels that earlier exits have already used.

import { column, indices } from "../numeric/arrays.ts";
import { smallestTestable } from "../numeric/bounds.ts";
import { type Random, randomOrder } from "../numeric/random.ts";
import { betweenValues, quantileOfSorted } from "../numeric/ranks.ts";
import { type Cascade, survivors } from "../table/scores.ts";
import type { RiskLevels } from "./result.ts";
import { countOnGrid, fixedSequence, keptFrom } from "./selective-risk.ts";

/**
 * All have delta/(K-1) for each exit.
 * - `sequential`: all samples at every exit. Simple; not strict, since exit 2's samples were chosen
 *   with labels that its own test uses again. Held its level in every simulation (bench/results/validity.md).
 * - `split`: exit j is tested on its own part of the samples. Strict.
 * - `union`: exit j's level is also divided by the number of threshold combinations the exits before could have chosen.
 *   Strict.
 * - `allSamples`: every exit on all samples, as published. Not valid in a cascade; kept for comparison.
 *
 * With one early exit all are the same, and strict.
 */
export type ChainProcedure = "sequential" | "split" | "union" | "allSamples";

/**
 * Whether a chain's level is proven: no labels are used again at a later exit, of which a single early exit has none,
 * and validation samples say where its tests begin.
 */
export const isStrictChain = (procedure: ChainProcedure, exits: number): boolean =>
  exits === 2 || procedure === "split" || procedure === "union";

/** What a chain needs. */
export interface ChainInput extends RiskLevels {
  readonly calibration: Cascade;
  readonly validation: Cascade;
  readonly procedure: ChainProcedure;
  /** One threshold per exit and predicted class instead of one per exit; not with `union`. */
  readonly isByClass: boolean;
  readonly steps: number;
  readonly random: Random;
}

/** Thresholds `[K-1]` or `[K-1, C]`; +Infinity where an exit stays closed. */
export function runChain(input: ChainInput): Float64Array {
  const { calibration, validation, procedure, isByClass } = input;
  const early = calibration.exits - 1;
  const groups = isByClass ? calibration.classes : 1;
  const thresholds = new Float64Array(early * groups).fill(Number.POSITIVE_INFINITY);
  let alive = indices(calibration.samples);
  let aliveValidation = indices(validation.samples);
  for (const [j, part] of samplesPerExit(input, early).entries()) {
    const level = chainLevel(input, j);
    const isAlive = new Uint8Array(calibration.samples);
    for (const i of alive) isAlive[i] = 1;
    const testable = part.filter((i) => isAlive[i] === 1);
    for (let c = 0; c < groups; c++) {
      const isMine = (of: Cascade) => (i: number) => !isByClass || of.predictions[i * of.exits + j] === c;
      thresholds[j * groups + c] = testExit(input, j, level, {
        own: testable.filter(isMine(calibration)),
        ownValidation: aliveValidation.filter(isMine(validation)),
      });
    }
    if (procedure === "allSamples") continue;
    const own = thresholds.subarray(j * groups, (j + 1) * groups);
    alive = survivors(calibration, j, alive, own);
    aliveValidation = survivors(validation, j, aliveValidation, own);
  }
  return thresholds;
}

/** The level of one test at an exit. */
export function chainLevel({ calibration, procedure, isByClass, steps, delta }: ChainInput, exit: number): number {
  const groups = (calibration.exits - 1) * (isByClass ? calibration.classes : 1);
  // a union over all an earlier exit could have chosen: every grid point, or (+1) to stay closed
  const combinations = procedure === "union" ? (steps + 1) ** exit : 1;
  return delta / (groups * combinations);
}

/** The share of all samples that one exit's tests may use. */
export function chainShare({ calibration, procedure }: ChainInput): number {
  return procedure === "split" ? 1 / (calibration.exits - 1) : 1;
}

/** The loosest threshold of one exit that passes at `level` on its own samples; +Infinity if none does. */
function testExit(
  { calibration, validation, procedure, steps, alpha }: ChainInput,
  exit: number,
  level: number,
  { own, ownValidation }: { readonly own: Int32Array; readonly ownValidation: Int32Array },
): number {
  if (own.length === 0 || ownValidation.length === 0) return Number.POSITIVE_INFINITY;
  const grid = quantileGrid(validation, exit, ownValidation, steps);
  const counts = countAtExit(calibration, exit, own, grid);
  const levels = { alpha, delta: level };
  const kept = isStrictChain(procedure, calibration.exits)
    ? keptFrom(firstTestable(validation, exit, ownValidation, grid, own.length, levels), counts, levels)
    : fixedSequence(counts, levels);
  return grid[kept] ?? Number.POSITIVE_INFINITY;
}

const countAtExit = ({ exits, scores, errors }: Cascade, exit: number, rows: Int32Array, grid: Float64Array) =>
  countOnGrid(grid, column(scores, exits, exit, rows), column(errors, exits, exit, rows));

/** Which calibration samples may be used at each exit. */
function samplesPerExit({ calibration, procedure, random }: ChainInput, early: number): readonly Int32Array[] {
  const { samples } = calibration;
  if (procedure !== "split") return Array.from({ length: early }, () => indices(samples));
  const order = randomOrder(samples, random);
  return Array.from({ length: early }, (_, j) =>
    order.subarray(Math.floor((samples * j) / early), Math.floor((samples * (j + 1)) / early)),
  );
}

/** Quantiles of the validation survivors' scores, strict to loose. */
function quantileGrid(validation: Cascade, exit: number, alive: Int32Array, steps: number): Float64Array {
  const ascending = column(validation.scores, validation.exits, exit, alive).sort();
  return Float64Array.from({ length: steps }, (_, g) =>
    betweenValues(ascending, quantileOfSorted(ascending, 1 - (g + 1) / (steps + 1))),
  );
}

/**
 * Where to start testing, from validation alone: the grid point whose test is predicted to be easiest among those that
 * will have enough calibration samples to pass (unless these fall short by two deviations), or the loosest if none
 * will. Starting where calibration counts allow would let the counts choose the first hypothesis.
 */
function firstTestable(
  validation: Cascade,
  exit: number,
  alive: Int32Array,
  grid: Float64Array,
  n: number,
  { alpha, delta }: RiskLevels,
): number {
  const counts = countAtExit(validation, exit, alive, grid);
  const nMin = smallestTestable(alpha, delta);
  let best = grid.length - 1;
  let bestZ = Number.NEGATIVE_INFINITY;
  for (const [g, accepted] of counts.accepted.entries()) {
    const share = accepted / alive.length;
    const expected = share * n;
    const deviation = Math.sqrt(expected * (1 - share) * (1 + n / alive.length));
    const rate = (counts.errors[g]! + 0.5) / (accepted + 1);
    const z = (alpha - rate) * Math.sqrt(expected);
    if (expected - 2 * deviation >= nMin && z > bestZ) {
      best = g;
      bestZ = z;
    }
  }
  return best;
}
