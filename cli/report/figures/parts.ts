// Pieces that figures share: sizes, axes, legends, marks for a target, tenths of a range.

import { zip } from "../../../base/index.ts";
import { COLOURS, exitColours } from "../plots.ts";

/** Of a figure beside others, labels and legend included: equal sizes make equal scales on the page. */
const sized = (width: number, height: number) =>
  ({ width, height, autosize: { type: "fit", contains: "padding" } }) as const;

/** A figure that takes all the width. */
export const WHOLE = sized(960, 430);
/** Two in a row. */
export const HALF = sized(468, 330);
/** Three in a row. */
export const THIRD = sized(304, 290);

/** An axis of shares, in percent. */
export const percentAxis = (title: string) => ({ title, format: ".4~%" as const });

/** A quantitative field of shares from 0 on, in percent. */
export const shareField = (field: string, title: string) => ({
  field,
  type: "quantitative" as const,
  axis: percentAxis(title),
});

/** A legend in one line under the figure. */
export const legendBelow = (title: string | null = null) => ({
  title,
  orient: "bottom" as const,
  direction: "horizontal" as const,
});

/** Colours for named series, with a legend below. */
export const colourOf = (field: string, colours: Readonly<Record<string, string>>, title: string | null = null) => ({
  field,
  type: "nominal" as const,
  scale: { domain: Object.keys(colours), range: Object.values(colours) },
  legend: legendBelow(title),
});

/** One colour per exit, in their order. */
export function byExit(names: readonly string[]) {
  return colourOf("exit", Object.fromEntries(zip(names, exitColours(names.length))));
}

/** A faint upright line at a value of an x axis. */
export const ruleAt = <X extends { readonly field: string }>(x: X, value: number) => ({
  data: { values: [{ [x.field]: value }] },
  mark: { type: "rule" as const, color: COLOURS.faint, strokeDash: [2, 3] },
  encoding: { x },
});

/** Positions of the samples in each tenth of [0, 1], with its bounds; empty tenths are left out. */
export function tenths(
  values: ArrayLike<number>,
): readonly { readonly from: number; readonly to: number; readonly samples: readonly number[] }[] {
  const tenthOf = Array.from(values, (value) => Math.min(9, Math.floor(10 * value)));
  const samplesOf = (tenth: number) => tenthOf.flatMap((own, i) => (own === tenth ? [i] : []));
  return Array.from({ length: 10 }, (_, b) => ({ from: b / 10, to: (b + 1) / 10, samples: samplesOf(b) })).filter(
    ({ samples }) => samples.length > 0,
  );
}
