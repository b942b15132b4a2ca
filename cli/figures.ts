/** The report's figures as vega-lite specifications: numbers in, specifications out. */

import type { TopLevelSpec } from "vega-lite";
import type { Achieved, ReliabilityBin } from "../calibration/index.ts";
import type { EvaluationRow, TrainingRow } from "../exits/index.ts";
import { COLOURS, exitColours } from "./plots.ts";

const WIDE = 420;
const HIGH = 260;

const percentAxis = (title: string) => ({ title, format: ".0%" as const });

/** One colour per exit, in their order. */
const byExit = (names: readonly string[]) => ({
  field: "exit",
  type: "nominal" as const,
  scale: { domain: [...names], range: [...exitColours(names.length)] },
  legend: { title: null, orient: "bottom" as const, direction: "horizontal" as const },
});

/** What `accuracyCurve` shows. */
export interface AccuracyCurve {
  readonly names: readonly string[];
  /** One threshold for all exits, swept. */
  readonly sweep: readonly Achieved[];
  /** Each exit alone. */
  readonly fixed: readonly Achieved[];
  readonly oracle: Achieved;
  readonly policy: Achieved | undefined;
}

/** Accuracy against cost. */
export function accuracyCurve({ names, sweep, fixed, oracle, policy }: AccuracyCurve): TopLevelSpec {
  const lines = [
    ...sweep.map(({ cost, accuracy }) => ({ cost, accuracy, series: "one threshold, swept" })),
    ...fixed.map(({ cost, accuracy }) => ({ cost, accuracy, series: "fixed exits" })),
  ];
  const marks = [
    ...fixed.map(({ cost, accuracy }, j) => ({ cost, accuracy, series: "fixed exits", label: names[j]! })),
    { cost: oracle.cost, accuracy: oracle.accuracy, series: "oracle", label: "oracle" },
    ...(policy ? [{ cost: policy.cost, accuracy: policy.accuracy, series: "policy", label: "policy" }] : []),
  ];
  const series = ["one threshold, swept", "fixed exits", "oracle", ...(policy ? ["policy"] : [])];
  const colour = {
    field: "series",
    type: "nominal" as const,
    scale: { domain: series, range: [COLOURS.line, COLOURS.faint, COLOURS.oracle, COLOURS.accent] },
    legend: { title: null, orient: "bottom" as const, direction: "horizontal" as const },
  };
  const x = {
    field: "cost",
    type: "quantitative" as const,
    scale: { domain: [0, 1.04], nice: false },
    axis: percentAxis("mean MACs, share of the full network"),
  };
  const y = {
    field: "accuracy",
    type: "quantitative" as const,
    scale: { zero: false, padding: 12 },
    axis: percentAxis("accuracy on test images"),
  };
  return {
    width: 680,
    height: 320,
    layer: [
      {
        data: { values: [{ accuracy: oracle.accuracy }] },
        mark: { type: "rule", color: COLOURS.oracle, strokeDash: [2, 4] },
        encoding: { y },
      },
      {
        data: { values: lines },
        mark: { type: "line", strokeWidth: 2 },
        encoding: {
          x,
          y,
          color: colour,
          order: { field: "cost" },
          strokeDash: {
            field: "series",
            type: "nominal",
            scale: {
              domain: series,
              range: [
                [1, 0],
                [5, 4],
                [1, 0],
                [1, 0],
              ],
            },
          },
        },
      },
      {
        data: { values: marks },
        mark: { type: "point", filled: true, size: 90, opacity: 1 },
        encoding: {
          x,
          y,
          color: colour,
          shape: {
            field: "series",
            type: "nominal",
            scale: { domain: series, range: ["circle", "circle", "diamond", "square"] },
          },
        },
      },
      {
        data: { values: marks },
        mark: { type: "text", dy: -11, fontSize: 11, align: "center", color: COLOURS.ink },
        encoding: { x, y, text: { field: "label" } },
      },
    ],
  };
}

