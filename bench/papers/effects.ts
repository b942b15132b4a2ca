// What one part of a method adds, all else being equal, in a design that has every combination of its parts.

import { pointsRange, type Sheet, type Verdict, verdictOf } from "./hypothesis.ts";
import { type OverSeeds, overSeeds } from "./measures.ts";

/** What a part adds beside one setting of the others, and over all of these. */
export interface Effect {
  readonly all: OverSeeds;
  readonly pairs: readonly { readonly beside: string; readonly adds: OverSeeds }[];
}

/** Which of the named parts are there. */
export const partsText = (names: readonly string[], are: readonly boolean[]): string =>
  names.filter((_, k) => are[k]).join(" + ") || "none of them";

/** Of differences of all images first, then of resamples: by what stands beside the part, seed by seed. */
export function effectOf(pairs: Readonly<Record<string, readonly (readonly number[])[]>>): Effect {
  const lists = Object.values(pairs);
  const means = lists[0]!.map((values, seed) =>
    values.map((_, i) => lists.reduce((sum, pair) => sum + pair[seed]![i]!, 0) / lists.length),
  );
  return {
    all: overSeeds(means),
    pairs: Object.entries(pairs).map(([beside, pair]) => ({ beside, adds: overSeeds(pair) })),
  };
}

/** Decided by the mean over all combinations, unless one of them decides the contrary. */
export function effectVerdict(claim: string, { all, pairs }: Effect, wanted: "below" | "above", what: string): Verdict {
  const verdict = verdictOf(claim, all, wanted, `${what}, over all combinations of the others`);
  if (verdict.held === "undecided") return verdict;
  const contrary = pairs.filter(({ adds }) => ![verdict.held, "undecided"].includes(heldBy(adds, wanted)));
  if (contrary.length === 0) return verdict;
  const but = contrary.map(({ beside, adds }) => `${beside} ${pointsRange(adds)}`).join("; ");
  return { ...verdict, held: "undecided", because: `${verdict.because}; it depends on what stands beside: ${but}` };
}

const heldBy = (adds: OverSeeds, wanted: "below" | "above") => verdictOf("", adds, wanted, "").held;

/** Every effect, over all combinations and in each. */
export const effectsSheet = (text: string, effects: Readonly<Record<string, Effect>>): Sheet => ({
  title: "Effects",
  text,
  head: ["part", "beside", "adds"],
  rows: Object.entries(effects).flatMap(([part, { all, pairs }]) => [
    [part, "mean over all below", pointsRange(all)],
    ...pairs.map(({ beside, adds }) => [part, beside, pointsRange(adds)]),
  ]),
});
