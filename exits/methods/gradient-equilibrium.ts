// Gradient equilibrium (IMTA: Li et al., Improved Techniques for Training Adaptive Deep Networks, ICCV 2019): keeps the
// gradients that K exits send into shared blocks at one exit's size. Values do not change. Formula of the paper and the
// public code.

import { ArgumentError, checkTensors, readOptions, scaleGradient, type Tensor } from "../../engine/functions.ts";

/** The features of a block, twice, with gradients of their own. */
export interface Equilibrium {
  /** For the exit's own classifier: its gradient counts 1 / (K - exit). */
  readonly classifier: Tensor;
  /** For the next block: what comes back counts (K - exit - 1) / (K - exit). */
  readonly onward: Tensor;
}

/**
 * Splits the features in front of an exit so that the gradient at them becomes (g_classifier + (K - exit - 1) g_onward)
 * / (K - exit), for exit 0 to K - 1 of `exits` = K. Both share the features' memory. @throws ArgumentError for an exit
 * that is none.
 */
export function gradientEquilibrium(
  features: Tensor,
  options: { readonly exit: number; readonly exits: number },
): Equilibrium {
  const { exit, exits } = readOptions("gradientEquilibrium", options, { exit: "number!", exits: "number!" });
  checkTensors("gradientEquilibrium", { features });
  if (!Number.isInteger(exits) || !Number.isInteger(exit) || exit < 0 || exit >= exits) {
    throw new ArgumentError(`gradientEquilibrium: exit must be in 0..exits-1; got ${exit} of ${exits}.`);
  }
  const left = exits - exit;
  return { classifier: scaleGradient(features, 1 / left), onward: scaleGradient(features, (left - 1) / left) };
}
