// PTEEnet (Lahiany and Aperstein, IEEE Access 2022): branches on a frozen backbone learn what to answer and how far to
// trust it, from a mixture of all answers and its expected cost. Formula of the public code; here in logarithms, which
// do not vanish.

import { exactly, type Kinds, option } from "../../base/index.ts";
import {
  add,
  argmax,
  concat,
  crossEntropy,
  exp,
  logSoftmax,
  logsumexp,
  matmul,
  mean,
  mul,
  neg,
  noGrad,
  pad,
  readOptions,
  reshape,
  slice,
  softplus,
  sub,
  sum,
  type Tensor,
  tensor,
} from "../../engine/functions.ts";
import { confident } from "../network/heads/confident.ts";
import { saidOf } from "../network/heads/head.ts";
import { byOneLabel, checkNumbers, checkPerExit, lastExit } from "./losses.ts";
import { defineMethod, type Method, type Phase, type Seen } from "./method.ts";
import { adam, branchCrossEntropy, branches, only, plainBackbone, without } from "./parts.ts";
import { beforeEach, checkOperands } from "./stacked.ts";

/** Options of `pteeLoss`. */
export interface PteeOptions {
  /** `[K]`: cost of an answer at each exit, rising to 1 at the last. */
  readonly costs: readonly number[];
  /** Weight of the cost; default 1. */
  readonly lambda?: number;
  /** Whether the last exit, the backbone's own, gets no gradient; default true. */
  readonly detachFinal?: boolean;
}

/** What `pteeLoss` finds. */
export interface PteeLoss {
  /** The scalar to differentiate. */
  readonly loss: Tensor;
  /** `[N]`: expected cost of each sample. */
  readonly cost: Tensor;
  /** `[N, C]`: probabilities of the mixture, Y_1; no gradient. Computed when asked for. */
  readonly mixture: Tensor;
}

/**
 * log of h_j prod_{k<j} (1 - h_k), the probability of leaving at j of K exits, for h = sigmoid(confidence [N, K-1]);
 * h_K = 1.
 */
function logExitProbabilities(confidence: Tensor): Tensor {
  const exits = confidence.shape[1]! + 1;
  const leave = neg(softplus(neg(confidence)));
  const stay = neg(softplus(confidence));
  const last = [
    [0, 0],
    [0, 1],
  ] as const;
  return add(pad(leave, last), matmul(stay, beforeEach(exits, confidence)));
}

const PTEE: Kinds<PteeOptions> = { costs: "any!", lambda: "number", detachFinal: "boolean" };

/**
 * mean(-log Y_1[target]) + lambda mean(C_1), where backwards from Y_K = p_K and C_K = costs_K each exit mixes its own
 * with what follows: Y_j = h_j p_j + (1 - h_j) Y_{j+1}, C_j = h_j costs_j + (1 - h_j) C_{j+1}, h = sigmoid(confidence).
 * Logits f32[N, K, C], confidence f32[N, K-1] before the sigmoid, target i32[N]: labels, or as in the paper the
 * backbone's answers. At inference a sample leaves where h_j > 0.5. @throws ShapeError, DTypeError or ArgumentError for
 * operands and options that do not fit.
 */
export function pteeLoss(logits: Tensor, confidence: Tensor, target: Tensor, options: PteeOptions): PteeLoss {
  const { costs, lambda = 1, detachFinal = true } = readOptions("pteeLoss", options, PTEE);
  const op = "pteeLoss";
  checkNumbers(op, { costs, lambda });
  const operands = {
    logits: [logits, "N K C"],
    confidence: [confidence, "N K-1"],
    target: [target, "N", "i32"],
  } as const;
  const { N: n, K: exits } = checkOperands(op, operands, { K: 2, C: 1 });
  checkPerExit(op, "costs", costs, exits);

  const leaving = logExitProbabilities(confidence);
  const wrong = crossEntropy(detachFinal ? withoutLast(logits, n, exits) : logits, target, { reduction: "none" });
  const cost = sum(mul(exp(leaving), tensor(Float32Array.from(costs), { device: logits.device })), { dim: 1 });
  return {
    loss: sub(mul(mean(cost), lambda), mean(logsumexp(sub(leaving, wrong), { dim: 1 }))),
    cost,
    get mixture() {
      return noGrad(() => sum(exp(add(logSoftmax(logits), reshape(leaving, [n, exits, 1]))), { dim: 1 }));
    },
  };
}

