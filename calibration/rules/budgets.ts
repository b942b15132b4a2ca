// Thresholds for a wanted accuracy, cost or latency, by search on validation samples. They carry no guarantee.

import type { Kinds } from "../../base/index.ts";
import { check, readOptions } from "../errors.ts";
import { sweepThresholds } from "../metrics/curves.ts";
import { areCosts, dot } from "../numeric/arrays.ts";
import { clopperPearson } from "../numeric/bounds.ts";
import { policyOrigin } from "../table/origin.ts";
import { checkDistinct, usedSamples } from "../table/same-samples.ts";
import { betweenScores, type Cascade, cascade, type Score, type Source } from "../table/scores.ts";
import { budgetThresholds } from "./msdnet-budget.ts";
import { BUDGET_GOAL, SAME_SAMPLES } from "./options.ts";
import { achieved, decide } from "./policies.ts";
import { type ChosenThresholds, type Guarantee, similarSamples } from "./result.ts";

/** What to reach: the least cost at an accuracy, or the best accuracy at a cost or at a mean latency. */
export type BudgetGoal =
  | { readonly accuracy: number }
  | { readonly cost: number }
  /** `milliseconds[j]`: measured time of a sample that leaves at exit j; `budget`: mean milliseconds. */
  | { readonly milliseconds: ArrayLike<number>; readonly budget: number };

/** Thresholds found, or why not. */
export type BudgetChoice = {
  readonly method: "budget search";
  readonly guarantee: Guarantee;
  readonly n: number;
  readonly origin: ChosenThresholds["origin"];
} & (
  | (ChosenThresholds & {
      readonly ok: true;
      /** On the validation samples. */
      readonly accuracy: number;
      /** Share of the full network's cost; mean milliseconds where `isTime`. */
      readonly cost: number;
      readonly isTime: boolean;
    })
  | { readonly ok: false; readonly reason: string }
);

const guarantee: Guarantee = {
  kind: "none",
  promise: "accuracy and cost were reached on the samples searched; on new samples they vary around these values.",
  assumptions: [similarSamples],
};

/** Checks that the goal is one of the three. @throws CalibrationError */
function checkGoal(goal: BudgetGoal): void {
  const read = readOptions<{ readonly [K in keyof typeof BUDGET_GOAL]?: unknown }>("meetBudget", goal, {
    ...BUDGET_GOAL,
    milliseconds: "any",
  });
  const given = Object.keys(read).sort().join();
  const isOne = given === "accuracy" || given === "cost" || given === "budget,milliseconds";
  check(isOne, "meetBudget", "the goal must be accuracy, cost, or milliseconds with budget", given || "none");
}

/** Options of `meetBudget`. */
export interface BudgetOptions {
  /** Which confidence to threshold; default the largest probability. */
  readonly score?: Score;
  /** Allows a sample to be there several times, which then counts as often. */
  readonly sameSamples?: boolean;
}

const BUDGET: Kinds<BudgetOptions> = { score: "any", sameSamples: SAME_SAMPLES };

/**
 * Searches shared thresholds and MSDNet budgets for the best setting that meets the goal on validation samples.
 *
 * @example
 * ```ts
 * import { createPopulation, createRandom, meetBudget } from "sortie/calibration";
 *
 * const population = createPopulation({ size: 20_000 }); // stands for your own logits, see createTable
 * const table = population.draw(3000, createRandom(1));
 * const choice = meetBudget(table, { cost: 0.6 }); // of the whole network's
 * console.log(choice.cost <= 0.6); // true
 * ```
 */
