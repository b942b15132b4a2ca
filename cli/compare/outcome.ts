// What is written of a comparison: one page, one JSON and one text, all of the same figures.

import { join } from "node:path";
import { plainJson } from "../../calibration/index.ts";
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

/** Names of what is written about all runs. */
const OUT = { page: "comparison.html", json: "comparison.json", text: "comparison.md" } as const;

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
  const left = open > 0 ? `, ${open} still to come` : "";
  const introduction: Introduction = {
    title: `${settings.length} settings, ${runs.length} runs${left}`,
    lines: [
      `Data: ${unique(runs.map(({ data, samples }) => `${data}, ${samples} test images`))}. Full pass: ${unique(runs.map(({ backbone, macs }) => `${backbone} ${macs.toFixed(2)} M MACs`))}.`,
      `Adapter: ${unique(runs.map(({ adapter }) => adapter))}. Commit of the runs: ${unique(runs.map(({ commit }) => commit))}.`,
    ],
  };
  const path = (name: string) => join(out, name);
  writeWhole(path(OUT.json), folded(plainJson({ against, open, ...summaryOf(runs, against), runs, failures })));
  writeWhole(path(OUT.text), comparisonText(introduction, sheets));
  writeWhole(path(OUT.page), await comparisonPage(introduction, settings, sheets));
  return Object.values(OUT).map(path);
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
