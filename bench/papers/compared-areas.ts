// Claims that one way to train gives more accuracy at the same cost than others: areas under the curves of one
// threshold for all exits, on the same resampled test images; and what leaves at equal risk.

import type { Score } from "../../calibration/index.ts";
import {
  curvesFigure,
  type Hypothesis,
  type Network,
  percent,
  pointsRange,
  promiseVerdict,
  type Verdict,
  verdictOf,
} from "./hypothesis.ts";
import { atEqualRisk, exitsText, type Measured, measuring, riskList, underCertified } from "./measured.ts";
import { areas, curveOf, differences, keptOf, overSeeds, thresholdDecisions } from "./measures.ts";

/** One way against another that differs in what is claimed. */
interface Pair {
  readonly of: string;
  readonly against: string;
  readonly claim: string;
}

/** Such claims. */
export interface AreaClaims extends Pick<Hypothesis, "name" | "title"> {
  readonly score: Extract<Score, string>;
  readonly pairs: readonly Pair[];
  /** Whose certified thresholds are to keep their promise. */
  readonly promised?: string;
  /** Shown where they are there. */
  readonly beside: readonly string[];
}

/** What is measured of a network, and its area: of all images first, then of resamples. */
interface WithArea extends Measured {
  readonly areas: readonly number[];
}

/** The claims and their tests; networks of several seeds count in the mean, seed by seed. */
export function comparedAreas({ name, title, score, pairs, promised, beside }: AreaClaims): Hypothesis {
  const needs = [...new Set(pairs.flatMap(({ of, against }) => [of, against]))];
  return {
    name,
    title,
    needs,
    study(study) {
      const { alpha, resamples } = study;
      const labels = [...needs, ...beside].filter((label) => study.of(label).length > 0);
      const measure = measuring(study, score);
      const measured = new Map(
        labels
          .flatMap((label) => study.of(label))
          .map((network): [Network, WithArea] => [
            network,
            { ...measure(network), areas: areas(thresholdDecisions(network.logits, score), resamples) },
          ]),
      );
      const of = (network: Network) => measured.get(network) as WithArea;
      const compared = pairs.flatMap(({ of: own, against, claim }) => {
        const seeds = study.together(own, against);
        if (seeds.length === 0) return [];
        const more = (pick: (one: WithArea) => readonly number[]) =>
          overSeeds(seeds.map(([a, b]) => differences(pick(of(a)), pick(of(b)))));
        const cost = more((one) => riskList(one, "cost"));
        return [{ own, against, claim, area: more((one) => one.areas), cost, seeds: seeds.length }];
      });
      const kept = promised === undefined ? [] : [keptBy(promised, study.of(promised).map(of), study)];
      return {
        verdicts: [...compared.map(({ claim, area }) => verdictOf(claim, area, "above", "area")), ...kept],
        sheets: [
          {
            title: "Compared",
            text: `Leaving by ${score}, in points of percent. Area: under accuracy against cost, by probabilities as they were trained. Cost: where ${percent(alpha)} % of those that leave early are wrong, less being better.`,
            head: ["run", "against", "seeds", "more area by", "more cost at equal risk by"],
            rows: compared.map(({ own, against, seeds, area, cost }) => [
              ...[own, against, String(seeds)],
              ...[pointsRange(area), pointsRange(cost)],
            ]),
          },
          {
            title: "Networks",
            text: `In percent. At equal risk: where ${percent(alpha)} % of those that leave early are wrong, by one threshold for all exits. Certified: under thresholds at the levels above, means over draws. Both after temperature scaling.`,
            head: [
              ...["run", "seeds", "exits", "area", "cost at equal risk", "its accuracy"],
              ...["certified cost", "its accuracy", "its error of early leavers"],
            ],
            rows: labels.map((label) => {
              const own = study.of(label).map(of);
              return [
                label,
                own.map(({ network }) => network.seed).join(", "),
                exitsText(own),
                percent(overSeeds(own.map((one) => one.areas)).mean, 2),
                ...(["cost", "accuracy"] as const).map((key) => percent(atEqualRisk(own, key).mean)),
                ...(["cost", "accuracy", "earlyRisk"] as const).map((key) => percent(underCertified(own, key).mean)),
              ];
            }),
          },
        ],
        figure: {
          about: `Accuracy against cost, leaving by ${score}`,
          spec: curvesFigure(
            new Map(labels.map((label) => [label, curveOf(thresholdDecisions(study.of(label)[0]!.logits, score))])),
          ),
        },
        numbers: [...measured.values()].map(({ network: { label, seed }, ...numbers }) => ({
          label,
          seed,
          ...numbers,
        })),
      };
    },
  };
}

/** Whether certified thresholds of all networks kept the risk of every exit. */
function keptBy(
  label: string,
  measured: readonly Measured[],
  { alpha, ...levels }: { readonly alpha: number; readonly draws: number; readonly delta: number },
): Verdict {
  const kept = measured.map(({ operations }) => keptOf(operations, alpha));
  const claim = `With certified thresholds on top, ${label} keeps every exit's risk with probability ${1 - levels.delta}`;
  return promiseVerdict(claim, kept, levels, `some exit was above ${percent(alpha)} %`);
}
