// A way to train, as data: what network it wants, whom it learns from, what is trained in which order, and what decides at the end.
// Training, checkpoints, flags, help and the identity of a run are read from this record; nothing else knows a method by name.

import type { Given, OptionSet, OptionValues } from "../../base/index.ts";
import type { Table } from "../../calibration/index.ts";
import type { Tensor } from "../../engine/functions.ts";
import type { ExitRecord, HeadWrap } from "../network/heads/head.ts";
import type { ExitOutput } from "../network/output.ts";
import { complete } from "../options.ts";
import type { Recipe } from "../training/recipe.ts";

/** Where a method was published. */
export interface Paper {
  readonly title: string;
  readonly venue: string;
  readonly arxiv?: string;
  /** Public code, as owner/name. */
  readonly code?: string;
}

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
  /** What the phase prepared. */
  readonly numbers: Readonly<Record<string, Tensor>>;
}

/** An epoch of a phase, counted from 1 as papers do, of so many. */
export interface Epoch {
  readonly epoch: number;
  readonly epochs: number;
}

/** Parameters by dotted name: `heads.1.linear.weight`, `backbone.stages.0.conv1.weight`. */
export type Part = (name: string) => boolean;

/** One loss, and what it trains. */
export interface Track {
  /** Default everything. All else is constant: in evaluation mode, without a tape, and the same to the bit afterwards. */
  readonly trains?: Part;
  /** A scalar. */
  readonly loss: (seen: Seen) => Tensor;
  /** How much each of `exits` exits counts in an epoch, an input of the step; default 1 each. */
  readonly exitWeights?: (exits: number, at: Epoch) => readonly number[];
  /** What else of the loss moves with the epochs, as one number: `seen.ramp`. */
  readonly ramp?: (at: Epoch) => number;
  /** Whether the gradients that exits send into shared stages are rescaled (`gradientEquilibrium`); default false. */
  readonly equilibrium?: boolean;
}

/** What `prepare` may look at. */
export interface SoFar {
  /** Logits of a part of the data, as the weights are now. */
  logits(split: "train" | "validation"): Promise<Table>;
}

/** Numbers by name, of some shape (default that of a list); finite. */
export type Numbers = Readonly<Record<string, { readonly data: Float32Array; readonly shape: readonly number[] }>>;

/** A part of a run, with optimisers of its own. */
export interface Phase {
  /** For messages and rows. */
  readonly name: string;
  /** How long it is, in runs: 1, the default, is as many epochs as the recipe has, 0.5 half as many. */
  readonly share?: number;
  /** How long it is in epochs, whatever the recipe says. */
  readonly epochs?: number;
  /** What differs from the run's recipe: Adam for heads. */
  readonly recipe?: Pick<Recipe, "optimizer" | "schedule">;
  /** Several take turns of `every` steps. */
  readonly tracks: readonly [Track, ...Track[]];
  /** Steps of a turn; default 1, and at most so many that every track has one. */
  readonly every?: number;
  /** On the host, before the first step: numbers that the losses see. Kept in checkpoints, so that a resumed run has the same. */
  readonly prepare?: (soFar: SoFar) => Promise<Numbers>;
}

/**
 * Whom a method learns from. `average`: the network's own averages of this decay, with `warmup` at most (1 + t) / (10 + t) at step t.
 * `network`: a larger one that was trained by a method of that name, wider and deeper by these factors, and stays as it is. `self`: the
 * network as it was when the phase began.
 */
export type Teacher =
  | { readonly kind: "average"; readonly decay: number; readonly warmup?: boolean }
  | { readonly kind: "network"; readonly method: string; readonly wider: number; readonly deeper: number }
  | { readonly kind: "self" };

/** What a method's paper decides by, for whoever makes thresholds for it; commands certify the largest probability unless told otherwise. */
export interface PolicyPlan {
  /** `confidence`: what the heads say of themselves. */
  readonly score:
    | "maxProb"
    | "margin"
    | "entropy"
    | "normalisedEntropy"
    | "energy"
    | "maxLogit"
    | "patience"
    | "confidence";
  readonly rule: "learnThenTest" | "classPrecisionMargin" | "budget" | { readonly threshold: number };
}

/** What is decided by certified thresholds on the largest probability: the usual. */
export const CERTIFIED: PolicyPlan = { score: "maxProb", rule: "learnThenTest" };

/** What phases may depend on besides options. */
export interface PhaseSite {
  readonly exits: number;
  readonly classes: number;
  /** `[exits]`: MACs of an image that leaves there, heads passed included, as a share of the last one's. */
  readonly costs: readonly number[];
}

/** What a method says of itself; `S` are its options, which every function gets complete. */
export interface MethodRecord<S extends OptionSet> {
  /** By which commands and configuration files call it. */
  readonly name: string;
  /** One line. */
  readonly about: string;
  /** None: a baseline or a control. */
  readonly paper?: Paper;
  readonly options: S;
  /** What stands around the heads that the user chose, innermost first. */
  readonly wraps?: (options: OptionValues<S>) => readonly HeadWrap[];
  readonly teacher?: (options: OptionValues<S>) => Teacher | undefined;
  readonly phases: (options: OptionValues<S>, site: PhaseSite) => readonly [Phase, ...Phase[]];
  /** Default `CERTIFIED`. */
  readonly policy?: (options: OptionValues<S>) => PolicyPlan;
}

/** A method and all its options. */
export interface TrainingPlan {
  readonly name: string;
  /** Complete, as JSON: a run is not resumed under other ones. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly wraps: readonly HeadWrap[];
  readonly teacher: Teacher | undefined;
  readonly policy: PolicyPlan;
  phases(site: PhaseSite): readonly [Phase, ...Phase[]];
}

/** A way to train a multi-exit network. */
export interface Method<S extends OptionSet = OptionSet> {
  readonly name: string;
  readonly about: string;
  readonly paper?: Paper;
  readonly options: S;
  /** The method with these options; what is not given has its default. Throws ArgumentError for what does not fit. */
  with(options?: Given<S>): TrainingPlan;
}

/** A method from what it says of itself, whose functions see its options typed. */
export function defineMethod<const S extends OptionSet>(record: MethodRecord<S>): Method<S> {
  const { name, about, paper, options } = record;
  return {
    name,
    about,
    ...(paper && { paper }),
    options,
    with(given = {}) {
      const all = complete(name, options, given);
      return {
        name,
        options: all,
        wraps: record.wraps?.(all) ?? [],
        teacher: record.teacher?.(all),
        policy: record.policy?.(all) ?? CERTIFIED,
        phases: (site) => record.phases(all, site),
      };
    },
  };
}
