// Running totals of a multi-exit network, so that training and evaluation read nothing back per step. Adds one batch in
// place:
//   totals[0] += samples counted
//   totals[1] += loss
//   totals[2] += 1 (steps)
//   totals[3] = the number of the first step (from 1) whose loss is not finite, or 0
//   totals[4 + 2k] += sum of -log softmax(z[i, k])[y_i]
//   totals[5 + 2k] += number of i with argmax z[i, k] = y_i
// over samples whose label is not negative (a negative one marks padding). A workgroup owns an exit; its threads stride
// over the samples and add up in a fixed tree, so that totals are the same on every run. The second half of `totals`
// holds what rounding took from the first (Kahan, 1965), so that thousands of steps lose no digits.

import type { Kinds } from "../../base/index.ts";
import {
  checkTensors,
  defineOp,
  describe,
  positional,
  readOptions,
  ShapeError,
  type Tensor,
} from "../../engine/functions.ts";
import { defineKernel, entry, GROUP, reads, updates } from "../../kernels/index.ts";

/** Structure: whether there is a loss to add. */
export type TallySpec = { readonly loss: boolean };

/** Totals in front of those of the exits. */
export const TALLY_HEAD = 4;

/** Floats that hold the totals of `exits` exits, and their roundings. */
export const tallySize = (exits: number): number => 2 * (TALLY_HEAD + 2 * exits);

export const exitTallyKernel = defineKernel({
  name: "exitTally",
  uniforms: { n: "u32", exits: "u32", classes: "u32" },
  bindings: ({ loss }: TallySpec) => ({
    logits: reads("array<f32>"),
    labels: reads("array<i32>"),
    loss: loss ? reads("array<f32>") : undefined,
    totals: updates("array<f32>"),
  }),
  source: ({ loss }) => `
var<workgroup> parts: array<vec3f, ${GROUP}>;
// The bits go through a number that no compiler knows to be 0: it would take the rounding, too, for 0.
fn add(at: u32, x: f32) {
  let rounding = at + ${TALLY_HEAD}u + 2u * u.exits;
  let before = totals[at];
  let term = x - totals[rounding];
  let after = bitcast<f32>(bitcast<u32>(before + term) ^ (u.n >> 31u));
  totals[at] = after;
  let moved = bitcast<f32>(bitcast<u32>(after - before) ^ (u.n >> 31u));
  totals[rounding] = moved - term;
}
${entry()} {
  let exit = wid.x;
  var mine = vec3f(0.0);
  for (var i = li; i < u.n; i += ${GROUP}u) {
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
  for (var half = ${GROUP / 2}u; half > 0u; half /= 2u) {
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

const TALLY: Kinds<{ readonly loss?: Tensor }> = { loss: "any" };

const op = defineOp({
  name: "exitTally",
  operands: { logits: "f32 N K C", labels: "i32 N", totals: "f32", "loss?": "f32" },
  infer: () => ({}),
  run: ({ inputs, sizes: { N: n, K: exits, C: classes }, dispatch }) =>
    dispatch(exitTallyKernel, { loss: inputs.loss !== undefined }, inputs, { n, exits, classes }),
});

/**
 * Adds a batch to `totals` (f32[tallySize(K)], in place): logits [N, K, C], labels i32[N] (negative ones are padding
 * and count nothing), and the step's scalar loss if there is one. The head of this file gives the layout; `readTally`
 * makes sense of it.
 */
export const exitTally = positional(
  "exitTally(logits, labels, totals, options)",
  (logits: Tensor, labels: Tensor, totals: Tensor, options: { readonly loss?: Tensor } = {}): void => {
    const name = "exitTally";
    const { loss } = readOptions(name, options, TALLY);
    checkTensors(name, { logits, labels, totals, "loss?": loss });
    const exits = logits.shape[1] ?? 0;
    if (logits.rank === 3 && totals.size !== tallySize(exits))
      throw new ShapeError(
        `${name}: totals must be [${tallySize(exits)}] for ${exits} exits; got ${describe(totals)}.`,
      );
    if (loss && loss.size !== 1) throw new ShapeError(`${name}: the loss must be one number; got ${describe(loss)}.`);
    op({ logits, labels, totals, loss }, {});
  },
);

/** What totals say: means over the samples and steps since they were zero. */
export interface Tally {
  readonly samples: number;
  readonly steps: number;
  /** Mean loss of the steps whose loss was finite; NaN without any. */
  readonly loss: number;
  /** The first step whose loss was not finite, counted from 1, or 0. */
  readonly firstBad: number;
  /** Mean cross-entropy of each exit, [K]. */
  readonly exitLosses: number[];
  /** Share of right answers of each exit, [K]. */
  readonly accuracies: number[];
}

/** Makes sense of totals that were read. */
export function readTally(data: ArrayLike<number>): Tally {
  const n = data.length / 2;
  const totals = Array.from({ length: n }, (_, i) => data[i]! - data[n + i]!);
  const [samples, loss, steps, firstBad] = [totals[0], totals[1], totals[2], totals[3]] as [
    number,
    number,
    number,
    number,
  ];
  const exits = (n - TALLY_HEAD) / 2;
  const share = (offset: number) =>
    Array.from({ length: exits }, (_, k) => totals[TALLY_HEAD + 2 * k + offset]! / samples);
  const counted = firstBad === 0 ? steps : Number.NaN;
  return { samples, steps, loss: loss / counted, firstBad, exitLosses: share(0), accuracies: share(1) };
}
