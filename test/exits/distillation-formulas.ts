// Losses of methods that distil, in float64, written from their papers, at sizes beyond one tile: oracles for
// test/exits/distillation.test.ts.

import { full, tensor } from "../../engine/index.ts";
import { decoupledDistillation as dkd, knowledgeDistillation as kd, type TrainingPlan } from "../../exits/index.ts";
import type { Draw, Ref } from "../engine/ops/row.ts";
import { average, ce, type Formula, kl, labelOf, logP, type Refs, type Row, row, total } from "./loss-formulas.ts";
import { lossOf } from "./track.ts";

const [N, K, C] = [70, 3, 300] as const;
const logits: Draw = { shape: [N, K, C], range: [-3, 3] };
const labels: Draw = { shape: [N], dtype: "i32", range: [0, C] };
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

/** Of a method whose loss is sum_j w_j mean_i loss(i, j). */
function weighted(plan: TrainingPlan, loss: (at: Sample, j: number) => number, ramp?: number): Formula {
  return {
    inputs: { logits, labels, teacher: logits },
    call: ({ logits, labels, teacher }) =>
      lossOf(plan, {
        logits: logits!,
        labels: labels!,
        teacher,
        exitWeights: tensor(Float32Array.from(WEIGHTS)),
        ...(ramp !== undefined && { ramp: full([], ramp) }),
      }),
    value: (x, held: Refs) =>
      average(N, (i) => {
        const [z, y] = [exitsOf(x["logits"]!, i), labelOf(x, i)];
        const at = { z, held: exitsOf(held["logits"]!, i), t: exitsOf(x["teacher"]!, i), y };
        return total(z.map((_, j) => WEIGHTS[j]! * loss(at, j)));
      }),
    grads: ["logits"],
  };
}

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
    0.6,
  ),
};
