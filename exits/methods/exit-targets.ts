// What exits should keep, by early-exit failure prediction (EEFP, arXiv 2508.21495): samples that they get right, and
// those that no later exit gets right either.

import type { Kinds } from "../../base/index.ts";
import {
  add,
  argmax,
  cast,
  clamp,
  eq,
  exp,
  log,
  logSoftmax,
  matmul,
  mul,
  noGrad,
  oneHot,
  readOptions,
  reshape,
  slice,
  sub,
  sum,
  type Tensor,
} from "../../engine/functions.ts";
import { checkOperands, matrix } from "./stacked.ts";

/** Options of `exitTargets`. */
export interface ExitTargetOptions {
  /** By the probability of the label rather than by whether it is the largest; default false. */
  readonly soft?: boolean;
  /** Whether a sample that nobody gets right should leave at once, as the paper has it; default true. */
  readonly futile?: boolean;
}

const TARGETS: Kinds<ExitTargetOptions> = { soft: "boolean", futile: "boolean" };

/** Stands for 0 inside logarithms. */
const LEAST = 1e-30;

/**
 * How far early exits should keep a sample, [N, K - 1]: g_j = r_j + (1 - r_j) prod_{k>j} (1 - r_k), r = 1 where an exit
 * is right (soft: the label's probability); without futile ones g_j = r_j. Logits f32[N, K, C], labels i32[N]; no
 * gradient. Kubaty et al., ICML 2026; the soft form is this project's. @throws ShapeError or DTypeError for operands
 * that do not fit.
 */
export function exitTargets(logits: Tensor, labels: Tensor, options: ExitTargetOptions = {}): Tensor {
  const { soft = false, futile = true } = readOptions("exitTargets", options, TARGETS);
  const operands = { logits: [logits, "N K C"], labels: [labels, "N", "i32"] } as const;
  const { N: n, K: exits, C: classes } = checkOperands("exitTargets", operands, { K: 2, C: 1 });
  return noGrad(() => {
    const hot = reshape(cast(oneHot(labels, { numClasses: classes }), "f32"), [n, 1, classes]);
    const right = soft
      ? exp(sum(mul(logSoftmax(logits), hot), { dim: -1 }))
      : cast(eq(argmax(logits, { dim: -1 }), reshape(labels, [n, 1])), "f32");
    const early = slice(right, { ends: [n, exits - 1] });
    if (!futile) return early;
    const after = matrix([exits, exits - 1], logits, (row, column) => Number(row > column));
    const nobody = exp(matmul(log(clamp(sub(1, right), { min: LEAST })), after));
    return add(early, mul(sub(1, early), nobody));
  });
}
