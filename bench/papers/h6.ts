// H6 (CalexNet): survivor weights, margins found on survivors, and the backbone's softened answers each help. All eight
// combinations on a frozen backbone, leaving by per-class precision margins.

import { cascade, classPrecisionMargin, decide } from "../../calibration/index.ts";
import {
  asScript,
  curvesFigure,
  type Hypothesis,
  type Network,
  percent,
  pointsRange,
  verdictOf,
} from "./hypothesis.ts";
import { areas, curveOf, type Decisions, differences, rangeOf } from "./measures.ts";

const FACTORS = ["softened answers", "survivor weights", "margins on survivors"] as const;

/**
 * Each cell: its network, and on which samples margins are found. Without survivor weights margins play no part in
 * training, so that one network serves both.
 */
const CELLS = [
  ["calexnet", [true, true, true]],
  ["calexnet-no-margins", [true, true, false]],
  ["calexnet-kl", [true, false, true]],
  ["calexnet-kl", [true, false, false]],
  ["calexnet-no-kl", [false, true, true]],
  ["calexnet-weights", [false, true, false]],
  ["calexnet-reference", [false, false, true]],
  ["calexnet-reference", [false, false, false]],
] as const;

/** Margins that are tried: shares of the backbone's precision that may be lost. */
const MARGINS = Array.from({ length: 31 }, (_, i) => i / 100);

/** Where test images leave under each margin, from everybody at the end to everybody at the first branch. */
function decisionsOf({ logits }: Network, isOnSurvivors: boolean): Decisions {
  const [validation, test] = [cascade(logits.validation), cascade(logits.test)];
  const population = isOnSurvivors ? "survivors" : "all";
  const thresholds = MARGINS.map(
    (margin) => classPrecisionMargin(validation, { margin, population, sameSamples: true }).thresholds,
  );
  const ends = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  return { test, exits: [ends[0]!, ...thresholds, ends[1]!].map((each) => decide(test, each)) };
}

/** The claim and its test. */
export const h6: Hypothesis = {
  name: "h6",
  title: "CalexNet: each of its three alignments helps",
  needs: [...new Set(CELLS.map(([label]) => label))],
  study(study) {
    const cells = CELLS.map(([label, levels]) => {
      const network = study.of(label)[0]!;
      const decisions = decisionsOf(network, levels[2]);
      return { label, levels, network, curve: curveOf(decisions), areas: areas(decisions, study.resamples) };
    });
    const effects = FACTORS.map((_, k) => {
      const pairs = cells
        .filter(({ levels }) => levels[k])
        .map((cell) => {
          const other = cells.find(({ levels }) =>
            levels.every((level, at) => level === (at === k ? !cell.levels[at] : cell.levels[at])),
          )!;
          return differences(cell.areas, other.areas);
        });
      return rangeOf(pairs[0]!.map((_, i) => pairs.reduce((sum, pair) => sum + pair[i]!, 0) / pairs.length));
    });
    const nameOf = (levels: readonly boolean[]) =>
      FACTORS.filter((_, k) => levels[k]).join(" + ") || "none of the three";
    return {
      verdicts: FACTORS.map((factor, k) =>
        verdictOf(
          `CalexNet's ${factor} give more area under accuracy against cost`,
          effects[k]!,
          "above",
          "area, over all combinations of the other two",
        ),
      ),
      sheets: [
        {
          title: "All eight combinations",
          text: "Area under accuracy against cost, leaving by the per-class margins, in percent; exits on all test images.",
          head: ["run", ...FACTORS, "area", "exits"],
          rows: cells.map(({ label, levels, network, areas: of }) => [
            label,
            ...levels.map((level) => (level ? "yes" : "no")),
            `${percent(of[0]!, 2)} (${percent(rangeOf(of).lower, 2)} to ${percent(rangeOf(of).upper, 2)})`,
            network.figures.exits.map(({ accuracy }) => percent(accuracy)).join(" / "),
          ]),
        },
        {
          title: "Effects",
          text: "What each of the three adds to the area, over all combinations of the other two, in points of percent.",
          head: ["alignment", "adds"],
          rows: FACTORS.map((factor, k) => [factor, pointsRange(effects[k]!)]),
        },
      ],
      figure: {
        about: "Accuracy against cost, leaving by per-class margins",
        spec: curvesFigure(new Map(cells.map(({ levels, curve }) => [nameOf(levels), curve]))),
      },
      numbers: { effects, cells: cells.map(({ network: _, ...numbers }) => numbers) },
    };
  },
};

await asScript(import.meta.url, h6);
