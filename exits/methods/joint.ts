// Jointly weighted cross-entropy: L = sum_j w_j mean_i CE(z_j, y), the weights fixed, rising with depth, or rising with time.

import type { Kinds } from "../../base/index.ts";
import { ArgumentError, readOptions } from "../../engine/functions.ts";
import {
  checkEpoch,
  checkFactors,
  checkNumbers,
  type Epoch,
  exitCrossEntropy,
  meanPerExit,
  type Objective,
  weighExits,
} from "../training/objective.ts";

/** Weights that rise evenly from the first exit to the last. */
export interface LinearWeights {
  readonly first: number;
  readonly last: number;
}

/** Shallow-Deep Networks (Kaya et al., ICML 2019): early exits grow from 0.01 to these over the epochs; the last has 1. */
export interface SdnWeights {
  /** One for each exit but the last. */
  readonly sdn: readonly number[];
}

/** Options of `jointCrossEntropy`. */
export interface JointOptions {
  /** One number for all exits, one for each, or a rule; default 1. */
  readonly weights?: number | readonly number[] | LinearWeights | SdnWeights;
  /** Divide the weights by their sum; default false. */
  readonly normalise?: boolean;
  /** Default 0. */
  readonly labelSmoothing?: number;
}

const JOINT: Kinds<JointOptions> = { weights: "any", normalise: "boolean", labelSmoothing: "number" };

function weightsOf(weights: NonNullable<JointOptions["weights"]>, exits: number, at: Epoch): number[] {
  const op = "jointCrossEntropy";
  if (typeof weights === "number") return new Array<number>(exits).fill(weights);
  if ("sdn" in weights) {
    checkFactors(op, "sdn and 1 for the last exit", [...weights.sdn, 1], exits);
    return [...weights.sdn.map((most) => Math.min(most, 0.01 + (at.epoch * most) / at.epochs)), 1];
  }
  if ("first" in weights) {
    const { first, last } = weights;
    return Array.from({ length: exits }, (_, j) => (exits === 1 ? last : first + ((last - first) * j) / (exits - 1)));
  }
  checkFactors(op, "weights", weights, exits);
  return [...weights];
}

/** The usual baseline: every exit learns from every sample. See `JointOptions`. */
export function jointCrossEntropy(options: JointOptions = {}): Objective {
  const name = "jointCrossEntropy";
  const { weights = 1, normalise = false, labelSmoothing = 0 } = readOptions(name, options, JOINT);
  const listed =
    typeof weights === "object" && !Array.isArray(weights) ? (weights as LinearWeights | SdnWeights) : { weights };
  if ("sdn" in listed) readOptions<SdnWeights>(`${name}: weights`, listed, { sdn: "any!" });
  if (typeof weights === "object" && !Array.isArray(weights) && !("sdn" in listed))
    readOptions<LinearWeights>(`${name}: weights`, weights as LinearWeights, { first: "number!", last: "number!" });
  checkNumbers(name, { ...(listed as Record<string, number | readonly number[]>), labelSmoothing });
  return {
    name,
    options: { weights, normalise, labelSmoothing },
    schedule: (exits, at) => {
      checkEpoch(name, at);
      const factors = weightsOf(weights, exits, at);
      const total = factors.reduce((sum, factor) => sum + factor, 0);
      if (!(total > 0)) throw new ArgumentError(`${name}: some weight must be above 0; got [${factors.join(", ")}].`);
      return normalise ? factors.map((factor) => factor / total) : factors;
    },
    losses: (batch) => {
      const exitLosses = meanPerExit(exitCrossEntropy(batch, labelSmoothing));
      return { loss: weighExits(exitLosses, batch.schedule), exitLosses };
    },
  };
}
