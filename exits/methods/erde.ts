// ERDE (Guidez et al., arXiv 2510.04856): a small multi-exit network learns from a large one, exit by exit; where the
// teacher is wrong, it learns doubt instead. Reconstructed: of the paper only the abstract and reviews were at hand.

import { type Kinds, lastOf, option } from "../../base/index.ts";
import {
  ArgumentError,
  add,
  argmax,
  crossEntropy,
  eq,
  logSoftmax,
  mean,
  mul,
  pad,
  readOptions,
  reshape,
  slice,
  type Tensor,
  where,
} from "../../engine/functions.ts";
import { entropy, kd } from "./distill.ts";
import { exitWeightsOption, weightsOf } from "./exit-weights.ts";
import { LARGER_TEACHER, largerTeacher } from "./larger-teacher.ts";
import { byOneLabel, checkNumbers, exitMeans, taught as teacherOf, weighExits } from "./losses.ts";
import { defineMethod, type Method } from "./method.ts";
import { once } from "./parts.ts";
import { checkOperands, checkPositive } from "./stacked.ts";

/**
 * Options of `erdeLosses`. The three terms are sure to 90 %; each choice says how sure its default is. The paper's
 * weights were not seen: defaults are those of classic distillation.
 */
export interface ErdeOptions {
  /** Default 4. */
  readonly temperature?: number;
  /** Weight of the labels; default 0.1. */
  readonly ceWeight?: number;
  /** Weight of the teacher; default 0.9. */
  readonly alpha?: number;
  /** Weight of the entropy; default 0.3. */
  readonly gamma?: number;
  /** Which of the teacher's answers decides whether it is right: that of the same exit (default, 80 %), or its last. */
  readonly gateOn?: "exit" | "final";
  /** Whether a teacher that is wrong is still listened to; default "drop" (60 %). */
  readonly klWhenTeacherWrong?: "drop" | "keep";
  /** 1 rewards doubt, so that hard samples stay in the network (default, 80 %); -1 punishes it. */
  readonly entropySign?: 1 | -1;
  /** Whether the last exit, which never hands on, learns doubt too; default false (55 %). */
  readonly entropyLastExit?: boolean;
  /** -H(p) / log C (default), or KL(uniform || p). */
  readonly entropyVariant?: "normalisedEntropy" | "klUniform";
}

const DEFAULTS: Required<ErdeOptions> = {
  temperature: 4,
  ceWeight: 0.1,
  alpha: 0.9,
  gamma: 0.3,
  gateOn: "exit",
  klWhenTeacherWrong: "drop",
  entropySign: 1,
  entropyLastExit: false,
  entropyVariant: "normalisedEntropy",
};

/** Checks that a choice is one of `known`. @throws ArgumentError */
function checkChoice(name: string, value: unknown, known: readonly unknown[]): void {
  if (known.includes(value)) return;
  const listed = known.map((one) => JSON.stringify(one)).join(" or ");
  throw new ArgumentError(`erdeLosses: ${name} must be ${listed}; got ${JSON.stringify(value)}.`);
}

/** What is to be small where doubt is wanted, at temperature 1: [..., C] to [...]. */
function doubtLoss(logits: Tensor, { entropySign: sign, entropyVariant }: Required<ErdeOptions>): Tensor {
  const most = Math.log(lastOf(logits.shape));
  if (entropyVariant === "normalisedEntropy") return mul(entropy(logits), -sign / most);
  return add(mul(mean(logSoftmax(logits), { dim: -1 }), -sign), -sign * most);
}

const ERDE: Kinds<ErdeOptions> = {
  temperature: "number",
  ceWeight: "number",
  alpha: "number",
  gamma: "number",
  gateOn: "string",
  klWhenTeacherWrong: "string",
  entropySign: "number",
  entropyLastExit: "boolean",
  entropyVariant: "string",
};

/**
 * ceWeight CE + alpha [teacher right] KL_T(teacher || student) + gamma [teacher wrong] L_E(student) for each sample and
 * exit: logits f32[N, K, C] of a student and of a teacher with as many exits, labels i32[N] to f32[N, K], whose mean is
 * the loss. The teacher gets no gradient. @throws ShapeError, DTypeError or ArgumentError for operands and options that
 * do not fit.
 */
