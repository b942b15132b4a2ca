// H1 (SAFE-KD): a teacher's answers and agreement with the own last exit lower the expected depth at equal risk. The
// two terms crossed; depth is read where the same share of early leavers is wrong. The average is followed at the
// published decay, which keeps much of its first weights in so short a run, and at one that does not.

import { effectOf, effectsSheet, effectVerdict } from "./effects.ts";
import { asScript, curvesFigure, type Hypothesis, percent, pointsRange, verdictOf } from "./hypothesis.ts";
import { atEqualRisk, exitsText, measuring, riskList, underCertified } from "./measured.ts";
import { curveOf, differences, overSeeds, thresholdDecisions } from "./measures.ts";

/** By decay of the average: both terms, the teacher's alone, consistency alone, neither. */
const DESIGNS = {
  "0.999": ["safe-kd", "safe-kd-no-consistency", "safe-kd-no-teacher", "safe-kd-ce"],
  "0.99": ["safe-kd-99", "safe-kd-99-no-consistency", "safe-kd-no-teacher", "safe-kd-ce"],
} as const;

/** Whether a cell has the teacher's term and that of consistency. */
const TERMS = [
  [true, true],
  [true, false],
  [false, true],
  [false, false],
] as const;

/** The claim and its test. */
export const h1: Hypothesis = {
  name: "h1",
  title: "SAFE-KD: distillation and consistency lower the expected depth at equal risk",
  needs: DESIGNS["0.999"],
  study(study) {
    const measure = measuring(study);
    const designs = Object.entries(DESIGNS).flatMap(([decay, labels]) => {
      const seeds = study.together(...labels).map((networks) => networks.map(measure));
      if (seeds.length === 0) return [];
      // What a cell has more than another, seed by seed.
      const more = (cell: number, other: number) =>
        seeds.map((cells) => differences(riskList(cells[cell]!, "depth"), riskList(cells[other]!, "depth")));
      const effects = {
        both: overSeeds(more(0, 3)),
        teacher: effectOf({ consistency: more(0, 2), "no consistency": more(1, 3) }),
        consistency: effectOf({ "the teacher's term": more(0, 1), "no teacher": more(2, 3) }),
      };
      return [{ decay, labels, seeds, effects }];
    });
    return {
      verdicts: designs.flatMap(({ decay, effects }) => [
        verdictOf(
          `SAFE-KD (decay ${decay}) leaves earlier than the same loss without its two terms`,
          effects.both,
          "below",
          "depth",
        ),
        effectVerdict(`The teacher's term (decay ${decay}) lowers the depth`, effects.teacher, "below", "depth"),
        effectVerdict(`Consistency (beside decay ${decay}) lowers the depth`, effects.consistency, "below", "depth"),
      ]),
      sheets: designs.flatMap(({ decay, labels, seeds, effects }) => {
        const of = (k: number) => seeds.map((cells) => cells[k]!);
        const head = ["run", "teacher", "consistency"];
        const cell = (k: number) => [labels[k]!, ...TERMS[k]!.map((is) => (is ? "yes" : "no"))];
        return [
          {
            title: `The two terms crossed, decay ${decay}: at equal risk`,
            text: `Depth is the mean exit that images leave at, as a share of the last, where ${percent(study.alpha)} % of those that leave early are wrong, by one threshold for all exits. In percent.`,
            head: [...head, "depth", "cost", "exits"],
            rows: labels.map((_, k) => [
              ...cell(k),
              pointsRange(atEqualRisk(of(k), "depth"), 1),
              percent(atEqualRisk(of(k), "cost").mean),
              exitsText(of(k)),
            ]),
          },
          {
            ...effectsSheet("What each term adds to the depth at equal risk, in points of percent.", {
              "the teacher's term": effects.teacher,
              consistency: effects.consistency,
            }),
            title: `Effects, decay ${decay}`,
          },
          {
            title: `The same under certified thresholds, decay ${decay}`,
            text: "Each network's thresholds keep the promise; how far below it they stay differs, and depth with it. Means over draws; in parentheses what a single calibration may give.",
            head: [...head, "depth", "cost", "accuracy", "error of early leavers"],
            rows: labels.map((_, k) => [
              ...cell(k),
              pointsRange(underCertified(of(k), "depth"), 1),
              ...(["cost", "accuracy", "earlyRisk"] as const).map((key) => percent(underCertified(of(k), key).mean)),
            ]),
          },
        ];
      }),
      figure: {
        about: "Accuracy against cost",
        spec: curvesFigure(
          new Map(
            designs
              .flatMap(({ seeds }) => seeds[0]!)
              .map(({ network: { label, logits } }) => [label, curveOf(thresholdDecisions(logits))]),
          ),
        ),
      },
      numbers: designs.map(({ decay, effects, seeds, labels }) => ({
        ...{ decay, effects },
        cells: seeds.map((cells) =>
          cells.map(({ network: { seed }, ...numbers }, k) => ({ label: labels[k], seed, ...numbers })),
        ),
      })),
    };
  },
};

await asScript(import.meta.url, h1);
