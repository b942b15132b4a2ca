// Decoupled knowledge distillation (Zhao et al., CVPR 2022) for several exits: what the teacher says of the label, and
// of the other classes among themselves, count apart. The paper has one exit; that all learn from the teacher's last
// one, and count alike, is this project's choice.

import { option } from "../../base/index.ts";
import { add, mul } from "../../engine/functions.ts";
import { dkd } from "./distill.ts";
import { exitWeightsOption, weightsOf } from "./exit-weights.ts";
import { LARGER_TEACHER, largerTeacher, TEACHER_EXIT, teachingLogits } from "./larger-teacher.ts";
import { byOneLabel, exitCrossEntropy, exitMeans, labelSmoothing, ramped, weighExits } from "./losses.ts";
import { defineMethod, type Method } from "./method.ts";
import { once } from "./parts.ts";

const OPTIONS = {
  exitWeights: exitWeightsOption(1),
  normalise: option.toggle(true, "divide the exit weights by their sum", { basis: "this project" }),
  ceWeight: option.number(1, "weight of the labels", { min: 0 }),
  alpha: option.number(1, "weight of what the teacher says of the label", { min: 0 }),
  beta: option.number(8, "weight of what the teacher says of the other classes", { min: 0 }),
  temperature: option.number(4, "temperature of the softened answers", { above: 0 }),
  warmup: option.number(1 / 12, "share of the epochs over which the teacher's weight grows", {
    min: 0,
    max: 1,
    basis: "the public code, 20 of 240 epochs",
  }),
  teacherExit: TEACHER_EXIT,
  labelSmoothing: labelSmoothing(0),
  ...LARGER_TEACHER,
} as const;

/**
 * sum_j w_j mean(ceWeight CE_j + min(epoch / (warmup epochs), 1) DKD(teacher, z_j; alpha, beta, T)), the weights adding
 * up to 1.
 */
export const decoupledDistillation: Method<typeof OPTIONS> = defineMethod({
  name: "dkd",
  about: "as kd, but what the teacher says of the label and of the other classes is weighed apart",
  paper: {
    title: "Decoupled Knowledge Distillation",
    venue: "CVPR 2022",
    arxiv: "2203.08679",
    code: "megvii-research/mdistiller",
  },
  options: OPTIONS,
  fewest: 1,
  teacher: largerTeacher,
  phases: ({ ceWeight, alpha, beta, temperature, warmup, teacherExit, labelSmoothing: smoothing, ...rest }) =>
    once({
      exitWeights: (exits, at) => weightsOf("dkd", rest, exits, at),
      ramp: ({ epoch, epochs }) => Math.min(epoch / Math.max(warmup * epochs, 1), 1),
      loss: byOneLabel("dkd", "decoupled distillation", (seen) => {
        const teacher = teachingLogits("dkd", seen, teacherExit);
        const soft = dkd(seen.logits, teacher, seen.labels, { temperature, alpha, beta });
        const losses = add(mul(exitCrossEntropy(seen, smoothing), ceWeight), ramped(soft, seen));
        return weighExits(exitMeans(losses), seen.exitWeights);
      }),
    }),
});
