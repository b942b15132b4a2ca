/** The report as one HTML page: sections from findings, and from a run where there is one. No script, no network. */

import {
  baselines,
  cascade,
  explain,
  type Interval,
  spearman,
  sweepThresholds,
  thresholdCurve,
} from "../calibration/index.ts";
import type { Dataset } from "../data/index.ts";
import { type Findings, percent } from "./evaluate.ts";
import { type Example, examplesPerExit } from "./examples.ts";
import {
  accuracyCurve,
  costAgainstTarget,
  errorsByDifficulty,
  exitShares,
  exitsByDifficulty,
  learningCurves,
  reliabilityDiagram,
  riskAgainstTarget,
} from "./figures.ts";
import { STYLE } from "./page-style.ts";
import { drawPlot, escapeHtml } from "./plots.ts";
import { departures, type RunDetails } from "./run-details.ts";

/** What every section is made from. */
interface Content {
  readonly found: Findings;
  readonly run: RunDetails | undefined;
  /** Of the exits. */
  readonly names: readonly string[];
}

/** The page. It holds all that it shows: it can be mailed. */
export async function renderPage(found: Findings, run?: RunDetails): Promise<string> {
  const { exits } = found.test;
  const names = Array.from({ length: exits }, (_, j) => run?.record.exits[j]?.stage ?? `exit ${j}`);
  const content = { found, run, names };
  const title = run ? `${run.config.data.name}, ${run.config.objective.method}` : "early exits";
  const sections = await Promise.all([
    exitSection(content),
    accuracySection(content),
    targetSection(content),
    difficultySection(content),
    exampleSection(content),
    learningSection(content),
    reliabilitySection(content),
  ]);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>sortie: ${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<header>
<p class="brand">sortie report</p>
<h1>${escapeHtml(title)}</h1>
${tiles(content)}
${promise(content)}
</header>
${sections.join("\n")}
${metricSection(content)}
${runSection(content)}
</body>
</html>
`;
}

function tiles({ found: { test, metrics, policy } }: Content): string {
  const last = metrics.exits.at(-1)!;
  const shown: [string, string, string][] = policy
    ? [
        [percent(policy.accuracy), "accuracy with early exits", `${percent(last.accuracy)} without`],
        [percent(policy.cost), "of the full network's MACs", "on average"],
        [percent(1 - policy.fractions[test.exits - 1]!), "leave early", `of ${test.samples} test images`],
        [percent(policy.earlyRisk), "of early answers are wrong", "on the test images"],
      ]
    : [
        [percent(last.accuracy), "accuracy of the last exit", `on ${test.samples} test images`],
        [percent(found(metrics)), "accuracy of the oracle", "the first right exit"],
      ];
  const tile = ([value, what, more]: [string, string, string]) =>
    `<div class="tile"><b>${value}</b><span>${what}</span><small>${more}</small></div>`;
  return `<div class="tiles">${shown.map(tile).join("")}</div>`;
}

const found = ({ overthinking }: Findings["metrics"]): number => overthinking.oracleAccuracy;

function promise({ found: { file } }: Content): string {
  const text = file ? explain(file.result) : "No policy was given: this page describes the exits alone.";
  const isPromise = file?.result.ok && file.result.guarantee.kind !== "none";
  return `<p class="promise ${isPromise ? "kept" : "none"}">${escapeHtml(text)}</p>`;
}

async function exitSection({ found: { policy, test, metrics, file }, run, names }: Content): Promise<string> {
  if (!policy || !file?.result.ok) return "";
  const { thresholds } = file.result;
  const isPerExit = thresholds.length === test.exits - 1;
  const rows = names.map((name, j) => [
    name,
    run ? `${((run.record.exits[j]?.macs ?? 0) / 1e6).toFixed(2)} M` : percent(test.costs[j]!),
    percent(metrics.exits[j]!.accuracy),
    isPerExit ? threshold(thresholds[j]) : "",
    percent(policy.fractions[j]!),
    percent(policy.exitRisk[j]!),
    policy.fractions[j]! > 0 ? interval(policy.intervals.exitRisk[j]!) : "",
  ]);
  const plot = await drawPlot(exitShares(names, policy.fractions, policy.exitRisk), "shares of images per exit");
  return section(
    "Where images leave",
    `An image leaves at the first exit whose confidence reaches the threshold; what no exit takes runs to the end.
The promise is about early leavers: the last exit answers all that is left, the hardest images.`,
    row(
      figure(plot),
      table(
        [
          "exit",
          run ? "MACs" : "cost",
          "accuracy on all",
          "threshold",
          "leave here",
          "wrong among them",
          "95 % interval",
        ],
        rows,
      ),
    ),
  );
}

const interval = ({ lower, upper }: Interval): string => `${percent(lower)} to ${percent(upper)}`;

const threshold = (value: number | undefined): string =>
  value === undefined ? "" : value === Number.POSITIVE_INFINITY ? "closed" : value.toFixed(4);

async function accuracySection({ found: { test, policy }, names }: Content): Promise<string> {
  const all = cascade(test);
  const { oracle, fixed } = baselines(all);
  const sweep = thresholdCurve(all, sweepThresholds(all, 60));
  const plot = await drawPlot(accuracyCurve({ names, sweep, fixed, oracle, policy }), "accuracy against MACs");
  return section(
    "Accuracy against MACs",
    `Solid: one confidence threshold for all exits, swept. Dashed: every image takes the same exit, and
between them exits drawn at random. Diamond: the oracle,
which knows the first exit that is right.${policy ? " Square: the policy." : ""}`,
    figure(plot),
  );
}

async function targetSection({ run }: Content): Promise<string> {
  if (!run) return "";
  const { alpha, delta } = run.config.calibration;
  const plots = [
    await drawPlot(riskAgainstTarget(run.targets, alpha), "observed risk against target risk"),
    await drawPlot(costAgainstTarget(run.targets, alpha), "cost against target risk"),
  ];
  const refused = run.targets.filter(({ ok }) => !ok).map((point) => percent(point.alpha));
  const note =
    refused.length > 0 ? ` Nothing could be certified at ${refused.join(", ")}: there all images run to the end.` : "";
  return section(
    "Risk against target",
    `The same network calibrated for other targets. A promise holds with probability ${1 - delta} over calibration sets, so
a point may lie in the shaded half now and then; the dotted line is this run's target.${note}`,
    figures(plots),
  );
}

