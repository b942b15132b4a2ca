// Running totals of a multi-exit network, so that training and evaluation read nothing back per step. Adds one batch in place:
//   totals[0] += samples counted        totals[1] += loss          totals[2] += 1 (steps)
//   totals[3] = the number of the first step (from 1) whose loss is not finite, or 0
//   totals[4 + 2k] += sum of -log softmax(z[i, k])[y_i]            totals[5 + 2k] += number of i with argmax z[i, k] = y_i
// over samples whose label is not negative (a negative one marks padding). A workgroup owns an exit; its threads stride over the
// samples and add up in a fixed tree, so that totals are the same on every run. The second half of `totals` holds what rounding took
// from the first (Kahan, 1965), so that thousands of steps lose no digits.

import { defineKernel, ENTRY } from "./kernel.ts";

/** Structure: whether there is a loss to add. */
export type TallySpec = { readonly loss: boolean };

const WORKGROUP = 64;

/** Totals in front of those of the exits. */
export const TALLY_HEAD = 4;

/** Floats that hold the totals of `exits` exits, and their roundings. */
export const tallySize = (exits: number): number => 2 * (TALLY_HEAD + 2 * exits);

export const exitTallyKernel = defineKernel({
  name: "exitTally",
  uniforms: { n: "u32", exits: "u32", classes: "u32" },
  bindings: ({ loss }: TallySpec) => [
    { name: "logits", access: "read", type: "array<f32>" },
    { name: "labels", access: "read", type: "array<i32>" },
    ...(loss ? ([{ name: "loss", access: "read", type: "array<f32>" }] as const) : []),
    { name: "totals", access: "update", type: "array<f32>" },
  ],
  source: ({ loss }) => `
var<workgroup> parts: array<vec3f, ${WORKGROUP}>;
// The bits go through a number that no compiler knows to be 0: it would take the rounding, too, for 0.
fn add(at: u32, x: f32) {
  let rounding = at + ${TALLY_HEAD}u + 2u * u.exits;
  let before = totals[at];
  let term = x - totals[rounding];
  let after = bitcast<f32>(bitcast<u32>(before + term) ^ (u.n >> 31u));
  totals[at] = after;
  totals[rounding] = (after - before) - term;
}
@compute @workgroup_size(${WORKGROUP}) fn main(${ENTRY}) {
  let exit = wid.x;
  var mine = vec3f(0.0);
  for (var i = li; i < u.n; i += ${WORKGROUP}u) {
    let label = labels[i];
    if (label < 0) { continue; }
    let row = (i * u.exits + exit) * u.classes;
    var top = logits[row];
    var best = 0;
    for (var c = 1u; c < u.classes; c++) {
      let z = logits[row + c];
      if (z > top) { top = z; best = i32(c); }
    }
    var sum = 0.0;
    for (var c = 0u; c < u.classes; c++) { sum += exp(logits[row + c] - top); }
    let own = logits[row + min(u32(label), u.classes - 1u)];
    mine += vec3f(log(sum) + top - own, select(0.0, 1.0, best == label), 1.0);
  }
  parts[li] = mine;
  for (var half = ${WORKGROUP / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (li < half) { parts[li] += parts[li + half]; }
  }
  if (li > 0u) { return; }
  add(${TALLY_HEAD}u + 2u * exit, parts[0].x);
  add(${TALLY_HEAD + 1}u + 2u * exit, parts[0].y);
  if (exit > 0u) { return; }
  add(0u, parts[0].z);
  add(2u, 1.0);
  ${
    loss
      ? `let value = loss[0];
  let is_finite = (bitcast<u32>(value) & 0x7f800000u) != 0x7f800000u;
  if (is_finite) { add(1u, value); }
  if (!is_finite && totals[3] == 0.0) { totals[3] = totals[2]; }`
      : ""
  }
}`,
  grid: ({ exits }) => [exits, 1, 1],
});
