// NEO-KD (Ham et al., NeurIPS 2023): adversarial training in which an exit's answers to attacked images follow what its
// neighbours say of the clean ones, and exits differ in the wrong classes that they believe possible, so that what
// fools one does not fool all. Of the paper the abstract was seen: which classes an exit keeps, and all numbers, are
// reconstructed.

import { option } from "../../base/index.ts";
import {
  ArgumentError,
  add,
  arange,
  cast,
  div,
  eq,
  exp,
  floor,
  gt,
  logSoftmax,
  lt,
  matmul,
  maximum,
  mul,
  neg,
  noGrad,
  oneHot,
  reshape,
  sub,
  sum,
  type Tensor,
  where,
} from "../../engine/functions.ts";
import { exitWeightsAt, exitWeightsOption } from "./exit-weights.ts";
import { byOneLabel, exitCrossEntropy, exitMeans, labelSmoothing, weighExits } from "./losses.ts";
import { defineMethod, type Method, type Seen } from "./method.ts";
import { once } from "./parts.ts";
import { checkOperands, matrix } from "./stacked.ts";

/** What exits say of clean images and of attacked ones, both f32[N, K, C], and the labels, i32[N]. */
export type AttackedLogits = Pick<Seen, "labels"> & { readonly clean: Tensor; readonly attacked: Tensor };

function checkAnswers(op: string, { clean, attacked, labels }: AttackedLogits) {
  const operands = { clean: [clean, "N K C"], attacked: [attacked, "N K C"], labels: [labels, "N", "i32"] } as const;
  return checkOperands(op, operands, { K: 1, C: 2 });
}

/** -sum_c q_c log p_c of given probabilities q and the softmax p of logits, over the last axis. */
const against = (logits: Tensor, q: Tensor): Tensor => neg(sum(mul(q, logSoftmax(logits)), { dim: -1 }));

/**
 * Neighbour distillation, [N, K]: the cross-entropy of an exit's attacked answers under the mean of the clean
 * probabilities of the exit before, itself and the exit behind, as far as there are any; those carry no gradient.
 * @throws ShapeError or DTypeError for operands that do not fit.
 */
export function neighbourLosses(answers: AttackedLogits): Tensor {
  const { K: exits } = checkAnswers("neighbourLosses", answers);
  const { clean, attacked } = answers;
  const ensemble = noGrad(() => {
    const isNear = (j: number, k: number) => Math.abs(j - k) <= 1;
    const count = (j: number) => Array.from({ length: exits }, (_, k) => k).filter((k) => isNear(j, k)).length;
    const share = matrix([exits, exits], clean, (j, k) => (isNear(j, k) ? 1 / count(j) : 0));
    return matmul(share, exp(logSoftmax(clean)));
  });
  return against(attacked, ensemble);
}

/** A logit beside which no other counts. */
const LEAST = -1e30;

/**
 * Orthogonal distillation, [N, K]: the cross-entropy of an exit's attacked answers under its own clean probabilities,
 * of which it keeps, besides the label's, those of its own wrong classes: the one behind the label is the first exit's,
 * the next the second's, and round again. The rest is 0, and what is kept adds up to 1; no gradient.
 * @throws ShapeError or DTypeError for operands that do not fit.
 */
export function orthogonalLosses(answers: AttackedLogits): Tensor {
  const { N: n, K: exits, C: classes } = checkAnswers("orthogonalLosses", answers);
  const { clean, attacked, labels } = answers;
  const target = noGrad(() => {
    const { device } = clean;
    const behind = sub(
      reshape(cast(arange(0, classes, 1, { device }), "f32"), [1, 1, classes]),
      reshape(add(cast(labels, "f32"), 1), [n, 1, 1]),
    );
    const round = where(lt(behind, 0), add(behind, classes), behind);
    const owner = sub(round, mul(floor(div(add(round, 0.5), exits)), exits));
    const isOwn = eq(owner, reshape(cast(arange(0, exits, 1, { device }), "f32"), [1, exits, 1]));
    const isLabel = reshape(cast(oneHot(labels, { numClasses: classes }), "f32"), [n, 1, classes]);
    const isKept = gt(maximum(cast(isOwn, "f32"), isLabel), 0);
    // Not what is kept by its sum, which may be 0 in 32 bits.
    return exp(logSoftmax(where(isKept, cast(clean, "f32"), LEAST)));
  });
  return against(attacked, target);
}

const OPTIONS = {
  epsilon: option.number(8 / 255, "most that an attack changes a pixel by, of a range of 1", {
    min: 0,
    basis: "the usual for images of 32 x 32; reconstructed, 80 %",
  }),
  stepSize: option.number(2 / 255, "how far a step of the attack goes", { above: 0, basis: "reconstructed, 60 %" }),
  steps: option.whole(7, "steps of the attack, on the mean loss of all exits", {
    min: 1,
    basis: "reconstructed, 60 %; the paper's attack may choose an exit for each image",
  }),
  alpha: option.number(1, "weight of what neighbours say of the clean images", {
    min: 0,
    basis: "reconstructed, 50 %",
  }),
  beta: option.number(1, "weight of the own clean answers, of which exits keep different wrong classes", {
    min: 0,
    basis: "reconstructed, 50 %",
  }),
  exitWeights: exitWeightsOption(1),
  labelSmoothing: labelSmoothing(0),
} as const;

/**
 * sum_j w_j mean(CE_j + CE_j(attacked) + alpha `neighbourLosses`_j + beta `orthogonalLosses`_j). Its control is trained
 * on attacked images too, by labels alone: what differs is what exits learn from one another.
 */
export const neoKd: Method<typeof OPTIONS> = defineMethod({
  name: "neo-kd",
  about: "attacked images are answered as neighbouring exits answer clean ones, and exits believe in different errors",
  paper: {
    title: "NEO-KD: Knowledge-Distillation-Based Adversarial Training for Robust Multi-Exit Neural Networks",
    venue: "NeurIPS 2023",
    arxiv: "2311.00428",
  },
  options: OPTIONS,
  phases: ({ epsilon, stepSize, steps, alpha, beta, exitWeights, labelSmoothing: smoothing }) => {
    /** By the labels of clean and attacked images, and what exits learn from one another besides. */
    const lossOf = (soft: (answers: AttackedLogits) => Tensor | 0) =>
      byOneLabel("neo-kd", "an attack", (seen) => {
        const { logits: clean, attacked, labels, exitWeights: weights } = seen;
        if (!attacked) throw new ArgumentError("neo-kd: the answers to attacked images must be given; got none.");
        const hard = add(
          exitCrossEntropy(seen, smoothing),
          exitCrossEntropy({ logits: attacked, labels, mixed: undefined }, smoothing),
        );
        return weighExits(exitMeans(add(hard, soft({ clean, attacked, labels }))), weights);
      });
    return once({
      attack: { epsilon, stepSize, steps },
      exitWeights: (exits, at) => exitWeightsAt("neo-kd", exitWeights, exits, at),
      loss: lossOf((answers) => add(mul(neighbourLosses(answers), alpha), mul(orthogonalLosses(answers), beta))),
      control: lossOf(() => 0),
    });
  },
});
