// Figures about the exits themselves: how they learned, and how far their confidence can be believed.

import type { TopLevelSpec } from "vega-lite";
import { zip } from "../../../base/index.ts";
import type { ReliabilityBin } from "../../../calibration/index.ts";
import type { MetricsRow } from "../../../exits/index.ts";
import { COLOURS } from "../plots.ts";
import { byExit, HALF, percentAxis, THIRD } from "./parts.ts";

/** Loss or accuracy of each exit over the steps: training as a line, validation as points. */
export function learningCurves(
  history: readonly MetricsRow[],
  names: readonly string[],
  what: "loss" | "accuracy",
): TopLevelSpec {
  const values = history.flatMap(({ kind, step, exits }) =>
    zip(names, exits).map(([exit, score]) => ({ kind, step, exit, value: score[what] })),
  );
  const x = { field: "step", type: "quantitative" as const, axis: { title: "step", tickCount: 8 } };
  const y = {
    field: "value",
    type: "quantitative" as const,
    axis: what === "loss" ? { title: "cross-entropy" } : percentAxis("accuracy"),
  };
  return {
    ...HALF,
    data: { values },
    layer: [
      {
        transform: [{ filter: "datum.kind === 'train'" }],
        mark: { type: "line", strokeWidth: 1.5, opacity: 0.85 },
        encoding: { x, y, color: byExit(names) },
      },
      {
        transform: [{ filter: "datum.kind === 'evaluation'" }],
        mark: { type: "point", filled: true, size: 70, opacity: 1, stroke: "white", strokeWidth: 1 },
        encoding: { x, y, color: byExit(names) },
      },
    ],
  };
}

/** Accuracy against confidence of one exit, bars as dark as there are samples. */
export function reliabilityDiagram(bins: readonly ReliabilityBin[], title: string): TopLevelSpec {
  const total = bins.reduce((sum, { count }) => sum + count, 0);
  const values = bins
    .filter(({ count }) => count > 0)
    .map(({ lower, upper, count, confidence, accuracy }) => ({
      lower,
      upper,
      confidence,
      accuracy,
      weight: Math.sqrt(count / total),
    }));
  const scale = { domain: [0, 1] };
  // Lines of a grid would shine through the bars.
  const plainAxis = (what: string) => ({ ...percentAxis(what), grid: false });
  const x = { field: "lower", type: "quantitative" as const, scale, axis: plainAxis("confidence") };
  const y = { field: "accuracy", type: "quantitative" as const, scale, axis: plainAxis("accuracy") };
  return {
    title,
    ...THIRD,
    layer: [
      {
        data: { values },
        mark: { type: "bar", color: COLOURS.line, stroke: "white", strokeWidth: 1 },
        encoding: {
          x,
          x2: { field: "upper" },
          y,
          y2: { datum: 0 },
          opacity: { field: "weight", type: "quantitative", scale: { domain: [0, 1], range: [0.25, 1] }, legend: null },
        },
      },
      {
        data: {
          values: [
            { lower: 0, accuracy: 0 },
            { lower: 1, accuracy: 1 },
          ],
        },
        mark: { type: "line", color: COLOURS.ink, strokeDash: [5, 4], strokeWidth: 1 },
        encoding: { x, y },
      },
    ],
  };
}
