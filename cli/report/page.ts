// The report as one HTML page: sections from findings, and from a run where there is one. No script, no network.

import { existsSync } from "node:fs";
import { lastOf, SortieError } from "../../base/index.ts";
import { exitNames } from "../exit-names.ts";
import type { RunFolder } from "../files/run-folder.ts";
import { type Findings, fullAccuracy, promiseOf } from "../findings/findings.ts";
import { percent } from "../format.ts";
import type { Config } from "../settings/config.ts";
import { escapeHtml, page, section, table } from "./html.ts";
import { type RunDetails, readHistory } from "./run-details.ts";
import { type Content, unitOf } from "./sections/content.ts";
import { corruptionSection } from "./sections/corruptions.ts";
import { learningSection, metricSection, reliabilitySection } from "./sections/exits.ts";
import { difficultySection, exampleSection } from "./sections/images.ts";
import { accuracySection, exitSection, targetSection } from "./sections/policy.ts";
import { timeSection } from "./sections/time.ts";

/** The page. It holds all that it shows: it can be mailed. */
export async function renderPage(found: Findings, run?: RunDetails): Promise<string> {
  const { samples, exits } = found.scored;
  const content = { found, run, taken: found.policy?.exits ?? new Int32Array(samples).fill(exits - 1) };
  const title = run ? titleOf(run.config) : "early exits";
  const sections = await Promise.all([
    exitSection(content),
    accuracySection(content),
    timeSection(content),
    targetSection(content),
    difficultySection(content),
    exampleSection(content),
    learningSection(found.names, run),
    reliabilitySection(content),
    corruptionSection(content.run?.corruptions),
  ]);
  return page({
    title,
    brand: "sortie report",
    header: `${tiles(content)}\n${promise(found)}`,
    body: [...sections.filter((text) => text !== ""), metricSection(content), runSection(run)].join("\n"),
  });
}

function tiles(content: Content): string {
  const { found } = content;
  const { metrics, policy, scored } = found;
  const { samples } = scored;
  const last = percent(fullAccuracy(metrics));
  const shown: [string, string, string][] = policy
    ? [
        [percent(policy.accuracy), "accuracy with early exits", `${last} without`],
        [percent(policy.cost), `of the full network's ${unitOf(content)}`, "on average"],
        [percent(1 - lastOf(policy.fractions)), "leave early", `of ${samples} test images`],
        [percent(policy.earlyRisk), "of early answers are wrong", "on the test images"],
      ]
    : [
        [last, "accuracy of the last exit", `on ${samples} test images`],
        [percent(metrics.overthinking.oracleAccuracy), "accuracy of the oracle", "the first right exit"],
      ];
  return tileRow(shown);
}

/** Numbers to see first: each with what it is, and more about it. */
function tileRow(shown: readonly (readonly [value: string, what: string, more: string])[]): string {
  const tile = ([value, what, more]: readonly [string, string, string]) =>
    `<div class="tile"><b>${value}</b><span>${what}</span><small>${more}</small></div>`;
  return `<div class="tiles">${shown.map(tile).join("")}</div>`;
}

/** What there is to see of a run that has not come to its end. @throws SortieError where it has not begun to train. */
export async function renderUnfinished(folder: RunFolder): Promise<string> {
  const { dir, metrics } = folder;
  const record = folder.recordOrNone();
  if (!record) throw new SortieError(`report: ${dir} must have begun to train; it has no run.json yet.`);
  const config = folder.config();
  const names = exitNames(record.exits.length, folder);
  const history = existsSync(metrics) ? readHistory(metrics, names.length, true) : [];
  const evaluation = history.findLast(({ kind }) => kind === "evaluation");
  const training = history.findLast((row) => row.kind === "train");
  const rate = training?.kind === "train" ? Math.round(training.imagesPerSecond) : "-";
  const accuracies = evaluation?.exits.map(({ accuracy }) => percent(accuracy)) ?? [];
  const run = { dir, config, record, history };
  return page({
    title: titleOf(config),
    brand: "sortie report",
    header: [
      tileRow([
        [`step ${training?.step ?? 0}`, `of epoch ${training?.epoch ?? 1}`, `${rate} images a second`],
        [
          accuracies.at(-1) ?? "-",
          "validation accuracy of the last exit",
          `all exits: ${accuracies.join(", ") || "none was evaluated yet"}`,
        ],
      ]),
      banner(
        "This run has not come to its end: nothing is calibrated yet, and nothing can be promised. The same sortie train goes on from its last checkpoint.",
        false,
      ),
    ].join("\n"),
    body: [await learningSection(names, run), runSection(run)].join("\n"),
  });
}

/** A page that says one thing alone. */
export const messagePage = (text: string): string =>
  page({ title: "nothing to see yet", brand: "sortie report", header: banner(text, false), body: "" });

const titleOf = ({ data, method }: Pick<Config, "data" | "method">): string => `${data.name}, ${method.name}`;

const banner = (text: string, isPromise: boolean): string =>
  `<p class="promise ${isPromise ? "kept" : "none"}">${escapeHtml(text)}</p>`;

function promise(found: Findings): string {
  const { file, isForeign } = found;
  const text = file ? promiseOf(found) : "No policy was given: this page describes the exits alone.";
  return banner(text, file?.result.ok === true && file.result.guarantee.kind !== "none" && !isForeign);
}

function runSection(run: Pick<RunDetails, "dir" | "record" | "config"> | undefined): string {
  if (!run) return "";
  const { record, config } = run;
  const seconds = Object.entries(record.seconds ?? {}).map(([name, value]) => `${name} ${value} s`);
  const facts: [string, string][] = [
    ["folder", run.dir],
    ["data", record.protocol],
    ["network", `${config.model.backbone} ${config.model.depth}, ${record.parameters} parameters`],
    ["taken over", record.taken ? `${record.taken.name}, from ${record.taken.from}` : "-"],
    ["started", record.started],
    ["finished", record.finished ?? "-"],
    ["time", seconds.join(", ") || "-"],
    ...Object.entries(record.made),
  ];
  const settings = escapeHtml(JSON.stringify(config, null, 2));
  const details = `<details open><summary>config.json</summary><pre tabindex="0">${settings}</pre></details>`;
  return section("The run", "", `<div class="columns">${table(["", ""], facts)}${details}</div>`);
}
