// Confidence gates whose thresholds are certified (this project's): a sample counts as handled by an exit at whose
// confidence the validation samples promise a small error, which is what lets it leave there later. CGT itself guesses
// one threshold for all exits.

import { option } from "../../base/index.ts";
import { learnThenTest, type Table } from "../../calibration/index.ts";
import {
  argmax,
  cast,
  eq,
  exp,
  ge,
  logSoftmax,
  max,
  mul,
  noGrad,
  reshape,
  sum,
  type Tensor,
} from "../../engine/functions.ts";
import { noneHandled, weighSamples } from "./eligibility.ts";
import { exitWeightsAt } from "./exit-weights.ts";
import { byOneLabel, earlyExits, exitCrossEntropy, exitMeans } from "./losses.ts";
import { defineMethod, type Method, type Phase, type Seen } from "./method.ts";
import { GATED_WEIGHTS } from "./parts.ts";

const OPTIONS = {
  rounds: option.whole(3, "parts of the run; before each but the first, thresholds are certified anew", {
    min: 2,
    basis: "ours",
  }),
  alpha: option.number(0.1, "error rate that thresholds must keep on validation", {
    above: 0,
    below: 1,
    basis: "ours",
  }),
  delta: option.number(0.1, "chance that they do not", { above: 0, below: 1, basis: "ours" }),
  right: option.toggle(true, "count a sample as handled only if the exit is right, as hard gates do", {
    basis: "ours",
  }),
  ...GATED_WEIGHTS,
} as const;

/** A confidence that no sample has. */
const NEVER = 2;

/**
 * Certified thresholds [K - 1] of early exits on the largest probability; those of exits that certify nothing are out
 * of reach.
 */
function certified(table: Table, levels: { readonly alpha: number; readonly delta: number }) {
  const found = learnThenTest(table, levels);
  const none = new Float32Array(table.exits - 1).fill(NEVER);
  const data = found.ok ? Float32Array.from(found.thresholds, (threshold) => Math.min(threshold, NEVER)) : none;
  return { tau: { data, shape: [data.length] } };
}

/** [N, K - 1]: 1 where an early exit is surer than its threshold, and right if it must be; no gradient. */
function handledBy({ logits, labels }: Pick<Seen, "logits" | "labels">, tau: Tensor, mustBeRight: boolean): Tensor {
  return noGrad(() => {
    const early = earlyExits(logits);
    const sure = cast(ge(exp(max(logSoftmax(early), { dim: -1 })), tau), "f32");
    if (!mustBeRight) return sure;
    return mul(sure, cast(eq(argmax(early, { dim: -1 }), reshape(labels, [labels.size, 1])), "f32"));
  });
}

/**
 * sum_j mean(W_j CE_j) in rounds, W from gates h_j = [confidence_j >= tau_j] and right, tau certified on validation
 * before each round.
 */
export const certifiedCgt: Method<typeof OPTIONS> = defineMethod({
  name: "certified-cgt",
  about:
    "hard gates whose thresholds are certified on validation before each part of the run, as those that decide later are",
  options: OPTIONS,
  phases({ rounds, alpha, delta, right, exitWeights, leak, normalise, labelSmoothing: smoothing }) {
    const under = (seen: Seen, handled: Tensor): Tensor => {
      const weights = weighSamples(handled, seen.exitWeights, { leak, normalise });
      return sum(exitMeans(mul(exitCrossEntropy(seen, smoothing), weights)));
    };
    const open = (seen: Seen) => under(seen, noneHandled(seen));
    const gated = (seen: Seen) => {
      const tau = seen.numbers["tau"];
      return tau ? under(seen, handledBy(seen, tau, right)) : open(seen);
    };
    const round = (_: unknown, i: number): Phase => ({
      name: `round ${i + 1}`,
      share: 1 / rounds,
      goesOn: i > 0,
      ...(i > 0 && { prepare: async (soFar) => certified(await soFar.logits("validation"), { alpha, delta }) }),
      tracks: [
        {
          loss: right ? byOneLabel("certified-cgt", "a hard gate", gated) : gated,
          control: open,
          exitWeights: (exits, at) => exitWeightsAt("certified-cgt", exitWeights, exits, at),
        },
      ],
    });
    return Array.from({ length: rounds }, round) as unknown as readonly [Phase, ...Phase[]];
  },
});
