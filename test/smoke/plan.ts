// A method as its trial trains it: published learning rates are for thousands of steps, so one that it begins anew with
// is raised.

import type { Method, TrainingPlan } from "../../exits/index.ts";

/** Methods whose rate is of something that their defaults do not train. */
const UNREAD = ["eefp"];

/**
 * Where heads have a rate of their own to begin with, it alone is raised: behind it ptee's mixture trains an exit on
 * samples that it is trusted with, and nowhere else, so that at fifty times its rate an exit that is not worth it
 * forgets the other classes (10 % of 500 images; 26 % before the mixture).
 */
export function trialOf(method: Method): TrainingPlan {
  const raised = UNREAD.includes(method.name) ? undefined : ["headsLr", "lr"].find((rate) => rate in method.options);
  return method.with(raised === undefined ? {} : { [raised]: 0.05 });
}
