// Confidence gates of a multi-exit network (CGT, arXiv 2509.17885): logits z [N, K, C], labels y [N] to weights [N, K].
//   c_k = max softmax(z_k);  residual r_k by mode
//     hard        1 - 1[argmax z_k = y and c_k >= tau]
//     soft        1 - sigmoid(kappa (softmax(z_k)_y - tau))
//     confidence  1 - c_k
//     open        1: no gate, the schedule alone
//   eligibility_e = prod_{k<e} r_k;  weight_e = schedule_e eligibility_e + leak, divided by the sum over exits + 1e-12 if normalised
// A thread owns a sample and walks its exits from shallow to deep. Softmax is max-subtracted, sums are f32.

import { ceilDiv, defineKernel, ENTRY, LINEAR_GROUP, linearGrid } from "./kernel.ts";

/** How an exit's answer bears on the exits behind it. */
export type GateMode = "hard" | "soft" | "confidence" | "open";

/** Structure of the gates. */
export type GateSpec = { readonly mode: GateMode; readonly normalise: boolean };

const WORKGROUP = 64;

const RESIDUAL: Readonly<Record<GateMode, string>> = {
  hard: "select(1.0, 0.0, best == label && 1.0 / total >= u.tau)",
  soft: "1.0 - 1.0 / (1.0 + exp(-u.kappa * (exp(true_logit - top) / total - u.tau)))",
  confidence: "1.0 - 1.0 / total",
  open: "1.0",
};

/** Exit weights and eligibilities. Labels are i32; `schedule` holds K factors. */
export const exitGatesKernel = defineKernel({
  name: "exitGates",
  uniforms: { n: "u32", exits: "u32", classes: "u32", tau: "f32", kappa: "f32", leak: "f32" },
  bindings: (_spec: GateSpec) => [
    { name: "logits", access: "read", type: "array<f32>" },
    { name: "labels", access: "read", type: "array<i32>" },
    { name: "schedule", access: "read", type: "array<f32>" },
    { name: "weights", access: "write", type: "array<f32>" },
    { name: "eligibility", access: "write", type: "array<f32>" },
  ],
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
@compute @workgroup_size(${WORKGROUP}) fn main(${ENTRY}) {
  let i = ${LINEAR_GROUP} * ${WORKGROUP}u + li;
  if (i >= u.n) { return; }
  let label = u32(labels[i]);
  let first = i * u.exits;
  var eligible = 1.0;
  var sum = 0.0;
  for (var e = 0u; e < u.exits; e++) {
    let weight = schedule[e] * eligible + u.leak;
    eligibility[first + e] = eligible;
    weights[first + e] = weight;
    sum += weight;
    if (e + 1u < u.exits) { eligible *= residual((first + e) * u.classes, label); }
  }
  ${normalise ? "for (var e = 0u; e < u.exits; e++) { weights[first + e] /= sum + 1e-12; }" : ""}
}`,
  grid: ({ n }) => linearGrid(ceilDiv(n, WORKGROUP)),
  rows: ({ n }) => ({ axis: 0, units: n, perGroup: WORKGROUP, fold: true, blocks: n, apart: { schedule: 1 } }),
});
