// What is written of a comparison: one page, one JSON and one text, all of the same figures.

import { join } from "node:path";
import { SortieError } from "../../base/index.ts";
import { plainJson } from "../../calibration/index.ts";
import { isSameFile } from "../files/outputs.ts";
import { folded, writeWhole } from "../files/whole.ts";
import { level } from "../format.ts";
import { corruptionSheets } from "./corruption-sheets.ts";
import type { RunFigures } from "./figures.ts";
import { comparisonPage, comparisonText, type Introduction } from "./page.ts";
import {
  accuracySheet,
  certifiedSheet,
  confidenceSheet,
  differenceSheet,
  type Failure,
  proxySheet,
  publishedSheet,
  runSheet,
  type Sheet,
  timeSheet,
} from "./sheets.ts";
import { settingsOf } from "./statistics.ts";
import { summaryOf } from "./summary.ts";

/** What is written about all runs. */
const pathsIn = (out: string) => ({
  page: join(out, "comparison.html"),
  json: join(out, "comparison.json"),
  text: join(out, "comparison.md"),
});

/**
 * Refuses known runs that lie where the comparison is written: until its end it holds only those that it has come to.
 * @throws SortieError
 */
export function checkKnown(known: string | undefined, out: string): void {
  if (known === undefined || !isSameFile(known, pathsIn(out).json)) return;
  throw new SortieError(
    `compare: --known must be another file than the comparison writes; got ${known}. Copy it first, and name the copy.`,
  );
}

/** What is written where. */
export interface Outcome {
  readonly runs: readonly RunFigures[];
  readonly failures: readonly Failure[];
  /** The method that others are held against. */
  readonly against: string;
  readonly out: string;
  /** How many runs are still to be made. */
  readonly open?: number;
}

/** Writes page, JSON and text; their paths. */
export async function writeComparison({ runs, failures, against, out, open = 0 }: Outcome): Promise<readonly string[]> {
  const settings = settingsOf(runs);
  const sheets: readonly Sheet[] = [
    accuracySheet(settings, against),
    differenceSheet(settings, against),
    certifiedSheet(settings, promiseOf(runs)),
    publishedSheet(settings),
    confidenceSheet(settings),
    timeSheet(settings),
    proxySheet(runs),
    ...corruptionSheets(settings, against),
    runSheet(runs, failures),
  ];
  const unique = (values: readonly string[]) => [...new Set(values)].join("; ") || "unknown";
  const counted = (count: number, what: string) => `${count} ${what}${count === 1 ? "" : "s"}`;
  const left = open > 0 ? `, ${open} still to come` : "";
  const introduction: Introduction = {
    title: `${counted(settings.length, "setting")}, ${counted(runs.length, "run")}${left}`,
    lines: [
      `Data: ${unique(runs.map(({ data, samples }) => `${data}, ${samples} test images`))}. Full pass: ${unique(runs.map(({ backbone, macs }) => `${backbone} ${macs.toFixed(2)} M MACs`))}.`,
      `Adapter: ${unique(runs.map(({ adapter }) => adapter))}. Commit of the runs: ${unique(runs.map(({ commit }) => commit))}.`,
    ],
  };
  const paths = pathsIn(out);
  writeWhole(paths.json, folded(plainJson({ against, open, ...summaryOf(runs, against), runs, failures })));
  writeWhole(paths.text, comparisonText(introduction, sheets));
  writeWhole(paths.page, await comparisonPage(introduction, settings, sheets));
  return Object.values(paths);
}

/** Of whom, by what is controlled. */
const PER: Readonly<Record<RunFigures["settings"]["calibration"]["control"], string>> = {
  ...{ exit: ", at each exit", early: "", label: ", of each class" },
  predictedClass: ", of each answered class at each exit",
};

/** What is promised, if all runs promise the same. */
function promiseOf(runs: readonly RunFigures[]): string {
  const calibrated = runs.filter(({ uncertified }) => uncertified === undefined);
  const promises = calibrated.map(({ settings }) => {
    const { alpha, delta, control } = settings.calibration;
    return `At most ${level(alpha)} wrong of those that leave early${PER[control]}, with probability ${level(1 - delta)}.`;
  });
  return [...new Set(promises)].join(" Or: ") || "No run is calibrated as its settings ask for.";
}
