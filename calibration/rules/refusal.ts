// What to say when nothing can be certified: the smallest risk within reach, and the samples it would take.

import { take, transposed, zip } from "../../base/index.ts";
import { addTo, column } from "../numeric/arrays.ts";
import { clopperPearson } from "../numeric/bounds.ts";
import { sorted } from "../numeric/ranks.ts";
import { fewestSamples, passes, type RiskTest, type Seen, smallestAlpha, type Trial } from "../numeric/sample-size.ts";
import { Tally } from "../numeric/tally.ts";
import { policyOrigin } from "../table/origin.ts";
import type { Cascade } from "../table/scores.ts";
import { designPath } from "./path.ts";
import { decide } from "./policies.ts";
import type { Control } from "./promised-groups.ts";
import type { Guarantee, Refused, RiskLevels } from "./result.ts";

/** How the refused procedure tests. */
export interface RefusedTests extends RiskLevels {
  readonly control: Control;
  readonly test: RiskTest;
  /** What the p-value at an exit has to keep, after all corrections. */
  readonly levelAt: (exit: number) => number;
  /** Share of the samples that one exit's test may use. */
  readonly share: number;
}

/** How many samples there were. */
export interface RefusedSets {
  /** Calibration samples that were handed over. */
  readonly given: number;
  /** Of those, the samples that were tested. */
  readonly tested: number;
  /** Samples that laid out the thresholds: a set of their own, unless not all that were given were tested. */
  readonly layout: number;
}

/** Thresholds looked at per exit: a refusal is an estimate, and many classes make every look expensive. */
const LOOKS = 100;
const LOOKS_BY_CLASS = 20;

/**
 * Looks at many rows of thresholds on the tested samples. The smallest bound by the procedure's own test is about the
 * smallest alpha that could have been certified (never below the alpha that was refused); the cheapest extrapolation at
 * about the error rates seen is the n needed. Where n is there already, the thresholds that were tried are at fault,
 * and with them the samples that laid them out.
 */
export function refuse(
  calibration: Cascade,
  tests: RefusedTests,
  about: { readonly method: string; readonly guarantee: Guarantee },
  sets: RefusedSets,
): Refused {
  const { alpha, delta, control } = tests;
  const goal = `${about.method}: no early exit could be certified at alpha ${alpha}, delta ${delta} with ${sets.tested} samples`;
  const { reach, factor, factors } = lookAround(calibration, tests);
  // A factor of samples that are not there is unknown; what the strictest test takes is the least that is.
  const needed = sets.tested > 0 ? Math.ceil(factor * sets.tested) : fewestSamples(trialAt(0, tests), alpha / 2);
  const classes = control === "label" || control === "predictedClass" ? shortClasses(calibration, tests, factors) : "";
  return {
    ok: false,
    ...about,
    alpha,
    delta,
    n: sets.tested,
    origin: policyOrigin(calibration),
    ...outlook(goal, { reach, needed, alpha, sets, classes }),
  };
}

/** What the samples could have certified, and how many times as many it takes. */
interface Outlook {
  readonly reach: number;
  readonly factor: number;
  /** The same of each class alone, where each is tested. */
  readonly factors: Float64Array;
}

function lookAround(calibration: Cascade, tests: RefusedTests): Outlook {
  const { control } = tests;
  const groups = control === "label" || control === "predictedClass" ? calibration.classes : 1;
  let reach = 1;
  let factor = Number.POSITIVE_INFINITY;
  let factors = new Float64Array(groups).fill(Number.POSITIVE_INFINITY);
  for (const row of rowsToLookAt(calibration, tests)) {
    const trial = trialAt(row.findIndex(Number.isFinite), tests);
    const seen = countGroups(calibration, row, tests, groups);
    const isWithin = (group: Group) => passes({ ...trial, alpha: reach }, group.tested);
    const here = Float64Array.from(seen, (group) => factorOf(group, trial, calibration.samples, tests));
    if (control === "label") {
      if (seen.every(isWithin)) reach = Math.max(...seen.map(({ tested }) => smallestAlpha(trial, tested)));
      factor = Math.min(
        factor,
        here.reduce((a, b) => Math.max(a, b), 0),
      );
    } else {
      for (const group of seen) if (isWithin(group)) reach = Math.min(reach, smallestAlpha(trial, group.tested));
      factor = here.reduce((a, b) => Math.min(a, b), factor);
    }
    factors = Float64Array.from(zip(here, factors), ([own, least]) => Math.min(own, least));
  }
  return { reach, factor, factors };
}

