// SAFE-KD (Khazem and Talan, arXiv 2602.03043): every exit learns from the labels, from the last exit of an averaged teacher
// (decoupled distillation), and from the network's own last exit. Formula of the paper and the public code, which agree.

import { type Given, option } from "../../base/index.ts";
import { ArgumentError, add, mul, pad, reshape, slice } from "../../engine/functions.ts";
import { complete, renamed } from "../options.ts";
import {
  checkOneLabel,
  exitCrossEntropy,
  labelSmoothing,
  meanPerExit,
  type Objective,
  weighExits,
} from "../training/objective.ts";
import { dkd, kd } from "./distill.ts";
import { type ExitWeights, exitWeightsAt, exitWeightsOption } from "./exit-weights.ts";
import { defineMethod, type Method } from "./method.ts";

const OPTIONS = {
  exitWeights: exitWeightsOption([0.3, 0.3, 0.4], "the public code, for three exits"),
  alpha: option.number(1, "weight of the teacher's term", { min: 0 }),
  beta: option.number(1, "weight of agreement with the own last exit", { min: 0 }),
  temperature: option.number(4, "temperature of the softened answers", { above: 0 }),
  emaDecay: option.number(0.999, "decay of the teacher's averages", { min: 0, below: 1 }),
  labelSmoothing: labelSmoothing(0),
} as const;

/** Options of `safeKd`; defaults as in the public code. */
export interface SafeKdOptions extends Given<typeof OPTIONS> {
  /** @deprecated Now `exitWeights`. */
  readonly weights?: ExitWeights;
}

/**
 * sum_j w_j mean(CE_j + alpha DKD(teacher, z_j; 1, 1, T) + beta [j < K] KL_T(sg z_K || z_j)). Throws ArgumentError for options that
 * do not fit.
 */
export function safeKd(given: SafeKdOptions = {}): Objective {
  const name = "safeKd";
  const options = complete(name, OPTIONS, renamed<Given<typeof OPTIONS>>(given, { weights: "exitWeights" }));
  const { alpha, beta, temperature, emaDecay } = options;
  return {
    name,
    options,
    teacherDecay: emaDecay,
    exitWeights: (exits, at) => exitWeightsAt(name, options.exitWeights, exits, at),
    losses: (batch) => {
      const { logits, labels, exitWeights, teacher } = batch;
      checkOneLabel(name, batch, "decoupled distillation");
      if (!teacher) throw new ArgumentError("safeKd: the teacher's logits must be given; got none.");
      const [n, exits, classes] = logits.shape as readonly [number, number, number];
      const taught = dkd(logits, reshape(teacher, [n, 1, classes]), labels, { temperature, alpha: 1, beta: 1 });
      let losses = add(exitCrossEntropy(batch, options.labelSmoothing), mul(taught, alpha));
      if (exits > 1) {
        const early = slice(logits, { starts: [0, 0, 0], ends: [n, exits - 1, classes] });
        const last = slice(logits, { starts: [0, exits - 1, 0], ends: [n, exits, classes] });
        const agreement = pad(kd(early, last, { temperature }), [
          [0, 0],
          [0, 1],
        ]);
        losses = add(losses, mul(agreement, beta));
      }
      const exitLosses = meanPerExit(losses);
      return { loss: weighExits(exitLosses, exitWeights), exitLosses };
    },
  };
}

/** Distillation from an average of the network, and from its own last exit. */
export const safeKdMethod: Method<typeof OPTIONS> = defineMethod({
  name: "safe-kd",
  about: "every exit learns from the labels, from an averaged teacher, and from the network's own last exit",
  paper: { title: "SAFE-KD", venue: "2026", arxiv: "2602.03043" },
  options: OPTIONS,
  objective: safeKd,
});
