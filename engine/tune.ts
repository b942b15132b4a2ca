// Which variant of a kernel runs: measured on the adapter, remembered by key; the first candidate until then.

import type { Spec } from "../kernels/index.ts";
import { specText } from "../kernels/index.ts";
import type { Device } from "./device.ts";
import { execute, type Inputs, type OpRecord } from "./op.ts";
import { keep } from "./scope.ts";
import type { Tensor } from "./tensor.ts";

/** Choices by key, as kept between runs: the spec's text form. */
export type TuningTable = Record<string, string>;

interface Request {
  readonly keys: ReadonlyMap<string, readonly Spec[]>;
  readonly record: OpRecord<never>;
  readonly inputs: Inputs;
  readonly outputs: readonly Tensor[];
  readonly attrs: unknown;
}

/** What tuning did for one key. */
export interface TuningResult {
  readonly key: string;
  readonly chosen: string;
  /** Median milliseconds per candidate, in their order; NaN for one that fails on this adapter. */
  readonly candidates: readonly { readonly spec: string; readonly ms: number }[];
}

/** Times candidates by running the ops that asked for them again, on their own operands. */
export class Tuner {
  readonly #device: Device;
  readonly #save: ((table: TuningTable) => Promise<void>) | undefined;
  readonly #table = new Map<string, string>();
  #requests: Map<string, Request> | undefined;
  #asked = new Map<string, readonly Spec[]>();

  /** `save` is called with all choices after each `tune`. */
  constructor(device: Device, save?: (table: TuningTable) => Promise<void>) {
    this.#device = device;
    this.#save = save;
  }

  /** The choices made so far, to be stored; `load` takes them back. */
  get table(): TuningTable {
    return Object.fromEntries(this.#table);
  }

  load(table: TuningTable): void {
    for (const [key, spec] of Object.entries(table)) this.#table.set(key, spec);
  }

  choose<S extends Spec>(key: string, candidates: readonly S[]): S {
    if (this.#requests) this.#asked.set(key, candidates);
    const chosen = this.#table.get(key);
    const found = chosen === undefined ? undefined : candidates.find((spec) => specText(spec) === chosen);
    return (found ?? candidates[0]) as S;
  }

  /** Notes an op that asked for variants, while `tune` listens. */
  log(record: OpRecord<never>, inputs: Inputs, outputs: readonly Tensor[], attrs: unknown): void {
    if (!this.#requests || this.#asked.size === 0) return;
    const keys = this.#asked;
    this.#asked = new Map();
    const id = [...keys.keys()].join(";");
    if (this.#requests.has(id)) return;
    // Out of the scopes of the code under `tune`.
    const alias = (tensor: Tensor) => keep(tensor.detach());
    this.#requests.set(id, {
      keys,
      record,
      inputs: inputs.map((input) => input && alias(input)),
      outputs: outputs.map(alias),
      attrs,
    });
  }

  /**
   * Runs `fn` once, then times every variant of every hot kernel it used and keeps the fastest.
   * Each op is run again on its own operands, so results stay right; but state that an op updates in place (running
   * statistics) moves on: tune before training. Returns what was measured.
   */
  async tune(fn: () => unknown, { repeats = 5 }: { readonly repeats?: number } = {}): Promise<TuningResult[]> {
    const requests = new Map<string, Request>();
    const results: TuningResult[] = [];
    try {
      this.#requests = requests;
      await fn();
      this.#requests = undefined;
      for (const request of requests.values()) {
        for (const [key, candidates] of request.keys) {
          if (candidates.length > 1 && !this.#table.has(key))
            results.push(await this.#measure(request, key, candidates, repeats));
        }
      }
    } finally {
      this.#requests = undefined;
      this.#asked = new Map();
      for (const { inputs, outputs } of requests.values())
        for (const tensor of [...inputs, ...outputs]) tensor?.dispose();
    }
    if (results.length > 0) await this.#save?.(this.table);
    return results;
  }

  async #measure(request: Request, key: string, candidates: readonly Spec[], repeats: number): Promise<TuningResult> {
    const { record, inputs, outputs, attrs } = request;
    const measured: { spec: string; ms: number }[] = [];
    let failure: unknown;
    for (const candidate of candidates) {
      const spec = specText(candidate);
      this.#table.set(key, spec);
      const times: number[] = [];
      try {
        for (let i = 0; i <= repeats; i++) {
          const start = performance.now();
          execute(record, this.#device, inputs, outputs, attrs as never);
          await this.#device.sync();
          if (i > 0) times.push(performance.now() - start);
        }
        times.sort((a, b) => a - b);
        measured.push({ spec, ms: times[times.length >> 1] as number });
      } catch (error) {
        failure = error;
        // A variant that does not compile on this adapter is simply not chosen.
        measured.push({ spec, ms: Number.NaN });
      }
    }
    if (measured.every(({ ms }) => Number.isNaN(ms))) throw failure;
    const best = measured.reduce((a, b) => (b.ms < a.ms || Number.isNaN(a.ms) ? b : a));
    this.#table.set(key, best.spec);
    return { key, chosen: best.spec, candidates: measured };
  }
}
