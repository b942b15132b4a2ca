// What is measured of the networks of a claim, at the target risk and under certified thresholds, and how networks that
// differ in their seed alone read as one.

import type { Score } from "../../calibration/index.ts";
import { type Network, percent, type Study } from "./hypothesis.ts";
import { type AtRisk, atRisk, type Operation, overDraws, overSeeds, poolOf, type Range, rangeOf } from "./measures.ts";

/** What is measured of a network. */
export interface Measured {
  readonly network: Network;
  /** Where the target share of early leavers is wrong: of all images first, then of resamples. */
  readonly atRisk: readonly AtRisk[];
  /** Under certified thresholds, draw by draw. */
  readonly operations: readonly Operation[];
}

/** Measures networks, each once, leaving by `score`. */
export function measuring(study: Study, score?: Score): (network: Network) => Measured {
  const known = new Map<Network, Measured>();
  return (network) => {
    const before = known.get(network);
    if (before) return before;
    const pool = poolOf(network.logits, score);
    const measured = {
      network,
      atRisk: atRisk(pool, study.alpha, study.resamples),
      operations: overDraws(pool, study),
    };
    known.set(network, measured);
    return measured;
  };
}

/** One measure at the target risk, as `resampled` takes it. */
export const riskList = ({ atRisk: at }: Measured, key: keyof AtRisk): readonly number[] => at.map((one) => one[key]);

/** One measure at the target risk, over seeds. */
export const atEqualRisk = (seeds: readonly Measured[], key: keyof AtRisk): Range =>
  overSeeds(seeds.map((one) => riskList(one, key)));

/** One measure under certified thresholds, over draws and seeds. */
export const underCertified = (
  seeds: readonly Measured[],
  key: Exclude<keyof Operation, "exitRisks" | "aloneRisks">,
): Range => rangeOf(seeds.flatMap(({ operations }) => operations.map((one) => one[key])));

/** Accuracies of the exits, in percent, seed by seed. */
export const exitsText = (seeds: readonly Measured[]): string =>
  seeds.map(({ network }) => network.figures.exits.map(({ accuracy }) => percent(accuracy)).join(" / ")).join("; ");
