// The rule of a policy asked again for other targets: which risk it promises, and what each answer does on test
// samples.

import { inColumns } from "../../base/index.ts";
import {
  achieved,
  type Calibration,
  type Cascade,
  cascade,
  clopperPearson,
  complement,
  controlRisk,
  decide,
  exitLosses,
  hoeffdingBentkusUpperBound,
  learnThenTest,
  type PolicyFile,
  type PolicyRequest,
  promisedGroups,
  type Source,
} from "../../calibration/index.ts";

/** One target of a sweep: what the policy for it did on test samples. */
interface TargetPoint {
  readonly target: number;
  /** False: nothing could be certified, and everything runs to the end. */
  readonly ok: boolean;
  /** The risk that is promised to stay below the target; NaN if nobody leaves early. */
  readonly risk: number;
  /** Error rate of all early leavers, where something else of them is promised. */
  readonly early: number | undefined;
  readonly cost: number;
}

/** A policy's rule under many targets. */
export interface TargetSweep {
  /** What the policy was calibrated by. */
  readonly method: string;
  /** The policy's own target. */
  readonly alpha: number;
  /** The promised risk, in few words and as a sentence goes on. */
  readonly risk: Pick<PromisedRisk, "what" | "meaning">;
  /** When a promise holds: a phrase. */
  readonly holds: string;
  readonly points: readonly TargetPoint[];
}

/** Which risk a request promises, and its value on samples under decisions. */
export interface PromisedRisk {
  /** In few words. */
  readonly what: string;
  /** What is at most alpha. */
  readonly meaning: string;
  observe(exits: Int32Array): number;
  /**
   * Whether the samples show more than chance explains that the true risk is above alpha, of each group together at a
   * level delta. Absent of a promise on average, which is of all calibrations: a single one cannot break it.
   */
  readonly isBroken?: (
    exits: Int32Array,
    levels: { readonly alpha: number; readonly delta: number | undefined },
  ) => boolean;
}

const GROUPS = {
  exit: ["worst exit", "at every early exit the error rate of those that leave there"],
  early: ["all early leavers", "the error rate of all that leave early"],
  label: ["worst class", "in every class the error rate of those that leave early"],
  predictedClass: ["worst answer", "at every early exit, for every class it answers, the error rate"],
} as const;

/** The risk that a request promises, to be observed on samples. */
export function promisedRisk(request: PolicyRequest, source: Source): PromisedRisk {
  if (request.rule === "controlRisk") {
    const { loss = "acceptedAndWrong", score } = request;
    const { exits: nExits } = source;
    const losses = exitLosses(source, loss, score);
    const observe = (exits: Int32Array) =>
      inColumns(losses, nExits, exits).reduce((sum, loss) => sum + loss, 0) / exits.length;
    const isBroken: PromisedRisk["isBroken"] = (exits, { alpha, delta = 0.1 }) =>
      1 - hoeffdingBentkusUpperBound(1 - observe(exits), exits.length, delta) > alpha;
    return {
      ...{ what: `mean loss (${loss})`, meaning: `the mean loss (${loss}) over all samples`, observe },
      ...(request.method !== undefined && request.method !== "crc" && { isBroken }),
    };
  }
  const { control = "exit", score } = request;
  const scored = cascade(source, score);
  const observe = (exits: Int32Array) => {
    const groups = promisedGroups(scored, exits, control);
    return groups.length > 0 ? Math.max(...groups.map(({ errors, accepted }) => errors / accepted)) : Number.NaN;
  };
  const [what, meaning] = GROUPS[control];
  const isBroken: PromisedRisk["isBroken"] = (exits, { alpha, delta = 0.1 }) => {
    const groups = promisedGroups(scored, exits, control);
    const least = { alpha: delta / groups.length, side: "lower" } as const;
    return groups.some(({ errors, accepted }) => clopperPearson(errors, accepted, least).lower > alpha);
  };
  return { what, meaning, observe, isBroken };
}

/** Multiples of one target that are tried: dense where they are hard to keep. */
const MULTIPLES = [0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1, 1.2, 1.6, 2, 2.5, 3];

