// H1 (SAFE-KD): a teacher's answers and agreement with the own last exit lower the expected depth at equal risk. The
// two terms crossed, under the same certified thresholds.

import { asScript, curvesFigure, type Hypothesis, percent, pointsRange, verdictOf } from "./hypothesis.ts";
import { curveOf, differences, type Operation, overDraws, poolOf, rangeOf, thresholdDecisions } from "./measures.ts";

/** Each cell of the design, and whether it has the teacher's term and that of consistency. */
const CELLS = [
  ["safe-kd", true, true],
  ["safe-kd-no-consistency", true, false],
  ["safe-kd-no-teacher", false, true],
  ["safe-kd-ce", false, false],
] as const;

/** The claim and its test. */
export const h1: Hypothesis = {
  name: "h1",
  title: "SAFE-KD: distillation and consistency lower the expected depth at equal risk",
  needs: CELLS.map(([label]) => label),
  study(study) {
    const networks = CELLS.map(([label]) => study.of(label)[0]!);
    const operations = networks.map(({ logits }) => overDraws(poolOf(logits), study));
    const depths = operations.map((of) => of.map(({ depth }) => depth));
    const [both, teacher, consistency, neither] = depths as [number[], number[], number[], number[]];
    const half = (a: readonly number[], b: readonly number[]) => a.map((value, i) => (value + b[i]!) / 2);
    const effects = {
      both: rangeOf(differences(both, neither)),
      teacher: rangeOf(half(differences(both, consistency), differences(teacher, neither))),
      consistency: rangeOf(half(differences(both, teacher), differences(consistency, neither))),
    };
    const mean = (of: readonly Operation[], pick: (one: Operation) => number) => rangeOf(of.map(pick)).mean;
    return {
      verdicts: [
        verdictOf("SAFE-KD leaves earlier than the same loss without its two terms", effects.both, "below", "depth"),
        verdictOf(
          "The teacher's term lowers the depth",
          effects.teacher,
          "below",
          "depth, over both levels of the other",
        ),
        verdictOf("Consistency lowers the depth", effects.consistency, "below", "depth, over both levels of the other"),
      ],
      sheets: [
        {
          title: "The two terms crossed",
          text: "Depth is the mean exit that images leave at, as a share of the last, under certified thresholds. In percent, means over draws.",
          head: ["run", "teacher", "consistency", "depth", "cost", "accuracy", "error of early leavers", "exits"],
          rows: CELLS.map(([label, hasTeacher, isConsistent], k) => [
            label,
            ...[hasTeacher, isConsistent].map((is) => (is ? "yes" : "no")),
            pointsRange(rangeOf(depths[k]!), 1),
            ...(["cost", "accuracy", "earlyRisk"] as const).map((key) =>
              percent(mean(operations[k]!, (one) => one[key])),
            ),
            networks[k]!.figures.exits.map(({ accuracy }) => percent(accuracy)).join(" / "),
          ]),
        },
      ],
      figure: {
        about: "Accuracy against cost",
        spec: curvesFigure(new Map(networks.map(({ label, logits }) => [label, curveOf(thresholdDecisions(logits))]))),
      },
      numbers: { effects, operations: Object.fromEntries(CELLS.map(([label], k) => [label, operations[k]])) },
    };
  },
};

await asScript(import.meta.url, h1);
