// Confidence gates of a multi-exit network (CGT, arXiv 2509.17885): logits z [N, K, C], labels y [N] to weights [N, K].
//   c_k = max softmax(z_k);  residual r_k by mode
//     hard        1 - 1[argmax z_k = y and c_k >= tau]
//     soft        1 - sigmoid(kappa (softmax(z_k)_y - tau))
//     confidence  1 - c_k
//     open        1: no gate, the exit weights alone
//   eligibility_e = prod_{k<e} r_k
//   weight_e = exit_weights_e eligibility_e + leak, divided by the sum over exits + 1e-12 if normalised
// A thread owns a sample and walks its exits from shallow to deep. Softmax is max-subtracted, sums are f32. Gates carry
// no gradient: the op has no vjp.

import type { Kinds } from "../../base/index.ts";
import {
  ArgumentError,
  checkOneOf,
  checkTensors,
  defineOp,
  positional,
  readOptions,
  type Tensor,
} from "../../engine/functions.ts";
import { ceilDiv, defineKernel, entry, GROUP, LINEAR_GROUP, linearGrid, reads, writes } from "../../kernels/index.ts";

/** How an exit's answer bears on the exits behind it. */
export type GateMode = "hard" | "soft" | "confidence" | "open";

/** Structure of the gates. */
export type GateSpec = { readonly mode: GateMode; readonly normalise: boolean };

const RESIDUAL: Readonly<Record<GateMode, string>> = {
  hard: "select(1.0, 0.0, best == label && 1.0 / total >= u.tau)",
  soft: "1.0 - 1.0 / (1.0 + exp(-u.kappa * (exp(true_logit - top) / total - u.tau)))",
  confidence: "1.0 - 1.0 / total",
  open: "1.0",
};

/** Exit weights and eligibilities. Labels are i32; `exit_weights` holds K. */
export const exitGatesKernel = defineKernel({
  name: "exitGates",
  uniforms: { n: "u32", exits: "u32", classes: "u32", tau: "f32", kappa: "f32", leak: "f32" },
  bindings: (_spec: GateSpec) => ({
    logits: reads("array<f32>"),
    labels: reads("array<i32>"),
    exit_weights: reads("array<f32>"),
    weights: writes("array<f32>"),
    eligibility: writes("array<f32>"),
  }),
  source: ({ mode, normalise }) => `
fn residual(row: u32, label: u32) -> f32 {
  var top = logits[row];
  var best = 0u;
  for (var c = 1u; c < u.classes; c++) {
    let z = logits[row + c];
    if (z > top) { top = z; best = c; }
  }
  var total = 0.0;
  for (var c = 0u; c < u.classes; c++) { total += exp(logits[row + c] - top); }
  let true_logit = logits[row + min(label, u.classes - 1u)];
  return ${RESIDUAL[mode]};
}
${entry()} {
  let i = ${LINEAR_GROUP} * ${GROUP}u + li;
  if (i >= u.n) { return; }
  let label = u32(labels[i]);
  let first = i * u.exits;
  var eligible = 1.0;
  var sum = 0.0;
  for (var e = 0u; e < u.exits; e++) {
    let weight = exit_weights[e] * eligible + u.leak;
    eligibility[first + e] = eligible;
    weights[first + e] = weight;
    sum += weight;
    if (e + 1u < u.exits) { eligible *= residual((first + e) * u.classes, label); }
  }
  ${normalise ? "for (var e = 0u; e < u.exits; e++) { weights[first + e] /= sum + 1e-12; }" : ""}
}`,
  grid: ({ n }) => linearGrid(ceilDiv(n, GROUP)),
  rows: ({ n }) => ({ axis: 0, units: n, perGroup: GROUP, fold: true, blocks: n, apart: { exit_weights: 1 } }),
});

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

const gates = defineOp({
  name: "exitGates",
  isConstant: true,
  operands: { logits: "f32 N K C", labels: "i32 N", exitWeights: "f32 K" },
  infer: (_, __: Required<GateOptions>, { N, K }) => {
    const each = { shape: [N, K], dtype: "f32" } as const;
    return { weights: each, eligibility: each };
  },
  run: ({ inputs, outputs, attrs, sizes, dispatch }) => {
    const { mode, normalise, tau, kappa, leak } = attrs;
    const dims = { n: sizes.N, exits: sizes.K, classes: sizes.C, tau, kappa, leak };
    const { exitWeights: exit_weights, ...samples } = inputs;
    dispatch(exitGatesKernel, { mode, normalise }, { ...samples, exit_weights, ...outputs }, dims);
  },
});

/**
 * Loss weights [N, K] of stacked exits' logits [N, K, C] under labels i32[N], and the eligibilities [N, K] behind them:
 * a sample that an exit handles weighs less, or nothing, at the exits after it. `exitWeights` f32[K] are static.
 * Confidence-Gated Training, arXiv 2509.17885; formulas at the head of this file.
 */
export const exitGates = positional(
  "exitGates(logits, labels, exitWeights, options)",
  (
    logits: Tensor,
    labels: Tensor,
    exitWeights: Tensor,
    options: GateOptions,
  ): { readonly weights: Tensor; readonly eligibility: Tensor } => {
    const { mode, tau = 0.9, kappa = 1, leak = 0, normalise = false } = readOptions("exitGates", options, GATES);
    checkTensors("exitGates", { logits, labels, exitWeights });
    checkOneOf("exitGates", "mode", mode, ["hard", "soft", "confidence", "open"]);
    if (!(tau >= 0 && tau <= 1)) throw new ArgumentError(`exitGates: tau must be in [0, 1]; got ${tau}.`);
    if (!(leak >= 0)) throw new ArgumentError(`exitGates: leak must not be negative; got ${leak}.`);
    return gates({ logits, labels, exitWeights }, { mode, tau, kappa, leak, normalise });
  },
);
