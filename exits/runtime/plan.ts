// What may run a model file, and how it is told which does.

/** What runs a classifier. */
export type RuntimeName = "webgpu" | "wasm";

/** Both, the usual one first. */
export const RUNTIMES = ["webgpu", "wasm"] as const satisfies readonly RuntimeName[];

/** What batches of one size run on, and why. */
export interface RuntimePlan {
  /** Batches of so many images, and of fewer down to half of it. */
  readonly upTo: number;
  readonly runtime: RuntimeName;
  /** Whether it was chosen: asked for, the only one, or the faster. */
  readonly isSettled: boolean;
  /** Milliseconds of a batch on each that was tried, the fastest of those that were timed; NaN before the first. */
  readonly tried: readonly { readonly runtime: RuntimeName; readonly ms: number; readonly timed: number }[];
  /** The same in a sentence. */
  readonly reason: string;
}

/** The only runtime there is, or that was asked for. */
export const onlyRuntime = (runtime: RuntimeName, batch: number, why: string): readonly RuntimePlan[] => [
  { upTo: batch, runtime, isSettled: true, tried: [], reason: `${runtime}: ${why}` },
];
