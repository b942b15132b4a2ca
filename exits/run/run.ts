// A trained network with its data: evaluation, cached logits, best or last weights.

import type { Table } from "../../calibration/index.ts";
import { CheckpointError, TrainingError } from "../errors.ts";
import type { MultiExit } from "../network/multi-exit.ts";
import { LazyEvaluator } from "../training/evaluator.ts";
import { checkImages, type ImageSet, type ImageSplits, type Split } from "../training/images.ts";
import { loadWeights } from "./checkpoint.ts";
import { digest } from "./digest.ts";
import { exists } from "./files.ts";
import type { CachedLogits } from "./logits.ts";
import { type ExitFigures, exitScores, type MetricsRow } from "./metrics.ts";

/** Names of the files in a run folder. */
export const RUN_FILES = {
  last: "last.safetensors",
  best: "best.safetensors",
  metrics: "metrics.jsonl",
  logits: (split: string) => `logits.${split}.safetensors`,
} as const;

/** A path in a run folder. */
export const inFolder = (dir: string, name: string): string => `${dir.replace(/[\\/]+$/, "")}/${name}`;

/** What a run is made of. */
export interface RunParts {
  readonly net: MultiExit;
  readonly data: ImageSplits;
  readonly dir: string | undefined;
  /** What is written beside cached logits: versions, adapter, commit. */
  readonly made?: Readonly<Record<string, string>> | undefined;
  readonly history: readonly MetricsRow[];
  /** Of the network, where there is one. */
  readonly evaluator?: LazyEvaluator | undefined;
}

/** The end of training, or a folder opened again. */
export class Run {
  readonly net: MultiExit;
  readonly data: ImageSplits;
  /** The run folder, if there is one. */
  readonly dir: string | undefined;
  /** Everything that was measured. */
  readonly history: readonly MetricsRow[];
  readonly #made: Readonly<Record<string, string>>;
  readonly #evaluator: LazyEvaluator;

  /** Use `train`. @internal */
  constructor({ net, data, dir, made = {}, history, evaluator }: RunParts) {
    this.net = net;
    this.data = data;
    this.dir = dir;
    this.#made = made;
    this.history = history;
    this.#evaluator = evaluator ?? new LazyEvaluator(net, data.train);
  }

  /** Loss and accuracy of every exit on a part of the data. */
  async evaluate(split: Split): Promise<ExitFigures[]> {
    return exitScores(await (await this.#evaluator.get()).tally(this.#set(split)));
  }

  /** All exits' logits on a part of the data, as the table that calibration works on. Kept in the run folder. */
  async logits(split: Split): Promise<Table> {
    const { toTable } = await import("./logits.ts");
    return toTable(await this.cachedLogits(split));
  }

  /** The same as arrays. */
  async cachedLogits(split: Split): Promise<CachedLogits> {
    const set = this.#set(split);
    const path = this.dir === undefined ? undefined : inFolder(this.dir, RUN_FILES.logits(split));
    const weights = await digest(this.net.state().values());
    const { aboutLogits, writeLogits } = await import("./logits.ts");
    const about = { ...aboutLogits(set, weights), ...(this.net.saysConfidence && { says: "confidence" }) };
    const cached = path === undefined ? undefined : await findCached(path, about);
    if (cached) return cached;
    const answers = await (await this.#evaluator.get()).answers(set);
    const { labels, ids, size } = set;
    const made: CachedLogits = {
      shape: [size, this.net.exits, this.net.classes],
      ...answers,
      labels,
      ids,
      macs: this.net.macs(),
      weights,
    };
    if (path !== undefined) await writeLogits(path, made, { ...prefixed(this.#made), ...about });
    return made;
  }

  /** Puts the weights of the last step, or of the best evaluation, into the network. */
  async load(which: "last" | "best"): Promise<void> {
    if (this.dir === undefined)
      throw new TrainingError(`run: ${which} weights must be in a run folder; this run has none. Train with { dir }.`);
    await loadWeights(inFolder(this.dir, RUN_FILES[which]), this.net.state());
  }

  /** Frees what evaluation holds; the network stays. */
  dispose(): void {
    this.#evaluator.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #set(split: Split): ImageSet {
    const set = this.data[split];
    checkImages("run", set, this.net);
    return set;
  }
}

/** Facts about the making under names of their own. */
const prefixed = (made: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(made).map(([name, value]) => [`made.${name}`, value]));

/** Cached logits of these weights and samples, if the file holds them; damaged ones are made again. */
async function findCached(path: string, about: Readonly<Record<string, string>>): Promise<CachedLogits | undefined> {
  if (!(await exists(path))) return undefined;
  const { readLogits } = await import("./logits.ts");
  const cached = await readLogits(path).catch((error: unknown) => {
    if (error instanceof CheckpointError) return undefined;
    throw error;
  });
  if (!cached) return undefined;
  return Object.entries(about).every(([name, value]) => cached.about[name] === value) ? cached : undefined;
}
