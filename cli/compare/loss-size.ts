// How large the loss of a run is: the sum of its exit weights. It moves results as much as most methods do, so every
// comparison shows it.

import { lastOf } from "../../base/index.ts";
import type { Track } from "../../exits/index.ts";
import type { RunRecord } from "../files/run-folder.ts";
import type { Config } from "../settings/config.ts";
import { makePlan } from "../settings/model.ts";

/** Sums of the exit weights in the first and the last epoch of the last phase that weighs exits. */
export type LossSize = readonly [first: number, last: number];

/**
 * Whether stages and branches, each asked for by a name of that kind, learn from one loss, in which each exit counts.
 */
const isWhole = ({ trains }: Track): boolean => !trains || (trains("backbone.stem.weight") && trains("heads.0.weight"));

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
    placeOf: (name) => ({ exit: name.startsWith("heads.") ? 0 : exits.length - 1, isHead: name.startsWith("heads.") }),
  });
  const tracks = phases.flatMap((phase) => phase.tracks);
  // Behind the network gates or last layers may be trained, without exit weights.
  const track = lastOf(phases).tracks.find(({ exitWeights }) => exitWeights) ?? tracks.findLast(isWhole);
  if (!track) return undefined;
  // Weights of samples, or of exits, that are divided by their sum; those of a control are as well.
  if (config.method["normalise"] === true) return [1, 1];
  const sumAt = (epoch: number) =>
    track.exitWeights?.(exits.length, { epoch, epochs }).reduce((sum, weight) => sum + weight, 0) ?? exits.length;
  return [sumAt(1), sumAt(epochs)];
}
