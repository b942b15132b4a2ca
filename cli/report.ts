/** `sortie report`: one HTML page to look at: the promise in plain English, exits, reliability, accuracy against cost. */

import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import {
  baselines,
  type Cascade,
  cascade,
  type Evaluation,
  explain,
  type ReliabilityBin,
  sweepThresholds,
  thresholdCurve,
} from "../calibration/index.ts";
import { type Findings, findings, percent } from "./evaluate.ts";
import type { Print } from "./flags.ts";

export const reportHelp = `sortie report LOGITS [flags]

One self-contained HTML page about test logits and a policy: what is promised, by which method and under which
assumption; metrics of every exit; reliability diagrams; accuracy against cost.

  --policy FILE        a policy of sortie calibrate
  --probabilities      the arrays hold probabilities
  --out FILE           default report.html

  sortie report test.safetensors --policy policy.json --out report.html
`;

/** Runs the command; returns the exit code. Throws for bad input. */
export function runReport(args: readonly string[], print: Print = console.log): number {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      policy: { type: "string" },
      probabilities: { type: "boolean", default: false },
      out: { type: "string", default: "report.html" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    print(reportHelp);
    return 0;
  }
  const [path, ...rest] = positionals;
  if (!path || rest.length > 0) throw new Error(`report: one logits file must be given; got ${positionals.length}.`);
  writeFileSync(values.out, renderReport(findings(path, values.policy, values.probabilities)));
  print(`wrote ${values.out}`);
  return 0;
}

