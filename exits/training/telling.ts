// What a run tells while it goes on: rows for the metrics file, events for the report, and the rate between two rows.

import type { Schedule } from "../../nn/index.ts";
import { TrainingError } from "../errors.ts";
import type { Tally } from "../ops/tally.ts";
import { exitScores, Metrics, type MetricsRow } from "../run/metrics.ts";
import { inFolder, RUN_FILES } from "../run/run.ts";
import { defaultReport, type Report, type RunStart } from "./progress.ts";

/** How long a run is, and how fast it learns. */
export interface Course {
  readonly epochs: number;
  readonly steps: number;
  readonly batchesPerEpoch: number;
  readonly lr: Schedule;
}

/** Tells of one run. Epochs and steps in rows are counted from 1. */
export class Teller {
  readonly #course: Course;
  readonly #metrics: Metrics;
  readonly #report: Report;
  /** The step, and the time, that totals count from. */
  #window = { step: 0, time: 0 };
  #began = 0;

  constructor(course: Course, { dir, report }: { readonly dir?: string; readonly report?: Report }) {
    this.#course = course;
    this.#metrics = new Metrics(dir === undefined ? undefined : inFolder(dir, RUN_FILES.metrics));
    this.#report = report ?? defaultReport();
  }

  /** Everything that was measured. */
  get history(): readonly MetricsRow[] {
    return this.#metrics.rows;
  }

  /** The run begins at `step`, with weights from somewhere, or goes on there from a file. */
  async start(step: number, origin: RunStart): Promise<void> {
    // Without a checkpoint, what lies there is of another run.
    await this.#metrics.resume(origin.resumedFrom === undefined ? 0 : step);
    this.#report({ kind: "start", step, steps: this.#course.steps, ...origin });
    this.#began = performance.now();
    this.restart(step);
  }

  /** What whoever trains should know. */
  note(text: string): void {
    this.#report({ kind: "note", step: this.#window.step, text });
  }

  /** What was done up to here besides training is no training time. */
  restart(step: number): void {
    this.#window = { step, time: performance.now() };
  }

  /** Totals since the last row, after `step` steps. @throws TrainingError for a loss that was not finite. */
  async trained(step: number, tally: Tally, last: string): Promise<void> {
    if (tally.firstBad > 0) throw this.notFinite("the loss", this.#window.step + tally.firstBad, last);
    const { steps, epochs, lr } = this.#course;
    const seconds = (performance.now() - this.#window.time) / 1000;
    const row = {
      kind: "train",
      step,
      epoch: this.#epochOf(step),
      loss: tally.loss,
      lr: lr(step - 1),
      exits: exitScores(tally),
      imagesPerSecond: tally.samples / seconds,
    } as const;
    const secondsLeft = ((steps - step) * seconds) / tally.steps;
    this.restart(step);
    await this.#metrics.add(row);
    this.#report({ ...row, steps, epochs, secondsLeft });
  }

  /** Validation after `step` steps. */
  async evaluated(step: number, exits: ReturnType<typeof exitScores>, isBest: boolean): Promise<void> {
    const row = { kind: "evaluation", step, epoch: this.#epochOf(step), exits, isBest } as const;
    await this.#metrics.add(row);
    this.#report({ ...row, epochs: this.#course.epochs });
  }

  /** All steps are done. */
  end(): void {
    const { steps } = this.#course;
    this.#report({ kind: "end", step: steps, seconds: (performance.now() - this.#began) / 1000 });
  }

  /**
   * The error of a value that was not finite at `step`; `last` says where the last checkpoint is from, if there is one.
   */
  notFinite(what: string, step: number, last: string): TrainingError {
    const { steps, lr } = this.#course;
    const rate = Number(lr(step - 1).toPrecision(3));
    const place = `step ${step} of ${steps} (epoch ${this.#epochOf(step)}), learning rate ${rate}`;
    return new TrainingError(
      `train: ${what} must stay finite; it was NaN or infinite at ${place}. Lower the rate or lengthen the warm-up.${last}`,
    );
  }

  #epochOf(step: number): number {
    return Math.floor((step - 1) / this.#course.batchesPerEpoch) + 1;
  }
}
