// Sections about the exits themselves, each on all images: how they learned, reliability, all metrics.

import { zip } from "../../../base/index.ts";
import { number, percent } from "../../format.ts";
import { learningCurves, reliabilityDiagram } from "../figures/exits.ts";
import { figures, section, table } from "../html.ts";
import { drawPlot } from "../plots.ts";
import type { RunDetails } from "../run-details.ts";
import type { Content } from "./content.ts";

/** Loss and accuracy over the steps, of runs. */
export async function learningSection(
  names: readonly string[],
  run: Pick<RunDetails, "history" | "config"> | undefined,
): Promise<string> {
  if (!run || run.history.length === 0) return "";
  const plots = [
    await drawPlot(learningCurves(run.history, names, "loss"), "loss over steps"),
    await drawPlot(learningCurves(run.history, names, "accuracy"), "accuracy over steps"),
  ];
  const { evaluateEvery } = run.config.train;
  const more = evaluateEvery === undefined ? "" : ` and every ${evaluateEvery} steps`;
  return section(
    "Learning curves",
    `Lines: training, means between two rows of metrics.jsonl. Dots: validation images, after each epoch${more}.`,
    figures(plots),
  );
}

/** Whether an exit is right as often as it is sure. */
export async function reliabilitySection({ found: { names, metrics, file } }: Content): Promise<string> {
  const plots = await Promise.all(
    zip(names, metrics.exits).map(([name, { reliability, ece }]) =>
      drawPlot(reliabilityDiagram(reliability, `${name}, ECE ${ece.toFixed(3)}`), `reliability of ${name}`),
    ),
  );
  return section(
    "Reliability",
    `How often an exit is right, against how sure it is${file?.scaling ? ", after scaling" : ""}; all test images. Strong bars hold many images.`,
    figures(plots, "thirds"),
  );
}

/** With their names for people. */
const METRICS = {
  accuracy: "accuracy",
  nll: "NLL",
  brier: "Brier",
  ece: "ECE",
  smoothEce: "smooth ECE",
  mce: "MCE",
  auroc: "AUROC",
  fprAt95Tpr: "FPR at 95 % TPR",
  aurc: "AURC",
  augrc: "AUGRC",
  eefp: "EEFP",
} as const;

/** All numbers of every exit. */
export function metricSection({ found: { names, metrics } }: Content): string {
  const keys = Object.keys(METRICS) as (keyof typeof METRICS)[];
  const rows = zip(names, metrics.exits).map(([name, exit]) => [name, ...keys.map((key) => number(exit[key]))]);
  const { wasteful, destructive } = metrics.overthinking;
  return section(
    "Every exit on all images",
    `Of all images ${percent(wasteful)} were already right at an earlier exit (wasteful), and ${percent(destructive)} were right
earlier and wrong at the end (destructive).`,
    `<div class="wide">${table(["exit", ...Object.values(METRICS)], rows)}</div>`,
  );
}
