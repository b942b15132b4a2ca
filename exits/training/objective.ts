// What a training objective is: a function from all exits' logits to one loss, and the exit weights of each epoch.
// Objectives are plain data and functions; nothing in them runs on the host during a step.

import { type Option, option, what as show } from "../../base/index.ts";
import {
  ArgumentError,
  add,
  crossEntropy,
  mean,
  mul,
  readOptions,
  reshape,
  ShapeError,
  sub,
  sum,
  type Tensor,
} from "../../engine/functions.ts";

/** The other half of images that are blends of two (mixup). */
export interface Blend {
  /** i32 [N]: the other images' labels. */
  readonly labels: Tensor;
  /** f32 [N]: what part of each image is its own; the rest is the other's. */
  readonly share: Tensor;
}

/** What an objective sees of a batch, all of it on the GPU. */
export interface ExitBatch {
  /** [N, K, C], exits from shallow to deep. */
  readonly logits: Tensor;
  /** i32 [N] */
  readonly labels: Tensor;
  /** f32 [K]: those of the epoch. */
  readonly exitWeights: Tensor;
  /** Only with mixup. */
  readonly mixed?: Blend | undefined;
  /** Final logits of a teacher, [N, C], without gradient; only for objectives that ask for one. */
  readonly teacher?: Tensor | undefined;
}

/** What an objective finds. */
export interface ExitLosses {
  /** The scalar to differentiate. */
  readonly loss: Tensor;
  /** `[K]`: mean loss of each exit before gates and exit weights. */
  readonly exitLosses: Tensor;
  /** `[N, K]`: how much each exit learns from each sample, where that differs; no gradient. */
  readonly weights?: Tensor;
  /** `[N, K]`: the part of the weights that the gates decide. */
  readonly eligibility?: Tensor;
}

/** An epoch, counted from 1 as papers do, of so many. */
export interface Epoch {
  readonly epoch: number;
  readonly epochs: number;
}

/** How a multi-exit network is trained. */
export interface Objective {
  readonly name: string;
  /** All that makes it, complete, as JSON: goes into checkpoints, and a run is not resumed under another one. */
  readonly options: Readonly<Record<string, unknown>>;
  /** How much each of `exits` exits counts in an epoch; a captured step gets these as an input. */
  readonly exitWeights: (exits: number, at: Epoch) => number[];
  readonly losses: (batch: ExitBatch) => ExitLosses;
  /** Decay of an averaged teacher whose final logits `losses` wants; absent: it wants none. */
  readonly teacherDecay?: number;
}

/** The option of that name, which every method has. */
export const labelSmoothing = (value: number): Option<number> =>
  option.number(value, "share of the target that is spread over all classes", { min: 0, max: 1 });

/** Cross-entropy of every sample at every exit, [N, K]; of a blend, the mean under both labels by their shares. */
export function exitCrossEntropy({ logits, labels, mixed }: ExitBatch, labelSmoothing: number): Tensor {
  const under = (target: Tensor) => crossEntropy(logits, target, { labelSmoothing, reduction: "none" });
  if (!mixed) return under(labels);
  const share = reshape(mixed.share, [labels.size, 1]);
  return add(mul(under(labels), share), mul(under(mixed.labels), sub(1, share)));
}

/** Throws ArgumentError for blended images, whose two labels `what` cannot make use of. */
export function checkOneLabel(op: string, { mixed }: ExitBatch, what: string): void {
  if (!mixed) return;
  throw new ArgumentError(
    `${op}: images must have one label, which ${what} looks at; got images blended by mixup. Train without mixup, or by jointCrossEntropy.`,
  );
}

/** Mean over the batch, per exit: [N, K] to [K]. */
export const meanPerExit = (losses: Tensor): Tensor => mean(losses, { dim: 0 });

/** sum_j w_j losses_j */
export const weighExits = (exitLosses: Tensor, exitWeights: Tensor): Tensor => sum(mul(exitLosses, exitWeights));

/** Throws ShapeError unless there is a number for each of `exits` exits. */
export function checkPerExit(op: string, what: string, values: readonly number[], exits: number): void {
  if (values?.length === exits) return;
  throw new ShapeError(
    `${op}: ${what} must have one number per exit; got ${Array.isArray(values) ? values.length : show(values)} for ${exits} exits.`,
  );
}

/** Throws ArgumentError unless all numbers are finite and at least 0. */
export function checkNumbers(op: string, values: Readonly<Record<string, number | readonly number[]>>): void {
  for (const [name, value] of Object.entries(values)) {
    const isFit = (x: unknown) => typeof x === "number" && x >= 0 && x < Number.POSITIVE_INFINITY;
    const wrong = [value].flat().find((x) => !isFit(x));
    if (wrong !== undefined || value === undefined)
      throw new ArgumentError(`${op}: ${name} must be finite and at least 0; got ${show(wrong)}.`);
  }
}

/** Throws ArgumentError unless `epoch` is one of 1 .. `epochs`. */
export function checkEpoch(op: string, at: Epoch): void {
  const { epoch, epochs } = readOptions(`${op}: the epoch`, at, { epoch: "number!", epochs: "number!" });
  if (Number.isInteger(epoch) && epoch >= 1 && epoch <= epochs) return;
  throw new ArgumentError(`${op}: the epoch must be in 1..${epochs}; got ${epoch}.`);
}