/** The page. No script, no network: it can be mailed. */
export function renderReport(found: Findings): string {
  const { metrics, file } = found;
  const promise = file ? explain(file.result) : "No policy was given: this page describes the exits alone.";
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>sortie report</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1d2733; }
table { border-collapse: collapse; margin: 1rem 0; } td, th { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #d5dbe1; }
.promise { border-left: .3rem solid ${file?.result.ok ? "#2b7a4b" : "#b3541e"}; padding: .6rem 1rem; background: #f4f6f8; }
svg { margin: 0 1rem 1rem 0; } svg text { font-size: 11px; fill: #45525f; }
</style>
<h1>Early exits on ${metrics.samples} test samples</h1>
<p class="promise">${escapeHtml(promise)}</p>
${policyTable(found)}
<h2>Exits, each on all samples</h2>
${metricTable(metrics)}
<p>Of all samples ${percent(metrics.overthinking.wasteful)} were already right at an earlier exit (wasteful), and
${percent(metrics.overthinking.destructive)} were right earlier and wrong at the end (destructive).</p>
<h2>Accuracy against cost</h2>
${curvePlot(cascade(found.test), found.policy)}
<p>Line: one threshold for all exits, swept. Dots: each exit alone. Diamond: the oracle. ${found.policy ? "Square: this policy." : ""}</p>
<h2>Reliability</h2>
${metrics.exits.map((exit, j) => reliabilityPlot(exit.reliability, `exit ${j}, ECE ${exit.ece.toFixed(3)}`)).join("\n")}
</html>
`;
}

function policyTable({ policy }: Findings): string {
  if (!policy) return "";
  const rows = Array.from(
    policy.fractions,
    (share, j) => `<tr><td>${j}</td><td>${percent(share)}</td><td>${percent(policy.exitRisk[j]!)}</td></tr>`,
  );
  return `<p>On these samples the policy answers ${percent(policy.accuracy)} rightly at ${percent(policy.cost)} of the full
network's cost; of those that leave early ${percent(policy.earlyRisk)} are answered wrongly.</p>
<table><tr><th>exit</th><th>leave here</th><th>wrong among them</th></tr>${rows.join("")}</table>`;
}

const shown = [
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

function metricTable({ exits }: Evaluation): string {
  const cell = (x: number) => `<td>${Number.isNaN(x) ? "-" : x.toFixed(4)}</td>`;
  const rows = exits.map((exit, j) => `<tr><td>${j}</td>${shown.map((name) => cell(exit[name])).join("")}</tr>`);
  return `<table><tr><th>exit</th>${shown.map((name) => `<th>${name}</th>`).join("")}</tr>${rows.join("")}</table>`;
}

const SIDE = 320;
const MARGIN = 36;

/** Screen position of a point of the unit square, or of the given ranges. */
function place(x: number, y: number, [low, high]: readonly [number, number] = [0, 1]): string {
  const px = MARGIN + x * (SIDE - 2 * MARGIN);
  const py = SIDE - MARGIN - ((y - low) / (high - low)) * (SIDE - 2 * MARGIN);
  return `${px.toFixed(1)},${py.toFixed(1)}`;
}

function frame(title: string, [low, high]: readonly [number, number], axes: readonly [string, string]): string {
  const inner = SIDE - 2 * MARGIN;
  return `<rect x="${MARGIN}" y="${MARGIN}" width="${inner}" height="${inner}" fill="none" stroke="#aab4be"/>
<text x="${MARGIN}" y="${MARGIN - 10}">${escapeHtml(title)}</text>
<text x="${SIDE / 2}" y="${SIDE - 8}" text-anchor="middle">${axes[0]}</text>
<text x="${MARGIN - 4}" y="${SIDE - MARGIN}" text-anchor="end">${low.toFixed(2)}</text>
<text x="${MARGIN - 4}" y="${MARGIN + 8}" text-anchor="end">${high.toFixed(2)}</text>
<text x="12" y="${SIDE / 2}" transform="rotate(-90 12 ${SIDE / 2})" text-anchor="middle">${axes[1]}</text>`;
}

function curvePlot(test: Cascade, policy: Findings["policy"]): string {
  const points = thresholdCurve(test, sweepThresholds(test, 60));
  const { oracle, fixed } = baselines(test);
  const all = [...points, ...fixed, oracle].map(({ accuracy }) => accuracy);
  const range = [Math.floor(20 * Math.min(...all)) / 20, Math.max(...all) + 0.01] as const;
  const at = (p: { readonly cost: number; readonly accuracy: number }) => place(p.cost, p.accuracy, range);
  const dot = (p: { readonly cost: number; readonly accuracy: number }, size: number, colour: string, turn = 0) => {
    const [x, y] = at(p).split(",").map(Number) as [number, number];
    return `<rect x="${x - size / 2}" y="${y - size / 2}" width="${size}" height="${size}" fill="${colour}" transform="rotate(${turn} ${x} ${y})"/>`;
  };
  return `<svg width="${SIDE}" height="${SIDE}" role="img" aria-label="accuracy against cost">
${frame("test samples", range, ["cost, share of the full network", "accuracy"])}
<polyline points="${points.map(at).join(" ")}" fill="none" stroke="#1f6fb2" stroke-width="2"/>
${fixed.map((p) => `<circle cx="${at(p).split(",")[0]}" cy="${at(p).split(",")[1]}" r="4" fill="#1f6fb2"/>`).join("")}
${dot(oracle, 9, "#8a6d1f", 45)}${policy ? dot(policy, 9, "#b3261e") : ""}
</svg>`;
}

function reliabilityPlot(bins: readonly ReliabilityBin[], title: string): string {
  const bars = bins
    .filter(({ count }) => count > 0)
    .map(({ lower, upper, accuracy }) => {
      const [x, y] = place(lower, accuracy).split(",").map(Number) as [number, number];
      const width = (upper - lower) * (SIDE - 2 * MARGIN);
      return `<rect x="${x}" y="${y}" width="${width.toFixed(1)}" height="${SIDE - MARGIN - y}" fill="#9cc3e4" stroke="#1f6fb2"/>`;
    });
  return `<svg width="${SIDE}" height="${SIDE}" role="img" aria-label="${escapeHtml(title)}">
${bars.join("")}<polyline points="${place(0, 0)} ${place(1, 1)}" stroke="#45525f" stroke-dasharray="4"/>
${frame(title, [0, 1], ["confidence", "accuracy"])}
</svg>`;
}

const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (c) => entities[c]!);
}
