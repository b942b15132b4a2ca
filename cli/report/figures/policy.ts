// Figures of what a policy does: accuracy against cost beside what else one could do, and where samples leave.

import type { TopLevelSpec } from "vega-lite";
import { zip } from "../../../base/index.ts";
import type { Achieved } from "../../../calibration/index.ts";
import { percent } from "../../format.ts";
import { COLOURS } from "../plots.ts";
import { colourOf, legendBelow, percentAxis, shareField, WHOLE } from "./parts.ts";

/** What `accuracyCurve` shows. */
export interface AccuracyCurve {
  readonly names: readonly string[];
  /** What costs are counted in. */
  readonly unit: string;
  /** One threshold for all exits, swept. */
  readonly sweep: readonly Achieved[];
  /** Each exit alone. */
  readonly fixed: readonly Achieved[];
  readonly oracle: Achieved;
  readonly policy: Achieved | undefined;
}

const SWEPT = "one threshold, swept";
const FIXED = "fixed exits";

/** Each series with its colour and shape. */
const SERIES = {
  [SWEPT]: { colour: COLOURS.line, shape: "circle" },
  [FIXED]: { colour: COLOURS.faint, shape: "circle" },
  oracle: { colour: COLOURS.oracle, shape: "diamond" },
  policy: { colour: COLOURS.accent, shape: "square" },
} as const;

type SeriesName = keyof typeof SERIES;

/** Accuracy against cost. */
export function accuracyCurve(curve: AccuracyCurve): TopLevelSpec {
  const { sweep, fixed, oracle } = curve;
  const shown = (Object.keys(SERIES) as SeriesName[]).filter((name) => name !== "policy" || curve.policy);
  const shape = {
    field: "series",
    type: "nominal" as const,
    scale: { domain: shown, range: shown.map((name) => SERIES[name].shape) },
    legend: legendBelow(),
  };
  const colour = colourOf("series", Object.fromEntries(shown.map((name) => [name, SERIES[name].colour])));
  const [x, y] = [costOf(curve.unit), ACCURACY];
  // Dashes as an encoding would go around the legend's small symbols too.
  const line = (values: object[], strokeDash = [1, 0]) => ({
    data: { values },
    mark: { type: "line" as const, strokeWidth: 2, strokeDash },
    encoding: { x, y, color: colour, order: { field: "cost" } },
  });
  return {
    ...WHOLE,
    layer: [
      {
        data: { values: [{ accuracy: oracle.accuracy }] },
        mark: { type: "rule", color: COLOURS.oracle, strokeDash: [2, 4] },
        encoding: { y },
      },
      line(sweep.map(pointOf(SWEPT))),
      line(fixed.map(pointOf(FIXED)), [5, 4]),
      {
        data: { values: marksOf(curve) },
        mark: { type: "point", filled: true, size: 90, opacity: 1 },
        encoding: { x, y, color: colour, shape },
      },
      ...labelLayers(marksOf(curve), x),
    ],
  };
}

const costOf = (unit: string) => ({
  field: "cost",
  type: "quantitative" as const,
  scale: { domain: [0, 1.04], nice: false },
  axis: { ...percentAxis(`mean ${unit}, share of the full network`), tickCount: 10 },
});

const ACCURACY = {
  field: "accuracy",
  type: "quantitative" as const,
  scale: { zero: false, nice: false, padding: 20 },
  axis: percentAxis("accuracy on test images"),
};

const pointOf =
  (series: SeriesName) =>
  ({ cost, accuracy }: Achieved) => ({ cost, accuracy, series });

/** What stands alone, with its label. */
function marksOf({ names, fixed, oracle, policy }: AccuracyCurve) {
  return [
    ...zip(names, fixed).map(([label, exit]) => ({ ...pointOf(FIXED)(exit), label })),
    { ...pointOf("oracle")(oracle), label: "oracle" },
    ...(policy ? [{ ...pointOf("policy")(policy), label: "policy" }] : []),
  ];
}

/**
 * The policy is labelled above and left of the curve, fixed exits below and right of it, where nothing else is drawn.
 */
function labelLayers(marks: ReturnType<typeof marksOf>, x: ReturnType<typeof costOf>) {
  const layer = (values: typeof marks, place: { dx: number; dy: number; align: "left" | "center" | "right" }) => ({
    data: { values },
    mark: { type: "text" as const, fontSize: 11, color: COLOURS.ink, ...place },
    encoding: { x, y: ACCURACY, text: { field: "label" } },
  });
  const of = (series: SeriesName) => marks.filter((mark) => mark.series === series);
  const isAtEnd = ({ cost }: { readonly cost: number }) => cost > 0.9;
  return [
    layer(of("oracle"), { dx: 0, dy: -12, align: "center" }),
    layer(of("policy"), { dx: -8, dy: -8, align: "right" }),
    layer(of(FIXED).filter(isAtEnd), { dx: 0, dy: 14, align: "center" }),
    layer(
      of(FIXED).filter((mark) => !isAtEnd(mark)),
      { dx: 8, dy: 9, align: "left" },
    ),
  ];
}

/** How many leave where, and how many of them are answered rightly. */
export function exitShares(
  names: readonly string[],
  shares: ArrayLike<number>,
  risks: ArrayLike<number>,
): TopLevelSpec {
  const totals = Array.from(shares, (share, j) => ({ exit: names[j], share, label: percent(share) }));
  const values = zip(totals, risks).flatMap(([{ exit, share }, risk]) => {
    const wrong = Number.isNaN(risk) ? 0 : share * risk;
    return [
      { exit, answer: "right", share: share - wrong, order: 0 },
      { exit, answer: "wrong", share: wrong, order: 1 },
    ];
  });
  const x = { field: "exit", type: "nominal" as const, sort: [...names], axis: { title: "leaves at", labelAngle: 0 } };
  // Room for the label of the highest bar.
  const top = Math.min(1.08, 1.15 * Math.max(...Array.from(shares)));
  const y = { ...shareField("share", "share of test images"), scale: { domain: [0, top], nice: false } };
  return {
    width: 90 * names.length,
    height: 240,
    layer: [
      {
        data: { values },
        mark: { type: "bar", width: { band: 0.55 } },
        encoding: {
          x,
          y: { ...y, stack: "zero" },
          order: { field: "order" },
          color: colourOf("answer", { right: COLOURS.line, wrong: COLOURS.accent }, "answered"),
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