export function erdeLosses(student: Tensor, teacher: Tensor, labels: Tensor, options: ErdeOptions = {}): Tensor {
  const op = "erdeLosses";
  const all = { ...DEFAULTS, ...readOptions(op, options, ERDE) };
  const { temperature, ceWeight, alpha, gamma, gateOn, klWhenTeacherWrong, entropyLastExit } = all;
  checkPositive(op, { temperature });
  checkNumbers(op, { ceWeight, alpha, gamma });
  checkChoice("gateOn", gateOn, ["exit", "final"]);
  checkChoice("klWhenTeacherWrong", klWhenTeacherWrong, ["drop", "keep"]);
  checkChoice("entropySign", all.entropySign, [1, -1]);
  checkChoice("entropyVariant", all.entropyVariant, ["normalisedEntropy", "klUniform"]);
  const operands = { student: [student, "N K C"], teacher: [teacher, "N K C"], labels: [labels, "N", "i32"] } as const;
  const { N: n, K: exits } = checkOperands(op, operands, { K: 1, C: 2 });

  const judges = gateOn === "exit" ? teacher : slice(teacher, { starts: [0, exits - 1] });
  const isRight = eq(argmax(judges, { dim: -1 }), reshape(labels, [n, 1]));
  const hard = mul(crossEntropy(student, labels, { reduction: "none" }), ceWeight);
  const taught = mul(kd(student, teacher, { temperature }), alpha);
  const doubters = entropyLastExit ? student : slice(student, { ends: [n, exits - 1] });
  const doubt = pad(mul(doubtLoss(doubters, all), gamma), [
    [0, 0],
    [0, entropyLastExit ? 0 : 1],
  ]);
  if (klWhenTeacherWrong === "keep") return add(add(hard, taught), where(isRight, 0, doubt));
  return add(hard, where(isRight, taught, doubt));
}

/** Where values come from that the paper was not seen for. */
const CLASSIC = "classic distillation and this project";

const OPTIONS = {
  exitWeights: exitWeightsOption(1),
  normalise: option.toggle(true, "divide the exit weights by their sum", { basis: "reconstruction, 70 % sure" }),
  temperature: option.number(DEFAULTS.temperature, "temperature of the softened answers", { above: 0, basis: CLASSIC }),
  ceWeight: option.number(DEFAULTS.ceWeight, "weight of the labels", { min: 0, basis: CLASSIC }),
  alpha: option.number(DEFAULTS.alpha, "weight of the teacher", { min: 0, basis: CLASSIC }),
  gamma: option.number(DEFAULTS.gamma, "weight of the entropy", { min: 0, basis: "this project" }),
  gateOn: option.choice(["exit", "final"], "whose answer decides whether the teacher is right", {
    basis: "reconstruction, 80 % sure",
  }),
  klWhenTeacherWrong: option.choice(["drop", "keep"], "whether a teacher that is wrong is listened to", {
    basis: "reconstruction, 60 % sure",
  }),
  doubt: option.choice(["reward", "punish"], "what becomes of doubt where the teacher is wrong", {
    basis: "reconstruction, 80 % sure",
  }),
  entropyLastExit: option.toggle(DEFAULTS.entropyLastExit, "the entropy's term at the last exit too", {
    basis: "reconstruction, 55 % sure",
  }),
  entropyVariant: option.choice(["normalisedEntropy", "klUniform"], "how doubt is measured", {
    basis: "reconstruction",
  }),
  ...LARGER_TEACHER,
} as const;

/** sum_j w_j mean `erdeLosses`_j, the weights adding up to 1. */
export const erde: Method<typeof OPTIONS> = defineMethod({
  name: "erde",
  about: "every exit learns from that of a larger network; where this one errs, early exits learn doubt; reconstructed",
  paper: { title: "ERDE: Entropy-Regularized Distillation for Early-exit", venue: "2025", arxiv: "2510.04856" },
  options: OPTIONS,
  teacher: largerTeacher,
  policy: () => ({ score: "entropy", rule: "learnThenTest" }),
  phases: (all) => {
    const { temperature, ceWeight, alpha, gamma, gateOn, klWhenTeacherWrong, doubt, entropyLastExit, entropyVariant } =
      all;
    const weights = { temperature, ceWeight, alpha, gamma } as const;
    const switches = { gateOn, klWhenTeacherWrong, entropyLastExit, entropyVariant } as const;
    const entropySign = doubt === "reward" ? 1 : -1;
    return once({
      exitWeights: (exits, at) => weightsOf("erde", all, exits, at),
      loss: byOneLabel("erde", "the teacher", (seen) => {
        const teacher = teacherOf("erde", seen);
        const losses = erdeLosses(seen.logits, teacher, seen.labels, { ...weights, ...switches, entropySign });
        return weighExits(exitMeans(losses), seen.exitWeights);
      }),
    });
  },
});
