// A way to train, as data: what network it wants, whom it learns from, what is trained in which order, and what decides
// at the end. Training, checkpoints, flags, help and the identity of a run are read from this record; nothing else
// knows a method by name.

import { type Given, type OptionSet, type OptionValues, option, type Readers, unread } from "../../base/index.ts";
import type { PrecisionMarginOptions, Table } from "../../calibration/index.ts";
import { ArgumentError } from "../../engine/functions.ts";
import type { HeadWrap } from "../network/heads/head.ts";
import { complete } from "../options.ts";
import type { Recipe } from "../training/recipe.ts";
import { weightedCrossEntropy } from "./losses.ts";
import type { Part, Track } from "./track.ts";

export type { Attack, Blend, Epoch, Loss, Part, Seen, Skipping, Track } from "./track.ts";

/** Where a method was published. */
export interface Paper {
  readonly title: string;
  readonly venue: string;
  readonly arxiv?: string;
  /** Public code, as owner/name. */
  readonly code?: string;
}

/** What `prepare` may look at. */
export interface SoFar {
  /** Logits of a part of the data, as the weights are now. */
  logits(split: "train" | "validation"): Promise<Table>;
}

/** Numbers by name, of some shape (default that of a list); finite. */
export type Numbers = Readonly<Record<string, { readonly data: Float32Array; readonly shape: readonly number[] }>>;

/** What is fitted on the host when the steps are done, and not trained by them. */
export interface Fits {
  readonly part: Part;
  /** Values of parameters of the part, by name, from what they are; finite. */
  readonly values: (
    soFar: SoFar,
    held: ReadonlyMap<string, Float32Array>,
  ) => Promise<Readonly<Record<string, Float32Array>>>;
}

/** A part of a run, with optimisers of its own. */
export interface Phase {
  /** For messages and rows. */
  readonly name: string;
  /** How long it is, in runs: 1, the default, is as many epochs as the recipe has, 0.5 half as many. */
  readonly share?: number;
  /** How long it is in epochs, whatever the recipe says. */
  readonly epochs?: number;
  /** Whether the method's teacher takes part; default true. Else it is neither asked nor moved. */
  readonly isTaught?: boolean;
  /**
   * What several methods call the very same first phase by: all that decides its loss. The loss looks at nothing but
   * what the phase trains, so that runs which are alike there have the same bits behind it (`TrainOptions.phases`).
   */
  readonly sharedAs?: string;
  /**
   * Parameters that start anew when it begins, drawn as those of another network of the same form; a teacher has them
   * as they were.
   */
  readonly anew?: Part;
  /** What differs from the run's recipe: Adam for heads. */
  readonly recipe?: Pick<Recipe, "optimizer" | "schedule">;
  /**
   * Whether its learning rate and its epochs go on where those of the phase before stood, as if they were one; default
   * false: they begin anew.
   */
  readonly goesOn?: boolean;
  /** Several take turns of `every` steps. */
  readonly tracks: readonly [Track, ...Track[]];
  /** Steps of a turn; default 1, and at most so many that every track has one. */
  readonly every?: number;
  /**
   * On the host, before the first step: numbers that the losses see. Kept in checkpoints, so that a resumed run has the
   * same.
   */
  readonly prepare?: (soFar: SoFar) => Promise<Numbers>;
  /**
   * Whether it is the phase before for longer: it has that one's numbers and stays in its last epoch, and a teacher
   * that is the network as it was stays. @internal
   */
  readonly continues?: boolean;
  /** On the host, behind the last step; not in a control. */
  readonly fits?: Fits;
}

/**
 * Whom a method learns from. `average`: the network's own averages of this decay, with `warmup` at most (1 + t) / (10 +
 * t) at step t. `network`: a larger one that was trained by a method of that name, wider and deeper by these factors,
 * and stays as it is. `self`: the network as it was when the phase began.
 */
export type Teacher =
  | { readonly kind: "average"; readonly decay: number; readonly warmup?: boolean }
  | { readonly kind: "network"; readonly method: string; readonly wider: number; readonly deeper: number }
  | { readonly kind: "self" };

/**
 * What a method's paper decides by, for whoever makes thresholds for it; commands certify the largest probability
 * unless told otherwise.
 */
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
  /** Of class precision margins. */
  readonly precision?: PrecisionMarginOptions;
}

/** What is decided by certified thresholds on the largest probability: the usual. */
export const CERTIFIED: PolicyPlan = { score: "maxProb", rule: "learnThenTest" };

/** What phases may depend on besides options. */
export interface PhaseSite {
  readonly exits: number;
  readonly classes: number;
  /** `[exits]`: MACs of an image that leaves there, heads passed included, as a share of the last one's. */
  readonly costs: readonly number[];
  /** Where a parameter lies, by its dotted name. */
  placeOf(name: string): ParameterPlace;
}

