// Running totals of losses and right answers of a multi-exit network, in place on the GPU.

import type { Kinds } from "../../base/index.ts";
import { exitTallyKernel as kernel, TALLY_HEAD, tallySize } from "../../kernels/index.ts";
import { readOptions, ShapeError } from "../errors.ts";
import { defineOp } from "../op.ts";
import { describe } from "../shape.ts";
import { checkTensors, type Tensor } from "../tensor.ts";

const TALLY: Kinds<{ readonly loss?: Tensor }> = { loss: "any" };

const op = defineOp({
  name: "exitTally",
  infer: () => [],
  run: ({ inputs: [logits, labels, totals, loss], dispatch }) => {
    const [n, exits, classes] = logits!.shape as readonly [number, number, number];
    const bindings = { logits: logits!, labels: labels!, totals: totals!, ...(loss && { loss }) };
    dispatch(kernel, { loss: loss !== undefined }, bindings, { n, exits, classes });
  },
});

/**
 * Adds a batch to `totals` (f32[tallySize(K)], in place): logits [N, K, C], labels i32[N] (negative ones are padding and count
 * nothing), and the step's scalar loss if there is one. Layout in kernels/tally.ts; `readTally` makes sense of it.
 */
export function exitTally(
  logits: Tensor,
  labels: Tensor,
  totals: Tensor,
  options: { readonly loss?: Tensor } = {},
): void {
  const name = "exitTally";
  const { loss } = readOptions(name, options, TALLY);
  checkTensors(name, { logits, labels, totals, "loss?": loss });
  const [n, exits] = logits.shape as readonly [number, number];
  if (logits.rank !== 3 || logits.dtype !== "f32")
    throw new ShapeError(`${name}: logits must be f32 [N, K, C]; got ${describe(logits)}.`);
  if (labels.dtype !== "i32" || labels.rank !== 1 || labels.size !== n) {
    throw new ShapeError(`${name}: labels must be i32 [${n}]; got ${describe(labels)} for logits ${describe(logits)}.`);
  }
  if (totals.dtype !== "f32" || totals.size !== tallySize(exits)) {
    throw new ShapeError(
      `${name}: totals must be f32 [${tallySize(exits)}] for ${exits} exits; got ${describe(totals)}.`,
    );
  }
  if (loss && (loss.size !== 1 || loss.dtype !== "f32"))
    throw new ShapeError(`${name}: the loss must be one f32 number; got ${describe(loss)}.`);
  op([logits, labels, totals, loss], {});
}

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
  const totals = Array.from({ length: n }, (_, i) => (data[i] as number) - (data[n + i] as number));
  const [samples, loss, steps, firstBad] = [totals[0], totals[1], totals[2], totals[3]] as [
    number,
    number,
    number,
    number,
  ];
  const exits = (n - TALLY_HEAD) / 2;
  const share = (offset: number) =>
    Array.from({ length: exits }, (_, k) => (totals[TALLY_HEAD + 2 * k + offset] as number) / samples);
  const counted = firstBad === 0 ? steps : Number.NaN;
  return { samples, steps, loss: loss / counted, firstBad, exitLosses: share(0), accuracies: share(1) };
}
