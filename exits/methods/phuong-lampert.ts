// Distillation-based training (Phuong and Lampert, ICCV 2019): early exits learn from the labels and from the last
// exit, at a temperature that rises while the last exit's softened answers are too sure. Loss and annealing of the
// public code.

import { option } from "../../base/index.ts";
import {
  add,
  copy,
  copyInto,
  div,
  exp,
  gt,
  logSoftmax,
  max,
  mean,
  mul,
  noGrad,
  pad,
  square,
  type Tensor,
  where,
} from "../../engine/functions.ts";
import { kd } from "./distill.ts";
import { exitWeightsAt, exitWeightsOption } from "./exit-weights.ts";
import { earlyExits, exitCrossEntropy, exitMeans, labelSmoothing, lastExit, weighExits } from "./losses.ts";
import { defineMethod, type Method } from "./method.ts";

const OPTIONS = {
  exitWeights: exitWeightsOption(1),
  c: option.number(0.5, "share of the last exit's answers against the labels'", {
    min: 0,
    max: 1,
    basis: "the public code",
  }),
  scale: option.number(10, "what the mean over exits is multiplied by", { above: 0, basis: "the public code" }),
  temperature: option.number(1, "temperature at the start", { above: 0, basis: "the public code" }),
  growth: option.number(1.05, "factor by which the temperature rises in a step; 1: it stays", {
    min: 1,
    basis: "the public code",
  }),
  sureness: option.number(0.5, "mean largest probability of the softened last exit from which the temperature rises", {
    min: 0,
    max: 1,
    basis: "the public code",
  }),
  labelSmoothing: labelSmoothing(0),
} as const;

/**
 * Makes a temperature f32 [] rise by a factor if the softened answers [..., C] are surer than `sureness` on average.
 */
function anneal(temperature: Tensor, logits: Tensor, { growth, sureness }: { growth: number; sureness: number }): void {
  noGrad(() => {
    const now = copy(temperature);
    const sure = mean(exp(max(logSoftmax(div(logits.detach(), now)), { dim: -1 })));
    copyInto(temperature, where(gt(sure, sureness), mul(now, growth), now));
  });
}

/** sum_j scale / K w_j mean((1 - c) CE_j + c [j < K] T^2 KL(sg z_K / T || z_j / T)), T as it is before the step. */
export const phuongLampert: Method<typeof OPTIONS> = defineMethod({
  name: "phuong-lampert",
  about:
    "early exits learn from the labels and from the last exit, at a temperature that rises while that one is too sure",
  paper: {
    title: "Distillation-Based Training for Multi-Exit Architectures",
    venue: "ICCV 2019",
    code: "mary-phuong/multiexit-distillation",
  },
  options: OPTIONS,
  phases: ({ exitWeights, c, scale, temperature: start, labelSmoothing: smoothing, ...rising }) => [
    {
      name: "training",
      prepare: async () => ({ temperature: { data: Float32Array.of(start), shape: [] } }),
      tracks: [
        {
          // The scale is in the weights, so that a control has it too.
          exitWeights: (exits, at) =>
            exitWeightsAt("phuong-lampert", exitWeights, exits, at).map((weight) => (weight * scale) / exits),
          loss: (seen) => {
            const { logits, numbers } = seen;
            const kept = numbers["temperature"]!;
            const t = copy(kept);
            const [early, last] = [div(earlyExits(logits), t), div(lastExit(logits), t)];
            const soft = pad(mul(kd(early, last, { temperature: 1 }), square(t)), [
              [0, 0],
              [0, 1],
            ]);
            anneal(kept, lastExit(logits), rising);
            const losses = add(mul(exitCrossEntropy(seen, smoothing), 1 - c), mul(soft, c));
            return weighExits(exitMeans(losses), seen.exitWeights);
          },
        },
      ],
    },
  ],
});
