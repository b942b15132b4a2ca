// JEI-DNN (Regol et al., ICLR 2024): gates that decide where a sample leaves, and classifiers that learn from the
// samples their gates keep, trained in turn. Formulas of the public code, but for its ratio, whose gradient cancels the
// gates (see `rescale`); the frozen last exit takes its part in both, where the public code has early exits alone.

import { exactly, type Kinds, option } from "../../base/index.ts";
import {
  ArgumentError,
  add,
  arange,
  argmin,
  binaryCrossEntropyWithLogits,
  cast,
  checkTensors,
  clamp,
  crossEntropy,
  div,
  ge,
  gt,
  matmul,
  maximum,
  mean,
  minimum,
  mul,
  noGrad,
  pad,
  readOptions,
  reshape,
  sigmoid,
  slice,
  sub,
  sum,
  type Tensor,
  tensor,
  where,
} from "../../engine/functions.ts";
import { gated } from "../network/heads/gated.ts";
import { saidOf } from "../network/heads/head.ts";
import { byOneLabel, checkNumbers, checkPerExit, weightedCrossEntropy } from "./losses.ts";
import { defineMethod, type Method, type Phase } from "./method.ts";
import { adam, branches, only, plainBackbone, without } from "./parts.ts";
import { beforeEach, checkOperands } from "./stacked.ts";
import { exitStatistics } from "./statistics.ts";

/** Linear gates of the exits but the last, on four statistics each; see `exitStatistics`. */
export interface ExitGates {
  /** f32[K-1, 4] */
  readonly weight: Tensor;
  /** f32[K-1] */
  readonly bias: Tensor;
}

/** Options of `jeiDnnLosses`. */
export interface JeiDnnOptions {
  /** `[K]`: cost of an answer at each exit, rising to 1 at the last. */
  readonly costs: readonly number[];
  /** Weight of the cost against cross-entropy when the best exit is chosen; default 0.7. */
  readonly lambda?: number;
  /**
   * `detachedRatio` (default): a sample's loss keeps the size it has without gates. The public code differentiates the
   * ratio as well, by which the gates cancel out; here it carries no gradient. `none`: no ratio.
   */
  readonly rescale?: "detachedRatio" | "none";
  /**
   * Whether targets "leave" weigh (number of "stay") / (number of "leave") of the batch, as in the public code; default
   * true.
   */
  readonly balance?: boolean;
}

const JEI_DNN: Kinds<JeiDnnOptions> = { costs: "any!", lambda: "number", rescale: "string", balance: "boolean" };

/** What `jeiDnnLosses` finds. */
export interface JeiDnnLosses {
  /** To be differentiated when classifiers learn; reaches the logits alone. */
  readonly classifierLoss: Tensor;
  /** To be differentiated when gates learn; reaches the gates alone. */
  readonly gateLoss: Tensor;
  /** [N, K, 4], see `exitStatistics`. */
  readonly statistics: Tensor;
  /** `[N, K]`: the probability of leaving at each exit; no gradient. */
  readonly exitProbabilities: Tensor;
  /** bool [N, K-1]: whether a gate should let the sample leave. */
  readonly gateTargets: Tensor;
}

/** P_j = max(0, min(g_j, 1 - sum_{k<j} g_k)), g_K = 1, of gates [N, K-1]. */
function exitProbabilities(gates: Tensor): Tensor {
  const exits = gates.shape[1]! + 1;
  const last = [
    [0, 0],
    [0, 1],
  ] as const;
  const room = sub(1, matmul(gates, beforeEach(exits, gates)));
  return clamp(minimum(pad(gates, last, { value: 1 }), room), { min: 0 });
}

/**
 * P times, if `isRescaled`, the ratio by which a sample's loss keeps its size; 1 where all that its exits could learn
 * is 0.
 */
function classifierWeights(losses: Tensor, probabilities: Tensor, isRescaled: boolean): Tensor {
  if (!isRescaled) return probabilities;
  const gated = sum(mul(losses, probabilities), { dim: 1, keepdim: true });
  const ratio = div(sum(losses, { dim: 1, keepdim: true }), gated);
  return mul(probabilities, where(gt(gated, 0), ratio, 1));
}

/** Mean binary cross-entropy of gates against their targets. */
function gateLossOf(gates: Tensor, targets: Tensor, isBalanced: boolean): Tensor {
  const wanted = cast(targets, "f32");
  if (!isBalanced) return binaryCrossEntropyWithLogits(gates, wanted);
  const losses = binaryCrossEntropyWithLogits(gates, wanted, { reduction: "none" });
  const leaving = sum(wanted);
  // Without any that should leave, the weight of those is not used.
  const weight = div(sub(targets.size, leaving), maximum(leaving, 1));
  return mean(mul(losses, where(targets, weight, 1)));
}

/** What both losses are made of. */
type GatedLosses = Omit<JeiDnnLosses, "statistics">;

