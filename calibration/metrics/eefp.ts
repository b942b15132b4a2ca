// Early-exit failure prediction (arXiv 2508.21495): does confidence rank "may leave here" above "should go on"?
// Known second-hand only: the plain mean over exits is inferred, and the population (all or reached) is an option.

import { checkFlags, checkKind, checkOneOf, checkRead, readOptions } from "../errors.ts";
import { column, indices, rowsBelow, sum } from "../numeric/arrays.ts";
import { auroc } from "./failure.ts";

/** `[N, K]`: 1 if the exit is right, or if no later exit is right (so always 1 at the last exit). */
export function eefpTargets(errors: Uint8Array, exits: number): Uint8Array {
  checkFlags("eefpTargets", "errors", errors);
  const target = new Uint8Array(errors.length);
  for (let i = 0; i < errors.length; i += exits) {
    let isLaterRight = false;
    for (let j = exits - 1; j >= 0; j--) {
      const isRight = errors[i + j] === 0;
      target[i + j] = isRight || !isLaterRight ? 1 : 0;
      isLaterRight ||= isRight;
    }
  }
  return target;
}

/** Who should leave at an exit: `oracle` = who is right here or never later (EEFP), `correct` = who is right here. */
export type FailureTarget = "oracle" | "correct";

/** `[N, K]`: 1 where a sample should leave, by the answers as they are. @internal */
export function failureTargets(caller: string, errors: Uint8Array, exits: number, target: FailureTarget): Uint8Array {
  checkOneOf(caller, "target", target, ["oracle", "correct"]);
  return target === "oracle" ? eefpTargets(errors, exits) : errors.map((error) => 1 - error);
}

/** EEFP of each early exit and its mean over the exits where it is defined. */
export interface Eefp {
  readonly target: Uint8Array;
  /** `[K-1]`; NaN where one kind of sample is missing. */
  readonly perExit: Float64Array;
  readonly mean: number;
}

/** AUROC of the scores of every early exit against the targets, on all samples or on those that reach the exit. */
export function eefp(
  scored: { readonly scores: Float64Array; readonly errors: Uint8Array; readonly exits: number },
  options: { readonly population: "all" } | { readonly population: "reached"; readonly threshold: number } = {
    population: "all",
  },
): Eefp {
  checkKind("eefp", "cascade", scored);
  const { population, threshold = Number.NaN } = readOptions<{ population: string; threshold?: number }>(
    "eefp",
    options,
    {
      population: "string!",
      threshold: "number",
    },
  );
  checkOneOf("eefp", "population", population, ["all", "reached"]);
  checkRead("eefp", options, ["population", population], { threshold: ["reached"] });
  const { scores, errors, exits } = scored;
  const target = eefpTargets(errors, exits);
  const perExit = new Float64Array(exits - 1);
  let alive = indices(scores.length / exits);
  for (let m = 0; m < exits - 1; m++) {
    perExit[m] = auroc(column(scores, exits, m, alive), column(target, exits, m, alive));
    if (population === "reached") alive = rowsBelow(alive, scores, exits, m, threshold);
  }
  const defined = perExit.filter((v) => !Number.isNaN(v));
  const mean = sum(defined) / defined.length;
  return { target, perExit, mean };
}
