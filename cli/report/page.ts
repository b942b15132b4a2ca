// The report as one HTML page: sections from findings, and from a run where there is one. No script, no network.

import { explain } from "../../calibration/index.ts";
import { type Findings, fullAccuracy } from "../findings.ts";
import { percent } from "../format.ts";
import { escapeHtml, page, section, table } from "./html.ts";
import type { RunDetails } from "./run-details.ts";
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
  const title = run ? `${run.config.data.name}, ${run.config.method.name}` : "early exits";
  const sections = await Promise.all([
    exitSection(content),
    accuracySection(content),
    timeSection(content),
    targetSection(content),
    difficultySection(content),
    exampleSection(content),
    learningSection(content),
    reliabilitySection(content),
    corruptionSection(content.run?.corruptions),
  ]);
  return page({
    title,
    brand: "sortie report",
    header: `${tiles(content)}\n${promise(found)}`,
    body: [...sections.filter((text) => text !== ""), metricSection(content), runSection(content)].join("\n"),
  });
}

function tiles(content: Content): string {
  const { found } = content;
  const { metrics, policy, scored } = found;
  const { samples, exits: nExits } = scored;
  const last = percent(fullAccuracy(metrics));
  const shown: [string, string, string][] = policy
    ? [
        [percent(policy.accuracy), "accuracy with early exits", `${last} without`],
        [percent(policy.cost), `of the full network's ${unitOf(content)}`, "on average"],
        [percent(1 - policy.fractions[nExits - 1]!), "leave early", `of ${samples} test images`],
        [percent(policy.earlyRisk), "of early answers are wrong", "on the test images"],
      ]
    : [
        [last, "accuracy of the last exit", `on ${samples} test images`],
        [percent(metrics.overthinking.oracleAccuracy), "accuracy of the oracle", "the first right exit"],
      ];
  const tile = ([value, what, more]: [string, string, string]) =>
    `<div class="tile"><b>${value}</b><span>${what}</span><small>${more}</small></div>`;
  return `<div class="tiles">${shown.map(tile).join("")}</div>`;
}

function promise({ file }: Findings): string {
  const text = file ? explain(file.result) : "No policy was given: this page describes the exits alone.";
  const isPromise = file?.result.ok && file.result.guarantee.kind !== "none";
  return `<p class="promise ${isPromise ? "kept" : "none"}">${escapeHtml(text)}</p>`;
}

function runSection({ run }: Content): string {
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
  const details = `<details open><summary>config.json</summary><pre>${settings}</pre></details>`;
  return section("The run", "", `<div class="columns">${table(["", ""], facts)}${details}</div>`);
}