async function difficultySection({ found: { test, policy }, run, names }: Content): Promise<string> {
  const images = run?.images;
  if (!policy || typeof images !== "object" || !images.columns["difficulty"]) return "";
  const difficulty = images.columns["difficulty"];
  const { wrong, alone, exits } = departures(test, policy.exits);
  const series = [
    { name: `all at ${names[0]}`, wrong: alone(0) },
    { name: "full network", wrong: alone(test.exits - 1) },
    { name: "policy", wrong },
  ];
  const plots = [
    await drawPlot(exitsByDifficulty(difficulty, exits, names), "exits by difficulty"),
    await drawPlot(errorsByDifficulty(difficulty, series), "error rate by difficulty"),
  ];
  const rows = Object.entries(images.columns).map(([name, values]) => [name, spearman(values, exits).toFixed(3)]);
  const rho = spearman(difficulty, exits);
  return section(
    "Difficulty and exits",
    `The images are drawn by code, with a known difficulty. Spearman's correlation between difficulty and exit is
<b>${rho.toFixed(2)}</b>; that of each disturbance is in the table.`,
    row(...plots.map(figure), table(["disturbance", "correlation with exit"], rows)),
  );
}

/** Per exit: one row on a wide screen. */
const EXAMPLES = 14;

async function exampleSection({ found: { test, policy }, run, names }: Content): Promise<string> {
  if (!policy || !run) return "";
  if (typeof run.images === "string") return section("Examples", escapeHtml(`No images: ${run.images}`), "");
  const examples = examplesPerExit(run.images as Dataset, departures(test, policy.exits), test.exits, EXAMPLES);
  const what = (j: number) =>
    j === 0
      ? "leave first: the surest"
      : j === names.length - 1
        ? "stay to the end: the least sure"
        : "leave here: a middle sample";
  const rows = examples.map((row, j) => {
    const pictures = row.length > 0 ? row.map(picture).join("") : "<p>none</p>";
    return `<h3>${escapeHtml(names[j]!)} <small>${what(j)}</small></h3><div class="examples">${pictures}</div>`;
  });
  return section(
    "Examples",
    "Below each image: what it was taken for, and how sure that exit was. Wrong answers are marked, with the right one.",
    rows.join(""),
  );
}