/** The logits, of which the last exit's get no gradient. */
function withoutLast(logits: Tensor, n: number, exits: number): Tensor {
  const early = slice(logits, { ends: [n, exits - 1] });
  return concat([early, slice(logits.detach(), { starts: [0, exits - 1] })], { dim: 1 });
}

const OPTIONS = {
  lambda: option.number(1, "weight of the expected cost", { min: 0 }),
  target: option.choice(["backbone", "labels"], "what branches learn to answer: the backbone's classes, or the labels"),
  headsFirst: option.toggle(true, "begin with branches that were trained by cross-entropy", {
    basis: "ours: begun from scratch, no sample ever leaves and the first exits collapse",
  }),
  headsLr: option.number(1e-2, "learning rate of that beginning, by Adam", {
    above: 0,
    basis: "ours: after five epochs at 1e-3 branches are so unsure that the mixture gives them up",
  }),
  mixtures: option.choice(
    ["first", "every"],
    "which mixtures count: that of all exits, or also those that begin at each later one, on average",
    { basis: "the public code's last configuration; the other is its preset" },
  ),
  lr: option.number(1e-3, "learning rate of the mixture, by Adam", { above: 0, basis: "the public code" }),
} as const;

/** The loss of the mixture that begins at the first exit, or the mean over those that begin at each but the last. */
function mixtureLoss(mixtures: "first" | "every", seen: Seen, target: Tensor, options: PteeOptions): Tensor {
  const { logits, out } = seen;
  const [n, exits] = exactly(logits.shape, 3);
  const first = mixtures === "first" ? 1 : exits - 1;
  const losses = Array.from({ length: first }, (_, j) => {
    const from = (x: Tensor) => (j === 0 ? x : slice(x, { starts: [0, j], ends: [n, x.shape[1]!] }));
    const costs = options.costs.slice(j);
    return pteeLoss(from(logits), from(saidOf(out, "confidence")), target, { ...options, costs }).loss;
  });
  const all = losses.reduce((sum, loss) => add(sum, loss));
  return losses.length > 1 ? mul(all, 1 / losses.length) : all;
}

/** The backbone's classes, i32 [N]. */
const classesOf = ({ logits, labels }: Seen): Tensor =>
  noGrad(() => reshape(argmax(lastExit(logits), { dim: -1 }), [labels.size]));

/**
 * The backbone; its branches by cross-entropy; their answers and confidences by the mixture of all exits and what it
 * costs.
 */
export const ptee: Method<typeof OPTIONS> = defineMethod({
  name: "ptee",
  about:
    "branches on a frozen backbone learn its answers and how far to trust them, from the mixture of all exits and its cost",
  paper: {
    title: "PTEENet: Post-Trained Early-Exit Neural Networks",
    venue: "IEEE Access 2022",
    code: "spokV/PTEENET",
  },
  options: OPTIONS,
  readers: { headsFirst: { headsLr: ["true"] } },
  wraps: () => [confident()],
  phases: ({ lambda, target, headsFirst, headsLr, mixtures, lr }, site) => {
    const heads: Phase = {
      name: "heads",
      recipe: adam(headsLr),
      tracks: [{ trains: without(branches(site), only("trust")), loss: branchCrossEntropy() }],
    };
    const learning = (seen: Seen, classes: Tensor) =>
      mixtureLoss(mixtures, seen, classes, { costs: site.costs, lambda });
    const mixture: Phase = {
      name: "mixture",
      recipe: adam(lr),
      tracks: [
        {
          trains: branches(site),
          loss:
            target === "labels"
              ? byOneLabel("ptee", "the mixture of the exits", (seen) => learning(seen, seen.labels))
              : (seen) => learning(seen, classesOf(seen)),
        },
      ],
    };
    return [plainBackbone(site), ...(headsFirst ? [heads] : []), mixture];
  },
  policy: () => ({ score: "confidence", rule: { threshold: 0.5 } }),
});
