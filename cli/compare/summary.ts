// A comparison as data: every setting's means and spreads over seeds, its differences to the reference seed by seed,
// and which measure goes with the area. What the tables round stands here whole.

import { firstOf, transposed } from "../../base/index.ts";
import { withAlikeCorruptions } from "./corruptions-alike.ts";
import { COSTS, certifiedOf, lastAccuracyOf, type RunFigures } from "./figures.ts";
import {
  groupsOf,
  pairedDifference,
  proxyCorrelations,
  type Setting,
  type Spread,
  settingsOf,
  spreadOf,
} from "./statistics.ts";
import { type TimedRuns, timedRunsOf } from "./timed.ts";

const EXIT_MEASURES = [
  ...(["accuracy", "ece", "auroc", "aurc", "eefp"] as const),
  ...(["trainedEce", "trainedAuroc", "trainedAurc", "trainedEefp"] as const),
] as const;

/** One number of a run each; NaN where it has none. */
const MEASURES: Readonly<Record<string, (run: RunFigures) => number>> = {
  area: ({ area }) => area,
  firstExit: ({ exits }) => firstOf(exits).accuracy,
  lastExit: lastAccuracyOf,
  ...Object.fromEntries(
    COSTS.map((cost, k) => [`accuracyAt${100 * cost}`, ({ atCost }: RunFigures) => atCost[k]!.accuracy]),
  ),
  leastCost: ({ near }) => near.cost,
  leastCostAccuracy: ({ near }) => near.accuracy,
  certifiedAccuracy: (run) => certifiedOf(run).accuracy,
  certifiedCost: (run) => certifiedOf(run).cost,
  earlyRisk: ({ certified }) => certified?.earlyRisk ?? Number.NaN,
  corruptedError: ({ corruptions }) => corruptions?.meanError.exits.at(-1) ?? Number.NaN,
};

/** Runs of one setting, in numbers. */
interface SettingSummary extends Pick<Setting, "data" | "backbone" | "method"> {
  readonly seeds: readonly number[];
  /** Seeds at which an exit has collapsed. */
  readonly collapsedSeeds: readonly number[];
  readonly measures: Readonly<Record<string, Spread>>;
  readonly exits: readonly Readonly<Record<string, Spread>>[];
  /** By adapter and batch size; empty where no run was timed. */
  readonly times: readonly TimedRuns[];
  /** To the reference of the same data and backbone, over the seeds that both have; absent for itself. */
  readonly differences?: Readonly<Record<string, Spread>>;
}

/** All that a comparison says besides its runs. */
export interface ComparisonSummary {
  readonly settings: readonly SettingSummary[];
  /**
   * Spearman's correlation of each measure with the area, over the networks of a data set and backbone that have all.
   */
  readonly proxies: readonly {
    readonly data: string;
    readonly backbone: string;
    /** Runs that came to one and the same network count once. */
    readonly networks: number;
    readonly correlations: Readonly<Record<string, number>>;
  }[];
}

const each = (of: (measure: (run: RunFigures) => number) => Spread) =>
  Object.fromEntries(Object.entries(MEASURES).map(([name, measure]) => [name, of(measure)]));

/** The summary of runs, against the settings of one method. */
export function summaryOf(all: readonly RunFigures[], against: string): ComparisonSummary {
  const runs = withAlikeCorruptions(all, against);
  const settings = settingsOf(runs);
  const isAlike = (a: Setting, b: Setting) => a.data === b.data && a.backbone === b.backbone;
  return {
    settings: settings.map((setting) => {
      const { data, backbone, method, runs: own } = setting;
      const reference = settings.find((other) => isAlike(other, setting) && other.method === against);
      return {
        ...{ data, backbone, method },
        seeds: own.map(({ seed }) => seed),
        collapsedSeeds: own.flatMap(({ seed, collapsed }) => (collapsed.length > 0 ? [seed] : [])),
        measures: each((measure) => spreadOf(own.map(measure))),
        exits: transposed(own.map(({ exits }) => exits)).map((of) =>
          Object.fromEntries(EXIT_MEASURES.map((name) => [name, spreadOf(of.map((exit) => exit[name] ?? Number.NaN))])),
        ),
        times: timedRunsOf(setting),
        ...(reference &&
          reference !== setting && {
            differences: each((measure) => pairedDifference(setting, reference, measure)),
          }),
      };
    }),
    proxies: groupsOf(runs).map(({ data, backbone, runs: of }) => {
      const { networks, correlations } = proxyCorrelations(of);
      return { data, backbone, networks, correlations: Object.fromEntries(correlations) };
    }),
  };
}
