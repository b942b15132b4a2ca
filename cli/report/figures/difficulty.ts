// Figures over the known difficulty of images: where they leave, and how often answers are wrong.

import type { TopLevelSpec } from "vega-lite";
import { COLOURS, exitColours } from "../plots.ts";
import { byExit, colourOf, HALF, percentAxis, shareField, tenths } from "./parts.ts";

/** Share of images that leave at each exit, by tenths of difficulty. */
export function exitsByDifficulty(
  difficulty: ArrayLike<number>,
  exits: ArrayLike<number>,
  names: readonly string[],
): TopLevelSpec {
  const values = tenths(difficulty).flatMap(({ from, to, samples }) =>
    names.map((exit, depth) => {
      const share = samples.filter((i) => exits[i] === depth).length / samples.length;
      return { from, to, exit, depth, share };
    }),
  );
  return {
    ...HALF,
    data: { values },
    mark: { type: "bar", stroke: "white", strokeWidth: 0.5 },
    encoding: {
      x: { field: "from", type: "quantitative", bin: "binned", axis: { title: "difficulty" } },
      x2: { field: "to" },
      y: { ...shareField("share", "share that leaves at each exit"), stack: "zero", scale: { domain: [0, 1] } },
      order: { field: "depth" },
      color: byExit(names),
    },
  };
}

/** Whose errors are shown, and in which of the colours. */
export interface ErrorSeries {
  readonly name: string;
  readonly kind: "first" | "full" | "policy";
  /** 1 where the answer is wrong. */
  readonly wrong: ArrayLike<number>;
}

/** Error rate by tenths of difficulty, of the first exit alone, the last exit alone, and the policy. */
export function errorsByDifficulty(difficulty: ArrayLike<number>, series: readonly ErrorSeries[]): TopLevelSpec {
  const values = series.flatMap(({ name, wrong }) =>
    tenths(difficulty).map(({ from, to, samples }) => ({
      difficulty: (from + to) / 2,
      error: samples.reduce((sum, i) => sum + wrong[i]!, 0) / samples.length,
      series: name,
    })),
  );
  const [first, full] = exitColours(2) as [string, string];
  const colours = { first, full, policy: COLOURS.accent };
  return {
    ...HALF,
    data: { values },
    mark: { type: "line", point: { filled: true, size: 40 }, strokeWidth: 2 },
    encoding: {
      x: { field: "difficulty", type: "quantitative", scale: { domain: [0, 1] }, axis: { title: "difficulty" } },
      y: { field: "error", type: "quantitative", axis: percentAxis("error rate") },
      color: colourOf("series", Object.fromEntries(series.map(({ name, kind }) => [name, colours[kind]]))),
    },
  };
}
