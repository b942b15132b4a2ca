// The seam between the benchmark and an engine under test: what an adapter must offer.

import type { Inputs, Workload } from "./workloads/workload.ts";

/** One workload made ready on one engine: inputs resident on the GPU in the engine's own layout. */
export interface Prepared {
  /** Does the whole work once and waits for the GPU; the only call that is timed. */
  run(): Promise<void>;
  /** What the last run left, in the workload's canonical layout. */
  output(): Promise<Float32Array[]>;
  /** Fills the memory that the next outputs will likely take with NaN, where the engine lets one. */
  poison?(): Promise<void>;
  dispose(): void | Promise<void>;
}

/** An engine under test. */
export interface BenchEngine {
  readonly name: string;
  readonly version: string;
  /** False for an engine whose GPU calls do not pass through this process's WebGPU objects. */
  readonly counted: boolean;
  /** Undefined if the engine cannot express the workload. */
  prepare(workload: Workload, inputs: Inputs): Promise<Prepared | undefined>;
}

/** What every adapter module exports. */
export interface EngineModule {
  createEngine(): Promise<BenchEngine>;
}
