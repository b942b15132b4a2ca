// Sections about single images: difficulty against exit, and examples of what leaves where. Of runs only.

import { zip } from "../../../base/index.ts";
import { spearman } from "../../../calibration/index.ts";
import type { Dataset, ImageBytes } from "../../../data/index.ts";
import { number } from "../../format.ts";
import { type Example, examplesPerExit } from "../examples.ts";
import { type ErrorSeries, errorsByDifficulty, exitsByDifficulty } from "../figures/difficulty.ts";
import { escapeHtml, figures, section, table } from "../html.ts";
import { drawPlot } from "../plots.ts";
import { departures } from "../run-details.ts";
import { type Content, whyAllStay } from "./content.ts";

/** Whether what is known to be hard goes deep. Only where a difficulty is known. */
export async function difficultySection({ found, run, taken }: Content): Promise<string> {
  const images = run?.images;
  if (typeof images !== "object" || !images.columns["difficulty"]) return "";
  const { difficulty } = images.columns as { readonly difficulty: Float32Array };
  const { names, source, scored, policy } = found;
  const { wrong, alone } = departures(source, scored, taken);
  const series: ErrorSeries[] = [
    { kind: "first", name: `all at ${names[0]}`, wrong: alone(0) },
    { kind: "full", name: "full network", wrong: alone(names.length - 1) },
  ];
  const known = "The images are drawn by code, with a known difficulty.";
  const title = "Difficulty and exits";
  if (!policy) {
    const plot = await drawPlot(errorsByDifficulty(difficulty, series), "error rate by difficulty");
    const text = `${known} ${whyAllStay(found)} No image leaves early, so its difficulty decides nothing yet.`;
    return section(title, text, figures([plot]));
  }
  const plots = [
    await drawPlot(exitsByDifficulty(difficulty, taken, names), "exits by difficulty"),
    await drawPlot(
      errorsByDifficulty(difficulty, [...series, { kind: "policy", name: "policy", wrong }]),
      "error rate by difficulty",
    ),
  ];
  const rho = spearman(difficulty, taken);
  if (Number.isNaN(rho))
    return section(title, `${known} All images leave at one exit, whatever it is.`, figures(plots));
  const factors = Object.entries(images.columns);
  const correlations = factors.map(([, values]) => number(spearman(values, taken), 2));
  return section(
    title,
    `${known} Spearman's correlation between difficulty and exit is <b>${number(rho, 2)}</b>; the table
has that of each disturbance.`,
    figures(plots) +
      table(["disturbance", ...factors.map(([name]) => name)], [["correlation with exit", ...correlations]]),
  );
}

/** Per exit: one row on a wide screen. */
const EXAMPLES = 14;

/** Some images of each exit. */
export async function exampleSection({ found, run, taken }: Content): Promise<string> {
  if (!run) return "";
  if (typeof run.images === "string") return section("Examples", escapeHtml(`No images: ${run.images}`));
  const { names, source, scored } = found;
  const last = names.length - 1;
  const examples = examplesPerExit(
    run.images as Dataset<ImageBytes>,
    departures(source, scored, taken),
    names.length,
    EXAMPLES,
  );
  const rows = zip(names, examples).map(([name, own], j) => {
    const what = j === last ? "stay to the end: the least sure" : "leave here: from the middle";
    const pictures = own.length > 0 ? `<div class="examples">${own.map(picture).join("")}</div>` : "<p>none</p>";
    return `<h3>${escapeHtml(name)} <small>${j === 0 ? "leave first: the surest" : what}</small></h3>${pictures}`;
  });
  const why = whyAllStay(found);
  return section(
    "Examples",
    `${why ? `${why} All images run to the end. ` : ""}Below each image: what it was taken for, and how sure that exit was.
Wrong answers are marked, with the right one.`,
    (why ? rows.slice(last) : rows).join(""),
  );
}

function picture({ picture: source, label, answer, confidence }: Example): string {
  const isRight = label === answer;
  const answerText = isRight ? label : `${answer}, not ${label}`;
  const caption = `${escapeHtml(answerText)}<br>${(100 * confidence).toFixed(0)} %`;
  return `<figure class="${isRight ? "right" : "wrong"}"><img src="${source}" alt="${escapeHtml(label)}"><figcaption>${caption}</figcaption></figure>`;
}
