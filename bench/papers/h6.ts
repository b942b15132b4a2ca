// H6 (CalexNet): survivor weights, margins found on survivors, and the backbone's softened answers each help. All eight
// combinations on a frozen backbone, leaving by per-class precision margins.

import {
  type Cascade,
  cascade,
  classPrecisionMargin,
  createRandom,
  decide,
  selectFromCascade,
} from "../../calibration/index.ts";
import { effectOf, effectsSheet, effectVerdict, partsText } from "./effects.ts";
import { asScript, curvesFigure, type Hypothesis, type Network, percent, pointsRange } from "./hypothesis.ts";
import { areaOf, curveOf, type Decisions, differences, overResamples, resampled } from "./measures.ts";

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

/**
 * Margins that are tried, shares of the backbone's precision that may be lost: up to all of it, so that no part of the
 * curve is a straight line to where everybody leaves at once.
 */
const MARGINS = [
  ...Array.from({ length: 15 }, (_, i) => i / 50),
  ...Array.from({ length: 15 }, (_, i) => 0.3 + i / 20),
] as const;

/** Areas of a network under each margin: of all images first, then of resampled validation and test images. */
function marginAreas({ logits }: Network, isOnSurvivors: boolean, resamples: number) {
  const [validation, test] = [cascade(logits.validation), cascade(logits.test)];
  const population = isOnSurvivors ? "survivors" : "all";
  const decisionsFrom = (looked: Cascade): Decisions => {
    const thresholds = MARGINS.map(
      (margin) => classPrecisionMargin(looked, { margin, population, sameSamples: true }).thresholds,
    );
    const ends = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    return { test, exits: [ends[0]!, ...thresholds, ends[1]!].map((each) => decide(test, each)) };
  };
  const redrawn = (resample: number): Cascade => {
    const random = createRandom(resample);
    const rows = Int32Array.from({ length: validation.samples }, () => random.below(validation.samples));
    return selectFromCascade(validation, rows);
  };
  const all = decisionsFrom(validation);
  return {
    curve: curveOf(all),
    areas: overResamples(test.samples, resamples, (weights, resample) =>
      areaOf(resample === undefined ? all : decisionsFrom(redrawn(resample)), weights),
    ),
  };
}

/** The claim and its test. */
export const h6: Hypothesis = {
  name: "h6",
  title: "CalexNet: each of its three alignments helps",
  needs: [...new Set(CELLS.map(([label]) => label))],
  study(study) {
    // What one alignment adds, all else being equal, says more of a single network than of several: one seed.
    const [networks = []] = study.together(...CELLS.map(([label]) => label));
    const cells = CELLS.map(([label, levels], k) => {
      const network = networks[k]!;
      return { label, levels, network, ...marginAreas(network, levels[2], study.resamples) };
    });
    const effects = FACTORS.map((factor, k) => {
      const isOther = (_: unknown, at: number) => at !== k;
      const pairs = cells
        .filter(({ levels }) => levels[k])
        .map((cell) => {
          const without = cells.find(({ levels }) =>
            levels.every((level, at) => level === (at !== k && cell.levels[at])),
          )!;
          const beside = partsText(FACTORS.filter(isOther), cell.levels.filter(isOther));
          return [beside, [differences(cell.areas, without.areas)]] as const;
        });
      return [factor, effectOf(Object.fromEntries(pairs))] as const;
    });
    return {
      verdicts: effects.map(([factor, effect]) =>
        effectVerdict(`CalexNet's ${factor} give more area under accuracy against cost`, effect, "above", "area"),
      ),
      sheets: [
        {
          title: "All eight combinations",
          text: "Area under accuracy against cost, leaving by the per-class margins, in percent; exits on all test images.",
          head: ["run", ...FACTORS, "area", "exits"],
          rows: cells.map(({ label, levels, network, areas: of }) => [
            label,
            ...levels.map((level) => (level ? "yes" : "no")),
            pointsRange(resampled(of)),
            network.figures.exits.map(({ accuracy }) => percent(accuracy)).join(" / "),
          ]),
        },
        effectsSheet(
          "What each of the three adds to the area, in points of percent; CalexNet has it beside both others. Validation images, on which margins are found, are resampled as well.",
          Object.fromEntries(effects),
        ),
      ],
      figure: {
        about: "Accuracy against cost, leaving by per-class margins",
        spec: curvesFigure(new Map(cells.map(({ levels, curve }) => [partsText(FACTORS, levels), curve]))),
      },
      numbers: { effects: Object.fromEntries(effects), cells: cells.map(({ network: _, ...numbers }) => numbers) },
    };
  },
};

await asScript(import.meta.url, h6);
