// Weights of a multi-exit loss by confidence gates, on the GPU. Gates carry no gradient: the op has no vjp.

import type { Kinds } from "../../base/index.ts";
import { type GateMode, exitGatesKernel as kernel } from "../../kernels/index.ts";
import { ArgumentError, DTypeError, readOptions, ShapeError } from "../errors.ts";
import { defineOp } from "../op.ts";
import { describe } from "../shape.ts";
import { checkTensors, type Tensor } from "../tensor.ts";
import { checkOneOf } from "./rowwise.ts";

/** How samples are handed from exit to exit. */
export interface GateOptions {
  readonly mode: GateMode;
  /** Confidence that counts as sure; default 0.9. */
  readonly tau?: number;
  /** Steepness of the soft gate; default 1. */
  readonly kappa?: number;
  /** Added to every weight, so that no exit starves; default 0. */
  readonly leak?: number;
  /** Divide a sample's weights by their sum; default false. */
  readonly normalise?: boolean;
}

const GATES: Kinds<GateOptions> = {
  mode: "string!",
  tau: "number",
  kappa: "number",
  leak: "number",
  normalise: "boolean",
};

const gates = defineOp<Required<GateOptions>>({
  name: "exitGates",
  isConstant: true,
  infer: ([logits, labels, schedule]) => {
    const [z, y, lambda] = [logits, labels, schedule] as [Tensor, Tensor, Tensor];
    const [n, exits] = z.shape;
    if (z.rank !== 3) throw new ShapeError(`exitGates: logits must be [samples, exits, classes]; got ${describe(z)}.`);
    if (z.dtype !== "f32" || lambda.dtype !== "f32")
      throw new DTypeError(`exitGates: logits and schedule must be f32; got ${describe(z)} and ${describe(lambda)}.`);
    if (y.dtype !== "i32") throw new DTypeError(`exitGates: labels must be i32; got ${describe(y)}.`);
    if (y.rank !== 1 || y.shape[0] !== n)
      throw new ShapeError(
        `exitGates: there must be a label for each of ${n} samples; got ${describe(y)} for ${describe(z)}.`,
      );
    if (lambda.rank !== 1 || lambda.shape[0] !== exits)
      throw new ShapeError(
        `exitGates: the schedule must have ${exits} factors; got ${describe(lambda)} for ${describe(z)}.`,
      );
    const shape = [n as number, exits as number];
    return [
      { shape, dtype: "f32" },
      { shape, dtype: "f32" },
    ];
  },
  run: ({ inputs, outputs, attrs, dispatch }) => {
    const [logits, labels, schedule] = inputs as [Tensor, Tensor, Tensor];
    const [weights, eligibility] = outputs as [Tensor, Tensor];
    const [n, exits, classes] = logits.shape as readonly [number, number, number];
    const { mode, normalise, tau, kappa, leak } = attrs;
    dispatch(
      kernel,
      { mode, normalise },
      { logits, labels, schedule, weights, eligibility },
      { n, exits, classes, tau, kappa, leak },
    );
  },
});

/**
 * Loss weights [N, K] of stacked exits' logits [N, K, C] under labels i32[N], and the eligibilities [N, K] behind them:
 * a sample that an exit handles weighs less, or nothing, at the exits after it. `schedule` f32[K] are static factors.
 * Confidence-Gated Training, arXiv 2509.17885; formulas in kernels/gate.ts.
 */
export function exitGates(
  logits: Tensor,
  labels: Tensor,
  schedule: Tensor,
  options: GateOptions,
): { readonly weights: Tensor; readonly eligibility: Tensor } {
  const { mode, tau = 0.9, kappa = 1, leak = 0, normalise = false } = readOptions("exitGates", options, GATES);
  checkTensors("exitGates", { logits, labels, schedule });
  checkOneOf("exitGates", "mode", mode, ["hard", "soft", "confidence", "open"]);
  if (!(tau >= 0 && tau <= 1)) throw new ArgumentError(`exitGates: tau must be in [0, 1]; got ${tau}.`);
  if (!(leak >= 0)) throw new ArgumentError(`exitGates: leak must not be negative; got ${leak}.`);
  const [weights, eligibility] = gates([logits, labels, schedule], { mode, tau, kappa, leak, normalise }) as [
    Tensor,
    Tensor,
  ];
  return { weights, eligibility };
}
