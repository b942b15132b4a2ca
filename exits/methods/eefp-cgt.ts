// Confidence gates on the targets of early-exit failure prediction (this project's): an exit should keep a sample that
// it gets right, and one that no later exit gets right either. What it should keep, later exits need not learn.

import { option } from "../../base/index.ts";
import { mul, sum, type Tensor } from "../../engine/functions.ts";
import { noneHandled, weighSamples } from "./eligibility.ts";
import { exitTargets } from "./exit-targets.ts";
import { exitWeightsAt } from "./exit-weights.ts";
import { byOneLabel, exitCrossEntropy, exitMeans, ramped } from "./losses.ts";
import { defineMethod, type Method, type Seen } from "./method.ts";
import { GATED_WEIGHTS, once } from "./parts.ts";

const OPTIONS = {
  soft: option.toggle(true, "gates between open and closed, by the probability of the label; else 0 or 1", {
    basis: "ours",
  }),
  futile: option.toggle(true, "count a sample as handled where no later exit is right either, as the targets have it"),
  warmup: option.number(
    0.5,
    "share of the epochs over which gates close: while nobody has learned anything, every sample is hopeless",
    { above: 0, max: 1, basis: "ours" },
  ),
  ...GATED_WEIGHTS,
} as const;

/** sum_j mean(W_j CE_j), W from gates h_j = g_j, the targets of failure prediction. */
export const eefpCgt: Method<typeof OPTIONS> = defineMethod({
  name: "eefp-cgt",
  about: "gates on the targets of failure prediction: later exits learn what an earlier one should not keep",
  paper: {
    title: "Rethinking Calibration for Early-Exit Neural Networks",
    venue: "ICML 2026; in gates: ours",
    arxiv: "2508.21495",
    code: "gmum/rethinking-calibration-for-eenns",
  },
  options: OPTIONS,
  phases({ soft, futile, warmup, exitWeights, leak, normalise, labelSmoothing: smoothing }) {
    const under = (seen: Seen, handled: Tensor): Tensor => {
      const weights = weighSamples(handled, seen.exitWeights, { leak, normalise });
      return sum(exitMeans(mul(exitCrossEntropy(seen, smoothing), weights)));
    };
    return once({
      loss: byOneLabel("eefp-cgt", "a target", (seen) =>
        under(seen, ramped(exitTargets(seen.logits, seen.labels, { soft, futile }), seen)),
      ),
      control: (seen) => under(seen, noneHandled(seen)),
      ramp: ({ epoch, epochs }) => (epochs === 1 ? 1 : Math.min((epoch - 1) / (warmup * epochs), 1)),
      exitWeights: (exits, at) => exitWeightsAt("eefp-cgt", exitWeights, exits, at),
    });
  },
});
