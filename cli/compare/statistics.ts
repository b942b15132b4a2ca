// Runs of one setting over its seeds: means, spreads, differences to a reference seed by seed, and which measure of the
// exits goes with the area.

import { spearman } from "../../calibration/index.ts";
import { lastAccuracyOf, type RunFigures } from "./figures.ts";

/** Runs that differ by their seed alone. */
export interface Setting {
  readonly data: string;
  readonly backbone: string;
  readonly method: string;
  readonly runs: readonly RunFigures[];
}

/** A mean over seeds. */
export interface Spread {
  readonly mean: number;
  /** Standard deviation of single runs; NaN for one. */
  readonly deviation: number;
  readonly n: number;
}

/** Of the values that are numbers. */
export function spreadOf(values: readonly number[]): Spread {
  const known = values.filter((value) => !Number.isNaN(value));
  const n = known.length;
  const mean = known.reduce((sum, value) => sum + value, 0) / n;
  const square = known.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: n > 1 ? Math.sqrt(square / (n - 1)) : Number.NaN, n };
}

/** Runs by setting, in the order in which settings come first. */
export function settingsOf(runs: readonly RunFigures[]): readonly Setting[] {
  const settings = new Map<string, Setting & { readonly runs: RunFigures[] }>();
  for (const run of runs) {
    const { data, backbone, method } = run;
    const key = JSON.stringify([data, backbone, method]);
    const setting = settings.get(key) ?? { data, backbone, method, runs: [] };
    setting.runs.push(run);
    settings.set(key, setting);
  }
  return [...settings.values()];
}

/** Runs of one data set and backbone: those that can be ranked against each other. */
export function groupsOf(runs: readonly RunFigures[]) {
  const groups = new Map<string, Pick<Setting, "data" | "backbone"> & { readonly runs: RunFigures[] }>();
  for (const run of runs) {
    const { data, backbone } = run;
    const key = JSON.stringify([data, backbone]);
    const group = groups.get(key) ?? { data, backbone, runs: [] };
    group.runs.push(run);
    groups.set(key, group);
  }
  return [...groups.values()];
}

/** A difference of two settings, over the seeds that both have. */
export function pairedDifference({ runs }: Setting, reference: Setting, of: (run: RunFigures) => number): Spread {
  const differences = runs.flatMap((run) => {
    const other = reference.runs.find(({ seed }) => seed === run.seed);
    return other ? [of(run) - of(other)] : [];
  });
  return spreadOf(differences);
}

const meanOf = (run: RunFigures, of: (exit: RunFigures["exits"][number]) => number | undefined): number =>
  spreadOf(run.exits.slice(0, -1).map((exit) => of(exit) ?? Number.NaN)).mean;

/**
 * Measures that might tell a good cascade without running it: means over the early exits, of runs. Probabilities are as
 * they were trained, as those of the curve: scaling by a temperature does not keep the order of samples.
 */
const PROXIES: Readonly<Record<string, (run: RunFigures) => number>> = {
  EEFP: (run) => meanOf(run, ({ trainedEefp }) => trainedEefp),
  AUROC: (run) => meanOf(run, ({ trainedAuroc }) => trainedAuroc),
  AURC: (run) => meanOf(run, ({ trainedAurc }) => trainedAurc),
  ECE: (run) => meanOf(run, ({ trainedEce }) => trainedEce),
  "accuracy of the early exits": (run) => meanOf(run, ({ accuracy }) => accuracy),
  "accuracy of the last exit": (run) => lastAccuracyOf(run),
};

/**
 * Without runs that another setting has trained to the very same network. It is known by what its exits say of every
 * test sample, in the measures that neither costs nor scaling have a part in.
 */
export function distinctNetworks<T extends Pick<RunFigures, "exits">>(runs: readonly T[]): readonly T[] {
  const keys = runs.map(({ exits }) =>
    JSON.stringify(exits.map((exit) => [exit.accuracy, exit.trainedEce, exit.trainedAuroc, exit.trainedAurc])),
  );
  return runs.filter((_, i) => keys.indexOf(keys[i]!) === i);
}

/** Spearman's correlation of each proxy with the area, over the networks that have all; NaN where one does not vary. */
export function proxyCorrelations(runs: readonly RunFigures[]) {
  const proxies = Object.entries(PROXIES);
  const networks = distinctNetworks(runs.filter((run) => proxies.every(([, of]) => !Number.isNaN(of(run)))));
  const areas = networks.map(({ area }) => area);
  const correlations = proxies.map(([name, of]) => [name, spearman(networks.map(of), areas)] as const);
  return { networks: networks.length, correlations: new Map(correlations) };
}
