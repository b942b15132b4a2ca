// Figures of a sweep of targets: what was promised against what was seen, and what each target costs.

import type { TopLevelSpec } from "vega-lite";
import { exactly } from "../../../base/index.ts";
import { COLOURS } from "../plots.ts";
import type { TargetSweep } from "../targets.ts";
import { colourOf, HALF, percentAxis, ruleAt, shareField } from "./parts.ts";

const EARLY = "all early leavers";

/** The axis of targets, common to both figures. */
const targetAxis = ({ points }: TargetSweep) => ({
  ...shareField("target", "target risk"),
  scale: { domain: [0, Math.max(...points.map(({ target }) => target))], nice: false },
});

/** Observed risk against the promised one, with the policy's own target marked. */
export function riskAgainstTarget(sweep: TargetSweep): TopLevelSpec {
  const { points } = sweep;
  const { what } = sweep.risk;
  const values = points.flatMap(({ target, ok, risk, early }) => {
    const seen = [{ target, risk, series: what }];
    // First, so that what is promised lies over it.
    if (early !== undefined) seen.unshift({ target, risk: early, series: EARLY });
    return ok ? seen.filter((point) => !Number.isNaN(point.risk)) : [];
  });
  const x = targetAxis(sweep);
  const [low, high] = exactly(x.scale.domain, 2);
  const y = shareField("risk", "observed on test images");
  const diagonal = [low, high].map((target) => ({ target, risk: target, over: high }));
  const hasEarly = points.some(({ early }) => early !== undefined);
  return {
    ...HALF,
    layer: [
      {
        data: { values: diagonal },
        mark: { type: "area", color: COLOURS.accent, opacity: 0.07 },
        encoding: { x, y, y2: { field: "over" } },
      },
      {
        data: { values: diagonal },
        mark: { type: "line", color: COLOURS.accent, strokeDash: [5, 4] },
        encoding: { x, y },
      },
      ruleAt(x, sweep.alpha),
      {
        data: { values },
        mark: { type: "line", point: { filled: true, size: 45 }, strokeWidth: 2 },
        encoding: {
          x,
          y,
          color: colourOf("series", { [what]: COLOURS.line, ...(hasEarly && { [EARLY]: COLOURS.good }) }),
        },
      },
    ],
  };
}

/** What each target costs. */
export function costAgainstTarget(sweep: TargetSweep): TopLevelSpec {
  const values = sweep.points.map(({ target, cost, ok }) => ({ target, cost, answer: ok ? "certified" : "refused" }));
  const colours = { certified: COLOURS.line, refused: COLOURS.accent };
  const shown = Object.entries(colours).filter(([answer]) => values.some((point) => point.answer === answer));
  const x = targetAxis(sweep);
  const y = {
    field: "cost",
    type: "quantitative" as const,
    scale: { domain: [0, 1] },
    axis: percentAxis("mean cost, share of the full network"),
  };
  return {
    ...HALF,
    layer: [
      ruleAt(x, sweep.alpha),
      { data: { values }, mark: { type: "line", color: COLOURS.line, strokeWidth: 2 }, encoding: { x, y } },
      {
        data: { values },
        mark: { type: "point", filled: true, size: 60, opacity: 1 },
        encoding: { x, y, color: colourOf("answer", Object.fromEntries(shown)) },
      },
    ],
  };
}
