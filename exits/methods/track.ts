// What a loss sees of a batch, and what it trains: the innermost part of a method.

import type { Tensor } from "../../engine/functions.ts";
import type { ExitRecord } from "../network/heads/head.ts";
import type { ExitOutput } from "../network/output.ts";

/** The other half of images that are blends of two (mixup). */
export interface Blend {
  /** i32 [N]: the other images' labels. */
  readonly labels: Tensor;
  /** f32 [N]: what part of each image is its own; the rest is the other's. */
  readonly share: Tensor;
}

/** What a loss sees of a batch, all of it on the GPU. */
export interface Seen {
  /** [N, K, C], exits from shallow to deep. */
  readonly logits: Tensor;
  /** All that the exits say, stacked when it is asked for. */
  readonly out: ExitOutput;
  /** The same, exit by exit. */
  readonly exits: readonly ExitRecord[];
  /** i32 [N] */
  readonly labels: Tensor;
  /** Only with mixup. */
  readonly mixed?: Blend | undefined;
  /** f32 [K]: those of the epoch. */
  readonly exitWeights: Tensor;
  /** f32 []: that of the epoch; only of tracks that have one. */
  readonly ramp?: Tensor | undefined;
  /** Logits of all of a teacher's exits, [N, K, C], without gradient; only for methods that name one. */
  readonly teacher?: Tensor | undefined;
  /**
   * Logits of all exits, [N, K, C], for the same images changed so as to be answered wrong; only of tracks that ask.
   */
  readonly attacked?: Tensor | undefined;
  /** What the phase prepared; a loss may write into them (`copyInto`), behind what it has read of them. */
  readonly numbers: Readonly<Record<string, Tensor>>;
}

/** An epoch of a phase, or of those that go on from one another, counted from 1 as papers do, of so many. */
export interface Epoch {
  readonly epoch: number;
  readonly epochs: number;
}

/** Parameters by dotted name: `heads.1.linear.weight`, `backbone.stages.0.conv1.weight`. */
export type Part = (name: string) => boolean;

/** How images are changed so as to be answered wrong; pixels are within 0 and 1. */
export interface Attack {
  /** The most that a pixel is changed by. */
  readonly epsilon: number;
  /** How far a step goes. */
  readonly stepSize: number;
  readonly steps: number;
}

/** How samples that an exit has handled are left out behind it. */
export interface Skipping {
  /**
   * What batch norms behind the first exit do: take the statistics of the samples that are left, if there are several,
   * or keep their running ones, in evaluation mode.
   */
  readonly norms: "survivors" | "frozen";
  /** f32 [n]: 0 for samples that an exit of logits [n, C] handles, so that none behind it learns from them; else 1. */
  readonly stays: (logits: Tensor, labels: Tensor) => Tensor;
}

/** A scalar of what is seen of a batch. */
export interface Loss {
  (seen: Seen): Tensor;
  /** What looks at the one label that images must have, for messages: blended images are refused. Default nothing. */
  readonly oneLabel?: string;
}

/** One loss, and what it trains. */
export interface Track {
  /**
   * Default everything. All else is constant: in evaluation mode, without a tape, and the same to the bit afterwards.
   */
  readonly trains?: Part;
  readonly loss: Loss;
  /**
   * What the method's control minimises in its place: default the exits' cross-entropies, under the same exit weights.
   */
  readonly control?: Loss;
  /** How much each of `exits` exits counts in an epoch, an input of the step; default 1 each. */
  readonly exitWeights?: (exits: number, at: Epoch) => readonly number[];
  /** What else of the loss moves with the epochs, as one number: `seen.ramp`. */
  readonly ramp?: (at: Epoch) => number;
  /** Lets the loss see the exits' answers to attacked images too. */
  readonly attack?: Attack;
  /** Whether the gradients that exits send into shared stages are rescaled (`gradientEquilibrium`); default false. */
  readonly equilibrium?: boolean;
  /**
   * Which samples are left out behind an exit. The loss sees for them, there, the logits of the exit that handled them,
   * without gradient. Default none.
   */
  readonly skips?: Skipping | undefined;
}
