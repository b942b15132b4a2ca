// Losses of methods that distil, in float64, written from their papers, at sizes beyond one tile: oracles for
// test/exits/distillation.test.ts.

import { full, tensor } from "../../engine/index.ts";
import {
  byot,
  distilLast,
  distilLater,
  distilNext,
  decoupledDistillation as dkd,
  erde,
  imta,
  knowledgeDistillation as kd,
  phuongLampert,
  safeKd,
  type TrainingPlan,
} from "../../exits/index.ts";
import { mulberry } from "../engine/ops/check.ts";
import type { Draw, Ref } from "../engine/ops/row.ts";
import {
  average,
  ce,
  entropyOf,
  type Formula,
  indexOfMost,
  kl,
  labelOf,
  logP,
  type Refs,
  type Row,
  row,
  total,
} from "./loss-formulas.ts";
import { lossOf } from "./track.ts";

const [N, K, C] = [34, 3, 260] as const;
const logits: Draw = { shape: [N, K, C], range: [-3, 3] };
const LABELS = Array.from({ length: N }, (_, i) => (37 * i) % C);
const labels: Draw = { shape: [N], dtype: "i32", values: LABELS };
const random = mulberry(5);
/** Right at every other exit. */
const teacher: Draw = {
  shape: [N, K, C],
  values: LABELS.flatMap((y, i) =>
    Array.from({ length: K * C }, (_, at) => {
      const [j, c] = [Math.floor(at / C), at % C];
      return c === y && (i + j) % 2 === 0 ? 4 : 6 * random() - 3;
    }),
  ),
};
const WEIGHTS = [0.5, 1, 0.25];
const LAST = K - 1;

/** Logits of all exits for a sample. */
const exitsOf = (x: Ref, i: number): Row[] => Array.from({ length: K }, (_, j) => row(x, C, i, j, K));

/** A sample at exit `j`: logits of all exits and of all of a teacher's, as they are and as they are held; its label. */
interface Sample {
  readonly z: readonly Row[];
  readonly held: readonly Row[];
  readonly t: readonly Row[];
  readonly y: number;
}

/** What else a loss is given. */
interface More {
  readonly ramp?: number;
  readonly numbers?: Readonly<Record<string, number>>;
  readonly phase?: number;
}

/** Of a method whose loss is sum_j w_j mean_i loss(i, j). */
function weighted(
  plan: TrainingPlan,
  loss: (at: Sample, j: number) => number,
  { ramp, numbers = {}, phase }: More = {},
): Formula {
  return {
    inputs: { logits, labels, teacher },
    call: ({ logits, labels, teacher }) =>
      lossOf(
        plan,
        {
          logits: logits!,
          labels: labels!,
          teacher,
          exitWeights: tensor(Float32Array.from(WEIGHTS)),
          ...(ramp !== undefined && { ramp: full([], ramp) }),
          numbers: Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, full([], value)])),
        },
        phase,
      ),
    value: (x, held: Refs) =>
      average(N, (i) => {
        const [z, y] = [exitsOf(x["logits"]!, i), labelOf(x, i)];
        const at = { z, held: exitsOf(held["logits"]!, i), t: exitsOf(x["teacher"]!, i), y };
        return total(z.map((_, j) => WEIGHTS[j]! * loss(at, j)));
      }),
    grads: ["logits"],
  };
}

/** Cross-entropy by exit weights, and the mean over pairs [pupil, teacher] of soft cross-entropies. */
function distilling(plan: TrainingPlan, pairs: readonly (readonly [number, number])[], weight = 1): Formula {
  return weighted(plan, ({ z, held, y }, j) => {
    const soft = pairs.map(([pupil, teacher]) => {
      const q = logP(z[pupil]!);
      return -total(logP(held[teacher]!).map((p, c) => Math.exp(p) * q[c]!));
    });
    // Once for the sample, whatever the exit's weight.
    return ce(z[j]!, y) + (j === 0 ? ((weight / pairs.length) * total(soft)) / WEIGHTS[0]! : 0);
  });
}

/** Cross-entropy and the teacher's term of IMTA at an exit. */
const teach = (z: Row, teacher: Row, y: number, j: number, by: Record<"g" | "ce" | "t", number>): number =>
  j < LAST ? by.ce * ce(z, y) + by.g * kl(teacher, z, by.t) : ce(z, y);

/** KL of two distributions given by logarithms. */
const klOf = (p: Row, q: Row): number => total(p.map((v, c) => Math.exp(v) * (v - q[c]!)));

/** T^2 (alpha TCKD + beta NCKD). */
function decoupled(student: Row, teacher: Row, y: number, { alpha, beta, t }: Record<"alpha" | "beta" | "t", number>) {
  const pair = (z: Row) => {
    const p = Math.exp(logP(z, t)[y]!);
    return [Math.log(p), Math.log(1 - p)];
  };
  const others = (z: Row) =>
    logP(
      z.filter((_, c) => c !== y),
      t,
    );
  return t * t * (alpha * klOf(pair(teacher), pair(student)) + beta * klOf(others(teacher), others(student)));
}