export function meetBudget(validation: Source, goal: BudgetGoal, options: BudgetOptions = {}): BudgetChoice {
  const { score, sameSamples = false } = readOptions("meetBudget", options, BUDGET);
  checkGoal(goal);
  const scored = cascade(validation, score);
  const { exits, samples: n } = scored;
  if (!sameSamples) checkDistinct("meetBudget", scored, "validation");
  check(exits > 1, "meetBudget", "the table must have an early exit", `${exits} exit`);
  const costs = "milliseconds" in goal ? Float64Array.from(goal.milliseconds) : scored.costs;
  check(costs.length === exits, "meetBudget", `milliseconds must hold ${exits} values`, costs.length);
  const times = `[${costs.join(", ")}]`;
  check(areCosts(costs), "meetBudget", "milliseconds must be positive and must not decrease from exit to exit", times);
  const limit = "budget" in goal ? goal.budget : "cost" in goal ? goal.cost : Number.POSITIVE_INFINITY;
  const wanted = "accuracy" in goal ? goal.accuracy : Number.NEGATIVE_INFINITY;
  const tried = candidates(scored).map((thresholds) => {
    const { accuracy, fractions } = achieved(scored, decide(scored, thresholds));
    return { thresholds, accuracy, cost: dot(fractions, costs) };
  });
  const meeting = tried.filter(({ accuracy, cost }) => accuracy >= wanted && cost <= limit + 1e-12);
  const isBetter = (a: (typeof tried)[number], b: (typeof tried)[number]) =>
    "accuracy" in goal ? a.cost < b.cost : a.accuracy > b.accuracy || (a.accuracy === b.accuracy && a.cost < b.cost);
  const [first, ...others] = meeting;
  const about = { method: "budget search", n, guarantee, origin: policyOrigin(scored) } as const;
  if (!first) return { ok: false, ...about, reason: explain(goal, tried, n) };
  const best = others.reduce((kept, one) => (isBetter(one, kept) ? one : kept), first);
  const thresholds = betweenScores(scored)(best.thresholds);
  return {
    ok: true,
    ...about,
    score: scored.score,
    ...usedSamples([scored]),
    isTime: "milliseconds" in goal,
    ...best,
    thresholds,
  };
}

function candidates(scored: Cascade): readonly Float64Array[] {
  const early = scored.exits - 1;
  const shared = Array.from(sweepThresholds(scored, 200), (t) => new Float64Array(early).fill(t));
  const first = new Float64Array(early).fill(Number.NEGATIVE_INFINITY);
  const budgets = Array.from({ length: 79 }, (_, k) => budgetThresholds(scored, (k + 1) / 40).thresholds);
  return [...shared, ...budgets, first];
}

/** 95 of 100 standard normal numbers are smaller. */
const LIKELY_DEVIATION = 1.6449;

/** An accuracy may be missed by bad luck, which more samples tell; a cost is missed by what the network is. */
function explain(
  goal: BudgetGoal,
  tried: readonly { readonly accuracy: number; readonly cost: number }[],
  n: number,
): string {
  const most = Math.max(...tried.map(({ accuracy }) => accuracy));
  const least = Math.min(...tried.map(({ cost }) => cost));
  const short = (x: number) => Number(x.toPrecision(6));
  const never = "and no threshold can do better, however many samples there are.";
  if (!("accuracy" in goal)) {
    const limit = "budget" in goal ? `${goal.budget} ms` : `cost ${goal.cost}`;
    return `budget search: no thresholds stay within ${limit}; the least is ${short(least)}, ${never}`;
  }
  const missed = `budget search: no thresholds reach accuracy ${goal.accuracy}; the best is ${short(most)}`;
  // The accuracy really is below the goal, unless so few errors more were to be expected of it at the goal.
  const wrong = Math.round((1 - most) * n);
  const { lower } = clopperPearson(wrong, n, { alpha: 0.05, side: "lower" });
  if (lower > 1 - goal.accuracy) return `${missed}, ${never}`;
  const deviation = LIKELY_DEVIATION / (goal.accuracy - most);
  const needed = Math.max(2 * n, Math.ceil(most * (1 - most) * deviation ** 2));
  return (
    `${missed}, and the ${n} validation samples are too few to tell these apart: ` +
    `about ${needed} would be needed, ${needed - n} more.`
  );
}
