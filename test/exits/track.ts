// The loss of a method's first phase on logits that a test gives, and its exit weights.

import { stack, type Tensor, tensor } from "../../engine/index.ts";
import {
  type Epoch,
  type PhaseSite,
  type Seen,
  stackRecords,
  type Track,
  type TrainingPlan,
} from "../../exits/index.ts";

/** What a test gives of a batch. */
export type GivenBatch = Pick<Seen, "logits" | "labels" | "exitWeights" | "ramp" | "teacher" | "mixed"> &
  Partial<Seen> & {
    /** What each exit's logits are linear in; an exit may say nothing. */
    readonly features?: readonly (Tensor | undefined)[];
  };

/** A network of so many exits, as phases see it. */
export const siteOf = (exits: number, classes = 10): PhaseSite => ({
  exits,
  classes,
  costs: Array.from({ length: exits }, (_, j) => (j + 1) / exits),
  placeOf: () => ({ exit: 0, isHead: true }),
});

/** The first track of a method's first phase, or of another. */
export const trackOf = (plan: TrainingPlan, exits: number, classes = 10, phase = 0): Track =>
  plan.phases(siteOf(exits, classes))[phase]!.tracks[0];

/** Exit weights of an epoch. */
export const exitWeightsAt = (
  plan: TrainingPlan,
  exits: number,
  at: Epoch = { epoch: 1, epochs: 1 },
): readonly number[] => trackOf(plan, exits).exitWeights?.(exits, at) ?? new Array(exits).fill(1);

/** The loss of a batch in the first phase, or in another. */
export function lossOf(plan: TrainingPlan, batch: GivenBatch, phase = 0): Tensor {
  const [n, exits, classes] = batch.logits.shape as readonly [number, number, number];
  const records = Array.from({ length: exits }, (_, j) => {
    const logits = batch.logits.slice({ starts: [0, j, 0], ends: [n, j + 1, classes] }).reshape([n, classes]);
    const features = batch.features?.[j];
    return features ? { logits, features } : { logits };
  });
  return trackOf(plan, exits, classes, phase).loss({
    out: stackRecords(records),
    exits: records,
    numbers: {},
    ...batch,
  });
}

/** `[K]`: the loss as if one exit alone counted, for each exit. */
export function lossPerExit(plan: TrainingPlan, batch: GivenBatch): Tensor {
  const exits = batch.logits.shape[1] as number;
  const alone = (exit: number) => tensor(Float32Array.from({ length: exits }, (_, j) => Number(j === exit)));
  return stack(Array.from({ length: exits }, (_, j) => lossOf(plan, { ...batch, exitWeights: alone(j) }))).reshape([
    exits,
  ]);
}
