// What a comparison prints: its plan and what it will take, and a table that grows by a row with every run.

import { existsSync } from "node:fs";
import { RunFolder, runId } from "../files/run-folder.ts";
import { percent } from "../format.ts";
import type { RunFigures } from "./figures.ts";
import type { Known } from "./known.ts";
import type { Experiment, RunKey } from "./plan.ts";

/** Whether the run is there and trained to its end. @throws Error if the folder holds a run of other settings. */
export function isFinished(folder: RunFolder, config: Experiment["config"]): boolean {
  folder.check(config, "Choose another --out, or remove that folder.");
  return !folder.grows(config) && folder.isFinished;
}

/** How far a run is, before anything is done. */
export type Progress = "finished" | "known" | "begun" | "to do";

/** How far a run is: finished in its folder, or known from elsewhere, or still to be made. */
export function progressOf({ config }: Experiment, known: Known): Progress {
  const folder = RunFolder.of(config);
  if (isFinished(folder, config)) return "finished";
  if (known.has(runId(config))) return "known";
  return existsSync(folder.path("config")) ? "begun" : "to do";
}

/** Whether the run is still to be made. */
export const isOpen = (experiment: Experiment, known: Known): boolean =>
  ["begun", "to do"].includes(progressOf(experiment, known));

/** The plan as lines, with what it will take as far as finished runs tell. */
export function planLines(experiments: readonly Experiment[], known: Known): readonly string[] {
  const states = experiments.map((experiment) => progressOf(experiment, known));
  const lines = experiments.map(
    ({ name, config }, i) => `${String(i + 1).padStart(4)}  ${name}  ${epochsOf(config)} epochs  ${states[i]!}`,
  );
  const open = experiments.filter((_, i) => states[i] === "begun" || states[i] === "to do");
  return [`${experiments.length} runs:`, ...lines, expectedTime(experiments, open)];
}

const epochsOf = ({ train: { epochs, moreEpochs = [] } }: Experiment["config"]): number =>
  moreEpochs.reduce((sum, more) => sum + more, epochs);

/**
 * What those that are open will take, as far as finished ones tell: of the same method if there are, else of others,
 * and less what they have behind them. Of training alone, without that of teachers.
 */
export function expectedTime(experiments: readonly Experiment[], open: readonly Experiment[]): string {
  const ended = experiments.flatMap((experiment) => {
    const record = RunFolder.of(experiment.config).recordOrNone();
    const training = record?.finished === undefined ? undefined : record.seconds?.["training"];
    return training === undefined
      ? []
      : [{ experiment, seconds: training / epochsOf(RunFolder.of(experiment.config).config()) }];
  });
  const perEpoch = (like: Experiment): number | undefined => {
    const alike = ended.filter(
      ({ experiment: { data, backbone } }) => data === like.data && backbone === like.backbone,
    );
    const same = alike.filter(({ experiment }) => experiment.config.method.name === like.config.method.name);
    const seconds = (same.length > 0 ? same : alike).map((one) => one.seconds);
    return seconds.sort((a, b) => a - b)[seconds.length >> 1];
  };
  if (open.length === 0) return "all are trained";
  const known = open.flatMap((each) => {
    const seconds = perEpoch(each);
    const spent = RunFolder.of(each.config).recordOrNone()?.seconds?.["training"] ?? 0;
    return seconds === undefined ? [] : [Math.max(0, seconds * epochsOf(each.config) - spent)];
  });
  const minutes = Math.ceil(known.reduce((sum, seconds) => sum + seconds, 0) / 60);
  if (known.length === 0) return `${open.length} to train; how long one takes is told when the first has ended`;
  const rest = open.length - known.length;
  return `${open.length} to train: about ${minutes} min${rest > 0 ? `, and ${rest} of which none has ended yet` : ""}`;
}

/** A table of runs as they end: its head and its rows, as wide as the names that will be in it. */
export function liveTable(names: readonly Omit<RunKey, "seed">[]) {
  const nameOf = ({ data, backbone, method }: Omit<RunKey, "seed">) => `${data} ${backbone} ${method}`;
  const width = Math.max(...names.map((key) => nameOf(key).length));
  const row = (name: string, cells: readonly string[]) => {
    const widths = [4, 26, 7, 9, 9];
    return [name.padEnd(width), ...cells.map((cell, k) => cell.padStart(widths[k] ?? 0))].join("  ").trimEnd();
  };
  return {
    head: row("", ["seed", "exits, %", "area, %", "certified", "its cost"]),
    of(run: RunFigures): string {
      const accuracies = run.exits.map(({ accuracy }) => (100 * accuracy).toFixed(1)).join(" / ");
      const { certified, collapsed } = run;
      const none = [run.uncertified === undefined ? "nothing" : "-", "-"];
      const promise = certified ? [percent(certified.accuracy), percent(certified.cost)] : none;
      const fallen = collapsed.length > 0 ? `  COLLAPSED: ${collapsed.join("; ")}` : "";
      return row(nameOf(run), [String(run.seed), accuracies, (100 * run.area).toFixed(1), ...promise]) + fallen;
    },
  };
}
