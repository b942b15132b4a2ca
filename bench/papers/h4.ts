// H4 (EEFP): failure prediction that counts the cost of going on ranks networks by what they are worth, and better than
// calibration error does. Spearman's correlation with the area over all finished networks of the comparison, with
// measures and area of the same probabilities: as they were trained, and after temperature scaling.

import { applyScaling, areaUnderCurve, createRandom, evaluate, fit, spearman } from "../../calibration/index.ts";
import { distinctNetworks } from "../../cli/index.ts";
import {
  type Answer,
  asScript,
  type Hypothesis,
  type Network,
  percent,
  type Sheet,
  type Verdict,
} from "./hypothesis.ts";
import { curveOf, type Range, rangeOf, thresholdDecisions } from "./measures.ts";

/** Probabilities that measures and area are of. */
const KINDS = ["as trained", "scaled"] as const;

const MEASURES = ["eefp", "ece", "auroc", "aurc", "accuracy"] as const;

/** Means over the early exits, and the area. */
type Measured = Readonly<Record<(typeof MEASURES)[number] | "area", number>>;

/** A network, by what its measures are of. */
interface Ranked extends Pick<Network, "label" | "seed"> {
  readonly collapsed: readonly string[];
  readonly of: Readonly<Record<(typeof KINDS)[number], Measured>>;
}

/** What might rank networks, more being better. */
const PROXIES: Readonly<Record<string, (measured: Measured) => number>> = {
  EEFP: ({ eefp }) => eefp,
  "ECE, less is better": ({ ece }) => -ece,
  AUROC: ({ auroc }) => auroc,
  "AURC, less is better": ({ aurc }) => -aurc,
  "accuracy of the early exits": ({ accuracy }) => accuracy,
};

function measuredOf({ label, seed, logits, figures }: Network): Ranked {
  const scaling = fit(logits.validation, { method: "temperature" });
  const measure = (isScaled: boolean): Measured => {
    const [validation, test] = [logits.validation, logits.test].map((table) =>
      isScaled ? applyScaling(table, scaling) : table,
    ) as [Network["logits"]["validation"], Network["logits"]["test"]];
    const early = evaluate(test).exits.slice(0, -1);
    const { costs, accuracies } = curveOf(thresholdDecisions({ validation, test }));
    const means = MEASURES.map((key) => [key, rangeOf(early.map((exit) => exit[key])).mean] as const);
    return { ...Object.fromEntries(means), area: areaUnderCurve(costs, accuracies) } as Measured;
  };
  return { label, seed, collapsed: figures.collapsed, of: { "as trained": measure(false), scaled: measure(true) } };
}

/** How a proxy ranks the networks. */
interface Ranking {
  readonly kind: (typeof KINDS)[number];
  readonly name: string;
  readonly correlation: number;
  /** Over resampled networks. */
  readonly drawn: readonly number[];
  /** Over networks no exit of which has collapsed. */
  readonly standing: number;
  readonly range: Range;
}

const isStanding = ({ collapsed }: Ranked): boolean => collapsed.length === 0;

const two = (value: number): string => (Number.isNaN(value) ? "-" : value.toFixed(2));

/** The claim and its test. */
export const h4: Hypothesis = {
  name: "h4",
  title: "EEFP: failure prediction ranks networks better than calibration error",
  needs: ["joint"],
  study({ networks: all, resamples }) {
    const distinct = new Set(distinctNetworks(all.map(({ figures }) => figures)));
    const networks = all.filter(({ figures }) => distinct.has(figures)).map(measuredOf);
    if (networks.length < 4)
      throw new Error(`h4: at least 4 finished networks must be there to be ranked; got ${networks.length}.`);
    const random = createRandom(0);
    const draws = Array.from({ length: 5 * resamples }, () => networks.map(() => random.below(networks.length)));
    const found = KINDS.flatMap((kind) =>
      Object.entries(PROXIES).map(([name, proxy]): Ranking => {
        const rank = (of: readonly Ranked[]) =>
          spearman(
            of.map((one) => proxy(one.of[kind])),
            of.map((one) => one.of[kind].area),
          );
        const drawn = draws.map((rows) => rank(rows.map((row) => networks[row]!)));
        const standing = rank(networks.filter(isStanding));
        return { kind, name, correlation: rank(networks), drawn, standing, range: rangeOf(drawn) };
      }),
    );
    const of = (kind: Ranking["kind"], name: string) =>
      found.find((one) => one.kind === kind && one.name.startsWith(name))!;
    const verdicts = KINDS.map((kind): Verdict => {
      const [eefp, ece] = [of(kind, "EEFP"), of(kind, "ECE")];
      const more = rangeOf(eefp.drawn.map((value, i) => value - ece.drawn[i]!));
      const held = more.lower > 0 ? "held" : more.upper < 0 ? "did not hold" : "undecided";
      const because = `${two(eefp.correlation)} against ${two(ece.correlation)} over ${networks.length} networks; difference over resampled networks ${two(more.lower)} to ${two(more.upper)}`;
      return { claim: `EEFP goes with the area more closely than ECE does, probabilities ${kind}`, held, because };
    });
    return {
      verdicts,
      sheets: [rankingSheet(found, networks), networkSheet(networks)],
      figure: { about: "EEFP and ECE of every network against its area, as trained", spec: scatter(networks) },
      numbers: { found, networks },
    };
  },
};

const rankingSheet = (found: readonly Ranking[], networks: readonly Ranked[]): Sheet => ({
  title: "Spearman's correlation with the area",
  text: `Over ${networks.length} networks, each of other weights; measures are means over the early exits. In parentheses the middle 95 % of resampled networks. Standing: the ${networks.filter(isStanding).length} of them no exit of which has collapsed.`,
  head: ["proxy", "probabilities", "all networks", "standing"],
  rows: found.map(({ kind, name, correlation, range, standing }) => [
    ...[name, kind],
    `${two(correlation)} (${two(range.lower)} to ${two(range.upper)})`,
    two(standing),
  ]),
});

const networkSheet = (networks: readonly Ranked[]): Sheet => ({
  title: "Networks",
  text: "In percent, means over the early exits, of probabilities as they were trained; the last ECE after scaling.",
  head: ["run", "seed", "area", "EEFP", "ECE", "AUROC", "ECE, scaled", "collapsed"],
  rows: networks.map(({ label, seed, collapsed, of: { "as trained": trained, scaled } }) => [
    ...[label, String(seed), percent(trained.area, 2)],
    ...(["eefp", "ece", "auroc"] as const).map((key) => percent(trained[key])),
    ...[percent(scaled.ece), collapsed.join("; ") || "no"],
  ]),
});

const scatter = (networks: readonly Ranked[]): Answer["figure"]["spec"] => ({
  data: {
    values: networks.flatMap(({ of: { "as trained": trained } }) =>
      Object.entries(PROXIES)
        .slice(0, 2)
        .map(([proxy, value]) => ({ proxy, value: value(trained), area: trained.area })),
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
      x: { field: "value", type: "quantitative", scale: { zero: false }, axis: { title: "mean over early exits" } },
      y: { field: "area", type: "quantitative", scale: { zero: false }, axis: { title: "area" } },
    },
  },
});

await asScript(import.meta.url, h4);
