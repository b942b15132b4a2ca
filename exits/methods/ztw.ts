// Zero Time Waste (Wolczyk et al., NeurIPS 2021): heads on a frozen backbone see what the head before said, and exits
// answer by a geometric ensemble of the heads so far. Formulas of the paper and the public code, which agree.

import { type Kinds, option } from "../../base/index.ts";
import {
  add,
  concat,
  exp,
  layerNorm,
  linear,
  logSoftmax,
  matmul,
  readOptions,
  sum,
  type Tensor,
} from "../../engine/functions.ts";
import { cascaded } from "../network/heads/cascaded.ts";
import { ensembled } from "../network/heads/ensembled.ts";
import { saidOf } from "../network/heads/head.ts";
import { exitCrossEntropy, exitMeans, labelSmoothing } from "./losses.ts";
import { defineMethod, type Method, type Phase } from "./method.ts";
import { adam, branchCrossEntropy, branches, only, plainBackbone, without } from "./parts.ts";
import { checkOperands, matrix } from "./stacked.ts";

/** Parameters of a cascaded head for features of D channels. */
export interface ZtwHeadParameters {
  /** f32[C] */
  readonly normWeight: Tensor;
  /** f32[C] */
  readonly normBias: Tensor;
  /** f32[D+C, C]: rows of the features first. */
  readonly weight: Tensor;
  /** f32[C] */
  readonly bias: Tensor;
}

const PARAMETERS: Kinds<ZtwHeadParameters> = {
  normWeight: "any!",
  normBias: "any!",
  weight: "any!",
  bias: "any!",
};

/**
 * Logits of a cascaded head, [features, LayerNorm(previous)] @ weight + bias: pooled features f32[N, D] and the head
 * before's logits f32[N, C], which get no gradient, to f32[N, C]. The first head is a plain one. `eps` is the norm's,
 * default 1e-5.
 * @throws ShapeError or DTypeError for operands that do not fit.
 */
export function ztwHead(
  features: Tensor,
  previous: Tensor,
  parameters: ZtwHeadParameters,
  options: { readonly eps?: number } = {},
): Tensor {
  const { eps = 1e-5 } = readOptions("ztwHead", options, { eps: "number" });
  const { normWeight, normBias, weight, bias } = readOptions("ztwHead", parameters, PARAMETERS);
  checkOperands("ztwHead", {
    features: [features, "N D"],
    previous: [previous, "N C"],
    normWeight: [normWeight, "C"],
    normBias: [normBias, "C"],
    weight: [weight, "D+C C"],
    bias: [bias, "C"],
  });
  const said = layerNorm(previous.detach(), normWeight, normBias, { eps });
  return linear(concat([features, said], { dim: 1 }), weight, bias);
}

/** Stands for log 0: its exponential is exactly 0, and so is its gradient. */
const NEVER = -1e30;

/**
 * Logits of the ensembles: softmax(b_j + (1/j) sum_{i<=j} exp(w[j, i]) log p_i) are the probabilities by which exit j
 * answers. Heads' logits f32[N, K, C], weights f32[K, K] (what lies above the diagonal is not used) and biases f32[K,
 * C] to f32[N, K, C]. The paper trains w ~ N(0, 0.01) and b = 0 by the mean cross-entropy of all exits when the heads,
 * `logits.detach()`, are done; a backbone's own head stays out. @throws ShapeError or DTypeError for operands that do
 * not fit.
 */
export function ztwEnsemble(logits: Tensor, weights: Tensor, biases: Tensor): Tensor {
  const operands = { logits: [logits, "N K C"], weights: [weights, "K K"], biases: [biases, "K C"] } as const;
  const { K: exits } = checkOperands("ztwEnsemble", operands, { K: 1, C: 1 });
  const share = matrix([exits, exits], logits, (j, i) => (i <= j ? -Math.log(j + 1) : NEVER));
  return add(matmul(exp(add(weights, share)), logSoftmax(logits)), biases);
}

const OPTIONS = {
  lr: option.number(0.01, "learning rate of heads and ensembles, by Adam", { above: 0, basis: "reconstructed" }),
  labelSmoothing: labelSmoothing(0),
} as const;

/**
 * The backbone; heads that each see what the one before said; then the weights of their ensembles. The last exit is the
 * backbone's own.
 */
export const ztw: Method<typeof OPTIONS> = defineMethod({
  name: "ztw",
  about: "heads on a frozen backbone see what the head before said, and answer by an ensemble of the heads so far",
  paper: {
    title: "Zero Time Waste: Recycling Predictions in Early Exit Neural Networks",
    venue: "NeurIPS 2021",
    code: "gmum/Zero-Time-Waste",
  },
  options: OPTIONS,
  isPlain: true,
  wraps: () => [cascaded(), ensembled()],
  phases: ({ lr, labelSmoothing: smoothing }, site) => {
    const recipe = adam(lr, { kind: "cosine", warmup: 0 });
    const heads: Phase = {
      name: "heads",
      recipe,
      tracks: [
        {
          trains: without(branches(site), only("ensemble")),
          loss: ({ out, labels, mixed }) =>
            sum(exitMeans(exitCrossEntropy({ logits: saidOf(out, "own"), labels, mixed }, smoothing))),
        },
      ],
    };
    const ensembles: Phase = {
      name: "ensembles",
      recipe,
      tracks: [{ trains: only("ensemble"), loss: branchCrossEntropy(smoothing) }],
    };
    return [plainBackbone(site, smoothing), heads, ensembles];
  },
});
