// What a comparison prints: its plan and what it will take, and a table that grows by a row with every run.

import { existsSync } from "node:fs";
import { RunFolder, runId } from "../files/run-folder.ts";
import { ownTeacher, placesIn, sharedTeacher } from "../files/teachers.ts";
import { percent } from "../format.ts";
import { makePlan } from "../settings/model.ts";
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

/** What is trained: a run, or a larger network that runs learn from. */
interface Work {
  /** Data and backbone. */
  readonly kind: string;
  readonly config: Experiment["config"];
  /** How much more a step of it computes than one of a run, about. */
  readonly size: number;
}

const secondsOf = ({ config }: Work): number => RunFolder.of(config).recordOrNone()?.seconds?.["training"] ?? 0;

/** Runs, and the larger networks that some of them learn from, each once. */
function worksOf(experiments: readonly Experiment[]): readonly Work[] {
  const works = experiments.flatMap(({ data, backbone, config }) => {
    const kind = `${data} ${backbone}`;
    const teacher = teacherOf(config);
    return [...(teacher ? [{ kind, ...teacher }] : []), { kind, config, size: 1 }];
  });
  return [...new Map(works.map((work) => [RunFolder.of(work.config).dir, work])).values()];
}

/** A teacher that cannot be is told when the run's turn comes. */
function teacherOf(config: Experiment["config"]): Omit<Work, "kind"> | undefined {
  try {
    const own = ownTeacher(config);
    const { teacher } = makePlan(config);
    if (!own || teacher?.kind !== "network") return undefined;
    const { wider, deeper } = teacher;
    return { config: sharedTeacher(own, placesIn(config.out).teachers) ?? own, size: wider ** 2 * deeper };
  } catch {
    return undefined;
  }
}

/**
 * What the training of those that are open will take, with that of the networks they learn from, less what is done of
 * it; as far as finished ones tell: of the same method and size if there are, else of others by what they compute.
 */
export function expectedTime(experiments: readonly Experiment[], open: readonly Experiment[]): string {
  if (open.length === 0) return "all are trained";
  const isDone = ({ config }: Work) => RunFolder.of(config).recordOrNone()?.finished !== undefined;
  const ended = worksOf(experiments).flatMap((work) =>
    isDone(work) ? [{ ...work, seconds: secondsOf(work) / epochsOf(RunFolder.of(work.config).config()) }] : [],
  );
  const perEpoch = (like: Work): number | undefined => {
    const alike = ended.filter(({ kind }) => kind === like.kind);
    const sized = alike.filter(({ size }) => size === like.size);
    const same = sized.filter(({ config }) => config.method.name === like.config.method.name);
    const nearest = [same, sized, alike].find((some) => some.length > 0) ?? [];
    const seconds = nearest.map((one) => (one.seconds * like.size) / one.size);
    return seconds.sort((a, b) => a - b)[seconds.length >> 1];
  };
  const runs = new Set(open.map(({ config }) => config));
  const works = worksOf(open).filter((work) => runs.has(work.config) || !isDone(work));
  const known = works.flatMap((work) => {
    const seconds = perEpoch(work);
    return seconds === undefined ? [] : [Math.max(0, seconds * epochsOf(work.config) - secondsOf(work))];
  });
  const larger = works.length - open.length;
  const which = `${open.length} to train${larger > 0 ? `, and ${larger} larger to learn from` : ""}`;
  const minutes = Math.ceil(known.reduce((sum, seconds) => sum + seconds, 0) / 60);
  if (known.length === 0) return `${which}; how long one takes is told when the first has ended`;
  const rest = works.length - known.length;
  return `${which}: about ${minutes} min${rest > 0 ? `, and ${rest} of which none has ended yet` : ""}`;
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
