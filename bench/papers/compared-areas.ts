// Claims that one way to train gives more accuracy at the same cost than others: areas under the curves of one
// threshold for all exits, on the same resampled test images.

import type { Score } from "../../calibration/index.ts";
import { curvesFigure, type Hypothesis, type Network, percent, pointsRange, verdictOf } from "./hypothesis.ts";
import {
  areas,
  curveOf,
  differences,
  type Operation,
  overDraws,
  poolOf,
  type Range,
  rangeOf,
  thresholdDecisions,
} from "./measures.ts";

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

/** What is measured of the networks of a label, one for each seed. */
interface Measured {
  readonly label: string;
  readonly networks: readonly {
    readonly seed: number;
    readonly figures: Network["figures"];
    readonly areas: readonly number[];
    readonly operations: readonly Operation[];
  }[];
}

/** The claim and its test; networks of several seeds count in the mean, seed by seed. */
export function comparedAreas({ name, title, score, of, against, beside, claim }: AreaClaim): Hypothesis {
  return {
    name,
    title,
    needs: [of, ...against],
    study(study) {
      const labels = [of, ...against, ...beside].filter((label) => study.of(label).length > 0);
      const measured = labels.map((label): Measured => {
        const networks = study.of(label).map((network) => ({
          seed: network.seed,
          figures: network.figures,
          areas: areas(thresholdDecisions(network.logits, score), study.resamples),
          operations: overDraws(poolOf(network.logits, score), study),
        }));
        return { label, networks };
      });
      const [own, ...others] = measured;
      const more = new Map(others.map((other) => [other.label, difference(own!, other)]));
      return {
        verdicts: against.flatMap((label) => {
          const range = more.get(label);
          return range ? [verdictOf(`${claim} (${label})`, range, "above", "area")] : [];
        }),
        sheets: [
          {
            title: "Areas",
            text: `Leaving by ${score}. In percent and points of percent; certified: under thresholds at the levels above, means over draws.`,
            head: ["run", "seeds", "exits", "area", `${of} has more by`, "certified accuracy", "certified cost"],
            rows: measured.map((one) => areaRow(one, more.get(one.label))),
          },
        ],
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

/** How much more area one has than another, in the mean over seeds that both have; undefined without such. */
function difference(one: Measured, other: Measured): Range | undefined {
  const pairs = one.networks.flatMap((a) => {
    const b = other.networks.find(({ seed }) => seed === a.seed);
    return b ? [differences(a.areas, b.areas)] : [];
  });
  const [first] = pairs;
  if (!first) return undefined;
  return rangeOf(first.map((_, i) => pairs.reduce((sum, pair) => sum + pair[i]!, 0) / pairs.length));
}

function areaRow({ label, networks }: Measured, more: Range | undefined): readonly string[] {
  const mean = (key: "accuracy" | "cost") =>
    percent(rangeOf(networks.flatMap(({ operations }) => operations.map((each) => each[key]))).mean);
  return [
    label,
    networks.map(({ seed }) => seed).join(", "),
    networks.map(({ figures }) => figures.exits.map((exit) => percent(exit.accuracy)).join(" / ")).join("; "),
    percent(rangeOf(networks.map((network) => network.areas[0]!)).mean, 2),
    more ? pointsRange(more) : "-",
    mean("accuracy"),
    mean("cost"),
  ];
}
