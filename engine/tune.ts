// Which variant of a kernel runs: the choices by key; the first candidate until there is one. Measuring them is
// tuning.ts, loaded where it is asked for.

import { loadUnstaged, type Spec, specText } from "../kernels/index.ts";
import type { TuningTable } from "./tune-cache.ts";
import type { Listener, TuneOptions, TuningResult } from "./tuning.ts";

/** Measures what `fn` asks for. */
type Measure = (fn: () => unknown, options: TuneOptions) => Promise<TuningResult[]>;

/** Stored choices, once the texts that they may name are there. */
async function ready(table: TuningTable): Promise<[key: string, spec: string][]> {
  const choices = Object.entries(table);
  if (choices.length > 0) await loadUnstaged();
  return choices;
}

/** The choices among variants of one device. */
export class Tuner {
  readonly #measure: Measure;
  /** Texts of specs by key. @internal */
  choices = new Map<string, string>();
  /** Who is told, while `tune` runs, what ops ask for. @internal */
  listener: Listener | undefined;

  /** Use `device.tuner`. @internal */
  constructor(measure: Measure) {
    this.#measure = measure;
  }

  /** The choices made so far, to be stored; `load` takes them back. */
  get table(): TuningTable {
    return Object.fromEntries(this.choices);
  }

  /** Adds stored choices. */
  async load(table: TuningTable): Promise<void> {
    for (const [key, spec] of await ready(table)) this.choices.set(key, spec);
  }

  /** Makes these the only choices: those that a result was made with, where it is to come out the same to the bit. */
  async replace(table: TuningTable): Promise<void> {
    this.choices = new Map(await ready(table));
  }

  /** What was chosen for `key`, if it is among the candidates; else the first of them. */
  choose<S extends Spec>(key: string, candidates: readonly S[]): S {
    this.listener?.asked(key, candidates);
    const choice = this.choices.get(key);
    const found = choice === undefined ? undefined : candidates.find((spec) => specText(spec) === choice);
    return (found ?? candidates[0]) as S;
  }

  /**
   * Runs `fn` once, then times every variant of every hot kernel it used and keeps the fastest.
   * Each op is run again on its own operands, so results stay right; but state that an op updates in place (running
   * statistics) moves on: tune before training. Returns what was measured.
   */
  tune(fn: () => unknown, options: TuneOptions = {}): Promise<TuningResult[]> {
    return this.#measure(fn, options);
  }
}
