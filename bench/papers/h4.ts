// H4 (EEFP): failure prediction that counts the cost of going on ranks networks by what they are worth, and better than
// calibration error does. Spearman's correlation with the area over all finished networks of the comparison.

import { createRandom, spearman } from "../../calibration/index.ts";
import { type Answer, asScript, type Hypothesis, type Network, percent, type Sheet } from "./hypothesis.ts";
import { type Range, rangeOf } from "./measures.ts";

const BACKBONE = "resnet";

/** Mean over the exits where it is defined. */
const meanOver = ({ figures }: Network, key: "eefp" | "ece" | "auroc" | "aurc" | "accuracy"): number =>
  rangeOf(figures.exits.map((exit) => exit[key])).mean;

/** What might rank networks, more being better. */
const PROXIES: Readonly<Record<string, (network: Network) => number>> = {
  EEFP: (network) => meanOver(network, "eefp"),
  "ECE, less is better": (network) => -meanOver(network, "ece"),
  AUROC: (network) => meanOver(network, "auroc"),
  "AURC, less is better": (network) => -meanOver(network, "aurc"),
  "accuracy of all exits": (network) => meanOver(network, "accuracy"),
};

const areaOf = ({ figures }: Network): number => figures.area;

/** How a proxy ranks the networks. */
interface Ranking {
  readonly name: string;
  readonly correlation: number;
  /** Over resampled networks. */
  readonly drawn: readonly number[];
  /** Over networks no exit of which has collapsed. */
  readonly standing: number;
  readonly range: Range;
}

const rankOf = (of: readonly Network[], proxy: (network: Network) => number) => spearman(of.map(proxy), of.map(areaOf));

const isStanding = ({ figures }: Network): boolean => figures.collapsed.length === 0;

const two = (value: number): string => (Number.isNaN(value) ? "-" : value.toFixed(2));

/** The claim and its test. */
export const h4: Hypothesis = {
  name: "h4",
  title: "EEFP: failure prediction ranks networks better than calibration error",
  needs: ["joint"],
  study({ networks: all, resamples }) {
    const networks = all.filter(({ backbone }) => backbone === BACKBONE);
    if (networks.length < 4)
      throw new Error(`h4: at least 4 finished networks must be there to be ranked; got ${networks.length}.`);
    const random = createRandom(0);
    const draws = Array.from({ length: 5 * resamples }, () => networks.map(() => random.below(networks.length)));
    const found = Object.entries(PROXIES).map(([name, proxy]): Ranking => {
      const resampled = (rows: readonly number[]) => rows.map((row) => networks[row]!);
      const drawn = draws.map((rows) => rankOf(resampled(rows), proxy));
      const [correlation, standing] = [rankOf(networks, proxy), rankOf(networks.filter(isStanding), proxy)];
      return { name, correlation, drawn, standing, range: rangeOf(drawn) };
    });
    const of = (name: string) => found.find((one) => one.name.startsWith(name))!;
    const [eefp, ece] = [of("EEFP"), of("ECE")];
    const more = rangeOf(eefp.drawn.map((value, i) => value - ece.drawn[i]!));
    const held = more.lower > 0 ? "held" : more.upper < 0 ? "did not hold" : "undecided";
    const because = `${two(eefp.correlation)} against ${two(ece.correlation)} over ${networks.length} networks; difference over resampled networks ${two(more.lower)} to ${two(more.upper)}`;
    return {
      verdicts: [{ claim: "EEFP goes with the area more closely than ECE does", held, because }],
      sheets: [rankingSheet(found, networks), networkSheet(networks)],
      figure: { about: "EEFP and ECE of every network against its area", spec: scatter(networks, [eefp, ece]) },
      numbers: {
        found,
        more,
        networks: networks.map(({ label, seed, figures }) => ({ label, seed, area: figures.area })),
      },
    };
  },
};

const rankingSheet = (found: readonly Ranking[], networks: readonly Network[]): Sheet => ({
  title: "Spearman's correlation with the area",
  text: `Over ${networks.length} networks; in parentheses the middle 95 % of resampled networks. Standing: the ${networks.filter(isStanding).length} of them no exit of which has collapsed.`,
  head: ["proxy", "all networks", "standing"],
  rows: found.map(({ name, correlation, range, standing }) => [
    name,
    `${two(correlation)} (${two(range.lower)} to ${two(range.upper)})`,
    two(standing),
  ]),
});

const networkSheet = (networks: readonly Network[]): Sheet => ({
  title: "Networks",
  text: "In percent, means over exits.",
  head: ["run", "seed", "area", "EEFP", "ECE", "AUROC", "collapsed"],
  rows: networks.map((network) => [
    network.label,
    String(network.seed),
    percent(areaOf(network), 2),
    ...(["eefp", "ece", "auroc"] as const).map((key) => percent(meanOver(network, key))),
    network.figures.collapsed.join("; ") || "no",
  ]),
});

const scatter = (networks: readonly Network[], proxies: readonly Ranking[]): Answer["figure"]["spec"] => ({
  data: {
    values: networks.flatMap((network) =>
      proxies.map(({ name }) => ({ proxy: name, value: PROXIES[name]!(network), area: areaOf(network) })),
    ),
  },
  facet: { field: "proxy", type: "nominal", title: null, sort: null },
  columns: 2,
  resolve: { scale: { x: "independent" } },
  spec: {
    width: 320,
    height: 280,
    mark: { type: "point", filled: true },
    encoding: {
      x: { field: "value", type: "quantitative", scale: { zero: false }, axis: { title: "mean over exits" } },
      y: { field: "area", type: "quantitative", scale: { zero: false }, axis: { title: "area" } },
    },
  },
});

await asScript(import.meta.url, h4);
