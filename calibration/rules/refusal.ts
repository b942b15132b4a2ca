/** What to say when nothing can be certified: the smallest risk within reach, and the samples it would take. */

import { clopperPearson, smallestTestable } from "../numeric/bounds.ts";
import { fallingOrder } from "../numeric/ranks.ts";
import { binomialCdf } from "../numeric/special.ts";
import type { Cascade } from "../table/scores.ts";
import type { Guarantee, Refused, RiskLevels } from "./result.ts";

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

/** The samples that laid out the thresholds which were tested. */
export interface RefusedLayout {
  readonly samples: number;
}

/**
 * Looks at every early exit alone, at many observed thresholds. The smallest Clopper-Pearson bound is about the smallest alpha that
 * could have been certified (never below the alpha that was refused); the cheapest extrapolation at about the error rates seen is the
 * n needed. Where n is there already, the thresholds that were tried are at fault, and with them the samples that laid them out.
 */
export function refuse(
  calibration: Cascade,
  levels: RiskLevels,
  about: { readonly method: string; readonly guarantee: Guarantee },
  tests: RefusedTests & { readonly layout: RefusedLayout },
): Refused {
  const { samples } = calibration;
  const { alpha, delta } = levels;
  let reach = 1;
  let needed = samples > 0 ? Number.POSITIVE_INFINITY : smallestTestable(alpha, tests.level ?? delta);
  for (let j = 0; j < calibration.exits - 1 && samples > 0; j++) {
    const found = lookAtExit(calibration, j, levels, tests);
    reach = Math.min(reach, found.risk);
    needed = Math.min(needed, found.samples);
  }
  const goal = `${about.method}: no early exit could be certified at alpha ${alpha}, delta ${delta} with ${samples} samples`;
  const absent = tests.by === "label" ? absentLabels(calibration) : [];
  const found = { reach, needed, alpha, n: samples, validation: tests.layout.samples, absent };
  return { ok: false, ...about, ...levels, n: samples, ...outlook(goal, found) };
}

/** Labels that no calibration sample has: nothing is known of them. */
function absentLabels({ labels, classes }: Cascade): number[] {
  const seen = new Set(labels);
  return Array.from({ length: classes }, (_, c) => c).filter((c) => !seen.has(c));
}

/** What a refusal rests on. */
export interface Evidence {
  /** The smallest risk that these samples could have certified. */
  readonly reach: number;
  /** Calibration samples that would do; Infinity where no number would. */
  readonly needed: number;
  readonly alpha: number;
  readonly n: number;
  /** Samples that laid out the thresholds, where that is known. */
  readonly validation?: number;
  /** Classes without calibration samples. */
  readonly absent?: readonly number[];
}

/** The numbers and the sentence of a refusal: which set is short and by how much, or that no threshold can. */
export function outlook(
  goal: string,
  { reach, needed, alpha, n, validation, absent = [] }: Evidence,
): Pick<Refused, "smallestRisk" | "neededSamples" | "short" | "reason"> {
  const smallestRisk = Math.max(reach, alpha);
  const risk = `the smallest certifiable risk is ${reach > alpha ? `about ${Number(reach.toPrecision(3))}` : `just above ${alpha}`}`;
  const say = (rest: string) => `${goal}; ${rest}.`;
  if (needed === Number.POSITIVE_INFINITY) {
    const rest = `${risk}, and no threshold can do better: even the most confident are wrong too often, however many samples there are`;
    return { smallestRisk, neededSamples: needed, reason: say(rest) };
  }
  if (needed > n || validation === undefined) {
    // An estimate that is met already was too low; twice as many tell more than one more.
    const enough = needed > n ? needed : 2 * n;
    const classes = absent.length > 0 ? `, none of them is of class ${absent.join(", ")}` : "";
    const rest = `${risk}, and the calibration samples are too few${classes}: about ${enough} would be needed, ${enough - n} more`;
    return { smallestRisk, neededSamples: enough, short: "calibration", reason: say(rest) };
  }
  const rest =
    `the ${validation} validation samples are too few: thresholds laid out on them miss those that the calibration samples would ` +
    `certify. Try about ${Math.max(2 * validation, needed)}, ${Math.max(validation, needed - validation)} more`;
  return { smallestRisk, neededSamples: n, short: "validation", reason: say(rest) };
}

/** The best of one exit's thresholds: the smallest risk certifiable, and the fewest samples for alpha; Infinity if no number is enough. */
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
  // every label must pass at once; of answered classes one is enough
  const [worst, join] = by === "label" ? [0, Math.max] : [Number.POSITIVE_INFINITY, Math.min];
  const fewest = smallestTestable(alpha, level);
  const look = () => {
    let risk = by === "label" ? 0 : 1;
    let enough: number = worst;
    for (let c = 0; c < groups; c++) {
      const n = Math.floor(accepted[c]! * share);
      const k = Math.min(n, Math.round(wrong[c]! * share));
      risk = join(risk, clopperPearson(k, n, { alpha: level, side: "upper" }).upper);
      // A rate above alpha may still be bad luck, which few samples cannot tell.
      const mayPass =
        k < alpha * n ||
        (n >= Math.min(fewest, Math.floor(samples * share)) &&
          clopperPearson(k, n, { alpha: level, side: "lower" }).lower <= alpha);
      enough = join(enough, mayPass || n === 0 ? samplesNeeded(k, n) : Number.POSITIVE_INFINITY);
    }
    best.risk = Math.min(best.risk, risk);
    best.samples = Math.min(best.samples, enough);
  };
  /** Samples among which so many are accepted that about this error rate passes. */
  const samplesNeeded = (k: number, n: number): number => {
    if (n === 0) return by === "label" ? fewest * (samples + 1) : Number.POSITIVE_INFINITY;
    // Half an error more than seen: one lucky sample is no evidence. Where the samples cannot tell, the rate may be half of alpha.
    const rate = k / n < alpha ? Math.min((k + 0.5) / (n + 1), (k / n + alpha) / 2) : alpha / 2;
    return Math.ceil((samples * acceptedNeeded(rate, { alpha, delta: level })) / n);
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
