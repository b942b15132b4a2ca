// An exit's decision on the rows that are still undecided: logits z [n, C] to a confidence s, a prediction, and stay or
// leave. s by score, of p = softmax(z / T), and the level that is compared, which rises with s and keeps its digits
// where s has none left (an f32 probability of 1 - 1e-9 is 1):
//   maxProb            s = max p                  level = log(p / (1 - p))
//   margin             s = p(1) - p(2)            level = -log(1 - s)
//   entropy            s = -H(p)                  level = -log H
//   normalisedEntropy  s = -H(p) / log C          level = -log H
//   energy             s = log sum exp(z / T)     level = s
//   maxLogit           s = max z / T              level = s
//   confidence         s = sigmoid(t)             level = t, the head's own, which follows the logits: [n, C + 1]
//   stays[r] = 0 if level >= threshold (one, or one per predicted class) + slack * max |z| / T (with confidence, max of
//     |t| and |z|), or this is the last exit, else 1
// A row with a logit that is NaN, or so large that no level is a number, leaves with the confidence NaN, by which the
// host knows it.
// With `live`, only the first live[0] rows exist, and the others do not stay: all are launched, so that nothing is left
// of an earlier run. With `masked`, rows whose `before` is 0 have left before: they do not stay, and write nothing. A
// row that leaves writes its prediction, the exit and s to the results at ids[r], the place of its sample. A thread
// owns a row. With g = (z(2) - z(1)) / T <= 0, all but the largest are summed relative to the second: R = sum exp((z -
// z(2)) / T) within 1..C-1, so that log(p / (1 - p)) = -g - log R never cancels. `decideError` bounds how far a level
// is from the exact one.

import type { Kinds } from "../../base/index.ts";
import type { OwnScore } from "../../calibration/index.ts";
import {
  ArgumentError,
  checkOneOf,
  checkTensors,
  defineOp,
  describe,
  positional,
  readOptions,
  ShapeError,
  single,
  type Tensor,
} from "../../engine/functions.ts";
import {
  ceilDiv,
  defineKernel,
  entry,
  GROUP,
  LINEAR_GROUP,
  linearGrid,
  reads,
  updates,
  writes,
} from "../../kernels/index.ts";

/** Structure of a decision. */
export type DecisionSpec = {
  readonly score: OwnScore;
  readonly isLast: boolean;
  readonly byClass: boolean;
};

/** Structure of `exitDecide`. */
export type DecideSpec = DecisionSpec & { readonly live: boolean; readonly masked: boolean };

/** What people are told, of: g, exp(g), odds = R exp(g), total = 1 + odds, H. */
const CONFIDENCE: Readonly<Record<OwnScore, string>> = {
  maxProb: "1.0 / total",
  margin: "(1.0 - second_share) / total",
  entropy: "-second_share * spread",
  normalisedEntropy: "-second_share * spread / log(max(2.0, f32(u.classes)))",
  energy: "top * u.sharpness + log_total",
  maxLogit: "top * u.sharpness",
  confidence: "1.0 / (1.0 + exp(-max(told, -80.0)))",
};

/** What is compared. */
const LEVEL: Readonly<Record<OwnScore, string>> = {
  maxProb: "-gap - log(rest)",
  margin: "log_total - gap - log(rest + 1.0)",
  entropy: "-gap - log(spread)",
  normalisedEntropy: "-gap - log(spread)",
  energy: "s",
  maxLogit: "s",
  confidence: "told",
};

/**
 * Whether a head's own confidence follows the logits. The last exit, where everybody leaves, needs none: its score is
 * 1.
 */
const isTold = ({ score, isLast }: Pick<DecisionSpec, "score" | "isLast">): boolean =>
  score === "confidence" && !isLast;

/**
 * A level near `level`, of C classes, is at most this far from the one of exact arithmetic on the same logits: WGSL's
 * bounds of exp, log and division, the sum over classes, the rounding of 1 / T, and the doubles of a table, whose steps
 * grow with the square of a level.
 */
export function decideError(score: OwnScore, level: number, classes: number, temperature: number): number {
  const ulp = 2 ** -23;
  const size = Math.abs(level);
  if (score === "confidence") return 8 * ulp * (1 + size) + 2 ** -33 * size * size;
  if (score === "maxLogit") return temperature === 1 ? 0 : 2 * ulp * size;
  return ulp * (4 * size + 16 * Math.log(classes) + classes + 32) + 2 ** -33 * size * size;
}