/**
 * Rows `[K-1]`: each exit alone from strict to loose; where exits share a promise, also the path that these very
 * samples would lay out.
 */
function* rowsToLookAt(calibration: Cascade, { alpha, delta, control }: RefusedTests): Generator<Float64Array> {
  const { samples, exits, scores } = calibration;
  if (samples === 0) return;
  const looks = control === "exit" || control === "early" ? LOOKS : LOOKS_BY_CLASS;
  for (let j = 0; j < exits - 1; j++) {
    const ascending = sorted(column(scores, exits, j));
    const rank = (k: number) => samples - Math.ceil((samples * (k + 1)) / looks);
    for (const threshold of new Set(
      take(
        ascending,
        Array.from({ length: looks }, (_, k) => rank(k)),
      ),
    )) {
      yield new Float64Array(exits - 1).fill(Number.POSITIVE_INFINITY).fill(threshold, j, j + 1);
    }
  }
  if (control !== "early" && control !== "label") return;
  yield* designPath({ alpha, delta, validation: calibration, control, n: samples, steps: LOOKS_BY_CLASS });
}

function trialAt(exit: number, { test, alpha, delta, levelAt }: RefusedTests): Trial {
  return { test, alpha, level: levelAt(exit), delta };
}

/** Samples that leave early under a row and share a test. */
interface Group {
  readonly accepted: number;
  readonly errors: number;
  /** As many of them as one exit's test may use. */
  readonly tested: Seen;
}

function countGroups(
  calibration: Cascade,
  row: Float64Array,
  { control, share }: RefusedTests,
  groups: number,
): Group[] {
  const { exits, errors, labels, predictions } = calibration;
  const counted = new Tally(groups);
  decide(calibration, row).forEach((j, i) => {
    if (j === exits - 1) return;
    const at = i * exits + j;
    const key = control === "label" ? labels[i]! : control === "predictedClass" ? predictions[at]! : 0;
    counted.add(key, errors[at]!);
  });
  return zip(counted.counts, counted.sums).map(([all, own]) => {
    const n = Math.floor(all * share);
    const sum = Math.min(n, Math.round(own * share));
    return { accepted: all, errors: own, tested: { n, sum, squares: sum } };
  });
}

/** How many times as many samples would pass at about the error rate seen; Infinity if no number is enough. */
function factorOf({ accepted, errors, tested }: Group, trial: Trial, samples: number, tests: RefusedTests): number {
  const { alpha, level } = trial;
  const fewest = fewestSamples(trial, 0);
  // No leaver with this label among so many: one among one more.
  if (accepted === 0) return tests.control === "label" ? (fewest * (samples + 1)) / samples : Number.POSITIVE_INFINITY;
  const rate = errors / accepted;
  // A rate above alpha may still be bad luck, which few samples cannot tell.
  const { n, sum } = tested;
  const mayBeLuck = n >= Math.min(fewest, Math.floor(samples * tests.share)) && n > 0;
  const isHopeless =
    rate >= alpha && !(mayBeLuck && clopperPearson(sum, n, { alpha: level, side: "lower" }).lower <= alpha);
  if (isHopeless) return Number.POSITIVE_INFINITY;
  // Half an error more than seen: one lucky sample is no evidence. Where the samples cannot tell, the rate may be half
  // of alpha.
  const careful = rate < alpha ? Math.min((errors + 0.5) / (accepted + 1), (rate + alpha) / 2) : alpha / 2;
  return fewestSamples(trial, careful) / (accepted * tests.share);
}

/** The most classes that are named. */
const NAMED = 5;

