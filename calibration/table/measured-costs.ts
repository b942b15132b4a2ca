// What leaving early costs in milliseconds, as a device was seen to take: costs of a table by it, and where a promised
// saving goes.

import { exactly, json, type Kinds, lastOf, SortieError, zip } from "../../base/index.ts";
import { CalibrationError, check, checkKind, checkLengths, fail, readOptions } from "../errors.ts";
import { dot } from "../numeric/arrays.ts";
import { COSTED } from "../rules/options.ts";
import type { Source } from "./scores.ts";
import { relativeCosts } from "./table.ts";

/** What costs are counted in. */
export type CostUnit = "macs" | "milliseconds";

/** Milliseconds of batches of one size; K exits. */
export interface StageTimes {
  /** B, images that run together. */
  readonly batch: number;
  /** `[R]` how many of a batch's images counted, ascending up to B. */
  readonly rows: readonly number[];
  /** `[K][R]` up to each exit, all exits passed deciding. */
  readonly passing: readonly (readonly number[])[];
  /** `[K]` a full batch up to each exit, which alone decides; the last is the whole network. */
  readonly alone: readonly number[];
  /** What it takes to ask behind every early exit who stays, and to move nobody. */
  readonly compaction: number;
}

/** What was measured on an adapter. */
export interface MeasuredCosts {
  readonly adapter: string;
  /** One for each size of batches. */
  readonly times: readonly StageTimes[];
}

const MILLISECONDS: json.Reader<number> = (value, place) => {
  const found = json.finite(value, place);
  if (found < 0) throw new SortieError(`${place} must be at least 0; got ${found}.`);
  return found;
};
const TIMES = {
  batch: json.count,
  rows: json.filled(json.count),
  passing: json.filled(json.filled(MILLISECONDS)),
  alone: json.filled(MILLISECONDS),
  compaction: MILLISECONDS,
} as const satisfies Readonly<Record<keyof StageTimes, json.Reader<unknown>>>;

/** Measured costs of a parsed JSON text. @throws CalibrationError that names the field. */
export function readCosts(value: unknown): MeasuredCosts {
  try {
    const times = json.filled(json.record(TIMES));
    const found = json.parts(value, "costs", { adapter: json.text, times });
    for (const one of found.times) checkTimes(one);
    return found;
  } catch (cause) {
    if (!(cause instanceof SortieError)) throw cause;
    throw new CalibrationError(cause.message, { cause });
  }
}

function checkTimes({ batch, rows, passing, alone }: StageTimes): void {
  const grows = rows.every((n, i) => i === 0 || n > rows[i - 1]!) && rows.at(-1) === batch;
  check(grows, "costs", `rows must ascend to the batch, ${batch}`, `[${rows.join(", ")}]`);
  checkLengths("costs", "passing", passing.length, "alone", alone.length);
  const wrong = passing.find((each) => each.length !== rows.length);
  if (wrong) checkLengths("costs", "passing", wrong.length, "rows", rows.length);
}

/** The times of batches of a size. @throws CalibrationError where that size was not measured. */
export function timesOf(measured: MeasuredCosts, batch: number): StageTimes {
  checkKind("timesOf", "measured", measured, "costs");
  const { times } = measured;
  const found = times.find((one) => one.batch === batch);
  return (
    found ?? fail("costs", `batch must be one that was measured (${times.map((one) => one.batch).join(", ")})`, batch)
  );
}

/** Options of `withCosts`. */
export interface CostOptions {
  /** Default milliseconds. macs: the costs stay as they are. */
  readonly costs?: CostUnit;
  readonly measured: MeasuredCosts;
  /** Default: the first that was measured. */
  readonly batch?: number;
}

const COSTS: Kinds<CostOptions> = { ...COSTED, measured: "any!" };

/**
 * The same samples, with costs by measured time: what a sample that leaves at an exit takes of a full batch, as a share
 * of one that passes all exits. Thresholds that are chosen by cost, and every cost that is told of these samples, are
 * then by time. Where an exit was measured to take less than one in front of it, it counts as much as that.
 */
