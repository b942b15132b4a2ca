// Jointly weighted cross-entropy: L = sum_j w_j mean_i CE(z_j, y), the weights fixed, rising with depth, or rising with time.

import { type Given, option } from "../../base/index.ts";
import { ArgumentError } from "../../engine/functions.ts";
import { complete, renamed } from "../options.ts";
import { exitCrossEntropy, labelSmoothing, meanPerExit, type Objective, weighExits } from "../training/objective.ts";
import { type ExitWeights, exitWeightsAt, exitWeightsOption } from "./exit-weights.ts";
import { defineMethod, type Method } from "./method.ts";

const OPTIONS = {
  exitWeights: exitWeightsOption(1),
  normalise: option.toggle(false, "divide the exit weights by their sum"),
  labelSmoothing: labelSmoothing(0),
} as const;

/** Options of `jointCrossEntropy`. */
export interface JointOptions extends Given<typeof OPTIONS> {
  /** @deprecated Now `exitWeights`. */
  readonly weights?: ExitWeights;
}

/** The usual baseline: every exit learns from every sample. Throws ArgumentError for options that do not fit. */
export function jointCrossEntropy(given: JointOptions = {}): Objective {
  const name = "jointCrossEntropy";
  const options = complete(name, OPTIONS, renamed<Given<typeof OPTIONS>>(given, { weights: "exitWeights" }));
  return {
    name,
    options,
    exitWeights: (exits, at) => {
      const weights = exitWeightsAt(name, options.exitWeights, exits, at);
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      if (!(total > 0))
        throw new ArgumentError(`${name}: some exit weight must be above 0; got [${weights.join(", ")}].`);
      return options.normalise ? weights.map((weight) => weight / total) : weights;
    },
    losses: (batch) => {
      const exitLosses = meanPerExit(exitCrossEntropy(batch, options.labelSmoothing));
      return { loss: weighExits(exitLosses, batch.exitWeights), exitLosses };
    },
  };
}

/** All exits together, without gates and without a teacher. */
export const joint: Method<typeof OPTIONS> = defineMethod({
  name: "joint",
  about: "the weighted sum of all exits' cross-entropies; the usual baseline",
  options: OPTIONS,
  objective: jointCrossEntropy,
});
