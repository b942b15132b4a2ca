// What a run is asked to do: the method's phases on the network at hand, by what the recipe wants of it.

import { what } from "../../base/index.ts";
import { ArgumentError } from "../../engine/functions.ts";
import type { Method, TrainingPlan } from "../methods/method.ts";
import type { MultiExit } from "../network/multi-exit.ts";
import type { Planned } from "./fine-tuning.ts";
import type { FullRecipe } from "./recipe.ts";
import { siteOf } from "./site.ts";

/** The method with its options. @throws ArgumentError for anything else. */
export function planOf(method: Method | TrainingPlan): TrainingPlan {
  if (typeof (method as Partial<Method> | undefined)?.with === "function") return (method as Method).with();
  if (typeof (method as Partial<TrainingPlan> | undefined)?.phases === "function") return method as TrainingPlan;
  throw new ArgumentError(`train: the method must be one of METHODS, or method.with(options); got ${what(method)}.`);
}

/** Checks that the network's heads have around them what the method puts there. @throws ArgumentError */
export function checkWraps({ name, wraps }: TrainingPlan, net: MultiExit): void {
  const wanted = wraps.map((wrap) => wrap.name);
  if (wanted.join() === net.wraps.join()) return;
  const list = (names: readonly string[]) => (names.length > 0 ? `heads that are ${names.join(", ")}` : "plain heads");
  throw new ArgumentError(
    `train: ${name} needs ${list(wanted)}; the network has ${list(net.wraps)}. Pass { wraps: method.with(options).wraps } to multiExit.`,
  );
}

/** The phases by what of the network the recipe wants trained. @throws ArgumentError for names that none has. */
export async function phasesOf(plan: TrainingPlan, net: MultiExit, recipe: FullRecipe): Promise<Planned> {
  const phases = plan.phases(siteOf(net));
  const { freeze, rateFactor, moreEpochs } = recipe;
  if (!freeze && !rateFactor && !moreEpochs) return { phases, told: [] };
  return (await import("./fine-tuning.ts")).planTuning(net, phases, recipe);
}
