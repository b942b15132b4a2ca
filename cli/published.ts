// What the paper of a run's method decides by, where that is not certified thresholds on the largest probability: asked
// for by `sortie calibrate --as-published`, and told by comparisons beside what all methods are compared by.

import {
  type Calibration,
  evaluatePolicy,
  fixedThreshold,
  type PolicyEvaluation,
  type PublishedChoice,
  precisionMargins,
  RULE_OPTIONS,
  type Source,
  type Table,
} from "../calibration/index.ts";
import { CERTIFIED, type PolicyPlan } from "../exits/index.ts";
import { calibrateBy } from "./report/targets.ts";
import type { Config } from "./settings/config.ts";

/** Whether a rule is the one that all methods are compared by. */
export const isUsual = ({ score, rule }: PolicyPlan): boolean => score === CERTIFIED.score && rule === CERTIFIED.rule;

/** A rule in words: "from 0.5 on" and such. */
export const ruleName = ({ rule }: PolicyPlan): string =>
  typeof rule === "string" ? `by ${rule}` : `from ${rule.threshold} on`;

/** Whether a rule is one that tests nothing and is found on validation alone. */
export const isPlain = ({ rule }: PolicyPlan): boolean => rule === "classPrecisionMargin" || typeof rule === "object";

/** Thresholds by a rule of a paper that tests nothing. */
export function byPublished(
  validation: Source,
  { score, rule, precision }: PolicyPlan,
  sameSamples = false,
): PublishedChoice {
  if (typeof rule === "object") return fixedThreshold(validation, { ...rule, score, sameSamples });
  return precisionMargins(validation, { ...precision, sameSamples });
}

/**
 * What the thresholds of a rule do on test samples; undefined where nothing can be certified, and for a budget, which
 * wants a goal. A certified rule keeps the run's own promise.
 */
export function decidedBy(
  rule: PolicyPlan,
  { alpha, delta, control }: Config["calibration"],
  { validation, calibration, test }: Readonly<Record<"validation" | "calibration" | "test", Table>>,
): PolicyEvaluation | undefined {
  if (rule.rule === "budget") return undefined;
  const certify = (): Calibration => {
    const request = {
      rule: "learnThenTest",
      score: rule.score,
      control,
      seed: RULE_OPTIONS.levels.seed.default,
    } as const;
    return calibrateBy(request, { alpha, delta }, { calibration, validation });
  };
  const choice = isPlain(rule) ? byPublished(validation, rule) : certify();
  return choice.ok ? evaluatePolicy(test, choice) : undefined;
}
