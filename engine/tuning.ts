// Tuning: the variants of a kernel timed on the adapter by running the ops that asked for them again, on their own
// operands. `device.tuner.tune` loads this file when it is called.

import { median } from "../base/index.ts";
import { loadUnstaged, type Spec, specText } from "../kernels/index.ts";
import type { DeviceInfo } from "./adapter.ts";
import { readOptions } from "./errors.ts";
import { keep } from "./scope.ts";
import { saveTuning, type TuningTable } from "./tune-cache.ts";
import { type Watched, watching } from "./watching.ts";

/** Options of `tune`. */
export interface TuneOptions {
  /** How often each variant is timed; default 5. */
  readonly repeats?: number;
}

/** What an op works on. */
interface Worked {
  readonly inputs: object;
  readonly outputs: object;
}

/** Who is told what ops ask for. */
export interface Listener {
  /** An op asks for one of the candidates. */
  asked(key: string, candidates: readonly Spec[]): void;
  /** An op has run, and can do so `again` on other operands. */
  ran<C extends Worked>(call: C, again: (call: C) => void): void;
}

/** What tuning did for one key. */
export interface TuningResult {
  readonly key: string;
  readonly chosen: string;
  /** Median milliseconds per candidate, in their order; NaN for one that fails on this adapter. */
  readonly candidates: readonly { readonly spec: string; readonly ms: number }[];
}

/** What is tuned: a Device. */
interface Tuned extends Watched {
  readonly info: DeviceInfo;
  readonly tuner: {
    readonly choices: Map<string, string>;
    readonly table: TuningTable;
    listener: Listener | undefined;
  };
  sync(): Promise<void>;
}

/** What tells of a tune. */
interface TuneCall {
  readonly options: TuneOptions;
  readonly isStored: boolean;
  /** The devices that live. */
  readonly living: ReadonlySet<Watched>;
}

/** A tensor, as far as an op that is kept holds it. */
interface Handle {
  detach(): Handle;
  dispose(): void;
}

/** An op that can be run again, on its own operands; it holds them until it is disposed. */
interface Rerun {
  run(): void;
  dispose(): void;
}

/** An op, and the variants that it asked for. */
interface Request {
  readonly keys: ReadonlyMap<string, readonly Spec[]>;
  readonly op: Rerun;
}

const REPEATS = {
  must: "a whole number of at least 1",
  fits: (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 1,
};

/**
 * Runs `fn` once, then times every variant that it asked for; with `isStored` the choices are kept beyond the process.
 */
export async function tune(
  device: Tuned,
  fn: () => unknown,
  { options, isStored, living }: TuneCall,
): Promise<TuningResult[]> {
  const { repeats = 5 } = readOptions("tune", options, { repeats: REPEATS });
  await loadUnstaged();
  const { tuner } = device;
  const requests = new Map<string, Request>();
  const results: TuningResult[] = [];
  try {
    tuner.listener = listening(requests);
    await watching("tune", fn, { device, living });
    tuner.listener = undefined;
    const timed = { repeats, table: tuner.choices, sync: () => device.sync() };
    for (const { keys, op } of requests.values()) {
      for (const [key, candidates] of keys) {
        if (candidates.length > 1 && !tuner.choices.has(key))
          results.push(await timeVariants(op, { ...timed, key, candidates }));
      }
    }
  } finally {
    tuner.listener = undefined;
    for (const { op } of requests.values()) op.dispose();
  }
  if (isStored && results.length > 0) await saveTuning(device.info, tuner.table);
  return results;
}

/** Notes the ops that ask for variants, unless one that asked for the same is known. */
function listening(requests: Map<string, Request>): Listener {
  let asked = new Map<string, readonly Spec[]>();
  return {
    asked: (key, candidates) => {
      asked.set(key, candidates);
    },
    ran: (call, again) => {
      if (asked.size === 0) return;
      const keys = asked;
      asked = new Map();
      const id = [...keys.keys()].join(";");
      if (!requests.has(id)) requests.set(id, { keys, op: held(call, again) });
    },
  };
}

/** The op on handles of its own, out of the scopes of the code under `tune`. */
function held<C extends Worked>(call: C, again: (call: C) => void): Rerun {
  const own: Handle[] = [];
  const hold = <T extends object>(values: T): T => {
    const handles = Object.entries(values as Readonly<Record<string, Handle | undefined>>).map(([name, tensor]) => {
      const handle = tensor && keep(tensor.detach());
      if (handle) own.push(handle);
      return [name, handle];
    });
    return Object.fromEntries(handles) as T;
  };
  const on = { ...call, inputs: hold(call.inputs), outputs: hold(call.outputs) };
  return {
    run: () => again(on),
    dispose: () => {
      for (const tensor of own) tensor.dispose();
    },
  };
}

/** What is timed, and where the choice goes. */
interface Timed {
  readonly key: string;
  readonly candidates: readonly Spec[];
  readonly repeats: number;
  readonly table: Map<string, string>;
  readonly sync: () => Promise<void>;
}

/** Times an op with each variant, and leaves the fastest in the table. @throws Error of one, where all of them fail */
async function timeVariants(op: Rerun, timed: Timed): Promise<TuningResult> {
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
      measured.push({ spec, ms: median(times) });
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
