// SAFE-KD (Khazem and Talan, arXiv 2602.03043): every exit learns from the labels, from the last exit of an averaged teacher
// (decoupled distillation), and from the network's own last exit. Formula of the paper and the public code, which agree.

import type { Kinds } from "../../base/index.ts";
import { ArgumentError, add, mul, pad, readOptions, reshape, slice } from "../../engine/functions.ts";
import {
  checkFactors,
  checkNumbers,
  checkOneLabel,
  exitCrossEntropy,
  meanPerExit,
  type Objective,
  weighExits,
} from "../training/objective.ts";
import { dkd, kd } from "./distill.ts";

/** Options of `safeKd`; defaults as in the public code. */
export interface SafeKdOptions {
  /** Weights of the exits; default [0.3, 0.3, 0.4]. */
  readonly weights?: readonly number[];
  /** Weight of the teacher's term; default 1. */
  readonly alpha?: number;
  /** Weight of agreement with the own last exit; default 1. */
  readonly beta?: number;
  /** Default 4. */
  readonly temperature?: number;
  /** Decay of the teacher's averages; default 0.999. */
  readonly emaDecay?: number;
  /** Default 0. */
  readonly labelSmoothing?: number;
}

const SAFE_KD: Kinds<SafeKdOptions> = {
  weights: "any",
  alpha: "number",
  beta: "number",
  temperature: "number",
  emaDecay: "number",
  labelSmoothing: "number",
};

/** sum_j w_j mean(CE_j + alpha DKD(teacher, z_j; 1, 1, T) + beta [j < K] KL_T(sg z_K || z_j)). */
export function safeKd(options: SafeKdOptions = {}): Objective {
  const {
    weights = [0.3, 0.3, 0.4],
    alpha = 1,
    beta = 1,
    temperature = 4,
    emaDecay = 0.999,
    labelSmoothing = 0,
  } = readOptions("safeKd", options, SAFE_KD);
  checkNumbers("safeKd", { weights, alpha, beta, temperature, emaDecay, labelSmoothing });
  return {
    name: "safeKd",
    options: { weights, alpha, beta, temperature, emaDecay, labelSmoothing },
    teacherDecay: emaDecay,
    schedule: (exits) => {
      checkFactors("safeKd", "weights", weights, exits);
      return [...weights];
    },
    losses: (batch) => {
      const { logits, labels, schedule, teacher } = batch;
      checkOneLabel("safeKd", batch, "decoupled distillation");
      if (!teacher) throw new ArgumentError("safeKd: the teacher's logits must be given; got none.");
      const [n, exits, classes] = logits.shape as readonly [number, number, number];
      const taught = dkd(logits, reshape(teacher, [n, 1, classes]), labels, { temperature, alpha: 1, beta: 1 });
      let losses = add(exitCrossEntropy(batch, labelSmoothing), mul(taught, alpha));
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
      return { loss: weighExits(exitLosses, schedule), exitLosses };
    },
  };
}
