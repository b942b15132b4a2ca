// SAFE-KD (Khazem and Talan, arXiv 2602.03043): every exit learns from the labels, from the last exit of an averaged
// teacher (decoupled distillation), and from the network's own last exit. Formula of the paper and the public code,
// which agree.

import { option } from "../../base/index.ts";
import { add, mul, pad, type Tensor } from "../../engine/functions.ts";
import { dkd, kd } from "./distill.ts";
import { type ExitWeights, exitWeightsAt, exitWeightsOption } from "./exit-weights.ts";
import { LARGER_TEACHER, largerTeacher } from "./larger-teacher.ts";
import {
  byOneLabel,
  earlyExits,
  exitCrossEntropy,
  exitMeans,
  labelSmoothing,
  lastExit,
  taught,
  weighExits,
  weightedCrossEntropy,
} from "./losses.ts";
import { defineMethod, type Method, type Seen, type Track } from "./method.ts";
import { once } from "./parts.ts";

/** The public code's exit weights, for three exits; other numbers of exits count the same there. */
const RELEASED = [0.3, 0.3, 0.4] as const;

/** Where the paper gives no value. */
const CONFIGURED = "the public code's configuration";

const OPTIONS = {
  exitWeights: exitWeightsOption(
    RELEASED,
    "the public code, for three exits; as there, others count the same and add up to 1",
  ),
  alpha: option.number(1, "weight of the teacher's term", { min: 0 }),
  beta: option.number(1, "weight of agreement with the own last exit", { min: 0 }),
  temperature: option.number(4, "temperature of the softened answers", { above: 0, basis: CONFIGURED }),
  teacher: option.choice(
    ["average", "network", "self"],
    "whose last exit teaches: the network's own averages; a larger network that is trained first; or the network as it is after half of the run, in which it learns from the labels alone",
  ),
  decoupled: option.toggle(true, "decoupled distillation (DKD); false: plain"),
  consistency: option.toggle(true, "agreement with the own last exit"),
  emaDecay: option.number(
    0.999,
    "decay of the teacher's averages; a run of fewer than log 0.01 / log decay steps, 4603 at 0.999, ends with a teacher that still holds some of the first weights",
    { min: 0, below: 1, basis: CONFIGURED },
  ),
  emaWarmup: option.toggle(
    false,
    "at step t, counted from 0, a decay of at most (1 + t) / (10 + t): for short runs from scratch",
  ),
  labelSmoothing: labelSmoothing(0),
  ...LARGER_TEACHER,
} as const;

/** Those weights; where they are the default's and there are not three exits, the same for all, adding up to 1. */
function forExits(given: ExitWeights, exits: number): ExitWeights {
  const isDefault = String(given) === String(RELEASED);
  return isDefault && exits !== RELEASED.length ? 1 / exits : given;
}

/** beta [j < K] KL_T(sg z_K || z_j), [N, K]. */
function agreement(logits: Tensor, beta: number, temperature: number): Tensor {
  const early = pad(kd(earlyExits(logits), lastExit(logits), { temperature }), [
    [0, 0],
    [0, 1],
  ]);
  return mul(early, beta);
}

/** sum_j w_j mean(CE_j + alpha DKD(teacher, z_j; 1, 1, T) + beta [j < K] KL_T(sg z_K || z_j)). */
export const safeKd: Method<typeof OPTIONS> = defineMethod({
  name: "safe-kd",
  about: "every exit learns from the labels, from an averaged teacher, and from the network's own last exit",
  paper: { title: "SAFE-KD", venue: "2026", arxiv: "2602.03043", code: "salimkhazem/safe-kd" },
  options: OPTIONS,
  fewest: 1,
  readers: {
    consistency: { beta: ["true"] },
    teacher: {
      ...{ emaDecay: ["average"], emaWarmup: ["average"] },
      ...{ teacherMethod: ["network"], wider: ["network"], deeper: ["network"] },
    },
  },
  teacher: ({ teacher, emaDecay, emaWarmup, ...larger }) => {
    if (teacher === "network") return largerTeacher(larger);
    return teacher === "self" ? { kind: "self" } : { kind: "average", decay: emaDecay, warmup: emaWarmup };
  },
  phases: ({
    exitWeights,
    alpha,
    beta,
    temperature,
    decoupled,
    consistency,
    teacher: kind,
    labelSmoothing: smoothing,
  }) => {
    const weights: Pick<Track, "exitWeights"> = {
      exitWeights: (exits, at) => exitWeightsAt("safe-kd", forExits(exitWeights, exits), exits, at),
    };
    const both = (seen: Seen) => {
      const { logits, labels } = seen;
      const teacher = lastExit(taught("safe-kd", seen));
      const soft = decoupled
        ? dkd(logits, teacher, labels, { temperature, alpha: 1, beta: 1 })
        : kd(logits, teacher, { temperature });
      const losses = add(exitCrossEntropy(seen, smoothing), mul(soft, alpha));
      const all = consistency && logits.shape[1] !== 1 ? add(losses, agreement(logits, beta, temperature)) : losses;
      return weighExits(exitMeans(all), seen.exitWeights);
    };
    const loss = decoupled ? byOneLabel("safe-kd", "decoupled distillation", both) : both;
    if (kind !== "self") return once({ ...weights, loss });
    const alone = { name: "labels", share: 0.5, isTaught: false } as const;
    return [
      { ...alone, tracks: [{ ...weights, loss: weightedCrossEntropy(smoothing) }] },
      { name: "training", share: 0.5, tracks: [{ ...weights, loss }] },
    ];
  },
});
