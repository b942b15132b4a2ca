/** What to say when nothing can be certified: the smallest risk within reach, and the samples it would take. */

import { clopperPearson, smallestTestable } from "./bounds.ts";
import { groupScores } from "./failure.ts";
import type { RiskLevels } from "./ltt.ts";
import { column } from "./outcomes.ts";
import type { Guarantee, Refused } from "./result.ts";
import type { Cascade } from "./scores.ts";
import { binomialCdf } from "./special.ts";

/**
 * Looks at every early exit alone, at every observed threshold: the smallest Clopper-Pearson bound is the smallest
 * alpha that could have been certified; the cheapest extrapolation at about the error rates seen is the n needed.
 */
export function refuse(
  calibration: Cascade,
  levels: RiskLevels,
  about: { readonly method: string; readonly guarantee: Guarantee },
): Refused {
  const { samples, exits, scores, errors } = calibration;
  const { alpha, delta } = levels;
  let smallestRisk = 1;
  let neededSamples = samples > 0 ? Number.POSITIVE_INFINITY : smallestTestable(alpha, delta);
  for (let j = 0; j < exits - 1 && samples > 0; j++) {
    const groups = groupScores(
      column(scores, exits, j),
      column(errors, exits, j).map((e) => 1 - e),
    );
    let accepted = 0;
    let wrong = 0;
    const stride = Math.max(1, Math.floor(groups.counts.length / 100));
    for (let g = 0; g < groups.counts.length; g++) {
      accepted += groups.counts[g]!;
      wrong += groups.errors[g]!;
      if (g % stride !== 0 && g !== groups.counts.length - 1) continue;
      smallestRisk = Math.min(smallestRisk, clopperPearson(wrong, accepted, { alpha: delta, side: "upper" }).upper);
      // half an error more than seen: one lucky sample is no evidence
      const needed = acceptedNeeded((wrong + 0.5) / (accepted + 1), levels);
      neededSamples = Math.min(neededSamples, Math.ceil((samples * needed) / accepted));
    }
  }
  return { ok: false, ...about, ...levels, n: samples, smallestRisk, neededSamples, reason: explain() };

  function explain(): string {
    const goal = `${about.method}: no early exit could be certified at alpha ${alpha}, delta ${delta} with ${samples} samples`;
    const reach = `the smallest certifiable risk is about ${Number(smallestRisk.toPrecision(3))}`;
    if (neededSamples === Number.POSITIVE_INFINITY) {
      return `${goal}; ${reach}, and at the error rates seen more samples would not help: even the most confident are wrong too often.`;
    }
    return `${goal}; ${reach}, and about ${Math.max(neededSamples, samples + 1)} samples would be needed.`;
  }
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
