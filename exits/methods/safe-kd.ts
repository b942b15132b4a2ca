// SAFE-KD (Khazem and Talan, arXiv 2602.03043): every exit learns from the labels, from the last exit of an averaged teacher
// (decoupled distillation), and from the network's own last exit. Formula of the paper and the public code, which agree.

import { option } from "../../base/index.ts";
import { add, mul, pad } from "../../engine/functions.ts";
import { dkd, kd } from "./distill.ts";
import { exitWeightsAt, exitWeightsOption } from "./exit-weights.ts";
import {
  checkOneLabel,
  earlyOf,
  exitCrossEntropy,
  exitMeans,
  labelSmoothing,
  lastOf,
  taught,
  weighExits,
} from "./losses.ts";
import { defineMethod, type Method } from "./method.ts";
import { once } from "./parts.ts";

const OPTIONS = {
  exitWeights: exitWeightsOption([0.3, 0.3, 0.4], "the public code, for three exits"),
  alpha: option.number(1, "weight of the teacher's term", { min: 0 }),
  beta: option.number(1, "weight of agreement with the own last exit", { min: 0 }),
  temperature: option.number(4, "temperature of the softened answers", { above: 0 }),
  emaDecay: option.number(0.999, "decay of the teacher's averages", { min: 0, below: 1 }),
  labelSmoothing: labelSmoothing(0),
} as const;

/** sum_j w_j mean(CE_j + alpha DKD(teacher, z_j; 1, 1, T) + beta [j < K] KL_T(sg z_K || z_j)). */
export const safeKd: Method<typeof OPTIONS> = defineMethod({
  name: "safe-kd",
  about: "every exit learns from the labels, from an averaged teacher, and from the network's own last exit",
  paper: { title: "SAFE-KD", venue: "2026", arxiv: "2602.03043", code: "salimkhazem/safe-kd" },
  options: OPTIONS,
  fewest: 1,
  teacher: ({ emaDecay }) => ({ kind: "average", decay: emaDecay }),
  phases: ({ exitWeights, alpha, beta, temperature, labelSmoothing: smoothing }) =>
    once({
      exitWeights: (exits, at) => exitWeightsAt("safe-kd", exitWeights, exits, at),
      loss: (seen) => {
        const { logits, labels } = seen;
        checkOneLabel("safe-kd", seen, "decoupled distillation");
        const teacher = lastOf(taught("safe-kd", seen));
        const decoupled = dkd(logits, teacher, labels, { temperature, alpha: 1, beta: 1 });
        let losses = add(exitCrossEntropy(seen, smoothing), mul(decoupled, alpha));
        if (logits.shape[1] !== 1) {
          const agreement = pad(kd(earlyOf(logits), lastOf(logits), { temperature }), [
            [0, 0],
            [0, 1],
          ]);
          losses = add(losses, mul(agreement, beta));
        }
        return weighExits(exitMeans(losses), seen.exitWeights);
      },
    }),
});