/** In words, the classes with fewer samples than they need, those with the fewest first. */
function shortClasses(calibration: Cascade, tests: RefusedTests, factors: Float64Array): string {
  const { samples, exits, classes, labels, predictions } = calibration;
  const isByLabel = tests.control === "label";
  // A class answered at several exits is tested at each; the one that answers it most speaks.
  const answers = isByLabel ? [labels] : Array.from({ length: exits - 1 }, (_, j) => column(predictions, exits, j));
  const counts = answers.map((keys) => {
    const count = new Float64Array(classes);
    for (const key of keys) addTo(count, key, 1);
    return Array.from(count);
  });
  const fewest = Math.ceil(fewestSamples(trialAt(0, tests), 0) / tests.share);
  const short = zip(factors, transposed(counts))
    .map(([factor, own], c) => {
      const has = Math.max(...own);
      return { c, has, needs: has < fewest ? Math.max(fewest, has * Math.min(factor, samples)) : has * factor };
    })
    .filter(({ has, needs }) => has < needs && needs < Number.POSITIVE_INFINITY)
    .sort((a, b) => a.has - b.has || a.c - b.c);
  const absent = short.filter(({ has }) => has === 0).map(({ c }) => c);
  const few = short
    .filter(({ has }) => has > 0)
    .map(({ c, has, needs }) => `${c} (${has} of about ${Math.ceil(needs)})`);
  const what = isByLabel ? "of class" : "answered as class";
  const list = (names: readonly (number | string)[]) =>
    `${names.slice(0, NAMED).join(", ")}${names.length > NAMED ? ` and ${names.length - NAMED} more` : ""}`;
  const none = absent.length > 0 ? `, none of them is ${what} ${list(absent)}` : "";
  return `${none}${few.length > 0 ? `, too few are ${what} ${list(few)}` : ""}`;
}

/** What a refusal rests on. */
export interface Evidence {
  /** The smallest risk that these samples could have certified. */
  readonly reach: number;
  /** Tested samples that would do; Infinity where no number would. */
  readonly needed: number;
  readonly alpha: number;
  readonly sets: RefusedSets;
  /** In words, what is short among the calibration samples. */
  readonly classes?: string;
}

/** The numbers and the sentence of a refusal: which set is short and by how much, or that no threshold can. */
export function outlook(
  goal: string,
  { reach, needed, alpha, sets, classes = "" }: Evidence,
): Pick<Refused, "smallestRisk" | "neededSamples" | "short" | "reason"> {
  const { given, tested, layout } = sets;
  const smallestRisk = Math.max(reach, alpha);
  const risk = `the smallest certifiable risk is ${reach > alpha ? `about ${Number(reach.toPrecision(3))}` : `just above ${alpha}`}`;
  const say = (rest: string) => `${goal}; ${rest}.`;
  if (needed === Number.POSITIVE_INFINITY) {
    const rest = `${risk}, and no threshold can do better: even the most confident are wrong too often, however many samples there are`;
    return { smallestRisk, neededSamples: needed, reason: say(rest) };
  }
  // As many samples as the tests need lay out their thresholds well enough, unless they are far fewer than those that
  // are tested.
  const isLayoutShort = needed <= tested && layout < Math.max(needed, tested / 4);
  if (isLayoutShort && given === tested) {
    const rest =
      `the ${layout} validation samples are too few: thresholds laid out on them miss those that the calibration samples would ` +
      `certify. Try about ${Math.max(2 * layout, needed)}, ${Math.max(layout, needed - layout)} more`;
    return { smallestRisk, neededSamples: given, short: "validation", reason: say(rest) };
  }
  // An estimate that is met already was too low; twice as many tell more than one more. So do a quarter more where it
  // is nearly met.
  const wanted = needed > tested ? Math.max(needed, Math.ceil(1.25 * tested)) : 2 * tested;
  const enough = Math.ceil((wanted * given) / Math.max(1, tested));
  const share = given > tested ? " (a third of them lays out the thresholds)" : "";
  const rest = `${risk}, and the calibration samples are too few${classes}: about ${enough} would be needed, ${enough - given} more${share}`;
  return { smallestRisk, neededSamples: enough, short: "calibration", reason: say(rest) };
}
