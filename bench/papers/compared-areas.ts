// Claims that one way to train gives more accuracy at the same cost than others: areas under the curves of one
// threshold for all exits, on the same resampled test images.

import type { Score } from "../../calibration/index.ts";
import { curvesFigure, type Hypothesis, percent, pointsRange, type Sheet, verdictOf } from "./hypothesis.ts";
import { areas, curveOf, differences, overDraws, poolOf, rangeOf, thresholdDecisions } from "./measures.ts";

/** One such claim. */
export interface AreaClaim extends Pick<Hypothesis, "name" | "title"> {
  readonly score: Extract<Score, string>;
  readonly of: string;
  /** It must beat each of them. */
  readonly against: readonly string[];
  /** Shown where they are there. */
  readonly beside: readonly string[];
  readonly claim: string;
}

/** The claim and its test; networks of several seeds count in the mean, seed by seed. */
export function comparedAreas({ name, title, score, of, against, beside, claim }: AreaClaim): Hypothesis {
  return {
    name,
    title,
    needs: [of, ...against],
    study(study) {
      const labels = [of, ...against, ...beside].filter((label) => study.of(label).length > 0);
      const measured = labels.map((label) => {
        const networks = study.of(label).map((network) => ({
          seed: network.seed,
          figures: network.figures,
          areas: areas(thresholdDecisions(network.logits, score), study.resamples),
          operations: overDraws(poolOf(network.logits, score), study),
        }));
        return { label, networks };
      });
      const [own, ...others] = measured;
      const difference = (other: (typeof measured)[number]) => {
        const pairs = own!.networks.flatMap((a) => {
          const b = other.networks.find(({ seed }) => seed === a.seed);
          return b ? [differences(a.areas, b.areas)] : [];
        });
        const [first] = pairs;
        if (!first) return undefined;
        return rangeOf(first.map((_, i) => pairs.reduce((sum, pair) => sum + pair[i]!, 0) / pairs.length));
      };
      const sheet: Sheet = {
        title: "Areas",
        text: `Leaving by ${score}. In percent and points of percent; certified: under thresholds at the levels above, means over draws.`,
        head: ["run", "seeds", "exits", "area", `${of} has more by`, "certified accuracy", "certified cost"],
        rows: measured.map((one) => {
          const more = one === own ? undefined : difference(one);
          const mean = (key: "accuracy" | "cost") =>
            percent(rangeOf(one.networks.flatMap(({ operations }) => operations.map((each) => each[key]))).mean);
          return [
            one.label,
            one.networks.map(({ seed }) => seed).join(", "),
            one.networks
              .map(({ figures }) => figures.exits.map((exit) => percent(exit.accuracy)).join(" / "))
              .join("; "),
            percent(rangeOf(one.networks.map((network) => network.areas[0]!)).mean, 2),
            more ? pointsRange(more) : "-",
            mean("accuracy"),
            mean("cost"),
          ];
        }),
      };
      return {
        verdicts: against.flatMap((label) => {
          const more = difference(others.find((other) => other.label === label)!);
          return more ? [verdictOf(`${claim} (${label})`, more, "above", "area")] : [];
        }),
        sheets: [sheet],
        figure: {
          about: `Accuracy against cost, leaving by ${score}`,
          spec: curvesFigure(
            new Map(labels.map((label) => [label, curveOf(thresholdDecisions(study.of(label)[0]!.logits, score))])),
          ),
        },
        numbers: measured.map(({ label, networks }) => ({
          label,
          networks: networks.map(({ figures: _, ...numbers }) => numbers),
        })),
      };
    },
  };
}