/** The exit that a parameter belongs to, from 0. */
export interface ParameterPlace {
  readonly exit: number;
  /** Whether it lies in what answers there, and not in the stages between the exit before and this one. */
  readonly isHead: boolean;
  /** Whether it lies in the backbone's classifier, in front of the linear layer that answers; default false. */
  readonly isHidden?: boolean;
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
  /** Fewest exits that it makes sense for; default 2. */
  readonly fewest?: number;
  /**
   * Whether its losses are the exits' cross-entropies under its exit weights, so that it is its own control; default
   * false.
   */
  readonly isPlain?: boolean;
  /**
   * Options that not every value of another one reads, by that one: `{ teacher: { wider: ["network"] } }`. Where it is
   * not read, anything but the default is refused.
   */
  readonly readers?: {
    readonly [By in keyof S]?: { readonly [K in keyof S]?: readonly string[] };
  };
  /** Why options make no sense together, if they do not. */
  readonly refuses?: (options: OptionValues<S>) => string | undefined;
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

const CONTROL = {
  control: option.toggle(
    false,
    "train its control: the same network, phases, recipe and exit weights, by cross-entropy alone, without teacher or gates",
  ),
} as const;

/** A way to train a multi-exit network. */
export interface Method<S extends OptionSet = OptionSet> {
  readonly name: string;
  readonly about: string;
  readonly paper?: Paper;
  /** Its own, and `control` for all but plain ones. */
  readonly options: S & OptionSet;
  /** The method with these options; what is not given has its default. @throws ArgumentError for what does not fit. */
  with(options?: Given<S> & { readonly control?: boolean }): TrainingPlan;
}

/** The same phases, each track of which minimises what its control does; nothing is fitted behind them. */
function controlled(phases: readonly [Phase, ...Phase[]], labelSmoothing: number): readonly [Phase, ...Phase[]] {
  const plain = weightedCrossEntropy(labelSmoothing);
  const control = ({ skips: _, ...track }: Track): Track => ({ ...track, loss: track.control ?? plain });
  return phases.map(({ fits: _, ...phase }) => ({
    ...phase,
    tracks: phase.tracks.map(control),
  })) as unknown as typeof phases;
}

/** Refuses fewer exits than a method needs. @throws ArgumentError */
function checkExits(name: string, exits: number, fewest: number): void {
  if (exits >= fewest) return;
  throw new ArgumentError(
    `${name}: the network must have at least ${fewest} exits; got ${exits}. One exit alone learns nothing from others: train it by joint.`,
  );
}

/** What to say of an option that differs from its default and is not read. */
function strayOf<S extends OptionSet>({ options, readers = {} }: MethodRecord<S>, own: OptionValues<S>) {
  const isChanged = ([key, value]: readonly [string, unknown]) =>
    JSON.stringify(value) !== JSON.stringify(options[key]?.default);
  const changed = Object.fromEntries(Object.entries(own).filter(isChanged));
  const all = Object.entries<Readers | undefined>(readers as Readonly<Record<string, Readers>>);
  return all
    .map(([by, of = {}]) => unread(changed, [by, String(own[by])], of)?.replace(/\.$/, ""))
    .find((sentence) => sentence !== undefined);
}

/** A method from what it says of itself, whose functions see its options typed. */
export function defineMethod<const S extends OptionSet>(record: MethodRecord<S>): Method<S> {
  const { name, about, paper, fewest = 2, isPlain = false } = record;
  const options: S & OptionSet = isPlain ? record.options : { ...record.options, ...CONTROL };
  return {
    name,
    about,
    ...(paper && { paper }),
    options,
    with(given = {}) {
      const all = complete(name, options, given as Given<S & OptionSet>);
      const { control, ...rest } = all as Readonly<Record<string, unknown>>;
      const { labelSmoothing } = rest;
      const own = rest as OptionValues<S>;
      const reason = strayOf(record, own) ?? record.refuses?.(own);
      if (reason !== undefined) throw new ArgumentError(`${name}: options must make sense together; ${reason}.`);
      return {
        name,
        options: all,
        wraps: record.wraps?.(own) ?? [],
        teacher: control === true ? undefined : record.teacher?.(own),
        policy: (control === true ? undefined : record.policy?.(own)) ?? CERTIFIED,
        phases(site) {
          checkExits(name, site.exits, fewest);
          const phases = record.phases(own, site);
          return control === true ? controlled(phases, (labelSmoothing as number | undefined) ?? 0) : phases;
        },
      };
    },
  };
}
