// What each exit costs in time on this adapter: the prepared network is run up to every exit, on batches that are full,
// filled in part, and empty, as a classifier would run it. No image leaves, so the time up to each exit is known
// whatever a policy lets leave.

import { firstOf, type Kinds, lastOf, median, misfit, option, what } from "../../base/index.ts";
import type { MeasuredCosts, StageTimes } from "../../calibration/index.ts";
import { ArgumentError, readOptions } from "../../engine/functions.ts";
import { checkNetwork, type MultiExit } from "../network/multi-exit.ts";
import { deviceOf } from "../training/evaluator.ts";
import { adapterName } from "./adapter-name.ts";
import { makeSite } from "./classifier.ts";
import { CLASSIFY_BATCH, checkPrecision } from "./deploy.ts";
import type { Precision } from "./prepared.ts";
import { type Behind, Route, type Site } from "./route.ts";
import { UNREACHED } from "./thresholds.ts";

/** Options of `measureCosts`. */
export interface MeasureOptions {
  /** Sizes of batches; default 64. */
  readonly batch?: number | readonly number[];
  /** Times that each is measured, of which the median counts; default 5. */
  readonly rounds?: number;
  /** As in `deploy`; default f32. */
  readonly precision?: Precision;
  /**
   * The exits that decide, ascending from 0, the last of the network among them; default all. Of the others, which a
   * policy has closed, nothing is run, and the times are those of these exits alone.
   */
  readonly open?: readonly number[];
}

/** How often a time is measured. */
export const ROUNDS = option.whole(5, "rounds, of which the median counts", { min: 1 });

const MEASURE: Kinds<MeasureOptions> = { batch: "any", rounds: ROUNDS, precision: "string", open: "any" };

/** A round goes on for so many milliseconds. */
const ROUND = 20;
/** Parts of a batch that are timed, besides none and all. */
const PARTS = [1 / 8, 1 / 4, 1 / 2];

/**
 * Measures what a sample that leaves at each exit costs on the network's adapter: for `withCosts` and `savingOf` of
 * calibration. The machine should have nothing else to do. @throws ArgumentError for what cannot be deployed.
 */
export async function measureCosts(net: MultiExit, options: MeasureOptions = {}): Promise<MeasuredCosts> {
  checkNetwork("measureCosts", net);
  const {
    batch = CLASSIFY_BATCH.default,
    rounds = ROUNDS.default,
    precision = "f32",
    open = Array.from({ length: net.exits }, (_, j) => j),
  } = readOptions("measureCosts", options, MEASURE);
  const sizes: readonly number[] = typeof batch === "number" ? [batch] : batch;
  for (const size of sizes)
    if (!CLASSIFY_BATCH.fits(size)) throw new ArgumentError(`measureCosts: ${misfit("batch", CLASSIFY_BATCH, size)}`);
  checkOpen(open, net.exits);
  const { info } = deviceOf(net);
  checkPrecision("measureCosts", precision, info);
  const times: StageTimes[] = [];
  for (const size of sizes) times.push(await timesOf(net, size, { rounds, precision, open }));
  return { adapter: adapterName(info), times };
}

/** @throws ArgumentError for what is no pattern of exits. */
function checkOpen(open: readonly number[], exits: number): void {
  const isPattern =
    Array.isArray(open) &&
    open.every((j, k) => Number.isInteger(j) && j >= 0 && (k === 0 || j > open[k - 1]!)) &&
    open.at(-1) === exits - 1;
  if (isPattern) return;
  throw new ArgumentError(
    `measureCosts: open must be exits, ascending from 0, the last one (${exits - 1}) among them; got ${what(open)}.`,
  );
}

type Measured = { readonly rounds: number; readonly precision: Precision; readonly open: readonly number[] };

/** A route and how many images of its batch count. */
interface Timed {
  readonly route: Route;
  readonly n: number;
  readonly times: number[];
}

async function timesOf(net: MultiExit, batch: number, { rounds, precision, open }: Measured): Promise<StageTimes> {
  const owned: { dispose(): void }[] = [];
  try {
    const levels = Array.from({ length: net.exits - 1 }, () => [UNREACHED]);
    const temperatures = new Array<number>(net.exits).fill(1);
    const site = await makeSite(
      net,
      { batch, precision, score: "maxProb", levels, temperatures, slack: 0, isApart: false },
      owned,
    );
    const record = async (exits: readonly number[], behind: Behind): Promise<Route> => {
      const route = await Route.record({ ...site, open: exits }, new Array<Behind>(exits.length - 1).fill(behind));
      owned.push(route);
      return route;
    };
    const rows = batch === 1 ? [1] : [...new Set([0, ...PARTS.map((part) => Math.ceil(part * batch)), batch])];
    const all: Timed[] = [];
    const timed = (route: Route, n: number): number[] => {
      const times: number[] = [];
      all.push({ route, n, times });
      return times;
    };
    const passing: number[][][] = [];
    const alone: number[][] = [];
    for (const [k, j] of open.entries()) {
      const up = await record(open.slice(0, k + 1), "keep");
      passing.push(rows.map((n) => timed(up, n)));
      alone.push(k === 0 ? lastOf(firstOf(passing)) : timed(await record([j], "keep"), batch));
    }
    const packed = open.length === 1 ? undefined : timed(await record(open, "compact"), batch);
    for (let round = -1; round < rounds; round++) {
      for (const { route, n, times } of all) {
        const ms = await timeOf(site, route, n);
        if (round >= 0) times.push(ms);
      }
    }
    const kept = median(lastOf(lastOf(passing)));
    return {
      batch,
      rows,
      passing: passing.map((each) => each.map(median)),
      alone: alone.map(median),
      compaction: packed ? Math.max(0, median(packed) - kept) : 0,
    };
  } finally {
    for (const made of owned.reverse()) made.dispose();
  }
}

/** Milliseconds of a batch, where the next is submitted while one runs, as in a classifier. */
async function timeOf({ results }: Site, route: Route, n: number): Promise<number> {
  const wanted = [results.answers];
  const start = performance.now();
  let runs = 0;
  let before: Promise<unknown> = Promise.resolve();
  while (runs === 0 || performance.now() - start < ROUND) {
    const now = route.run(n, wanted);
    // If the one before fails, nobody waits for this one.
    now.catch(() => {});
    await before;
    before = now;
    runs += 1;
  }
  await before;
  return (performance.now() - start) / runs;
}
