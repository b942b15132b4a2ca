// Distillation losses between logits, per sample: KL at a temperature (Hinton et al. 2015) and its decoupled form (Zhao
// et al., CVPR 2022). The teacher's side never carries a gradient. Sums are exact: no epsilon inside logarithms.

import { type Kinds, lastOf } from "../../base/index.ts";
import {
  add,
  checkTensors,
  exp,
  logSoftmax,
  logsumexp,
  mul,
  ne,
  neg,
  oneHot,
  readOptions,
  reshape,
  sub,
  sum,
  type Tensor,
  where,
} from "../../engine/functions.ts";
import { checkPositive } from "./stacked.ts";

/** KL_T(teacher || student) = T^2 sum_c p_c (log p_c - log q_c) over the last axis; shapes broadcast. */
export function kd(student: Tensor, teacher: Tensor, options: { readonly temperature: number }): Tensor {
  const { temperature: t } = readOptions("kd", options, { temperature: "number!" });
  checkPositive("kd", { temperature: t });
  checkTensors("kd", { student, teacher });
  const logQ = logSoftmax(mul(student, 1 / t));
  const logP = logSoftmax(mul(teacher.detach(), 1 / t));
  return mul(sum(mul(exp(logP), sub(logP, logQ)), { dim: -1 }), t * t);
}

/**
 * -sum_c p_c log q_c, p the teacher's answers and q the student's, over the last axis; shapes broadcast. Its gradient
 * is that of `kd` at 1.
 */
export function softCrossEntropy(student: Tensor, teacher: Tensor): Tensor {
  checkTensors("softCrossEntropy", { student, teacher });
  return neg(sum(mul(exp(logSoftmax(teacher.detach())), logSoftmax(student)), { dim: -1 }));
}

/** Options of `dkd`. */
export interface DkdOptions {
  readonly temperature: number;
  /** Weight of the target-class part; default 1. */
  readonly alpha?: number;
  /** Weight of the part among the other classes; default 8, SAFE-KD uses 1. */
  readonly beta?: number;
}

/** A distribution over classes, split at the label: log p_t, log(1 - p_t), and the others' logarithms given "not t". */
interface Split {
  readonly target: Tensor;
  readonly rest: Tensor;
  readonly others: Tensor;
}

/** Stands for minus infinity where an infinity would make 0 * inf; its exponential is exactly 0. */
const NEVER = -1e30;

function split(logits: Tensor, isTarget: Tensor, t: number): Split {
  const log = logSoftmax(mul(logits, 1 / t));
  const target = sum(where(isTarget, log, 0), { dim: -1 });
  const rest = logsumexp(where(isTarget, NEVER, log), { dim: -1, keepdim: true });
  return { target, rest: reshape(rest, target.shape), others: where(isTarget, 0, sub(log, rest)) };
}

/** Both parts of the decoupled loss per sample, without the factor T^2. */
export interface DkdParts {
  /** KL of the pairs [p_t, 1 - p_t]. */
  readonly target: Tensor;
  /** KL of the distributions over the other classes. */
  readonly others: Tensor;
}

/** The two parts for logits [..., C] of a student and a teacher under labels i32 [N]; see `dkd`. */
export function dkdParts(student: Tensor, teacher: Tensor, labels: Tensor, temperature: number): DkdParts {
  const classes = lastOf(student.shape);
  const hot = oneHot(labels, { numClasses: classes });
  const between = student.shape.slice(1, -1).map(() => 1);
  const isTarget = ne(reshape(hot, [labels.size, ...between, classes]), 0);
  const s = split(student, isTarget, temperature);
  const p = split(teacher.detach(), isTarget, temperature);
  const term = (from: Tensor, to: Tensor) => mul(exp(from), sub(from, to));
  // Of a target both logarithms are 0 here, so that its exponential, 1, counts nothing.
  const others = sum(mul(exp(p.others), sub(p.others, s.others)), { dim: -1 });
  return { target: add(term(p.target, s.target), term(p.rest, s.rest)), others };
}

const DKD: Kinds<DkdOptions> = { temperature: "number!", alpha: "number", beta: "number" };

/**
 * T^2 (alpha TCKD + beta NCKD) per sample: logits [N, C] or [N, K, C] of the student, broadcast ones of the teacher,
 * labels i32 [N].
 */
export function dkd(student: Tensor, teacher: Tensor, labels: Tensor, options: DkdOptions): Tensor {
  const { temperature: t, alpha = 1, beta = 8 } = readOptions("dkd", options, DKD);
  checkPositive("dkd", { temperature: t });
  checkTensors("dkd", { student, teacher, labels });
  const { target, others } = dkdParts(student, teacher, labels, t);
  return mul(add(mul(target, alpha), mul(others, beta)), t * t);
}

/** -sum p log p over the last axis, in nats. */
export function entropy(logits: Tensor): Tensor {
  const log = logSoftmax(logits);
  return neg(sum(mul(exp(log), log), { dim: -1 }));
}