/**
 * `size`: how large the logits are that a level is of. It moves by two of them at most, or by what is told of all of
 * them.
 */
const sizeText = (score: OwnScore): string => `
  let size = ${score === "confidence" ? "max(abs(told), max(top, -least))" : "u.sharpness * max(top, -least)"};`;

/** WGSL functions of `decisionText`. Bits are compared, since compilers may take it that no float is NaN. */
export const DECISION_FUNCTIONS = `
fn is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }
fn log1p_over(x: f32) -> f32 {
  if (x > 1.0) { return log(1.0 + x) / x; }
  let y = x / (2.0 + x);
  let q = y * y;
  return (2.0 / (2.0 + x)) * (1.0 + q * (0.33333333 + q * (0.2 + q * (0.14285714 + q * (0.11111111 + q * (0.09090909 + q * 0.07692308))))));
}`;

/** Uniforms that the text of a decision reads. */
export const DECISION_UNIFORMS = { n: "u32", classes: "u32", exit: "i32", sharpness: "f32", slack: "f32" } as const;

/** Where a decision writes; the same bindings in every kernel that makes one. */
export const DECISION_RESULTS = {
  answers: updates("array<i32>"),
  exits: updates("array<i32>"),
  scores: updates("array<f32>"),
};

/**
 * WGSL that decides row `r`, whose logits are `z(c)`, by `one` threshold or by class, and writes stays, answers, exits
 * and scores. Ends the thread.
 */
export const decisionText = (
  { score, isLast, byClass }: DecisionSpec,
  z: (c: string) => string,
  one = "thresholds[0]",
): string => `${score === "confidence" ? `\n  let told = ${isLast ? "1.0e30" : z("u.classes")};` : ""}
  var top = ${z("0u")};
  var second = -3.0e38;
  var least = top;
  var best = 0u;
  for (var c = 1u; c < u.classes; c++) {
    let z = ${z("c")};
    if (z > top) { second = top; top = z; best = c; } else { second = max(second, z); }
    least = min(least, z);
  }
  let gap = select((second - top) * u.sharpness, -1.0e30, u.classes == 1u);
  var rest = select(0.0, 1.0, u.classes == 1u);
  var mass = 0.0;
  for (var c = 0u; c < u.classes; c++) {
    if (c == best) { continue; }
    let z = ${z("c")};
    let e = exp((z - second) * u.sharpness);
    rest += e;
    mass += e * ((top - z) * u.sharpness);
  }
  let second_share = exp(gap);
  let odds = second_share * rest;
  let total = 1.0 + odds;
  let per_odds = log1p_over(odds);
  let log_total = odds * per_odds;
  let spread = rest * per_odds + mass / total;
  let s = ${CONFIDENCE[score]};
  let level = ${LEVEL[score]};
  let nan = total + level;${isLast ? "" : sizeText(score)}
  let leaves = ${isLast ? "true" : `is_nan(nan) || level >= ${byClass ? "thresholds[best]" : one} + u.slack * size`};
  stays[r] = select(1u, 0u, leaves);
  if (!leaves) { return; }
  let at = ids[r];
  answers[at] = i32(best);
  exits[at] = u.exit;
  scores[at] = select(s, nan, is_nan(nan));`;

