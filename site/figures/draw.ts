// The pictures of the guide to the guarantees, drawn from what was computed for them.

import type { Guarantees, Repeat } from "./guarantees.ts";
import { Plot } from "./svg.ts";

const percent = (value: number): string => `${Number((100 * value).toFixed(1))} %`;

/** How often an image is answered wrongly at the first exit, by how sure that exit is. */
export function drawConfidence({ byConfidence }: Guarantees): string {
  const [least, most] = [byConfidence[0]!, byConfidence[byConfidence.length - 1]!];
  const plot = new Plot({
    title: "Error rate at the first exit, by its confidence",
    description: `Bars that fall from ${percent(least.error)} wrong where the exit is ${percent(least.from)} sure to ${percent(most.error)} wrong where it is surest.`,
    height: 260,
    x: { from: least.from, to: 1, ticks: [0.3, 0.5, 0.7, 0.9], text: percent, label: "how sure the exit is" },
    y: { from: 0, to: 0.7, ticks: [0, 0.2, 0.4, 0.6], text: percent, label: "answered wrongly" },
  });
  for (const { from, to, error } of byConfidence) {
    plot.bar(from, to, error, error > 0.05 ? "bad" : "good");
    plot.text((from + to) / 2, error + 0.02, percent(error), { anchor: "middle" });
  }
  return plot.svg("confidence");
}

/** How many of the repeats are above `alpha`. */
export const countAbove = (repeats: readonly Repeat[], way: keyof Repeat, alpha: number): number =>
  repeats.filter((repeat) => (repeat[way] ?? 0) > alpha).length;

/** The true error rates that two ways of choosing thresholds lead to, a dot for each calibration. */
export function drawRepeats({ repeats, alpha }: Guarantees): string {
  const rows = [
    { way: "naive", at: 0.6, text: "observed error at most 5 %" },
    { way: "certified", at: 0.12, text: "certified by learn then test" },
  ] as const;
  const above = (way: keyof Repeat): string => `${countAbove(repeats, way, alpha)} of ${repeats.length} above`;
  const plot = new Plot({
    title: `True error of early leavers after ${repeats.length} calibrations`,
    description: `Two rows of dots and a line at ${percent(alpha)}. Thresholds whose observed error is at most ${percent(alpha)}: ${above("naive")} the line. Certified thresholds: ${above("certified")} it.`,
    height: 260,
    x: {
      from: 0,
      to: 0.1,
      ticks: [0, 0.02, 0.04, 0.06, 0.08, 0.1],
      text: percent,
      label: "true error rate among those that leave, at the worse exit",
    },
  });
  for (const { way, at, text } of rows) {
    plot.text(0.001, at + 0.3, `${text}: ${above(way)}`);
    for (const [i, repeat] of repeats.entries()) {
      const risk = repeat[way];
      // Dots of about the same risk would hide each other: they stand in five lines.
      if (risk !== undefined) plot.dot(Math.min(risk, 0.1), at + 0.045 * (i % 5), risk > alpha ? "bad" : "good");
    }
  }
  plot.line(
    [
      [alpha, 0],
      [alpha, 1],
    ],
    "text",
    true,
  );
  return plot.svg("repeats");
}

/** What 2 % observed errors prove, by the number of images. */
export function drawBounds({ bounds, alpha, neededImages }: Guarantees): string {
  const last = bounds[bounds.length - 1]!;
  const plot = new Plot({
    title: "What an observed error rate of 2 % proves",
    description: `A curve that falls from ${percent(bounds[0]!.bound)} at ${bounds[0]!.images} images to ${percent(last.bound)} at ${last.images}; it passes ${percent(alpha)} at ${neededImages}.`,
    height: 260,
    x: {
      from: 0,
      to: last.images,
      ticks: [0, 500, 1000, 1500, 2000],
      text: String,
      label: "calibration images that leave at the exit",
    },
    y: {
      from: 0,
      to: 0.08,
      ticks: [0, 0.02, 0.04, 0.06, 0.08],
      text: percent,
      label: "error rate that is still possible",
    },
  });
  plot.line(
    bounds.map(({ images, bound }) => [images, bound]),
    "good",
  );
  for (const [level, text] of [
    [alpha, "allowed"],
    [0.02, "observed"],
  ] as const) {
    plot.line(
      [
        [0, level],
        [last.images, level],
      ],
      "quiet",
      true,
    );
    plot.text(last.images, level + 0.002, text, { anchor: "end" });
  }
  return plot.svg("bounds");
}
