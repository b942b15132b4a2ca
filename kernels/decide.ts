// An exit's decision on the rows that are still undecided: logits z [n, C] to a confidence s, a prediction, and stay or leave.
//   s by score, of p = softmax(z / T):  maxProb max p · margin p(1) - p(2) · entropy -H(p) · normalisedEntropy -H(p) / log C ·
//   energy log sum exp(z / T) · maxLogit max z / T
//   stays[r] = 0 if s >= threshold (one, or one per predicted class) or this is the last exit, else 1
// With `live`, only the first live[0] rows exist: launches cover whole workgroups, and what lies behind must not write.
// A row that leaves writes its prediction, the exit and s to the results at ids[r], the place of its sample. A thread owns a row.
// Sums are f32 of max-subtracted exponentials. Thresholds come lowered by a few units in the last place, since the host's are f64.

import { ceilDiv, defineKernel, ENTRY, LINEAR_GROUP, linearGrid } from "./kernel.ts";

/** Confidences that need one exit's own logits. */
export type ExitScore = "maxProb" | "margin" | "entropy" | "normalisedEntropy" | "energy" | "maxLogit";

/** Structure of a decision. */
export type DecideSpec = {
  readonly score: ExitScore;
  readonly isLast: boolean;
  readonly byClass: boolean;
  readonly live: boolean;
};

const WORKGROUP = 64;

const CONFIDENCE: Readonly<Record<ExitScore, string>> = {
  maxProb: "1.0 / total",
  margin: "(1.0 - exp(second - top)) / total",
  entropy: "mass / total - log(total)",
  normalisedEntropy: "(mass / total - log(total)) / log(max(2.0, f32(u.classes)))",
  energy: "top + log(total)",
  maxLogit: "top",
};

export const exitDecide = defineKernel({
  name: "exitDecide",
  uniforms: { n: "u32", classes: "u32", exit: "i32", sharpness: "f32" },
  bindings: ({ live }: DecideSpec) => [
    { name: "logits", access: "read", type: "array<f32>" },
    { name: "ids", access: "read", type: "array<i32>" },
    { name: "thresholds", access: "read", type: "array<f32>" },
    ...(live ? ([{ name: "live", access: "read", type: "array<u32>" }] as const) : []),
    { name: "stays", access: "write", type: "array<u32>" },
    { name: "answers", access: "update", type: "array<i32>" },
    { name: "exits", access: "update", type: "array<i32>" },
    { name: "scores", access: "update", type: "array<f32>" },
  ],
  source: ({ score, isLast, byClass, live }) => `
@compute @workgroup_size(${WORKGROUP}) fn main(${ENTRY}) {
  let r = ${LINEAR_GROUP} * ${WORKGROUP}u + li;
  if (r >= ${live ? "min(u.n, live[0])" : "u.n"}) { return; }
  let row = r * u.classes;
  var top = logits[row] * u.sharpness;
  var second = -3.0e38;
  var best = 0u;
  for (var c = 1u; c < u.classes; c++) {
    let z = logits[row + c] * u.sharpness;
    if (z > top) { second = top; top = z; best = c; } else { second = max(second, z); }
  }
  var total = 0.0;
  var mass = 0.0;
  for (var c = 0u; c < u.classes; c++) {
    let z = logits[row + c] * u.sharpness - top;
    let e = exp(z);
    total += e;
    mass += e * z;
  }
  let s = ${CONFIDENCE[score]};
  let leaves = ${isLast ? "true" : `s >= thresholds[${byClass ? "best" : "0"}]`};
  stays[r] = select(1u, 0u, leaves);
  if (!leaves) { return; }
  let at = ids[r];
  answers[at] = i32(best);
  exits[at] = u.exit;
  scores[at] = s;
}`,
  grid: ({ n }) => linearGrid(ceilDiv(n, WORKGROUP)),
  rows: ({ n }) => ({ axis: 0, units: n, perGroup: WORKGROUP, fold: true }),
});
