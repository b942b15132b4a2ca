// H8: distillation between exits lowers the share that can leave at equal risk. Each way to distil against the same
// loss without it, where the same share of early leavers is wrong.

import {
  asScript,
  curvesFigure,
  type Hypothesis,
  type Network,
  percent,
  pointsRange,
  verdictOf,
} from "./hypothesis.ts";
import {
  type AtRisk,
  atRisk,
  curveOf,
  differences,
  type Operation,
  overDraws,
  overSeeds,
  poolOf,
  rangeOf,
  resampled,
  thresholdDecisions,
} from "./measures.ts";

/** With, and without. */
const PAIRS = [
  ["safe-kd", "safe-kd-no-consistency"],
  ["safe-kd-no-teacher", "safe-kd-ce"],
  ["safe-kd-99", "safe-kd-99-no-consistency"],
  ["distil-last", "joint-mean"],
] as const;

/** What is measured of a network. */
interface Measured {
  readonly network: Network;
  readonly atRisk: readonly AtRisk[];
  readonly operations: readonly Operation[];
}

const sharesOf = ({ atRisk: at }: Measured): readonly number[] => at.map(({ early }) => early);

/** The claim and its test; pairs of which runs are missing are left out. */
export const h8: Hypothesis = {
  name: "h8",
  title: "Distillation between exits lowers the share that can leave at equal risk",
  needs: ["safe-kd", "safe-kd-no-consistency"],
  study(study) {
    const { alpha, resamples } = study;
    const measure = (network: Network): Measured => {
      const pool = poolOf(network.logits);
      return { network, atRisk: atRisk(pool, alpha, resamples), operations: overDraws(pool, study) };
    };
    const pairs = PAIRS.flatMap(([using, without]) => {
      const seeds = study.together(using, without).map((networks) => networks.map(measure) as [Measured, Measured]);
      if (seeds.length === 0) return [];
      const more = resampled(overSeeds(seeds.map(([a, b]) => differences(sharesOf(a), sharesOf(b)))));
      return [{ using, without, seeds, more }];
    });
    return {
      verdicts: pairs.map(({ using, without, more }) =>
        verdictOf(`Fewer leave early with ${using} than with ${without}`, more, "below", "share that leaves early"),
      ),
      sheets: [
        {
          title: "Shares that leave early",
          text: `In percent. At equal risk: where ${percent(alpha)} % of them are wrong, by one threshold for all exits. Certified: under thresholds at the levels above, means over draws, which stay below the risk by different amounts.`,
          head: [
            ...["run", "leave early at equal risk", "more than without"],
            ...["certified: leave early", "their error", "accuracy", "exits"],
          ],
          rows: pairs.flatMap(({ using, without, seeds, more }) =>
            [using, without].map((label, k) => {
              const own = seeds.map((pair) => pair[k]!);
              const draws = (key: "early" | "earlyRisk" | "accuracy") =>
                percent(rangeOf(own.flatMap(({ operations }) => operations.map((one) => one[key]))).mean);
              return [
                label,
                pointsRange(resampled(overSeeds(own.map(sharesOf))), 1),
                k === 0 ? pointsRange(more) : "-",
                ...[draws("early"), draws("earlyRisk"), draws("accuracy")],
                own
                  .map(({ network }) => network.figures.exits.map(({ accuracy }) => percent(accuracy)).join(" / "))
                  .join("; "),
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
