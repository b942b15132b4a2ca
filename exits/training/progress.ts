// What a training run tells its user while it runs.

import { readOptions } from "../../engine/functions.ts";
import type { EvaluationRow, TrainingRow } from "../run/metrics.ts";
import type { TakenPhase } from "./shared-phase.ts";
import type { StartReport } from "./start-file.ts";

/** What a run begins with. */
export interface RunStart {
  readonly resumedFrom?: string | undefined;
  /** Where the weights come from, if they were not drawn. */
  readonly weights?: StartReport | undefined;
  /** The first phase, if another run had done it. */
  readonly taken?: TakenPhase | undefined;
}

/** Something that happened in a run. */
export type Progress =
  | ({ readonly kind: "start"; readonly step: number; readonly steps: number } & RunStart)
  | (TrainingRow & { readonly steps: number; readonly epochs: number; readonly secondsLeft: number })
  | { readonly kind: "note"; readonly step: number; readonly text: string }
  | (EvaluationRow & { readonly epochs: number })
  | { readonly kind: "end"; readonly step: number; readonly seconds: number };

/** Takes what happens. */
export type Report = (event: Progress) => void;

/** Where lines go: `process.stdout`, or anything like it. */
export interface LineStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** `1:02:03` or `2:03`. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (x: number) => String(x).padStart(2, "0");
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

const percent = (share: number): string => (100 * share).toFixed(1);
const exitsOf = (exits: EvaluationRow["exits"]): string => exits.map(({ accuracy }) => percent(accuracy)).join(" / ");

/** One line about an event, without its end. */
export function describeProgress(event: Progress): string {
  switch (event.kind) {
    case "start":
      return event.resumedFrom === undefined
        ? [
            ...(event.weights ? [describeStart(event.weights)] : []),
            ...(event.taken ? [`${event.taken.name}: ${event.step} steps taken over from ${event.taken.from}`] : []),
            `training: ${event.steps - event.step} steps`,
          ].join("\n")
        : `resuming at step ${event.step} of ${event.steps} from ${event.resumedFrom}`;
    case "train": {
      const { epoch, epochs, step, steps, loss, exits, imagesPerSecond, secondsLeft } = event;
      const rate = imagesPerSecond >= 100 ? imagesPerSecond.toFixed(0) : imagesPerSecond.toFixed(1);
      return `epoch ${epoch}/${epochs}  step ${step}/${steps}  loss ${loss.toFixed(4)}  exits ${exitsOf(exits)} %  ${rate} images/s  ${clock(secondsLeft)} left`;
    }
    case "note":
      return `note: ${event.text}`;
    case "evaluation":
      return `epoch ${event.epoch}/${event.epochs}  validation: exits ${exitsOf(event.exits)} %${event.isBest ? "  (best so far)" : ""}`;
    case "end":
      return `trained: ${event.step} steps, ${clock(event.seconds)}`;
  }
}

/** How many of some names, and the first of them. */
const counted = (names: readonly string[]): string =>
  `${names.length} (${names.slice(0, 3).join(", ")}${names.length > 3 ? ", ..." : ""})`;

function describeStart({ path, taken, tensors, missing, unexpected, mismatched }: StartReport): string {
  const shapes = mismatched.map(
    ({ name, given, wanted }) => `${name} [${given.join(", ")}] for [${wanted.join(", ")}]`,
  );
  const rest = [
    missing.length > 0 && `not in the file, and drawn: ${counted(missing)}`,
    shapes.length > 0 && `of another shape, and drawn: ${counted(shapes)}`,
    unexpected.length > 0 && `in the file alone: ${counted(unexpected)}`,
  ].filter((part) => part !== false);
  return [`weights: ${taken} of ${tensors} tensors from ${path}`, ...rest].join("; ");
}

const BAR = 24;

/** A bar of `BAR` cells, filled in proportion. */
function bar(share: number): string {
  const filled = Math.round(BAR * Math.min(1, share));
  return `[${"=".repeat(filled)}${" ".repeat(BAR - filled)}]`;
}

/** A progress bar on a terminal; elsewhere plain lines, at most one per `quietSeconds` besides the first. */
export function lineReport(stream: LineStream, options: { readonly quietSeconds?: number } = {}): Report {
  const { quietSeconds = 10 } = readOptions("lineReport", options, { quietSeconds: "number" });
  let lastLine = Number.NEGATIVE_INFINITY;
  let isOpen = false;
  const line = (text: string) => {
    stream.write(`${isOpen ? "\r\x1b[2K" : ""}${text}\n`);
    isOpen = false;
  };
  return (event) => {
    if (event.kind !== "train") return line(describeProgress(event));
    if (stream.isTTY) {
      const text = `${bar(event.step / event.steps)} ${describeProgress(event)}`;
      stream.write(`\r\x1b[2K${text.slice(0, (stream.columns ?? 120) - 1)}`);
      isOpen = true;
      return;
    }
    const now = performance.now() / 1000;
    if (now - lastLine < quietSeconds && event.step < event.steps) return;
    lastLine = now;
    line(describeProgress(event));
  };
}

/** Lines on the process's standard output, or on the console where there is no process. */
export function defaultReport(): Report {
  const stream = globalThis.process?.stdout as LineStream | undefined;
  return lineReport(stream ?? { write: (text) => console.log(text.replace(/\n$/, "")) });
}