export function withCosts<S extends Source>(source: S, options: CostOptions): S {
  const { costs = COSTED.costs.default, measured, batch } = readOptions("withCosts", options, COSTS);
  if (costs === "macs") return source;
  checkKind("withCosts", "source", source);
  checkKind("withCosts", "measured", measured, "costs");
  const first = measured.times[0]?.batch ?? Number.NaN;
  const { passing } = timesOf(measured, batch ?? first);
  checkLengths("withCosts", "measured exits", passing.length, "exits of the samples", source.exits);
  return { ...source, costs: relativeCosts(fullBatches(passing), source.exits), costUnit: "milliseconds" };
}

/** Of full batches, with noise that makes a later exit the faster one evened out. */
function fullBatches(passing: StageTimes["passing"]): Float64Array {
  let most = 0;
  return Float64Array.from(passing, (times) => {
    most = Math.max(most, lastOf(times));
    return most;
  });
}

/** What a cascade did. */
export interface SeenSaving {
  /** `[K]` share of samples that left at each exit. */
  readonly fractions: ArrayLike<number>;
  /** `[K]` costs in MACs, as shares of the last. */
  readonly macs: ArrayLike<number>;
  /** Milliseconds of a batch, through the whole network and through the cascade. */
  readonly whole: number;
  readonly cascade: number;
}

/** Promised and measured saving, and what lies between, all as shares of the whole network's time. */
export interface Saving {
  /** By MACs. */
  readonly byMacs: number;
  /** By stage times: shares that leave, times what full batches take up to there. */
  readonly byTimes: number;
  readonly measured: number;
  /** Between `byMacs` and `byTimes`: decisions at early exits; stages that take another share of time than of MACs. */
  readonly decisions: number;
  readonly stages: number;
  /** Between `byTimes` and `measured`: what launches of later stages cost, however few samples are left. */
  readonly launches: number;
  /** Samples that cost more in a batch that is badly filled. */
  readonly filling: number;
  /** Asking who stays; without moving them. */
  readonly compaction: number;
  /** Moving them, and whatever else. */
  readonly rest: number;
}

/**
 * Where a saving goes. Of a policy that has closed exits give times, fractions and costs of the open ones alone
 * (`measureCosts` with `open`): what never runs costs nothing. @throws CalibrationError
 * for numbers of exits that disagree.
 */
export function savingOf(times: StageTimes, seen: SeenSaving): Saving {
  checkKind("savingOf", "stages", times, "times");
  const { passing, alone, rows, batch } = times;
  const { fractions, macs, whole, cascade } = seen;
  const exits = passing.length;
  checkLengths("savingOf", "fractions", fractions.length, "measured exits", exits);
  checkLengths("savingOf", "macs", macs.length, "measured exits", exits);
  const shares = Float64Array.from(fractions);
  const full = lastOf(alone);
  const byMacs = 1 - dot(shares, Float64Array.from(macs));
  const decided = passing.map(lastOf);
  const byTimes = 1 - dot(shares, Float64Array.from(decided)) / full;
  const decisions =
    zip(shares, decided, alone).reduce((sum, [share, deciding, plain]) => sum + share * (deciding - plain), 0) / full;
  const measured = 1 - cascade / whole;
  let [launches, filling, reach] = [0, 0, 1];
  // A batch of one is never filled in part.
  for (const [j, [share, times]] of rows.length > 1 ? zip(shares, passing).entries() : []) {
    const before = passing[j - 1];
    const stage = (n: number) => at(rows, times, n) - (before ? at(rows, before, n) : 0);
    const none = rows[0] === 0 ? stage(0) : 0;
    launches += ((1 - reach) * none) / full;
    filling += (stage(reach * batch) - reach * stage(batch) - (1 - reach) * none) / full;
    reach -= share;
  }
  const compaction = times.compaction / full;
  const rest = byTimes - measured - launches - filling - compaction;
  return {
    byMacs,
    byTimes,
    measured,
    decisions,
    stages: byMacs - byTimes - decisions,
    launches,
    filling,
    compaction,
    rest,
  };
}

/** Between measured numbers of rows, a straight line. */
function at(rows: readonly number[], times: readonly number[], n: number): number {
  const above = Math.max(
    1,
    rows.findIndex((each) => each >= n),
  );
  const [x0, x1] = exactly(rows.slice(above - 1, above + 1), 2);
  const [y0, y1] = exactly(times.slice(above - 1, above + 1), 2);
  return y0 + ((n - x0) / (x1 - x0)) * (y1 - y0);
}