/** How many leave where, and how many of them are answered rightly. */
export function exitShares(
  names: readonly string[],
  shares: ArrayLike<number>,
  risks: ArrayLike<number>,
): TopLevelSpec {
  const values = names.flatMap((exit, j) => {
    const wrong = Number.isNaN(risks[j]!) ? 0 : shares[j]! * risks[j]!;
    return [
      { exit, answer: "right", share: shares[j]! - wrong, order: 0 },
      { exit, answer: "wrong", share: wrong, order: 1 },
    ];
  });
  const totals = names.map((exit, j) => ({ exit, share: shares[j]!, label: `${(100 * shares[j]!).toFixed(1)} %` }));
  const x = { field: "exit", type: "nominal" as const, sort: [...names], axis: { title: "leaves at", labelAngle: 0 } };
  const y = { field: "share", type: "quantitative" as const, axis: percentAxis("share of test images") };
  return {
    width: 90 * names.length,
    height: HIGH,
    layer: [
      {
        data: { values },
        mark: { type: "bar", width: { band: 0.55 } },
        encoding: {
          x,
          y: { ...y, stack: "zero" },
          order: { field: "order" },
          color: {
            field: "answer",
            type: "nominal",
            scale: { domain: ["right", "wrong"], range: [COLOURS.line, COLOURS.accent] },
            legend: { title: "answered", orient: "bottom", direction: "horizontal" },
          },
        },
      },
      {
        data: { values: totals },
        mark: { type: "text", dy: -8, fontSize: 12, color: COLOURS.ink },
        encoding: { x, y, text: { field: "label" } },
      },
    ],
  };
}

/** One target of a sweep: what the policy for it did on test images. */
export interface TargetPoint {
  readonly alpha: number;
  readonly ok: boolean;
  /** Error rate at the worst exit that early leavers take, and of all early leavers; NaN if nobody leaves early. */
  readonly worst: number;
  readonly early: number;
  readonly cost: number;
}

/** Observed risk against the promised one, with the target of this run marked. */
export function riskAgainstTarget(points: readonly TargetPoint[], alpha: number): TopLevelSpec {
  const values = points.flatMap(({ alpha: target, ok, worst, early }) =>
    ok
      ? [
          { target, risk: worst, series: "worst exit" },
          { target, risk: early, series: "all early leavers" },
        ].filter(({ risk }) => !Number.isNaN(risk))
      : [],
  );
  const end = Math.max(...points.map((point) => point.alpha));
  const x = {
    field: "target",
    type: "quantitative" as const,
    scale: { domain: [0, end], nice: false },
    axis: percentAxis("target risk"),
  };
  const y = { field: "risk", type: "quantitative" as const, axis: percentAxis("observed on test images") };
  return {
    width: WIDE,
    height: HIGH,
    layer: [
      {
        data: {
          values: [
            { target: 0, risk: 0, over: end },
            { target: end, risk: end, over: end },
          ],
        },
        mark: { type: "area", color: COLOURS.accent, opacity: 0.07 },
        encoding: { x, y, y2: { field: "over" } },
      },
      {
        data: {
          values: [
            { target: 0, risk: 0 },
            { target: end, risk: end },
          ],
        },
        mark: { type: "line", color: COLOURS.accent, strokeDash: [5, 4] },
        encoding: { x, y },
      },
      {
        data: { values: [{ target: alpha }] },
        mark: { type: "rule", color: COLOURS.faint, strokeDash: [2, 3] },
        encoding: { x },
      },
      {
        data: { values },
        mark: { type: "line", point: { filled: true, size: 45 }, strokeWidth: 2 },
        encoding: {
          x,
          y,
          color: {
            field: "series",
            type: "nominal",
            scale: { domain: ["worst exit", "all early leavers"], range: [COLOURS.line, COLOURS.good] },
            legend: { title: null, orient: "bottom", direction: "horizontal" },
          },
        },
      },
    ],
  };
}

/** What each target costs. */
export function costAgainstTarget(points: readonly TargetPoint[], alpha: number): TopLevelSpec {
  const x = {
    field: "alpha",
    type: "quantitative" as const,
    scale: { domain: [0, Math.max(...points.map((point) => point.alpha))], nice: false },
    axis: percentAxis("target risk"),
  };
  return {
    width: WIDE,
    height: HIGH,
    layer: [
      {
        data: { values: [{ alpha }] },
        mark: { type: "rule", color: COLOURS.faint, strokeDash: [2, 3] },
        encoding: { x },
      },
      {
        data: { values: points.map((point) => ({ ...point, answer: point.ok ? "certified" : "refused" })) },
        mark: { type: "line", color: COLOURS.line, strokeWidth: 2 },
        encoding: { x, y: costAxis },
      },
      {
        data: { values: points.map((point) => ({ ...point, answer: point.ok ? "certified" : "refused" })) },
        mark: { type: "point", filled: true, size: 60, opacity: 1 },
        encoding: {
          x,
          y: costAxis,
          color: {
            field: "answer",
            type: "nominal",
            scale: { domain: ["certified", "refused"], range: [COLOURS.line, COLOURS.accent] },
            legend: { title: null, orient: "bottom", direction: "horizontal" },
          },
        },
      },
    ],
  };
}

