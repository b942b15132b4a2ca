// `sortie metrics`: what was measured while runs trained, as CSV or as event files of TensorBoard; also of runs that
// still train.

import { appendFileSync, existsSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { option, SortieError, zip } from "../../base/index.ts";
import type { MetricsRow } from "../../exits/index.ts";
import { encodeEvents, encodeMore, type ScalarEvent } from "../files/event-file.ts";
import { checkOutput } from "../files/outputs.ts";
import { RunFolder, type RunRecord } from "../files/run-folder.ts";
import { writeWhole } from "../files/whole.ts";
import { readHistory } from "../report/run-details.ts";
import { type CommandSpec, path, readCommand } from "../settings/command.ts";
import type { Print } from "../settings/flags.ts";

export const metricsSpec = {
  name: "metrics",
  usage: "RUN [RUN ...] [flags]",
  paths: { least: 1, most: 1000, must: "folders of runs" },
  about: `What was measured while the runs trained: loss, learning rate, images a second, and loss and accuracy of every exit,
on training images since the row before and on all validation images. Runs that still train give what there is by now.`,
  flags: {
    csv: path("write a table with a row a measurement; without a flag it is printed"),
    tensorboard: path("folder for tensorboard --logdir: an event file a run, its times those of training"),
    watch: option.toggle(false, "write again as rows come, until all runs are finished"),
  },
  more: `  sortie metrics runs/glyphs-soft-cgt-1 > metrics.csv
  sortie metrics runs/* --tensorboard logs --watch
`,
} satisfies CommandSpec;

/** A run and its rows. */
interface Measured {
  readonly dir: string;
  readonly name: string;
  readonly record: RunRecord;
  readonly batch: number;
  readonly rows: readonly MetricsRow[];
}

/** How often a run that trains is looked at. */
const WATCH_MS = 1000;

/** Runs the command; returns the exit code. @throws SortieError for bad input. */
export async function runMetrics(args: readonly string[], print: Print = console.log): Promise<number> {
  const asked = readCommand(metricsSpec, args, print);
  if (!asked) return 0;
  const { csv, tensorboard, watch } = asked.values;
  if (watch && csv === undefined && tensorboard === undefined)
    throw new SortieError("metrics: --watch must have something to write; got neither --csv nor --tensorboard.");
  const folders = asked.positionals.map((dir) => {
    const folder = RunFolder.at(dir);
    if (folder) return folder;
    throw new SortieError(`metrics: ${dir} must be the folder of a run; there is none.`);
  });
  if (csv !== undefined)
    checkOutput(
      "metrics",
      "--csv",
      csv,
      folders.flatMap((folder) => folder.sources()),
    );
  const names = namesOf(folders);
  const write = (runs: readonly Measured[], before: readonly Measured[] = []): readonly string[] => {
    const events = tensorboard === undefined ? [] : runs.map((run, i) => writeEvents(tensorboard, run, before[i]));
    if (csv !== undefined) writeWhole(csv, table(runs));
    return [...events, ...(csv === undefined ? [] : [csv])];
  };
  const look = () => zip(folders, names).map(([folder, name]) => measured(folder, name));
  let runs = look();
  if (csv === undefined && tensorboard === undefined) {
    print(table(runs).trimEnd());
    return 0;
  }
  for (const file of write(runs)) print(`wrote ${file}`);
  while (watch && runs.some(({ record }) => record.finished === undefined)) {
    await wait(WATCH_MS);
    const before = runs;
    runs = look();
    if (sizes(runs) !== sizes(before)) write(runs, before);
  }
  return 0;
}

const sizes = (runs: readonly Measured[]): string =>
  runs.map(({ rows, record }) => [rows.length, record.finished]).join();

/** Folder names; whole paths where two are the same. */
function namesOf(folders: readonly RunFolder[]): readonly string[] {
  const short = folders.map(({ dir }) => basename(resolve(dir)));
  return new Set(short).size === short.length ? short : folders.map(({ dir }) => dir.replaceAll(/[\\/:]+/g, "-"));
}

function measured(folder: RunFolder, name: string): Measured {
  const record = folder.record();
  const rows = existsSync(folder.metrics)
    ? readHistory(folder.metrics, record.exits.length, record.finished === undefined)
    : [];
  return { dir: folder.dir, name, record, batch: folder.config().train.batch, rows };
}

const MEASURES = ["loss", "lr", "imagesPerSecond"] as const;

/** CSV of all runs; exits that a run does not have, and what a row does not tell, are empty. */
function table(runs: readonly Measured[]): string {
  const most = Math.max(...runs.map(({ record }) => record.exits.length));
  const exits = Array.from({ length: most }, (_, j) => [`exit${j + 1}Loss`, `exit${j + 1}Accuracy`]);
  const head = ["run", "kind", "step", "epoch", ...MEASURES, ...exits.flat(), "isBest"];
  const cell = (value: unknown): string => {
    const text = value === undefined ? "" : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = runs.flatMap(({ name, rows }) =>
    rows.map((row) => {
      const own: Partial<Record<(typeof MEASURES)[number], number>> = row.kind === "train" ? row : {};
      const scores = exits.flatMap((_, j) => [row.exits[j]?.loss, row.exits[j]?.accuracy]);
      const best = row.kind === "evaluation" ? Number(row.isBest) : undefined;
      return [name, row.kind, row.step, row.epoch, ...MEASURES.map((key) => own[key]), ...scores, best];
    }),
  );
  return [head, ...lines].map((line) => `${line.map(cell).join(",")}\n`).join("");
}

/**
 * Writes the event file of a run, and returns its path. Where the rows of before are still the first ones, the others
 * are written behind them: TensorBoard would go on reading a file that was replaced.
 */
function writeEvents(folder: string, run: Measured, before?: Measured): string {
  const began = Date.parse(run.record.started) / 1000;
  const file = join(folder, run.name, `events.out.tfevents.${Math.floor(began)}.sortie`);
  const events = eventsOf(run, began);
  const known = before?.rows.length ?? 0;
  const isBehind = known > 0 && JSON.stringify(run.rows.slice(0, known)) === JSON.stringify(before?.rows);
  if (isBehind) appendFileSync(file, encodeMore(events.slice(known)));
  else writeWhole(file, encodeEvents(began, events));
  return file;
}

/** Rows as scalars; a row's time is the run's start and the time that training to it took. */
function eventsOf({ rows, batch, record }: Measured, began: number): readonly ScalarEvent[] {
  let [time, step] = [began, 0];
  return rows.map((row) => {
    const scalars = new Map<string, number>();
    if (row.kind === "train") {
      time += ((row.step - step) * batch) / row.imagesPerSecond;
      step = row.step;
      for (const key of MEASURES) scalars.set(`train/${key}`, row[key]);
    }
    const part = row.kind === "train" ? "train" : "validation";
    row.exits.forEach(({ loss, accuracy }, j) => {
      const exit = record.exits[j]?.stage ?? `exit ${j + 1}`;
      scalars.set(`${part}/loss/${exit}`, loss);
      scalars.set(`${part}/accuracy/${exit}`, accuracy);
    });
    return { time, step: row.step, scalars };
  });
}
