// EENet (Ilhan et al., WACV 2024): exits weighed by depth that agree with the last one late in training; then a
// scheduler that scores their answers on the network as it is. Loss as in the public code, where agreement moves the
// last exit too; here it teaches without a gradient. The paper's scheduler also learns whom to assign where; here a
// budget's thresholds do.

import { option } from "../../base/index.ts";
import { add, argmax, binaryCrossEntropyWithLogits, cast, eq, mul, reshape, sum } from "../../engine/functions.ts";
import { gated } from "../network/heads/gated.ts";
import { saidOf } from "../network/heads/head.ts";
import { kd } from "./distill.ts";
import {
  byOneLabel,
  earlyExits,
  exitCrossEntropy,
  exitMeans,
  labelSmoothing,
  lastExit,
  ramped,
  weighExits,
} from "./losses.ts";
import { defineMethod, type Method, type Phase, type Seen } from "./method.ts";
import { adam, only } from "./parts.ts";

const OPTIONS = {
  alpha: option.number(0.01, "weight of agreement with the last exit", {
    min: 0,
    basis: "the public code; that the last exit has no gradient of it is ours",
  }),
  temperature: option.number(3, "temperature of the softened answers", { above: 0, basis: "the public code" }),
  after: option.number(0.75, "share of the epochs after which exits must agree", {
    min: 0,
    max: 1,
    basis: "the public code",
  }),
  scheduler: option.number(0.2, "length of the scheduler's training, in runs; 0: none", { min: 0, basis: "ours" }),
  schedulerLr: option.number(0.01, "learning rate of the scheduler, by Adam", { above: 0, basis: "ours" }),
  labelSmoothing: labelSmoothing(0),
} as const;

/** mean BCE of gates against whether early exits are right. */
const scores = byOneLabel("eenet", "a score", ({ logits, labels, out }) => {
  const right = eq(argmax(earlyExits(logits), { dim: -1 }), reshape(labels, [labels.size, 1]));
  return binaryCrossEntropyWithLogits(saidOf(out, "confidence"), cast(right, "f32"));
});

/**
 * sum_j j / (K (K + 1)) mean CE_j + alpha [late] sum_{j<K} mean KL_T(sg z_K || z_j) / C; then gates by whether exits
 * are right.
 */
export const eenet: Method<typeof OPTIONS> = defineMethod({
  name: "eenet",
  about:
    "exits weighed by depth that agree with the last one at the end; then scores of their answers, which decide by a budget",
  paper: {
    title: "Adaptive Deep Neural Network Inference Optimization with EENet",
    venue: "WACV 2024",
    arxiv: "2301.07099",
    code: "git-disl/EENet",
  },
  options: OPTIONS,
  refuses: ({ scheduler, schedulerLr }) =>
    scheduler === 0 && schedulerLr !== OPTIONS.schedulerLr.default
      ? "schedulerLr goes with a scheduler above 0; got scheduler 0"
      : undefined,
  wraps: ({ scheduler }) => (scheduler > 0 ? [gated()] : []),
  phases({ alpha, temperature, after, scheduler, schedulerLr, labelSmoothing: smoothing }, { classes }) {
    const isGate = only("gate");
    const loss = (seen: Seen) => {
      const { logits } = seen;
      const hard = weighExits(exitMeans(exitCrossEntropy(seen, smoothing)), seen.exitWeights);
      const soft = sum(exitMeans(kd(earlyExits(logits), lastExit(logits), { temperature })));
      // The public code takes the mean over classes too.
      return add(hard, ramped(mul(soft, alpha / classes), seen));
    };
    const network: Phase = {
      name: "network",
      tracks: [
        {
          ...(scheduler > 0 && { trains: (name: string) => !isGate(name) }),
          loss,
          exitWeights: (exits) => Array.from({ length: exits }, (_, j) => (j + 1) / (exits * (exits + 1))),
          // The public code counts epochs from 0.
          ramp: ({ epoch, epochs }) => Number(epoch - 1 > after * epochs),
        },
      ],
    };
    const gates: Phase = {
      name: "scheduler",
      share: scheduler,
      recipe: adam(schedulerLr),
      tracks: [{ trains: isGate, loss: scores, control: scores }],
    };
    return scheduler > 0 ? [network, gates] : [network];
  },
  policy: ({ scheduler }) => ({ score: scheduler > 0 ? "confidence" : "maxProb", rule: "budget" }),
});
