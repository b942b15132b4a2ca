// Times one workload on several engines that take turns, and checks what they computed.

import { cpus } from "node:os";
import { median, messageOf } from "../base/index.ts";
import { type Counts, since, snapshot } from "./counters.ts";
import type { BenchEngine, Prepared } from "./engine.ts";
import type { Inputs, Workload } from "./workloads/workload.ts";

/** One engine's figures for one workload; only `error` if it failed or computed something else. */
export interface Result {
  /** Median over the timed runs. */
  readonly ms?: number;
  /** Fastest of the timed runs. */
  readonly best?: number;
  /** Median processor time of this process over the core count: on a CPU adapter, the time of an unshared machine. */
  readonly cpuMs?: number;
  readonly runs?: number;
  /** The first run, with compilation of whatever was not compiled yet. */
  readonly firstMs?: number;
  /** Pipelines created by `prepare` and the first run. */
  readonly pipelines?: number;
  /** Of one warm run; absent where the engine's calls cannot be counted. */
  readonly dispatches?: number;
  readonly submits?: number;
  readonly error?: string;
}

/** An engine with its workload made ready, and what has been measured so far. */
interface Lane {
  readonly engine: BenchEngine;
  readonly prepared: Prepared;
  readonly firstMs: number;
  readonly pipelines: number;
  readonly times: number[];
  readonly cpuTimes: number[];
  runs: number;
  warm: Counts;
  error: string | undefined;
}

/**
 * Rows whose slowest engine stays below this are timed three times as often: they are noisier, and cheap. A run that
 * stays below it comes after one that is not timed, since the other engines have been through the caches.
 */
const SHORT_MS = 40;

/** Runs once; returns wall and processor milliseconds and keeps the calls that reached WebGPU. */
async function timed(lane: Lane): Promise<{ readonly ms: number; readonly cpuMs: number }> {
  const before = snapshot();
  const cpuStart = process.cpuUsage();
  const start = performance.now();
  await lane.prepared.run();
  const ms = performance.now() - start;
  const { user, system } = process.cpuUsage(cpuStart);
  lane.warm = since(before);
  lane.runs++;
  return { ms, cpuMs: (user + system) / 1000 / cpus().length };
}

/** Reads the last output and compares it with the reference. */
async function verify(lane: Lane, workload: Workload, inputs: Inputs): Promise<void> {
  if (lane.engine.counted && lane.warm.dispatches === 0) lane.error = "the timed call dispatched nothing";
  lane.error ??= workload.check(await lane.prepared.output(), inputs, lane.runs);
}

/** Runs `step` unless the lane has failed; a failure is recorded in its place. */
async function attempt(lane: Lane, step: () => Promise<void>): Promise<void> {
  if (lane.error !== undefined) return;
  try {
    await step();
  } catch (error) {
    lane.error = messageOf(error);
  }
}

/** Prepares an engine, runs it twice, and checks the second output over poisoned memory. */
async function open(engine: BenchEngine, workload: Workload, inputs: Inputs): Promise<Lane | Result | undefined> {
  const before = snapshot();
  try {
    const prepared = await engine.prepare(workload, inputs);
    if (!prepared) return undefined;
    const start = performance.now();
    await prepared.run();
    const firstMs = performance.now() - start;
    const { pipelines } = since(before);
    const lane: Lane = {
      engine,
      prepared,
      firstMs,
      pipelines,
      times: [],
      cpuTimes: [],
      runs: 1,
      warm: since(before),
      error: undefined,
    };
    await attempt(lane, () => verify(lane, workload, inputs));
    await attempt(lane, async () => {
      await prepared.poison?.();
      await timed(lane);
      await verify(lane, workload, inputs);
    });
    return lane;
  } catch (error) {
    return { error: messageOf(error) };
  }
}

function summarise({ engine, error, times, cpuTimes, firstMs, pipelines, warm }: Lane): Result {
  if (error !== undefined) return { error };
  const counted = engine.counted ? { pipelines, dispatches: warm.dispatches, submits: warm.submits } : {};
  return {
    ms: median(times),
    best: Math.min(...times),
    cpuMs: median(cpuTimes),
    runs: times.length,
    firstMs,
    ...counted,
  };
}

/** Measures `workload` on every engine that can express it, in turns. */
export async function measure(
  workload: Workload,
  engines: readonly BenchEngine[],
  repeat: number,
): Promise<Map<string, Result>> {
  const inputs = workload.inputs();
  const results = new Map<string, Result>();
  const lanes: Lane[] = [];
  for (const engine of engines) {
    const lane = await open(engine, workload, inputs);
    if (lane && "engine" in lane) lanes.push(lane);
    else if (lane) results.set(engine.name, lane);
  }
  const slowest = async () => {
    let worst = 0;
    for (const lane of lanes)
      await attempt(lane, async () => {
        worst = Math.max(worst, (await timed(lane)).ms);
      });
    return worst;
  };
  const rounds = (await slowest()) < SHORT_MS ? 3 * repeat : repeat;
  for (let round = 0; round < rounds; round++) {
    const turn = lanes.map((_, i) => lanes[(i + round) % lanes.length] as Lane);
    for (const lane of turn) {
      await attempt(lane, async () => {
        if ((lane.times.at(-1) ?? lane.firstMs) < SHORT_MS) await timed(lane);
        if (round === rounds - 1) await lane.prepared.poison?.();
        const { ms, cpuMs } = await timed(lane);
        lane.times.push(ms);
        lane.cpuTimes.push(cpuMs);
        if (workload.problem.kind === "train" || round === rounds - 1) await verify(lane, workload, inputs);
      });
    }
  }
  for (const lane of lanes) {
    results.set(lane.engine.name, summarise(lane));
    await lane.prepared.dispose();
  }
  return results;
}
