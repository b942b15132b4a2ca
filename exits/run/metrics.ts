// What was measured while training: rows in memory and, with a run folder, lines of metrics.jsonl.

import { writeWhole, zip } from "../../base/index.ts";
import type { Tally } from "../ops/tally.ts";
import { fileSystem, readText } from "./files.ts";

/** Mean cross-entropy and share of right answers of one exit. */
export interface ExitFigures {
  readonly loss: number;
  readonly accuracy: number;
}

/** Means over the steps since the row before. */
export interface TrainingRow {
  readonly kind: "train";
  /** Steps done. */
  readonly step: number;
  /** Counted from 1. */
  readonly epoch: number;
  /** The objective's. */
  readonly loss: number;
  readonly lr: number;
  readonly exits: readonly ExitFigures[];
  readonly imagesPerSecond: number;
}

/** All exits on the validation images. */
export interface EvaluationRow {
  readonly kind: "evaluation";
  readonly step: number;
  readonly epoch: number;
  readonly exits: readonly ExitFigures[];
  /** Whether no earlier evaluation had a better last exit. */
  readonly isBest: boolean;
}

export type MetricsRow = TrainingRow | EvaluationRow;

/** Each exit's part of totals. */
export const exitScores = ({ exitLosses, accuracies }: Tally): ExitFigures[] =>
  zip(exitLosses, accuracies).map(([loss, accuracy]) => ({ loss, accuracy }));

/** The rows of a run. */
export class Metrics {
  readonly rows: MetricsRow[] = [];
  readonly #path: string | undefined;

  /** @param path The file, if there is one. */
  constructor(path: string | undefined) {
    this.#path = path;
  }

  /** Takes up a run that resumes at `step`: rows of steps that will be done again go. */
  async resume(step: number): Promise<void> {
    if (this.#path === undefined) return;
    const lines = ((await readText(this.#path)) ?? "").split("\n").filter((line) => line !== "");
    const kept = lines.flatMap((line) => {
      const row = parse(line);
      return row && row.step <= step ? [row] : [];
    });
    for (const row of kept) this.rows.push(row);
    await writeWhole(this.#path, kept.map((row) => `${JSON.stringify(row)}\n`).join(""));
  }

  async add(row: MetricsRow): Promise<void> {
    this.rows.push(row);
    if (this.#path !== undefined) await fileSystem("train").appendFile(this.#path, `${JSON.stringify(row)}\n`);
  }
}

/** A line, or nothing for one that a killed process left half-written. */
function parse(line: string): MetricsRow | undefined {
  try {
    return JSON.parse(line) as MetricsRow;
  } catch {
    return undefined;
  }
}
