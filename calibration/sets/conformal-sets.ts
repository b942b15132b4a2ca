// Conformal prediction sets: THR, APS and RAPS. The set contains the label with probability at least 1 - alpha over
// calibration and test draws together (marginal), for exchangeable samples.

import type { Kinds } from "../../base/index.ts";
import {
  check,
  checkKind,
  checkLengths,
  checkLevel,
  checkNotEmpty,
  checkOneOf,
  checkRead,
  readOptions,
} from "../errors.ts";
import { conformalRank, fewestForRank } from "../numeric/ranks.ts";
import { softmaxInto } from "../numeric/softmax.ts";
import { SAME_SAMPLES } from "../rules/options.ts";
import { complement, exchangeableSamples, fixedBeforehand, type Guarantee, provenUnless } from "../rules/result.ts";
import { checkDistinctLogits } from "../table/same-samples.ts";
import type { Values } from "../table/table.ts";

/** The nonconformity score: how badly a label fits a sample. */
export interface SetOptions {
  /** `thr`: 1 - p_y. `aps`: probability mass down to y. `raps`: aps plus a charge for deep ranks. */
  readonly method: "thr" | "aps" | "raps";
  readonly alpha: number;
  /** raps: charge per rank beyond kReg. */
  readonly lambda?: number;
  readonly kReg?: number;
}

const SETS: Kinds<SetOptions> = { method: "string!", alpha: "number!", lambda: "number", kReg: "number" };
const CALIBRATE: Kinds<CalibrateSetOptions> = { ...SETS, sameSamples: SAME_SAMPLES };

/** Those of a function that calibrates: what belongs to the rule, and what does not. */
export function readCalibration(op: string, options: CalibrateSetOptions) {
  const { sameSamples = false, ...own } = readOptions(op, options, CALIBRATE);
  return { sameSamples, own: readSetOptions(op, own) };
}

/** Options of a function on sets, checked. @throws CalibrationError that names the one that is wrong */
function readSetOptions(op: string, options: SetOptions): SetOptions {
  const { method, alpha } = readOptions(op, options, SETS);
  checkOneOf(op, "method", method, ["thr", "aps", "raps"]);
  checkRead(op, options, ["method", method], { lambda: ["raps"], kReg: ["raps"] });
  checkLevel(op, "alpha", alpha);
  return options;
}

/** Options of `calibrateSets` and `calibrateNestedSets`. */
export interface CalibrateSetOptions extends SetOptions {
  /** Allows a sample to be there several times; no guarantee holds then. */
  readonly sameSamples?: boolean;
}

/** Logits `[N, C]` of one exit; `u` (one uniform number a sample) makes aps and raps exact instead of conservative. */
export interface SetInput {
  readonly logits: Values;
  readonly classes: number;
  readonly u?: ArrayLike<number>;
}

/** A calibrated rule. */
export interface SetRule extends SetOptions {
  /** Scores up to this one belong to the set; +Infinity (every class) if n is too small for alpha. */
  readonly quantile: number;
  /** `ceil((n+1)(1-alpha))`. */
  readonly rank: number;
  /** False if rank > n: the sets are complete and say nothing. */
  readonly ok: boolean;
  readonly n: number;
  /** Exits that have a set at once; absent: one. */
  readonly exits?: number;
  /** Whether it was made with `u`, and is read with it. */
  readonly isRandomised?: boolean;
  /** Fewest calibration samples at which sets can exclude anything at this alpha. */
  readonly neededSamples: number;
  readonly guarantee: Guarantee;
}

/** Nonconformity scores of all classes for all rows, `[N, C]`. */
export function setScores(input: SetInput, options: SetOptions): Float64Array {
  return nonconformity(input, readSetOptions("setScores", options));
}

