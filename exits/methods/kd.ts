// Knowledge distillation (Hinton et al., 2015) for several exits: each learns from the labels and from a larger network
// that was trained before, softened. The paper has one exit; that all learn from the teacher's last one, and count
// alike, is this project's choice.

import { option } from "../../base/index.ts";
import { add, mul } from "../../engine/functions.ts";
import { kd } from "./distill.ts";
import { exitWeightsOption, weightsOf } from "./exit-weights.ts";
import { LARGER_TEACHER, largerTeacher, TEACHER_EXIT, teachingLogits } from "./larger-teacher.ts";
import { exitCrossEntropy, exitMeans, labelSmoothing, weighExits } from "./losses.ts";
import { defineMethod, type Method } from "./method.ts";
import { once } from "./parts.ts";

const OPTIONS = {
  exitWeights: exitWeightsOption(1),
  normalise: option.toggle(true, "divide the exit weights by their sum", { basis: "this project" }),
  ceWeight: option.number(0.1, "weight of the labels", { min: 0, basis: "the recipe of megvii-research/mdistiller" }),
  kdWeight: option.number(0.9, "weight of the teacher", { min: 0, basis: "the recipe of megvii-research/mdistiller" }),
  temperature: option.number(4, "temperature of the softened answers", {
    above: 0,
    basis: "the recipe of megvii-research/mdistiller",
  }),
  teacherExit: TEACHER_EXIT,
  labelSmoothing: labelSmoothing(0),
  ...LARGER_TEACHER,
} as const;

/** sum_j w_j mean(ceWeight CE_j + kdWeight KL_T(teacher || z_j)), the weights adding up to 1. */
export const knowledgeDistillation: Method<typeof OPTIONS> = defineMethod({
  name: "kd",
  about: "every exit learns from the labels and from the softened answers of a larger network",
  paper: { title: "Distilling the Knowledge in a Neural Network", venue: "2015", arxiv: "1503.02531" },
  options: OPTIONS,
  fewest: 1,
  teacher: largerTeacher,
  phases: ({ ceWeight, kdWeight, temperature, teacherExit, labelSmoothing: smoothing, ...rest }) =>
    once({
      exitWeights: (exits, at) => weightsOf("kd", rest, exits, at),
      loss: (seen) => {
        const soft = kd(seen.logits, teachingLogits("kd", seen, teacherExit), { temperature });
        const losses = add(mul(exitCrossEntropy(seen, smoothing), ceWeight), mul(soft, kdWeight));
        return weighExits(exitMeans(losses), seen.exitWeights);
      },
    }),
});
