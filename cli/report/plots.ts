// Plots as SVG text: vega-lite specifications drawn by vega in Node, all in one look. Loaded when first needed.

import type { TopLevelSpec } from "vega-lite";
import { codeOf, SortieError } from "../../base/index.ts";
import { escapeHtml } from "./html.ts";

/** Colours by meaning; exits go from light to dark with depth. */
export const COLOURS = {
  line: "#2563a8",
  accent: "#c2410c",
  good: "#2f855a",
  oracle: "#8a6d1f",
  faint: "#8794a3",
  ink: "#1d2733",
} as const;

const DEPTHS = ["#7cc0e8", "#2f7fc1", "#123f75"] as const;

/** A colour for each of `exits` exits, light to dark with depth. */
export function exitColours(exits: number): readonly string[] {
  const channel = (hex: string, i: number) => Number.parseInt(hex.slice(1 + 2 * i, 3 + 2 * i), 16);
  return Array.from({ length: exits }, (_, j) => {
    const at = exits === 1 ? DEPTHS.length - 1 : (j * (DEPTHS.length - 1)) / (exits - 1);
    const [low, high] = [DEPTHS[Math.floor(at)]!, DEPTHS[Math.ceil(at)]!];
    const mixed = [0, 1, 2].map((i) => Math.round(channel(low, i) + (channel(high, i) - channel(low, i)) * (at % 1)));
    return `#${mixed.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
  });
}

const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";

/** The common look. */
const LOOK = {
  background: "transparent",
  font: FONT,
  padding: 4,
  axis: {
    labelColor: "#45525f",
    titleColor: "#45525f",
    titleFontWeight: 500,
    titleFontSize: 12,
    labelFontSize: 11,
    gridColor: "#e6eaee",
    domainColor: "#aab4be",
    tickColor: "#aab4be",
    titlePadding: 8,
    labelFlush: false,
  },
  // Of one width for all labels: sized figures are laid out before their last labels are known.
  axisY: { minExtent: 44 },
  legend: {
    labelColor: "#45525f",
    titleColor: "#45525f",
    labelFontSize: 11,
    titleFontSize: 11,
    titleFontWeight: 500,
    labelLimit: 0,
    titleLimit: 0,
    symbolSize: 90,
  },
  title: { color: COLOURS.ink, fontSize: 13, fontWeight: 600, anchor: "start", offset: 8 },
  view: { stroke: null },
  header: { labelColor: COLOURS.ink, labelFontSize: 12, labelFontWeight: 600 },
} as const;

/**
 * Vega and Vega-Lite, which are installed by those who want reports.
 * @throws Error with the command that installs them, where they are not there.
 */
export async function chartLibraries(): Promise<[typeof import("vega"), typeof import("vega-lite")]> {
  try {
    return await Promise.all([import("vega"), import("vega-lite")]);
  } catch (cause) {
    if (codeOf(cause) !== "ERR_MODULE_NOT_FOUND") throw cause;
    throw new SortieError(
      "report: its charts need vega and vega-lite; they are not installed. Run npm install vega vega-lite@6.4.",
      {
        cause,
      },
    );
  }
}

/** A specification as SVG text, without scripts; `label` is read out to those who cannot see it. */
export async function drawPlot(spec: TopLevelSpec, label: string): Promise<string> {
  const [vega, { compile }] = await chartLibraries();
  const quiet = { logger: vega.logger(vega.Error) };
  const compiled = compile({ ...spec, config: { ...LOOK, ...spec.config } } as TopLevelSpec, quiet).spec;
  const view = new vega.View(vega.parse(compiled), { renderer: "none", logLevel: vega.Error });
  try {
    const svg = await view.toSVG();
    return svg.replace("<svg ", `<svg role="img" aria-label="${escapeHtml(label)}" `);
  } finally {
    view.finalize();
  }
}