/** By method and what is switched. */
export const FORMULAS: Readonly<Record<string, Formula>> = {
  kd: weighted(kd.with(), ({ z, t, y }, j) => 0.1 * ce(z[j]!, y) + 0.9 * kl(t[LAST]!, z[j]!, 4)),
  "kd, exit by exit": weighted(
    kd.with({ teacherExit: "same", temperature: 2, ceWeight: 0.7, kdWeight: 0.4 }),
    ({ z, t, y }, j) => 0.7 * ce(z[j]!, y) + 0.4 * kl(t[j]!, z[j]!, 2),
  ),
  dkd: weighted(
    dkd.with(),
    ({ z, t, y }, j) => ce(z[j]!, y) + 0.6 * decoupled(z[j]!, t[LAST]!, y, { alpha: 1, beta: 8, t: 4 }),
    { ramp: 0.6 },
  ),
  "safe-kd": weighted(
    safeKd.with(),
    ({ z, held, t, y }, j) =>
      ce(z[j]!, y) +
      decoupled(z[j]!, t[LAST]!, y, { alpha: 1, beta: 1, t: 4 }) +
      (j < LAST ? kl(held[LAST]!, z[j]!, 4) : 0),
  ),
  "safe-kd without decoupling and consistency": weighted(
    safeKd.with({ decoupled: false, consistency: false, alpha: 0.8, temperature: 3 }),
    ({ z, t, y }, j) => ce(z[j]!, y) + 0.8 * kl(t[LAST]!, z[j]!, 3),
  ),
  erde: weighted(erde.with(), ({ z, t, y }, j) => {
    if (indexOfMost(t[j]!) === y) return 0.1 * ce(z[j]!, y) + 0.9 * kl(t[j]!, z[j]!, 4);
    return 0.1 * ce(z[j]!, y) - (j < LAST ? (0.3 * entropyOf(z[j]!)) / Math.log(C) : 0);
  }),
  "erde, all switches turned": weighted(
    erde.with({
      temperature: 2,
      ceWeight: 0.5,
      alpha: 0.7,
      gamma: 0.4,
      gateOn: "final",
      klWhenTeacherWrong: "keep",
      doubt: "punish",
      entropyLastExit: true,
      entropyVariant: "klUniform",
    }),
    ({ z, t, y }, j) => {
      const doubt = -average(C, (c) => logP(z[j]!)[c]!) - Math.log(C);
      const wrong = indexOfMost(t[LAST]!) === y ? 0 : 0.4;
      return 0.5 * ce(z[j]!, y) + 0.7 * kl(t[j]!, z[j]!, 2) - wrong * doubt;
    },
  ),
  "distil-last": distilling(distilLast.with(), [
    [0, 2],
    [1, 2],
  ]),
  "distil-later": distilling(distilLater.with(), [
    [0, 1],
    [0, 2],
    [1, 2],
  ]),
  "distil-next": distilling(
    distilNext.with({ weight: 0.3 }),
    [
      [0, 1],
      [1, 2],
    ],
    0.3,
  ),
  imta: weighted(imta.with(), ({ z, t, y }, j) => teach(z[j]!, t[LAST]!, y, j, { g: 0.1 / C, ce: 0.9, t: 1 }), {
    phase: 1,
  }),
  "imta, batch mean": weighted(
    imta.with({ elementMean: false, gamma: 0.4, temperature: 3 }),
    ({ z, t, y }, j) => teach(z[j]!, t[LAST]!, y, j, { g: 0.4, ce: 0.6, t: 3 }),
    { phase: 1 },
  ),
  "imta, its first stage": weighted(imta.with(), ({ z, y }, j) => ce(z[j]!, y)),
  byot: {
    inputs: { logits, labels, hint: { shape: [N, K, 70] } },
    call: ({ logits, labels, hint }) =>
      lossOf(byot.with({ b: 0.01 }), {
        logits: logits!,
        labels: labels!,
        exitWeights: tensor(Float32Array.from(WEIGHTS)),
        out: { logits: logits!, hint: hint! },
      }),
    value: (x, held) =>
      average(N, (i) => {
        const [z, last] = [exitsOf(x["logits"]!, i), exitsOf(held["logits"]!, i)[LAST]!];
        const hintOf = (of: Refs, j: number) => row(of["hint"]!, 70, i, j, K);
        const distance = (j: number) => total(hintOf(x, j).map((v, d) => (v - hintOf(held, LAST)[d]!) ** 2));
        const early = total([0, 1].map((j) => 0.1 * kl(last, z[j]!, 3) + 0.01 * distance(j)));
        return 0.9 * total(z.map((exit) => ce(exit, labelOf(x, i)))) + early;
      }),
    grads: ["logits", "hint"],
  },
  "phuong-lampert": weighted(
    phuongLampert.with({ c: 0.4 }),
    ({ z, held, y }, j) => 0.6 * ce(z[j]!, y) + 0.4 * (j < LAST ? kl(held[LAST]!, z[j]!, 2.5) : 0),
    { numbers: { temperature: 2.5 } },
  ),
};
