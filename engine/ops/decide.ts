// The decision of an exit, on the GPU: who leaves, with what answer.

import type { Kinds } from "../../base/index.ts";
import { type ExitScore, exitDecideKernel as kernel } from "../../kernels/index.ts";
import { ArgumentError, DTypeError, readOptions, ShapeError } from "../errors.ts";
import { defineOp, single } from "../op.ts";
import { describe } from "../shape.ts";
import { checkTensors, type Tensor } from "../tensor.ts";
import { checkOneOf } from "./rowwise.ts";

export { decideError, type ExitScore } from "../../kernels/index.ts";

/** Where the answers of samples are collected, each [samples]. */
export interface ExitResults {
  /** i32: the predicted class. */
  readonly answers: Tensor;
  /** i32: the exit that gave it. */
  readonly exits: Tensor;
  /** f32: its confidence. */
  readonly scores: Tensor;
}

/** Options of `exitDecide`. */
export interface DecideOptions {
  /** Number of the exit, from 0. */
  readonly exit: number;
  /** Everybody leaves; default false. */
  readonly isLast?: boolean;
  /** Default maxProb. */
  readonly score?: ExitScore;
  /** Divides the logits first; default 1. */
  readonly temperature?: number;
  /** u32[1]: how many of the rows exist; the others write nothing. Default all. */
  readonly rows?: Tensor;
}

const DECIDE: Kinds<DecideOptions> = {
  exit: "number!",
  isLast: "boolean",
  score: "string",
  temperature: "number",
  rows: "any",
};

type Operands = readonly [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor];

const op = single(
  defineOp<Required<Omit<DecideOptions, "rows">>>({
    name: "exitDecide",
    infer: ([logits]) => [{ shape: [(logits as Tensor).shape[0] as number], dtype: "u32" }],
    run: ({ inputs, outputs: [stays], attrs, dispatch }) => {
      const [logits, ids, thresholds, answers, exits, scores] = inputs as readonly unknown[] as Operands;
      const live = inputs[6];
      const [n, classes] = logits.shape as readonly [number, number];
      const { exit, isLast, score, temperature } = attrs;
      const bindings = { logits, ids, thresholds, stays: stays!, answers, exits, scores, ...(live && { live }) };
      const dims = { n, classes, exit, sharpness: 1 / temperature };
      dispatch(kernel, { score, isLast, byClass: thresholds.size > 1, live: live !== undefined }, bindings, dims);
    },
  }),
);

/**
 * Which rows of logits [n, C] stay undecided, u32 [n] of 0 and 1: those whose level is below the threshold (f32 [1], or [C]
 * by predicted class); kernels/decide.ts says what the level of a confidence is. The others write answer, exit and confidence to the results at `ids` (i32 [n]), the places of their samples.
 */
export function exitDecide(
  logits: Tensor,
  ids: Tensor,
  thresholds: Tensor,
  results: ExitResults,
  options: DecideOptions,
): Tensor {
  const name = "exitDecide";
  const { exit, isLast = false, score = "maxProb", temperature = 1, rows } = readOptions(name, options, DECIDE);
  checkTensors(name, { logits, ids, thresholds, ...results, "rows?": rows });
  const [n, classes] = logits.shape as readonly [number, number];
  if (logits.rank !== 2 || classes === 0)
    throw new ShapeError(`${name}: logits must be [n, C]; got ${describe(logits)}.`);
  if (ids.rank !== 1 || ids.size !== n)
    throw new ShapeError(`${name}: there must be an id for each row; got ${describe(ids)} for ${describe(logits)}.`);
  if (thresholds.rank !== 1 || (thresholds.size !== 1 && thresholds.size !== classes)) {
    throw new ShapeError(`${name}: thresholds must be [1] or [${classes}]; got ${describe(thresholds)}.`);
  }
  const { answers, exits, scores } = results;
  const wanted = { logits: "f32", ids: "i32", thresholds: "f32", answers: "i32", exits: "i32", scores: "f32" } as const;
  for (const [what, given] of Object.entries({ logits, ids, thresholds, answers, exits, scores })) {
    const dtype = wanted[what as keyof typeof wanted];
    if (given.dtype !== dtype) throw new DTypeError(`${name}: ${what} must be ${dtype}; got ${describe(given)}.`);
  }
  if (rows && (rows.dtype !== "u32" || rows.size !== 1))
    throw new ShapeError(`${name}: rows must be u32[1]; got ${describe(rows)}.`);
  checkOneOf(name, "score", score, ["maxProb", "margin", "entropy", "normalisedEntropy", "energy", "maxLogit"]);
  if (!(temperature > 0)) throw new ArgumentError(`${name}: temperature must be above 0; got ${temperature}.`);
  return op([logits, ids, thresholds, answers, exits, scores, rows], { exit, isLast, score, temperature });
}
