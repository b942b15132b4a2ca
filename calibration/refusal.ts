/** What to say when nothing can be certified: the smallest risk within reach, and the samples it would take. */

import { clopperPearson, smallestTestable } from "./bounds.ts";
import type { RiskLevels } from "./ltt.ts";
import { fallingOrder } from "./ranks.ts";
import type { Guarantee, Refused } from "./result.ts";
import type { Cascade } from "./scores.ts";
import { binomialCdf } from "./special.ts";

/** How the refused procedure tests. */
export interface RefusedTests {
  /** Samples with the same key form one group; default one group per exit. */
  readonly by?: "label" | "predictedClass";
  /** Level of one test; default delta. */
  readonly level?: number;
  /** Share of the samples that one exit's test may use; default all. */
  readonly share?: number;
}

/** Thresholds looked at per exit: a refusal is an estimate, and many classes make every look expensive. */
const LOOKS = 100;
const LOOKS_BY_GROUP = 20;

/**
 * Looks at every early exit alone, at many observed thresholds: the smallest Clopper-Pearson bound is about the smallest
 * alpha that could have been certified (never below the alpha that was refused); the cheapest extrapolation at about
 * the error rates seen is the n needed.
 */
export function refuse(
  calibration: Cascade,
  levels: RiskLevels,
  about: { readonly method: string; readonly guarantee: Guarantee },
  tests: RefusedTests = {},
): Refused {
  const { samples } = calibration;
  const { alpha, delta } = levels;
  let reach = 1;
  let needed = samples > 0 ? Number.POSITIVE_INFINITY : smallestTestable(alpha, delta);
  for (let j = 0; j < calibration.exits - 1 && samples > 0; j++) {
    const found = lookAtExit(calibration, j, levels, tests);
    reach = Math.min(reach, found.risk);
    needed = Math.min(needed, found.samples);
  }
  const goal = `${about.method}: no early exit could be certified at alpha ${alpha}, delta ${delta} with ${samples} samples`;
  return { ok: false, ...about, ...levels, n: samples, ...outlook(goal, { reach, needed, alpha, n: samples }) };
}

/** The numbers and the sentence of a refusal; what was refused at alpha with n samples needs more of either. */
export function outlook(
  goal: string,
  found: { readonly reach: number; readonly needed: number; readonly alpha: number; readonly n: number },
): Pick<Refused, "smallestRisk" | "neededSamples" | "reason"> {
  const { reach, alpha, n } = found;
  const neededSamples = Math.max(found.needed, n + 1);
  const risk = reach > alpha ? `about ${Number(reach.toPrecision(3))}` : `just above ${alpha}`;
  const rest =
    neededSamples === Number.POSITIVE_INFINITY
      ? "at the error rates seen more samples would not help: even the most confident are wrong too often"
      : `about ${neededSamples} samples would be needed`;
  const reason = `${goal}; the smallest certifiable risk is ${risk}, and ${rest}.`;
  return { smallestRisk: Math.max(reach, alpha), neededSamples, reason };
}

/** The best of one exit's thresholds: the smallest risk certifiable, and the fewest samples for alpha. */
function lookAtExit(
  { samples, exits, classes, scores, errors, labels, predictions }: Cascade,
  exit: number,
  { alpha, delta }: RiskLevels,
  { by, level = delta, share = 1 }: RefusedTests,
): { readonly risk: number; readonly samples: number } {
  const groups = by ? classes : 1;
  const accepted = new Float64Array(groups);
  const wrong = new Float64Array(groups);
  const stride = Math.max(1, Math.floor(samples / (by ? LOOKS_BY_GROUP : LOOKS)));
  const best = { risk: 1, samples: Number.POSITIVE_INFINITY };
  const look = () => {
    // every label must pass at once; of answered classes one is enough
    let chosen = 0;
    let risk = by === "label" ? 0 : 1;
    for (let c = 0; c < groups; c++) {
      const n = Math.floor(accepted[c]! * share);
      const { upper } = clopperPearson(Math.min(n, Math.round(wrong[c]! * share)), n, { alpha: level, side: "upper" });
      if (by === "label" ? upper < risk : upper >= risk) continue;
      risk = upper;
      chosen = c;
    }
    if (accepted[chosen] === 0) return;
    best.risk = Math.min(best.risk, risk);
    // half an error more than seen: one lucky sample is no evidence
    const enough = acceptedNeeded((wrong[chosen]! + 0.5) / (accepted[chosen]! + 1), { alpha, delta: level });
    best.samples = Math.min(best.samples, Math.ceil((samples * enough) / (accepted[chosen]! * share)));
  };
  let sinceLook = 0;
  fallingOrder(scores, exits, exit).forEach((i, rank, order) => {
    const at = i * exits + exit;
    const key = by === "label" ? labels[i]! : by ? predictions[at]! : 0;
    accepted[key] = accepted[key]! + 1;
    wrong[key] = wrong[key]! + errors[at]!;
    sinceLook++;
    const isLast = rank === samples - 1;
    const isInsideTie = !isLast && scores[order[rank + 1]! * exits + exit] === scores[at];
    if (isInsideTie || (sinceLook < stride && !isLast)) return;
    sinceLook = 0;
    look();
  });
  return best;
}

/** Fewest accepted samples at which this error rate passes the exact test; Infinity if it never does. */
function acceptedNeeded(rate: number, { alpha, delta }: RiskLevels): number {
  if (rate >= alpha) return Number.POSITIVE_INFINITY;
  const passes = (n: number) => binomialCdf(Math.round(rate * n), n, alpha) <= delta;
  let high = smallestTestable(alpha, delta);
  while (!passes(high)) {
    high *= 2;
    if (high > 1e9) return Number.POSITIVE_INFINITY;
  }
  let low = Math.floor(high / 2);
  while (high - low > 1) {
    const mid = (low + high) >> 1;
    if (passes(mid)) high = mid;
    else low = mid;
  }
  return high;
}
