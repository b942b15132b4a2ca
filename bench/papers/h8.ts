// H8: distillation between exits lowers the share that can leave at equal risk. Each way to distil against the same
// loss without it, where the same share of early leavers is wrong.

import { asScript, curvesFigure, type Hypothesis, percent, pointsRange, verdictOf } from "./hypothesis.ts";
import { atEqualRisk, exitsText, type Measured, measuring, riskList, underCertified } from "./measured.ts";
import { curveOf, differences, overSeeds, thresholdDecisions } from "./measures.ts";

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
    const measure = measuring(study);
    const pairs = PAIRS.flatMap(([using, without]) => {
      const seeds = study.together(using, without).map((networks) => networks.map(measure) as [Measured, Measured]);
      if (seeds.length === 0) return [];
      const more = overSeeds(seeds.map(([a, b]) => differences(riskList(a, "early"), riskList(b, "early"))));
      return [{ using, without, seeds, more }];
    });
    return {
      verdicts: pairs.map(({ using, without, more }) =>
        verdictOf(`Fewer leave early with ${using} than with ${without}`, more, "below", "share that leaves early"),
      ),
      sheets: [
        {
          title: "Shares that leave early",
          text: `In percent. At equal risk: where ${percent(study.alpha)} % of them are wrong, by one threshold for all exits. Certified: under thresholds at the levels above, means over draws, which stay below the risk by different amounts.`,
          head: [
            ...["run", "leave early at equal risk", "more than without"],
            ...["certified: leave early", "their error", "accuracy", "exits"],
          ],
          rows: pairs.flatMap(({ using, without, seeds, more }) =>
            [using, without].map((label, k) => {
              const own = seeds.map((pair) => pair[k]!);
              return [
                label,
                pointsRange(atEqualRisk(own, "early"), 1),
                k === 0 ? pointsRange(more) : "-",
                ...(["early", "earlyRisk", "accuracy"] as const).map((key) => percent(underCertified(own, key).mean)),
                exitsText(own),
              ];
            }),
          ),
        },
      ],
      figure: {
        about: "Accuracy against cost",
        spec: curvesFigure(
          new Map(
            pairs
              .flatMap(({ seeds }) => seeds[0]!)
              .map(({ network: { label, logits } }) => [label, curveOf(thresholdDecisions(logits))]),
          ),
        ),
      },
      numbers: pairs.map(({ using, without, more, seeds }) => ({
        ...{ using, without, more },
        networks: seeds.map((pair) =>
          pair.map(({ network: { label, seed }, ...numbers }) => ({ label, seed, ...numbers })),
        ),
      })),
    };
  },
};

await asScript(import.meta.url, h8);