/**
 * Calibrates by the policy's rule for each of many targets, and looks what comes of it on test samples; or says why
 * not.
 */
export function sweepTargets(
  file: PolicyFile | undefined,
  sources: Readonly<Record<"validation" | "calibration" | "test", Source>>,
): TargetSweep | string {
  if (!file) return "There is no policy yet, and so no target: sortie calibrate makes one.";
  const { result, request } = file;
  if (!("alpha" in result))
    return result.method === "budget search"
      ? "This policy was searched for a budget: it has no target risk, and promises none."
      : `This policy is a paper's rule (${result.method}): it has no target risk, and promises none.`;
  const otherwise = laidOutOtherwise(request);
  if (otherwise !== undefined) return `This is ${otherwise}: at other targets it cannot be asked again here.`;
  if (!request) return "The policy file does not say how it was made; sortie calibrate writes one that does.";
  const test = cascade(sources.test, request.score);
  const promised = promisedRisk(request, sources.test);
  const isEarlyShown = request.rule === "learnThenTest" && request.control !== "early";
  const points = targetsAround(result).map((target): TargetPoint => {
    const again = calibrateBy(request, { ...result, alpha: target }, sources);
    const exits = decide(test, again.ok ? again.thresholds : Number.POSITIVE_INFINITY);
    const isEarly = exits.some((exit) => exit < test.exits - 1);
    return {
      target,
      ok: again.ok,
      risk: isEarly ? promised.observe(exits) : Number.NaN,
      early: isEarlyShown ? earlyRisk(test, exits) : undefined,
      cost: achieved(test, exits).cost,
    };
  });
  const { what, meaning } = promised;
  return { method: result.method, alpha: result.alpha, risk: { what, meaning }, holds: whenItHolds(result), points };
}

/** Which policy cannot be asked again of a run's own tables and MACs, if it is such a one. */
export function laidOutOtherwise(request: PolicyRequest | undefined): string | undefined {
  if (request?.costs) return "a policy that was laid out by measured times";
  return request?.validation === undefined ? undefined : `a policy that was laid out on ${request.validation}`;
}

/**
 * Around the policy's target; where that was refused, around the smallest that may not be, so that something is to be
 * seen.
 */
function targetsAround(result: Calibration): readonly number[] {
  const isWithin = result.ok || result.smallestRisk > 0.5;
  const centre = isWithin ? result.alpha : Number(result.smallestRisk.toPrecision(2));
  const targets = MULTIPLES.map((times) => Number((times * centre).toPrecision(6))).filter((target) => target < 1);
  return [...new Set([...targets, result.alpha])].sort((a, b) => a - b);
}

/** Does what a request asks for, at given levels. */
export function calibrateBy(
  request: PolicyRequest,
  { alpha, delta }: Pick<Calibration, "alpha" | "delta">,
  { calibration, validation }: { readonly calibration: Source; readonly validation: Source | undefined },
  sameSamples = false,
): Calibration {
  const levels = { alpha, sameSamples, ...(validation && { validation }) };
  const { costs: _, validation: __, ...asked } = request;
  if (asked.rule === "controlRisk") {
    const { rule: ___, ...options } = asked;
    const { method = "crc" } = options;
    return controlRisk(calibration, {
      ...options,
      ...levels,
      ...(method !== "crc" && delta !== undefined && { delta }),
    });
  }
  const { rule: ___, ...options } = asked;
  // A policy of this rule has a delta.
  return learnThenTest(calibration, { ...options, ...levels, delta: delta as number });
}

/** Error rate of all early leavers; NaN if there are none. */
function earlyRisk(test: Cascade, exits: Int32Array): number {
  const [all] = promisedGroups(test, exits, "early");
  return all ? all.errors / all.accepted : Number.NaN;
}

function whenItHolds({ guarantee, delta }: Calibration): string {
  if (guarantee.kind === "marginal" || delta === undefined) return "on average over calibration sets";
  return `with probability ${complement(delta)} over calibration sets`;
}
