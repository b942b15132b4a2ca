// A comparison as one HTML page, and as text for a results folder: the same tables, and one picture of accuracy against
// cost.

import type { TopLevelSpec } from "vega-lite";
import { legendBelow, percentAxis, shareField, WHOLE } from "../report/figures/parts.ts";
import { escapeHtml, figure, page, section, table } from "../report/html.ts";
import { drawPlot } from "../report/plots.ts";
import { accuracyOfCurve } from "./figures.ts";
import type { Sheet } from "./sheets.ts";
import { type Setting, spreadOf } from "./statistics.ts";

/** What the page says around its tables. */
export interface Introduction {
  readonly title: string;
  /** Lines of plain text: how it was made, on what. */
  readonly lines: readonly string[];
}

/** Costs at which curves are drawn. */
const STEPS = 60;

/** Mean curves over seeds, with bands from the worst to the best seed. */
function curvesFigure(settings: readonly Setting[]): TopLevelSpec {
  const isSplit = new Set(settings.map(({ data, backbone }) => `${data}, ${backbone}`)).size > 1;
  const values = settings.flatMap(({ data, backbone, method, runs }) => {
    const first = Math.min(...runs.flatMap(({ curve }) => curve.map(({ cost }) => cost)));
    return Array.from({ length: STEPS + 1 }, (_, k) => {
      const cost = first + ((1 - first) * k) / STEPS;
      const accuracies = runs.map((run) => accuracyOfCurve(run, cost));
      const [low, high] = [Math.min(...accuracies), Math.max(...accuracies)];
      return { method, panel: `${data}, ${backbone}`, cost, accuracy: spreadOf(accuracies).mean, low, high };
    });
  });
  const share = shareField("cost", "mean cost, share of a full pass");
  const x = { ...share, axis: { ...share.axis, tickCount: 10 }, scale: { zero: false } };
  const y = {
    field: "accuracy",
    type: "quantitative" as const,
    scale: { zero: false },
    axis: percentAxis("accuracy on test images"),
  };
  const color = {
    field: "method",
    type: "nominal" as const,
    sort: null,
    scale: { scheme: "tableau20" as const },
    // Of the line, not of the band behind it.
    legend: { ...legendBelow(), columns: 4, symbolLimit: 0, symbolOpacity: 1, symbolType: "square" },
  };
  const layer = [
    {
      mark: { type: "area" as const, opacity: 0.15 },
      encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" }, color },
    },
    { mark: { type: "line" as const, strokeWidth: 2 }, encoding: { x, y, color } },
  ];
  if (!isSplit) return { ...WHOLE, data: { values }, layer };
  return {
    data: { values },
    facet: { field: "panel", type: "nominal", title: null, sort: null },
    columns: 2,
    spec: { width: 400, height: 300, layer },
    resolve: { scale: { x: "independent", y: "independent" } },
  };
}

/** The page; it holds all that it shows. */
export async function comparisonPage(
  { title, lines }: Introduction,
  settings: readonly Setting[],
  sheets: readonly Sheet[],
): Promise<string> {
  const picture = await drawPlot(curvesFigure(settings), "Accuracy against cost of every method");
  const parts = sheets
    .filter(({ rows }) => rows.length > 0)
    .map((sheet) => section(sheet.title, escapeHtml(sheet.text), table(sheet.head, sheet.rows)));
  const curves = section(
    "Accuracy against cost",
    "One threshold for all exits, from everybody at the first exit to everybody at the last: means over seeds, and bands from the worst to the best seed.",
    figure(picture),
  );
  return page({
    title,
    brand: "sortie compare",
    header: lines.map((line) => `<p>${escapeHtml(line)}</p>`).join("\n"),
    body: [curves, ...parts].join("\n"),
  });
}

/** The same tables as Markdown. */
export function comparisonText({ title, lines }: Introduction, sheets: readonly Sheet[]): string {
  // A cell is one line, and a bar ends it.
  const cellOf = (text: string) => text.replaceAll(/\s*\n\s*/g, " ").replaceAll("|", "\\|");
  const row = (cells: readonly string[]) => `| ${cells.map(cellOf).join(" | ")} |`;
  const parts = sheets
    .filter(({ rows }) => rows.length > 0)
    .map(
      ({ title, text, head, rows }) =>
        `## ${title}\n\n${text}\n\n${[head, head.map(() => "---"), ...rows].map(row).join("\n")}\n`,
    );
  return `# ${title}\n\n${lines.join("\n\n")}\n\n${parts.join("\n")}`;
}
