// What `deploy` is given to decide by: a certified result, a decoded policy file, or thresholds set by hand; read, and
// held against the network at hand. A policy of another network, or of scores scaled otherwise, promises nothing here.

import { type Kinds, what } from "../../base/index.ts";
import {
  checkOrigin,
  EVALUATION,
  type OwnScore,
  type PolicyFile,
  type PolicyOrigin,
  type Refused,
  type Scaling,
  scalingDigest,
} from "../../calibration/index.ts";
import { ArgumentError, readOptions } from "../../engine/functions.ts";
import type { MultiExit } from "../network/multi-exit.ts";
import { OWN_SCORES } from "../ops/decide.ts";
import { digest } from "../run/digest.ts";
import { levelFrom, SLACK, thresholdsPerExit } from "./thresholds.ts";

/** What decides who leaves: a certified result of calibration, or thresholds set by hand. */
export interface ExitPolicy {
  /**
   * One for all early exits, one each [K-1], or one each and predicted class [K-1, C]. +Infinity closes an exit. The
   * device computes in 32 bits, and lets nobody leave that the table would keep: put thresholds between the scores of
   * samples, as calibration does.
   */
  readonly thresholds: ArrayLike<number>;
  /**
   * Default maxProb; confidence for what heads say of themselves. Scores that look at more than one exit, and gates,
   * cannot run here.
   */
  readonly score?: unknown;
  /** What the policy was calibrated on; without it nothing is compared. */
  readonly origin?: PolicyOrigin | undefined;
}

/** Ready to run. */
export interface Decisions {
  readonly score: OwnScore;
  readonly temperatures: readonly number[];
  /** [1] or [C] for each early exit: levels, as the device compares them. */
  readonly levels: readonly (readonly number[])[];
  /** How far logits may be off, as a share of the largest: who is that near a level stays. */
  readonly slack: number;
  /** Whether the policy names the weights that it was calibrated on, and they are this network's. */
  readonly isOriginChecked: boolean;
}

const HINTS = {
  weights: "Load the weights that it was calibrated on (of a run: last.safetensors), or pass { anyOrigin: true }.",
  scaling: "Pass { scaling } of the policy's file, or the whole decoded file; or { anyOrigin: true }.",
};

/** Options of `readPolicy`. */
export interface PolicyOptions {
  /** Of a policy that is no whole file: the temperatures that were applied before calibration. */
  readonly scaling?: Scaling | undefined;
  /** Take a policy of other weights or of another scaling; default false. */
  readonly anyOrigin?: boolean | undefined;
  /** How far logits may be from those of `forward`, by default as in f32; see `levelFrom`. */
  readonly slack?: number;
  /** Digest of the network's weights, where it is known: they are not read then. */
  readonly weights?: string | undefined;
}

const POLICY: Kinds<PolicyOptions> = {
  scaling: "any",
  anyOrigin: EVALUATION.anyOrigin,
  slack: "number",
  weights: "string",
};

/**
 * Reads a policy for a network. @throws ArgumentError, CalibrationError for one that cannot run here or promises
 * nothing of it.
 */
export async function readPolicy(
  net: MultiExit,
  given: ExitPolicy | PolicyFile,
  options: PolicyOptions = {},
): Promise<Decisions> {
  const { slack = SLACK.f32 } = readOptions("readPolicy", options, POLICY);
  const { policy, scaling = options.scaling } = partsOf(given, options.scaling);
  const [score, temperatures] = [scoreOf(policy, net), temperaturesOf(net, scaling)];
  const levels = thresholdsPerExit(policy.thresholds, net).map((values, j) => {
    const temperature = temperatures[j]!;
    return values.map((value) => levelFrom(value, { score, classes: net.classes, temperature, slack }));
  });
  // Reading all weights takes time: only where there is something to compare them with.
  const isOriginChecked = !options.anyOrigin && policy.origin?.weights !== undefined;
  if (!options.anyOrigin && policy.origin) {
    const { exits, classes } = net;
    const weights = isOriginChecked && { weights: options.weights ?? (await digest(net.state().values())) };
    const origin = { ...weights, ...(scaling && { scaling: scalingDigest(scaling) }) };
    checkOrigin("deploy", policy.origin, { exits, classes, origin }, HINTS);
  }
  return { score, temperatures, levels, slack, isOriginChecked };
}

/** Tells a policy from a file that holds one, and from what is neither. */
function partsOf(
  given: ExitPolicy | PolicyFile,
  scaling: Scaling | undefined,
): { readonly policy: ExitPolicy; readonly scaling?: Scaling | undefined } {
  const isObject = typeof given === "object" && given !== null;
  if (isObject && "result" in given) {
    if (scaling && given.scaling && scalingDigest(scaling) !== scalingDigest(given.scaling))
      throw new ArgumentError("deploy: scaling must be the one of the policy's file; got another. Leave it out.");
    return { ...partsOf(given.result as ExitPolicy, undefined), scaling: scaling ?? given.scaling };
  }
  if (isObject && (given as { readonly ok?: boolean }).ok === false) {
    const { reason } = given as unknown as Refused;
    throw new ArgumentError(
      `deploy: the policy must be certified; got one that refuses: ${reason.replace(/\.$/, "")}. ` +
        "With { thresholds: [Infinity] } every image runs to the last exit.",
    );
  }
  if (isObject && "thresholds" in given && given.thresholds !== undefined) return { policy: given };
  const hint = typeof given === "string" ? " Give the text of the file to decodePolicy, and what it returns here." : "";
  throw new ArgumentError(
    `deploy: the policy must be a certified result, a decoded policy file, or { thresholds }; got ${what(given)}.${hint}`,
  );
}

function scoreOf({ score = "maxProb" }: ExitPolicy, net: MultiExit): OwnScore {
  const found = OWN_SCORES.find((known) => known === score);
  if (found === "confidence" && !net.saysConfidence) {
    const heads = net.wraps.length > 0 ? `heads that are ${net.wraps.join(", ")}` : "plain heads";
    throw new ArgumentError(
      `deploy: for the score confidence every early exit must say how sure it is; got ${heads}. Networks trained by ptee or jei-dnn do.`,
    );
  }
  if (found) return found;
  const got = typeof score === "string" ? score : "a learned gate";
  throw new ArgumentError(
    `deploy: the score must be one of ${OWN_SCORES.join(", ")}; got ${got}. Other scores are for calibration tables only.`,
  );
}

function temperaturesOf(net: MultiExit, scaling: Scaling | undefined): number[] {
  if (!scaling) return new Array<number>(net.exits).fill(1);
  if (!Array.isArray(scaling.scalers))
    throw new ArgumentError(`deploy: scaling must be what fit() returns, or of a policy's file; got ${what(scaling)}.`);
  const { length } = scaling.scalers;
  if (length !== net.exits)
    throw new ArgumentError(`deploy: scaling must hold one scaler per exit (${net.exits}); got ${length}.`);
  return scaling.scalers.map((scaler) => {
    if (scaler.method === "temperature" && "parameters" in scaler) {
      const [temperature] = scaler.parameters;
      if (temperature !== undefined && temperature > 0 && Number.isFinite(temperature)) return temperature;
      throw new ArgumentError(`deploy: temperatures must be positive numbers; got ${what(temperature)}.`);
    }
    throw new ArgumentError(`deploy: scaling must be by temperature; got ${scaler.method}.`);
  });
}