const costAxis = {
  field: "cost",
  type: "quantitative" as const,
  scale: { domain: [0, 1] },
  // Without a canvas vega takes text for wider than it is: a longer title would push the plot down.
  axis: percentAxis("mean MACs, share of all"),
};

/** Rows of metrics.jsonl. */
export type HistoryRow = TrainingRow | EvaluationRow;

/** Loss or accuracy of each exit over the steps: training as a line, validation as points. */
export function learningCurves(
  history: readonly HistoryRow[],
  names: readonly string[],
  what: "loss" | "accuracy",
): TopLevelSpec {
  const values = history.flatMap(({ kind, step, exits }) =>
    exits.map((score, j) => ({ kind, step, exit: names[j]!, value: score[what] })),
  );
  const x = { field: "step", type: "quantitative" as const, axis: { title: "step" } };
  const y = {
    field: "value",
    type: "quantitative" as const,
    axis: what === "loss" ? { title: "cross-entropy" } : percentAxis("accuracy"),
  };
  return {
    width: WIDE,
    height: HIGH,
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
  const x = { field: "lower", type: "quantitative" as const, scale, axis: percentAxis("confidence") };
  const y = { field: "accuracy", type: "quantitative" as const, scale, axis: percentAxis("accuracy") };
  return {
    title,
    width: 250,
    height: 220,
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

/** Share of images that leave at each exit, by tenths of difficulty. */
export function exitsByDifficulty(
  difficulty: ArrayLike<number>,
  exits: ArrayLike<number>,
  names: readonly string[],
): TopLevelSpec {
  const bins = 10;
  const counts = Array.from({ length: bins }, () => new Array<number>(names.length).fill(0));
  for (let i = 0; i < exits.length; i++) {
    counts[Math.min(bins - 1, Math.floor(bins * difficulty[i]!))]![exits[i]!]! += 1;
  }
  const values = counts.flatMap((row, b) => {
    const total = row.reduce((sum, count) => sum + count, 0);
    return total === 0
      ? []
      : row.map((count, j) => ({
          from: b / bins,
          to: (b + 1) / bins,
          exit: names[j]!,
          depth: j,
          share: count / total,
        }));
  });
  return {
    width: WIDE,
    height: HIGH,
    data: { values },
    mark: { type: "bar", stroke: "white", strokeWidth: 0.5 },
    encoding: {
      x: { field: "from", type: "quantitative", bin: "binned", axis: { title: "difficulty" } },
      x2: { field: "to" },
      y: {
        field: "share",
        type: "quantitative",
        stack: "zero",
        scale: { domain: [0, 1] },
        axis: percentAxis("leave at"),
      },
      order: { field: "depth" },
      color: byExit(names),
    },
  };
}

/** Error rate by tenths of difficulty, of the first exit alone, the last exit alone, and the policy. */
export function errorsByDifficulty(
  difficulty: ArrayLike<number>,
  series: readonly { readonly name: string; readonly wrong: ArrayLike<number> }[],
): TopLevelSpec {
  const bins = 10;
  const values = series.flatMap(({ name, wrong }) => {
    const sums = Array.from({ length: bins }, () => ({ n: 0, wrong: 0 }));
    for (let i = 0; i < wrong.length; i++) {
      const bin = sums[Math.min(bins - 1, Math.floor(bins * difficulty[i]!))]!;
      bin.n += 1;
      bin.wrong += wrong[i]!;
    }
    return sums.flatMap((bin, b) =>
      bin.n === 0 ? [] : [{ difficulty: (b + 0.5) / bins, error: bin.wrong / bin.n, series: name }],
    );
  });
  return {
    width: WIDE,
    height: HIGH,
    data: { values },
    mark: { type: "line", point: { filled: true, size: 40 }, strokeWidth: 2 },
    encoding: {
      x: { field: "difficulty", type: "quantitative", scale: { domain: [0, 1] }, axis: { title: "difficulty" } },
      y: { field: "error", type: "quantitative", axis: percentAxis("error rate") },
      color: {
        field: "series",
        type: "nominal",
        scale: {
          domain: series.map(({ name }) => name),
          range: [exitColours(2)[0]!, exitColours(2)[1]!, COLOURS.accent],
        },
        legend: { title: null, orient: "bottom", direction: "horizontal" },
      },
    },
  };
}
