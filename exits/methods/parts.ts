// Parts of a network by the names of their parameters, and phases that many methods have.

import { type Option, option } from "../../base/index.ts";
import { mean, sum, type Tensor } from "../../engine/functions.ts";
import { exitWeightsOption } from "./exit-weights.ts";
import { earlyExits, exitCrossEntropy, exitMeans, labelSmoothing, lastExit } from "./losses.ts";
import type { Paper, Part, Phase, PhaseSite, Seen, Track } from "./method.ts";

/** The plain network: backbone and last exit. */
export const trunk = ({ exits }: Pick<PhaseSite, "exits">): Part => {
  const last = headAt(exits - 1);
  return (name) => name.startsWith("backbone.") || last(name);
};

/** The heads of all exits but the last. */
export const branches = (site: Pick<PhaseSite, "exits">): Part => {
  const isTrunk = trunk(site);
  return (name) => !isTrunk(name);
};

/** The head of an exit, from 0. */
export const headAt =
  (exit: number): Part =>
  (name) =>
    name.startsWith(`heads.${exit}.`);

/** What lies in a field of that name, however deep: `gate` is `heads.0.gate.weight` and the like. */
export const only =
  (field: string): Part =>
  (name) =>
    name.split(".").includes(field);

/** What is of the first, and not of the second. */
export const without =
  (part: Part, other: Part): Part =>
  (name) =>
    part(name) && !other(name);

/** One phase of one track that trains everything. */
export const once = (track: Omit<Track, "trains">): readonly [Phase] => [{ name: "training", tracks: [track] }];

/** The plain network, trained by the cross-entropy of its last exit, whatever the branches say. */
export function plainBackbone(site: Pick<PhaseSite, "exits">, labelSmoothing = 0): Phase {
  const loss: Track["loss"] = ({ logits, labels, mixed }) =>
    mean(exitCrossEntropy({ logits: lastExit(logits), labels, mixed }, labelSmoothing));
  const sharedAs = `plain backbone, label smoothing ${labelSmoothing}`;
  return { name: "backbone", sharedAs, tracks: [{ trains: trunk(site), loss, control: loss }] };
}

/** sum_{j<K} mean CE_j: the loss of branches that are trained on a backbone which stays as it is. */
export const branchCrossEntropy =
  (labelSmoothing = 0) =>
  ({ logits, labels, mixed }: Pick<Seen, "logits" | "labels" | "mixed">): Tensor =>
    sum(exitMeans(exitCrossEntropy({ logits: earlyExits(logits), labels, mixed }, labelSmoothing)));

/**
 * Adam at a rate, whatever the run's optimiser and schedule are: how heads on a frozen backbone are trained. The rate
 * stays as it is unless a method's paper names a schedule.
 */
export const adam = (
  lr: number,
  schedule: NonNullable<Phase["recipe"]>["schedule"] = { kind: "constant", warmup: 0 },
): NonNullable<Phase["recipe"]> => ({ optimizer: { method: "adam", lr }, schedule });

/** Where the regimes of training are compared: joint, disjoint, mixed. */
export const REGIMES: Paper = {
  title: "How to Train Your Multi-Exit Model? Analyzing the Impact of Training Strategies",
  venue: "ICML 2025",
  arxiv: "2407.14320",
};

/** The option of that name, of methods with several phases. */
export const equalTotal: Option<boolean> = option.toggle(
  false,
  "make all phases together as long as the run's epochs; else each of them is",
);

/** Phases one after the other, each as long as the run; where `isEqual`, all of them together. */
export const shared = (isEqual: boolean, phases: readonly Phase[]): readonly [Phase, ...Phase[]] =>
  phases.map((phase) => (isEqual ? { ...phase, share: 1 / phases.length } : phase)) as unknown as readonly [Phase];

/** What gates of this project's own make of exit weights, as those of CGT do. */
export const GATED_WEIGHTS = {
  exitWeights: exitWeightsOption(1, "ours"),
  leak: option.number(1e-3, "added to every weight", { min: 0, basis: "the public code of CGT" }),
  normalise: option.toggle(true, "divide each sample's weights by their sum", { basis: "the public code of CGT" }),
  labelSmoothing: labelSmoothing(0),
} as const;