/** `setScores` by options that are checked, or that a rule has kept. */
export function nonconformity(input: SetInput, options: SetOptions): Float64Array {
  const { logits, classes, u } = input;
  const { method, lambda = 0, kReg = 0 } = options;
  const scores = new Float64Array(logits.length);
  const p = new Float64Array(classes);
  const order = Array.from({ length: classes }, (_, c) => c);
  for (let at = 0; at < logits.length; at += classes) {
    softmaxInto(logits, at, classes, p);
    if (method === "thr") {
      for (let c = 0; c < classes; c++) scores[at + c] = 1 - p[c]!;
      continue;
    }
    const draw = u?.[at / classes] ?? 0;
    order.sort((a, b) => p[b]! - p[a]! || a - b);
    let mass = 0;
    let rank = 0;
    for (const c of order) {
      const share = p[c]!;
      mass += share;
      rank++;
      const charge = method === "raps" ? lambda * Math.max(0, rank - kReg) : 0;
      scores[at + c] = mass - draw * share + charge;
    }
  }
  return scores;
}

/** The quantile of the label's scores on calibration samples. */
export function calibrateSets(
  input: SetInput & { readonly labels: ArrayLike<number> },
  options: CalibrateSetOptions,
): SetRule {
  const { own: kept, sameSamples } = readCalibration("calibrateSets", options);
  const n = input.labels.length;
  checkNotEmpty("calibrateSets", "the calibration set", n);
  if (input.u) checkLengths("calibrateSets", "u", input.u.length, "labels", n);
  checkLengths("calibrateSets", "logits / classes", input.logits.length / input.classes, "labels", n);
  if (!sameSamples) checkDistinctLogits("calibrateSets", input.logits, input.labels);
  const all = nonconformity(input, kept);
  const own = Float64Array.from(input.labels, (label, i) => {
    const isClass = Number.isInteger(label) && label >= 0 && label < input.classes;
    check(isClass, "calibrateSets", `labels must lie in 0..${input.classes - 1}`, label);
    return all[i * input.classes + label]!;
  });
  const rule = setRule(own, kept, "the set contains the label");
  const guarantee = provenUnless(sameSamples, rule.guarantee);
  return { ...rule, guarantee, isRandomised: input.u !== undefined && kept.method !== "thr" };
}

/** The rule from the nonconformity scores of labels on calibration samples. */
export function setRule(labelScores: Float64Array, options: SetOptions, event: string): SetRule {
  const { alpha } = readSetOptions("setRule", options);
  const n = labelScores.length;
  const rank = conformalRank(n, alpha);
  const ok = rank <= n;
  const quantile = labelScores.toSorted()[rank - 1] ?? Number.POSITIVE_INFINITY;
  const promise = `On average over calibration sets and future samples, ${event} with probability at least ${complement(alpha)}.`;
  const guarantee: Guarantee = { kind: "marginal", promise, assumptions: [exchangeableSamples, fixedBeforehand] };
  return { ...options, quantile, rank, ok, n, neededSamples: fewestForRank(alpha), guarantee };
}

/** 1 where a class belongs to the set, `[N, C]`. A set may be empty. */
export function predictSets(input: SetInput, rule: SetRule): Uint8Array {
  checkKind("predictSets", "rule", rule);
  const { exits = 1, isRandomised = false } = rule;
  check(exits === 1, "predictSets", "the rule must be of one exit (calibrateSets)", `a rule of ${exits}`);
  const rows = input.logits.length / input.classes;
  if (input.u) checkLengths("predictSets", "u", input.u.length, "logits / classes", rows);
  const must = `u must ${isRandomised ? "be there" : "be left out"}, as it was when the rule was calibrated`;
  const isAlike = rule.method === "thr" || (input.u !== undefined) === isRandomised;
  check(isAlike, "predictSets", must, input.u ? "u" : "none");
  return Uint8Array.from(nonconformity(input, rule), (score) => (score <= rule.quantile ? 1 : 0));
}

/** Classes per set and the share of sets that contain the label. */
export function setQuality(
  sets: Uint8Array,
  labels: ArrayLike<number>,
  classes: number,
): { readonly size: Int32Array; readonly coverage: number } {
  checkKind("setQuality", "list", sets, "sets");
  checkKind("setQuality", "list", labels, "labels");
  checkLengths("setQuality", "sets / classes", sets.length / classes, "labels", labels.length);
  let covered = 0;
  const size = Int32Array.from(labels, (label, i) => {
    const own = sets.subarray(i * classes, (i + 1) * classes);
    covered += own[label]!;
    return own.reduce((count, isIn) => count + isIn, 0);
  });
  return { size, coverage: covered / labels.length };
}
