// What losses of methods have in common: cross-entropy of all exits, sums over samples and exits, checks of what they
// are given. Nothing in them runs on the host during a step.

import { exactly, type Option, option, what as show } from "../../base/index.ts";
import {
  ArgumentError,
  add,
  crossEntropy,
  mean,
  mul,
  readOptions,
  reshape,
  ShapeError,
  slice,
  sub,
  sum,
  type Tensor,
} from "../../engine/functions.ts";
import type { Epoch, Loss, Seen, Track } from "./track.ts";

/** What a cross-entropy is computed from. */
type Labelled = Pick<Seen, "logits" | "labels" | "mixed">;

/** The option of that name, of most methods. */
export const labelSmoothing = (value: number, basis?: string): Option<number> =>
  option.number(value, "share of the target that is spread over all classes", {
    ...{ min: 0, max: 1 },
    ...(basis !== undefined && { basis }),
  });

/** Cross-entropy of every sample at every exit, [N, K]; of a blend, the mean under both labels by their shares. */
export function exitCrossEntropy({ logits, labels, mixed }: Labelled, labelSmoothing: number): Tensor {
  const under = (target: Tensor) => crossEntropy(logits, target, { labelSmoothing, reduction: "none" });
  if (!mixed) return under(labels);
  const share = reshape(mixed.share, [labels.size, 1]);
  return add(mul(under(labels), share), mul(under(mixed.labels), sub(1, share)));
}

/** Refuses blended images, whose two labels `what` cannot make use of. @throws ArgumentError */
export function checkOneLabel(op: string, what: string, { isMixed = false }: { readonly isMixed?: boolean }): void {
  if (!isMixed) return;
  throw new ArgumentError(
    `${op}: images must have one label, which ${what} looks at; got images blended by mixup. Train without mixup, or by joint.`,
  );
}

/** A loss that makes use of one label alone: it refuses blended images, which is known before the first step. */
export const byOneLabel = (op: string, what: string, loss: (seen: Seen) => Tensor): Loss =>
  Object.assign(
    (seen: Seen) => {
      checkOneLabel(op, what, { isMixed: seen.mixed !== undefined });
      return loss(seen);
    },
    { oneLabel: what },
  );

/** Mean over the batch, per exit: [N, K] to [K]. */
export const exitMeans = (losses: Tensor): Tensor => mean(losses, { dim: 0 });

/** sum_j w_j losses_j */
export const weighExits = (exitLosses: Tensor, exitWeights: Tensor): Tensor => sum(mul(exitLosses, exitWeights));

/** sum_j w_j mean CE_j, by the exit weights of an epoch: the loss of a track. */
export const weightedCrossEntropy =
  (labelSmoothing: number): Track["loss"] =>
  (seen) =>
    weighExits(exitMeans(exitCrossEntropy(seen, labelSmoothing)), seen.exitWeights);

/** `losses` times the ramp of the epoch; as they are where there is none. */
export const ramped = (losses: Tensor, { ramp }: Pick<Seen, "ramp">): Tensor => (ramp ? mul(losses, ramp) : losses);

/** Checks that there is a number for each of `exits` exits. @throws ShapeError */
export function checkPerExit(op: string, what: string, values: readonly number[], exits: number): void {
  if (values?.length === exits) return;
  throw new ShapeError(
    `${op}: ${what} must have one number per exit; got ${Array.isArray(values) ? values.length : show(values)} for ${exits} exits.`,
  );
}

/** Checks that all numbers are finite and at least 0. @throws ArgumentError */
export function checkNumbers(op: string, values: Readonly<Record<string, number | readonly number[]>>): void {
  for (const [name, value] of Object.entries(values)) {
    const isFit = (x: unknown) => typeof x === "number" && x >= 0 && x < Number.POSITIVE_INFINITY;
    const wrong = [value].flat().find((x) => !isFit(x));
    if (wrong !== undefined || value === undefined)
      throw new ArgumentError(`${op}: ${name} must be finite and at least 0; got ${show(wrong)}.`);
  }
}

/** Checks that `epoch` is one of 1 .. `epochs`. @throws ArgumentError */
export function checkEpoch(op: string, at: Epoch): void {
  const { epoch, epochs } = readOptions(`${op}: the epoch`, at, { epoch: "number!", epochs: "number!" });
  if (Number.isInteger(epoch) && epoch >= 1 && epoch <= epochs) return;
  throw new ArgumentError(`${op}: the epoch must be in 1..${epochs}; got ${epoch}.`);
}

/** The last exit's logits [N, 1, C] of all exits' [N, K, C]: what every exit can be compared with. */
export function lastExit(logits: Tensor): Tensor {
  const [n, exits, classes] = exactly(logits.shape, 3);
  return slice(logits, { starts: [0, exits - 1, 0], ends: [n, exits, classes] });
}

/** The logits [N, K - 1, C] of all exits but the last. */
export function earlyExits(logits: Tensor): Tensor {
  const [n, exits, classes] = exactly(logits.shape, 3);
  return slice(logits, { ends: [n, exits - 1, classes] });
}

/** The teacher's logits; throws ArgumentError where there are none. */
export function taught(op: string, { teacher }: Pick<Seen, "teacher">): Tensor {
  if (teacher) return teacher;
  throw new ArgumentError(`${op}: the teacher's logits must be given; got none.`);
}
