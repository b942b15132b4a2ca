// The times of a kernel's variants on the adapter: `tune` loads this file when it is called.

import { type Spec, specText } from "../kernels/index.ts";
import { readOptions } from "./errors.ts";

/** An op that can be run again, on its own operands; it holds them until it is disposed. */
export interface Rerun {
  run(): void;
  dispose(): void;
}

/** What tuning did for one key. */
export interface TuningResult {
  readonly key: string;
  readonly chosen: string;
  /** Median milliseconds per candidate, in their order; NaN for one that fails on this adapter. */
  readonly candidates: readonly { readonly spec: string; readonly ms: number }[];
}

const REPEATS = {
  must: "a whole number of at least 1",
  fits: (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 1,
};

/** How often each variant is timed. */
export const readRepeats = (options: { readonly repeats?: number }): number =>
  readOptions("tune", options, { repeats: REPEATS }).repeats ?? 5;

/** What is timed, and where the choice goes. */
export interface Timed {
  readonly key: string;
  readonly candidates: readonly Spec[];
  readonly repeats: number;
  readonly table: Map<string, string>;
  readonly sync: () => Promise<void>;
}

/** Times an op with each variant, and leaves the fastest in the table. @throws Error of one, where all of them fail */
export async function timeVariants(op: Rerun, timed: Timed): Promise<TuningResult> {
  const { key, candidates, repeats, table, sync } = timed;
  const measured: { spec: string; ms: number }[] = [];
  let failure: unknown;
  for (const candidate of candidates) {
    const spec = specText(candidate);
    table.set(key, spec);
    const times: number[] = [];
    try {
      for (let i = 0; i <= repeats; i++) {
        const start = performance.now();
        op.run();
        await sync();
        if (i > 0) times.push(performance.now() - start);
      }
      times.sort((a, b) => a - b);
      measured.push({ spec, ms: times[times.length >> 1]! });
    } catch (error) {
      failure = error;
      // A variant that does not compile on this adapter is simply not chosen.
      measured.push({ spec, ms: Number.NaN });
    }
  }
  if (measured.every(({ ms }) => Number.isNaN(ms))) throw failure;
  const best = measured.reduce((a, b) => (b.ms < a.ms || Number.isNaN(a.ms) ? b : a));
  table.set(key, best.spec);
  return { key, chosen: best.spec, candidates: measured };
}
