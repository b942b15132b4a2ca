// How large the loss of a run is: the sum of its exit weights. It moves results as much as most methods do, so every
// comparison shows it.

import { lastOf } from "../../base/index.ts";
import type { RunRecord } from "../files/run-folder.ts";
import type { Config } from "../settings/config.ts";
import { makePlan } from "../settings/model.ts";

/** Sums of the exit weights in the first and the last epoch of the last phase. */
export type LossSize = readonly [first: number, last: number];

/** The size of a run's loss; none for losses that are not weighed by exit. */
export function lossSize(
  config: Config,
  { exits, classes }: Pick<RunRecord, "exits" | "classes">,
): LossSize | undefined {
  const { epochs } = config.train;
  const full = lastOf(exits).macs;
  const phases = makePlan(config).phases({
    exits: exits.length,
    classes: classes.length,
    costs: exits.map(({ macs }) => macs / full),
    // Which parameters are trained is not asked here.
    placeOf: () => ({ exit: 0, isHead: false }),
  });
  const weights = lastOf(phases).tracks.find((track) => track.exitWeights)?.exitWeights;
  if (!weights) return undefined;
  // Weights of samples, or of exits, that are divided by their sum; those of a control are as well.
  if (config.method["normalise"] === true) return [1, 1];
  const sumAt = (epoch: number) => weights(exits.length, { epoch, epochs }).reduce((sum, weight) => sum + weight, 0);
  return [sumAt(1), sumAt(epochs)];
}