export const exitDecideKernel = defineKernel({
  name: "exitDecide",
  uniforms: DECISION_UNIFORMS,
  bindings: ({ live, masked }: DecideSpec) => ({
    logits: reads("array<f32>"),
    ids: reads("array<i32>"),
    thresholds: reads("array<f32>"),
    live: live ? reads("array<u32>") : undefined,
    before: masked ? reads("array<u32>") : undefined,
    stays: writes("array<u32>"),
    ...DECISION_RESULTS,
  }),
  source: (spec) => `${DECISION_FUNCTIONS}
${entry()} {
  let r = ${LINEAR_GROUP} * ${GROUP}u + li;
  if (r >= u.n) { return; }
  ${spec.live ? "if (r >= live[0]) { stays[r] = 0u; return; }" : ""}
  ${spec.masked ? "if (before[r] == 0u) { stays[r] = 0u; return; }" : ""}
  let row = r * ${isTold(spec) ? "(u.classes + 1u)" : "u.classes"};${decisionText(spec, (c) => `logits[row + ${c}]`)}
}`,
  grid: ({ n }) => linearGrid(ceilDiv(n, GROUP)),
});

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
  /**
   * Default maxProb. With confidence the last column of the logits is the head's own confidence, but at the last exit.
   */
  readonly score?: OwnScore;
  /** Divides the logits first; default 1. */
  readonly temperature?: number;
  /** How far logits may be off, as a share of the largest: rows that near the threshold stay. Default 0. */
  readonly slack?: number;
  /** u32[1]: how many of the rows exist; the others write no results, and do not stay. Default all. */
  readonly rows?: Tensor | undefined;
  /** u32 [n]: rows whose value is 0 have left before; they do not stay, and write nothing. Default none. */
  readonly before?: Tensor | undefined;
}

/**
 * The scores that devices decide by: what `deploy`, model files and ONNX take. Others are for calibration tables only.
 */
export const OWN_SCORES: readonly OwnScore[] = [
  "maxProb",
  "margin",
  "entropy",
  "normalisedEntropy",
  "energy",
  "maxLogit",
  "confidence",
];

const DECIDE: Kinds<DecideOptions> = {
  exit: "number!",
  isLast: "boolean",
  score: "string",
  temperature: "number",
  slack: "number",
  rows: "any",
  before: "any",
};

const op = single(
  defineOp({
    name: "exitDecide",
    operands: {
      logits: "f32 N C",
      ids: "i32 N",
      thresholds: "f32 T",
      answers: "i32",
      exits: "i32",
      scores: "f32",
      "live?": "u32",
      "before?": "u32 N",
    },
    infer: (_, __: Required<Omit<DecideOptions, "rows" | "before">>, { N }) => ({
      stays: { shape: [N], dtype: "u32" },
    }),
    run: ({ inputs, outputs, attrs, sizes, dispatch }) => {
      const { exit, isLast, score, temperature, slack } = attrs;
      const [live, masked] = [inputs.live !== undefined, inputs.before !== undefined];
      const spec = { score, isLast, byClass: sizes.T > 1, live, masked };
      const dims = { n: sizes.N, classes: sizes.C - Number(isTold(attrs)), exit, sharpness: 1 / temperature, slack };
      dispatch(exitDecideKernel, spec, { ...inputs, ...outputs }, dims);
    },
  }),
);

/**
 * Which rows of logits [n, C] stay undecided, u32 [n] of 0 and 1: those whose level is below the threshold (f32 [1], or
 * [C] by predicted class); the head of this file says what the level of a confidence is. The others write answer, exit
 * and confidence to the results at `ids` (i32 [n]), the places of their samples.
 */
export const exitDecide = positional(
  "exitDecide(logits, ids, thresholds, results, options)",
  (logits: Tensor, ids: Tensor, thresholds: Tensor, results: ExitResults, options: DecideOptions): Tensor => {
    const name = "exitDecide";
    const {
      exit,
      isLast = false,
      score = "maxProb",
      temperature = 1,
      slack = 0,
      rows,
      before,
    } = readOptions(name, options, DECIDE);
    checkTensors(name, { logits, ids, thresholds, ...results, "rows?": rows, "before?": before });
    const classes = (logits.shape[1] ?? 0) - Number(isTold({ score, isLast }));
    if (classes < 1) throw new ShapeError(`${name}: logits must be [N, C] with a class; got ${describe(logits)}.`);
    if (thresholds.rank !== 1 || (thresholds.size !== 1 && thresholds.size !== classes)) {
      throw new ShapeError(`${name}: thresholds must be [1] or [${classes}]; got ${describe(thresholds)}.`);
    }
    const { answers, exits, scores } = results;
    if (rows && rows.size !== 1) throw new ShapeError(`${name}: rows must be u32[1]; got ${describe(rows)}.`);
    checkOneOf(name, "score", score, OWN_SCORES);
    if (!(temperature > 0)) throw new ArgumentError(`${name}: temperature must be above 0; got ${temperature}.`);
    return op(
      { logits, ids, thresholds, answers, exits, scores, live: rows, before },
      { exit, isLast, score, temperature, slack },
    );
  },
);