function picture({ picture: source, label, answer, confidence }: Example): string {
  const isRight = label === answer;
  const answerText = isRight ? label : `${answer}, not ${label}`;
  const caption = `${escapeHtml(answerText)}<br>${(100 * confidence).toFixed(0)} %`;
  return `<figure class="${isRight ? "right" : "wrong"}"><img src="${source}" alt="${escapeHtml(label)}"><figcaption>${caption}</figcaption></figure>`;
}

async function learningSection({ run, names }: Content): Promise<string> {
  if (!run || run.history.length === 0) return "";
  const plots = [
    await drawPlot(learningCurves(run.history, names, "loss"), "loss over steps"),
    await drawPlot(learningCurves(run.history, names, "accuracy"), "accuracy over steps"),
  ];
  return section(
    "Learning curves",
    "Lines: training, means between two rows of metrics.jsonl. Dots: validation images, after each epoch.",
    figures(plots),
  );
}

async function reliabilitySection({ found: { metrics, file }, names }: Content): Promise<string> {
  const plots = await Promise.all(
    metrics.exits.map((exit, j) =>
      drawPlot(
        reliabilityDiagram(exit.reliability, `${names[j]}, ECE ${exit.ece.toFixed(3)}`),
        `reliability of ${names[j]}`,
      ),
    ),
  );
  return section(
    "Reliability",
    `How often an exit is right, against how sure it is${file?.scaling ? ", after scaling" : ""}; all test images. Dark bars hold many images.`,
    figures(plots),
  );
}

const METRICS = [
  "accuracy",
  "nll",
  "brier",
  "ece",
  "smoothEce",
  "mce",
  "auroc",
  "fprAt95Tpr",
  "aurc",
  "augrc",
  "eefp",
] as const;

function metricSection({ found: { metrics }, names }: Content): string {
  const number = (value: number) => (Number.isNaN(value) ? "-" : value.toFixed(4));
  const rows = metrics.exits.map((exit, j) => [names[j]!, ...METRICS.map((name) => number(exit[name]))]);
  const { wasteful, destructive } = metrics.overthinking;
  return section(
    "Every exit on all images",
    `Of all images ${percent(wasteful)} were already right at an earlier exit (wasteful), and ${percent(destructive)} were right
earlier and wrong at the end (destructive).`,
    table(["exit", ...METRICS], rows),
  );
}

function runSection({ run }: Content): string {
  if (!run) return "";
  const { record, config } = run;
  const seconds = Object.entries(record.seconds ?? {}).map(([name, value]) => `${name} ${value} s`);
  const facts: [string, string][] = [
    ["folder", run.dir],
    ["data", record.protocol],
    ["network", `${config.model.backbone} ${config.model.depth}, ${record.parameters} parameters`],
    ["started", record.started],
    ["finished", record.finished ?? "-"],
    ["time", seconds.join(", ") || "-"],
    ...Object.entries(record.made),
  ];
  return section(
    "The run",
    "",
    `<div class="columns">${table(["", ""], facts)}<details open><summary>config.json</summary><pre>${escapeHtml(JSON.stringify(config, null, 2))}</pre></details></div>`,
  );
}

const section = (title: string, text: string, body: string): string =>
  `<section>\n<h2>${title}</h2>\n${text && `<p>${text}</p>\n`}${body}\n</section>`;

const figure = (svg: string): string => `<div class="plot">${svg}</div>`;
const row = (...parts: readonly string[]): string => `<div class="row">${parts.join("")}</div>`;
const figures = (svgs: readonly string[]): string => row(...svgs.map(figure));

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = (row: readonly string[], tag: string) =>
    row.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join("");
  const top = head.some((cell) => cell !== "") ? `<thead><tr>${cells(head, "th")}</tr></thead>` : "";
  return `<table>${top}<tbody>${rows.map((row) => `<tr>${cells(row, "td")}</tr>`).join("")}</tbody></table>`;
}
