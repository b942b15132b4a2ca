// Which variant of a kernel runs: the choices by key, and who asks for them while `tune` listens; the first candidate
// until then. The measuring is in measuring.ts, loaded where it is asked for.

import type { Spec } from "../kernels/index.ts";
import { specText } from "../kernels/index.ts";
import type { TuningTable } from "./tune-cache.ts";
import type { Rerun, TuningResult } from "./variant-times.ts";

/** An op, and the variants that it asked for. */
interface Request {
  readonly keys: ReadonlyMap<string, readonly Spec[]>;
  readonly op: Rerun;
}

/** Times candidates by running the ops that asked for them again, on their own operands. */
export class Tuner {
  readonly #sync: () => Promise<void>;
  readonly #watching: (fn: () => unknown) => Promise<void>;
  readonly #save: ((table: TuningTable) => Promise<void>) | undefined;
  readonly #table = new Map<string, string>();
  #requests: Map<string, Request> | undefined;
  #asked = new Map<string, readonly Spec[]>();

  /**
   * `sync` waits for the GPU; `watching` runs work, and throws if none of it was this device's; `save` is called with
   * all choices after each `tune`.
   */
  constructor(
    sync: () => Promise<void>,
    watching: (fn: () => unknown) => Promise<void>,
    save?: (table: TuningTable) => Promise<void>,
  ) {
    this.#sync = sync;
    this.#watching = watching;
    this.#save = save;
  }

  /** The choices made so far, to be stored; `load` takes them back. */
  get table(): TuningTable {
    return Object.fromEntries(this.#table);
  }

  load(table: TuningTable): void {
    for (const [key, spec] of Object.entries(table)) this.#table.set(key, spec);
  }

  /** Makes these the only choices: those that a result was made with, where it is to come out the same to the bit. */
  replace(table: TuningTable): void {
    this.#table.clear();
    this.load(table);
  }

  choose<S extends Spec>(key: string, candidates: readonly S[]): S {
    if (this.#requests) this.#asked.set(key, candidates);
    const chosen = this.#table.get(key);
    const found = chosen === undefined ? undefined : candidates.find((spec) => specText(spec) === chosen);
    return (found ?? candidates[0]) as S;
  }

  /** Whether `tune` listens, and the op that runs asked for variants. */
  get isAsked(): boolean {
    return this.#asked.size > 0;
  }

  /** Notes the op that asked for variants, unless one that asked for the same is known. @internal */
  note(hold: () => Rerun): void {
    const keys = this.#asked;
    this.#asked = new Map();
    const id = [...keys.keys()].join(";");
    if (this.#requests && !this.#requests.has(id)) this.#requests.set(id, { keys, op: hold() });
  }

  /**
   * Runs `fn` once, then times every variant of every hot kernel it used and keeps the fastest.
   * Each op is run again on its own operands, so results stay right; but state that an op updates in place (running
   * statistics) moves on: tune before training. Returns what was measured.
   */
  async tune(fn: () => unknown, options: { readonly repeats?: number } = {}): Promise<TuningResult[]> {
    const { readRepeats, timeVariants } = await import("./measuring.ts");
    const repeats = readRepeats(options);
    const requests = new Map<string, Request>();
    const results: TuningResult[] = [];
    try {
      this.#requests = requests;
      await this.#watching(fn);
      this.#requests = undefined;
      for (const { keys, op } of requests.values()) {
        for (const [key, candidates] of keys) {
          if (candidates.length > 1 && !this.#table.has(key))
            results.push(await timeVariants(op, { key, candidates, repeats, table: this.#table, sync: this.#sync }));
        }
      }
    } finally {
      this.#requests = undefined;
      this.#asked = new Map();
      for (const { op } of requests.values()) op.dispose();
    }
    if (results.length > 0) await this.#save?.(this.table);
    return results;
  }
}
