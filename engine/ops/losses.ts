// Losses of two tensors element by element: mse, klDiv, binaryCrossEntropyWithLogits. One pointwise dispatch, then a
// reduction.

import type { Kinds } from "../../base/index.ts";
import { checkOneShape } from "../checks.ts";
import { readOptions } from "../errors.ts";
import { positional } from "../signature.ts";
import { checkTensors, type Tensor } from "../tensor.ts";
import { elementwise } from "./elementwise.ts";
import { checkFloat } from "./floats.ts";
import { div } from "./pointwise.ts";
import { mean, sum } from "./reduce.ts";
import { checkReduction, type Reduction } from "./reduction.ts";

/** Options of an element-wise loss. */
export interface LossOptions {
  /** Default "mean", over all elements. */
  readonly reduction?: Reduction;
}

/** Options of `klDiv`. */
export interface KlDivOptions {
  /**
   * "batchMean" divides the sum by the first extent, which is the divergence's definition; default "mean", as in
   * PyTorch.
   */
  readonly reduction?: Reduction | "batchMean";
  /** Whether the target holds log-probabilities; default false. */
  readonly logTarget?: boolean;
}

const LOSS: Kinds<LossOptions> = { reduction: "string" };
const KL: Kinds<KlDivOptions> = { ...LOSS, logTarget: "boolean" };

// `target` is a reserved word of WGSL: t.
const operands = ["x", "t"];

const mseOp = elementwise({
  name: "mse",
  operands,
  y: "(x - t) * (x - t)",
  grads: { x: "g * T(2.0) * (x - t)", t: "g * T(2.0) * (t - x)" },
});

const klDivOp = elementwise({
  name: "klDiv",
  operands,
  y: "select(t * (exact_log(t) - x), T(0.0), eq(t, T(0.0)))",
  grads: { x: "-g * t", t: "select(g * (exact_log(t) - x + T(1.0)), T(0.0), eq(t, T(0.0)))" },
});

const klDivLogOp = elementwise({
  name: "klDivLog",
  operands,
  y: "exact_exp(t) * (t - x)",
  grads: { x: "-g * exact_exp(t)", t: "g * exact_exp(t) * (t - x + T(1.0))" },
});

// softplus(-|x|) = log(1 + exp(-|x|)) cannot overflow.
const bceOp = elementwise({
  name: "binaryCrossEntropyWithLogits",
  operands,
  y: "highest(x, T(0.0)) - x * t + softplus(-abs(x))",
  grads: { x: "g * (sigmoid(x) - t)", t: "-g * x" },
});

function checkAlike(op: string, what: string, x: Tensor, target: Tensor): void {
  checkTensors(op, { [what]: x, target });
  checkFloat(op, what, x);
  checkFloat(op, "the target", target);
  checkOneShape(op, { [what]: x, target });
}

const reduced = (loss: Tensor, reduction: Reduction): Tensor =>
  reduction === "none" ? loss : reduction === "mean" ? mean(loss) : sum(loss);

/** (input - target)^2. */
export const mse = positional(
  "mse(input, target, options)",
  (input: Tensor, target: Tensor, options: LossOptions = {}): Tensor => {
    const { reduction = "mean" } = readOptions("mse", options, LOSS);
    checkReduction("mse", reduction);
    checkAlike("mse", "input", input, target);
    return reduced(mseOp(input, target), reduction);
  },
);

/** target (log target - input) for log-probabilities `input`; terms whose target is 0 are 0. */
export const klDiv = positional(
  "klDiv(input, target, options)",
  (input: Tensor, target: Tensor, options: KlDivOptions = {}): Tensor => {
    const { reduction = "mean", logTarget = false } = readOptions("klDiv", options, KL);
    checkReduction("klDiv", reduction, ["none", "mean", "sum", "batchMean"]);
    checkAlike("klDiv", "input", input, target);
    const loss = logTarget ? klDivLogOp(input, target) : klDivOp(input, target);
    if (reduction !== "batchMean") return reduced(loss, reduction);
    return div(sum(loss), input.shape[0] ?? 1);
  },
);

/** -t log sigmoid(x) - (1 - t) log(1 - sigmoid(x)) for logits x and targets t in 0..1, without overflow. */
export const binaryCrossEntropyWithLogits = positional(
  "binaryCrossEntropyWithLogits(logits, target, options)",
  (logits: Tensor, target: Tensor, options: LossOptions = {}): Tensor => {
    const { reduction = "mean" } = readOptions("binaryCrossEntropyWithLogits", options, LOSS);
    checkReduction("binaryCrossEntropyWithLogits", reduction);
    checkAlike("binaryCrossEntropyWithLogits", "logits", logits, target);
    return reduced(bceOp(logits, target), reduction);
  },
);