/** The two losses of logits f32[N, K, C], labels i32[N] and gates f32[N, K-1] before the sigmoid, all of which fit. */
function gatedLosses(op: string, logits: Tensor, labels: Tensor, gates: Tensor, options: JeiDnnOptions): GatedLosses {
  const { costs, lambda = 0.7, rescale = "detachedRatio", balance = true } = readOptions(op, options, JEI_DNN);
  checkNumbers(op, { costs, lambda });
  if (rescale !== "detachedRatio" && rescale !== "none") {
    throw new ArgumentError(`${op}: rescale must be "detachedRatio" or "none"; got ${JSON.stringify(rescale)}.`);
  }
  const [n, exits] = exactly(logits.shape, 3);
  checkPerExit(op, "costs", costs, exits);
  const losses = crossEntropy(logits, labels, { reduction: "none" });
  const { probabilities, weights, targets } = noGrad(() => {
    const price = tensor(
      Float32Array.from(costs, (cost) => lambda * cost),
      { device: logits.device },
    );
    const best = reshape(argmin(add(losses, price), { dim: 1 }), [n, 1]);
    const probabilities = exitProbabilities(sigmoid(gates));
    return {
      probabilities,
      weights: classifierWeights(losses, probabilities, rescale === "detachedRatio"),
      targets: ge(arange(0, exits - 1, 1, { device: logits.device }), best),
    };
  });
  return {
    classifierLoss: mul(sum(mul(losses, weights)), 1 / n),
    gateLoss: gateLossOf(gates, targets, balance),
    exitProbabilities: probabilities,
    gateTargets: targets,
  };
}

/**
 * The two losses of logits f32[N, K, C], labels i32[N] and linear gates. With g_j = sigmoid(w_j . statistics_j + b_j)
 * and the exit probabilities P_j = max(0, min(g_j, 1 - sum_{k<j} g_k)), g_K = 1: classifiers minimise mean(ratio sum_j
 * P_j CE_j), ratio = sum_j CE_j / sum_j P_j CE_j, P and ratio constant; gates the mean binary cross-entropy to 1[j >=
 * argmin_j CE_j + lambda costs_j]. The paper alternates every 200 batches, after up to 6 epochs of plain cross-entropy.
 * @throws ShapeError, DTypeError or ArgumentError for operands and options that do not fit.
 */
export function jeiDnnLosses(logits: Tensor, labels: Tensor, gates: ExitGates, options: JeiDnnOptions): JeiDnnLosses {
  const op = "jeiDnnLosses";
  checkTensors(op, { logits, "gates.weight": gates?.weight, "gates.bias": gates?.bias });
  const operands = {
    logits: [logits, "N K C"],
    labels: [labels, "N", "i32"],
    "gates.weight": [gates.weight, "K-1 4"],
    "gates.bias": [gates.bias, "K-1"],
  } as const;
  const { N: n, K: exits } = checkOperands(op, operands, { K: 2, C: 2 });
  const statistics = exitStatistics(logits);
  const seen = slice(statistics, { ends: [n, exits - 1] });
  const gateLogits = add(sum(mul(seen, gates.weight), { dim: -1 }), gates.bias);
  return { ...gatedLosses(op, logits, labels, gateLogits, options), statistics };
}

const OPTIONS = {
  lambda: option.number(0.7, "weight of the cost when the best exit is chosen", { min: 0, basis: "the public code" }),
  rescale: option.choice(["detachedRatio", "none"], "whether a sample's loss keeps the size it has without gates", {
    basis: "the public code, whose ratio cancels the gates unless it is detached",
  }),
  balance: option.toggle(true, "weigh targets that leave against those that stay", { basis: "the public code" }),
  warmup: option.number(3, "epochs of the heads alone", { min: 0, basis: "ours, within the public code's up to 6" }),
  every: option.whole(200, "steps of a turn of heads, or of gates", { min: 1, basis: "the public code" }),
  lr: option.number(0.01, "learning rate of heads and gates, by Adam", { above: 0, basis: "the public code" }),
} as const;

/** The backbone; its heads, shallow ones weighing most; then heads under gates, and gates, in turn. */
export const jeiDnn: Method<typeof OPTIONS> = defineMethod({
  name: "jei-dnn",
  about: "heads on a frozen backbone learn from the samples their gates keep, and the gates where to leave, in turn",
  paper: {
    title: "Jointly-Learned Exit and Inference for a Dynamic Neural Network",
    venue: "ICLR 2024",
    code: "networkslab/dynn",
  },
  options: OPTIONS,
  wraps: () => [gated()],
  phases: ({ warmup, every, lr, lambda, rescale, balance }, site) => {
    const { exits, costs } = site;
    const classifiers = without(branches(site), only("gate"));
    const recipe = adam(lr);
    const heads: Phase = {
      name: "heads",
      epochs: warmup,
      recipe,
      tracks: [
        {
          trains: classifiers,
          loss: weightedCrossEntropy(0),
          exitWeights: () => Array.from({ length: exits }, (_, j) => exits - 1 - j),
        },
      ],
    };
    const options = { costs, lambda, rescale, balance };
    const turn = (which: "classifierLoss" | "gateLoss") =>
      byOneLabel(
        "jei-dnn",
        "a gate",
        ({ logits, labels, out }) => gatedLosses("jei-dnn", logits, labels, saidOf(out, "confidence"), options)[which],
      );
    const inTurn: Phase = {
      name: "heads and gates in turn",
      recipe,
      every,
      tracks: [
        {
          trains: classifiers,
          loss: turn("classifierLoss"),
          // Of the control: without the ratio a sample's weights sum to 1.
          ...(rescale === "none" && { exitWeights: () => new Array<number>(exits).fill(1 / exits) }),
        },
        { trains: only("gate"), loss: turn("gateLoss"), control: turn("gateLoss") },
      ],
    };
    return [plainBackbone(site), ...(warmup > 0 ? [heads] : []), inTurn];
  },
  policy: () => ({ score: "confidence", rule: { threshold: 0.5 } }),
});
