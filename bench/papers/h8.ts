// H8: distillation between exits lowers the share that can leave at equal risk. Each way to distil against the same
// loss without it, under the same certified thresholds.

import { asScript, curvesFigure, type Hypothesis, percent, pointsRange, verdictOf } from "./hypothesis.ts";
import { curveOf, differences, overDraws, poolOf, rangeOf, thresholdDecisions } from "./measures.ts";

/** With, and without. */
const PAIRS = [
  ["safe-kd", "safe-kd-no-consistency"],
  ["safe-kd-no-teacher", "safe-kd-ce"],
  ["safe-kd-99", "safe-kd-99-no-consistency"],
  ["distil-last", "joint-mean"],
] as const;

/** The claim and its test; pairs of which runs are missing are left out. */
export const h8: Hypothesis = {
  name: "h8",
  title: "Distillation between exits lowers the share that can leave at equal risk",
  needs: ["safe-kd", "safe-kd-no-consistency"],
  study(study) {
    const pairs = PAIRS.filter((pair) => pair.every((label) => study.of(label).length > 0)).map(([using, without]) => {
      const networks = [using, without].map((label) => study.of(label)[0]!);
      const operations = networks.map(({ logits }) => overDraws(poolOf(logits), study));
      const [own, other] = operations.map((of) => of.map(({ early }) => early)) as [number[], number[]];
      return { using, without, networks, operations, more: rangeOf(differences(own, other)) };
    });
    return {
      verdicts: pairs.map(({ using, without, more }) =>
        verdictOf(`Fewer leave early with ${using} than with ${without}`, more, "below", "share that leaves early"),
      ),
      sheets: [
        {
          title: "Shares that leave early",
          text: "Under certified thresholds, in percent, means over draws.",
          head: ["run", "leave early", "more than without", "error of early leavers", "accuracy", "exits"],
          rows: pairs.flatMap(({ using, without, networks, operations, more }) =>
            [using, without].map((label, k) => {
              const mean = (key: "early" | "earlyRisk" | "accuracy") =>
                percent(rangeOf(operations[k]!.map((operation) => operation[key])).mean);
              return [
                label,
                mean("early"),
                k === 0 ? pointsRange(more) : "-",
                mean("earlyRisk"),
                mean("accuracy"),
                networks[k]!.figures.exits.map(({ accuracy }) => percent(accuracy)).join(" / "),
              ];
            }),
          ),
        },
      ],
      figure: {
        about: "Accuracy against cost",
        spec: curvesFigure(
          new Map(
            [...new Set(pairs.flatMap(({ networks }) => networks))].map(({ label, logits }) => [
              label,
              curveOf(thresholdDecisions(logits)),
            ]),
          ),
        ),
      },
      numbers: pairs.map(({ networks: _, ...numbers }) => numbers),
    };
  },
};

await asScript(import.meta.url, h8);
