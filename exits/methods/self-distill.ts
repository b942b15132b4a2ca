// Be Your Own Teacher (Zhang et al., ICCV 2019): early exits learn from the labels, from the last exit's answers, and
// from its features. Defaults are those of a widely used port (luanyunteng/pytorch-be-your-own-teacher); the paper
// tunes them.

import { type Kinds, option } from "../../base/index.ts";
import {
  ArgumentError,
  add,
  crossEntropy,
  mul,
  readOptions,
  slice,
  square,
  sub,
  sum,
  type Tensor,
} from "../../engine/functions.ts";
import { saidOf } from "../network/heads/head.ts";
import { hinted } from "../network/heads/hinted.ts";
import { kd } from "./distill.ts";
import { byOneLabel, checkNumbers, exitMeans } from "./losses.ts";
import { defineMethod, type Method } from "./method.ts";
import { once } from "./parts.ts";
import { checkOperands, checkPositive } from "./stacked.ts";

/** Options of `selfDistillation`. */
export interface SelfDistillationOptions {
  /** Share of the last exit's answers against the labels', at most 1; default 0.1. */
  readonly a?: number;
  /** Weight of the features; default 1e-6. */
  readonly b?: number;
  /** Default 3. */
  readonly temperature?: number;
}

/** What `selfDistillation` finds; all of them scalars. */
export interface SelfDistillation {
  /** What to differentiate. */
  readonly loss: Tensor;
  /** sum_j mean CE_j */
  readonly ce: Tensor;
  /** sum_{j<K} mean KL_T(sg z_K || z_j) */
  readonly kd: Tensor;
  /** sum_{j<K} mean ||F_j - sg F_K||^2 */
  readonly hint: Tensor;
}

const SELF_DISTILLATION: Kinds<SelfDistillationOptions> = { a: "number", b: "number", temperature: "number" };

/**
 * (1 - a) ce + a kd + b hint of logits f32[N, K, C], the exits' features f32[N, K, D] (bottlenecks make them of one
 * size), and labels i32[N]. The last exit's side of kd and hint carries no gradient. @throws ShapeError, DTypeError or
 * ArgumentError for operands and options that do not fit.
 */
export function selfDistillation(
  logits: Tensor,
  features: Tensor,
  labels: Tensor,
  options: SelfDistillationOptions = {},
): SelfDistillation {
  const { a = 0.1, b = 1e-6, temperature = 3 } = readOptions("selfDistillation", options, SELF_DISTILLATION);
  const op = "selfDistillation";
  checkPositive(op, { temperature });
  checkNumbers(op, { b });
  if (!(a >= 0 && a <= 1)) throw new ArgumentError(`${op}: a must be in 0..1; got ${a}.`);
  const operands = { logits: [logits, "N K C"], features: [features, "N K D"], labels: [labels, "N", "i32"] } as const;
  const { N: n, K: exits } = checkOperands(op, operands, { K: 1, C: 1 });
  const early = (x: Tensor) => slice(x, { ends: [n, exits - 1] });
  const last = (x: Tensor) => slice(x.detach(), { starts: [0, exits - 1] });

  const ce = sum(exitMeans(crossEntropy(logits, labels, { reduction: "none" })));
  const answers = sum(exitMeans(kd(early(logits), last(logits), { temperature })));
  const hint = mul(sum(square(sub(early(features), last(features)))), 1 / n);
  return { loss: add(add(mul(ce, 1 - a), mul(answers, a)), mul(hint, b)), ce, kd: answers, hint };
}

const PORT = "a widely used port, luanyunteng/pytorch-be-your-own-teacher";

const OPTIONS = {
  a: option.number(0.1, "share of the last exit's answers against the labels'", { min: 0, max: 1, basis: PORT }),
  b: option.number(1e-6, "weight of the features", { min: 0, basis: `${PORT}, which sums over the batch` }),
  temperature: option.number(3, "temperature of the softened answers", { above: 0, basis: PORT }),
} as const;

/**
 * The loss of `selfDistillation`. Features of another length than the last exit's are compared through a linear layer
 * of their own.
 */
export const byot: Method<typeof OPTIONS> = defineMethod({
  name: "byot",
  about: "early exits learn from the labels, from the last exit's answers, and from its features",
  paper: { title: "Be Your Own Teacher", venue: "ICCV 2019", arxiv: "1905.08094" },
  options: OPTIONS,
  wraps: () => [hinted()],
  phases: ({ a, b, temperature }) =>
    once({
      loss: byOneLabel(
        "byot",
        "self-distillation",
        ({ logits, out, labels }) => selfDistillation(logits, saidOf(out, "hint"), labels, { a, b, temperature }).loss,
      ),
    }),
});
