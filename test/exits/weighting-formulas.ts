// Losses of methods that weigh samples and exits, in float64, written from their definitions, at sizes beyond one tile:
// oracles for test/exits/weighting.test.ts.

import { ones, type Tensor, tensor } from "../../engine/index.ts";
import { adaloss, certifiedCgt, eefpCgt, eenet, selectiveLosses } from "../../exits/index.ts";
import type { Draw, Ref } from "../engine/ops/row.ts";
import {
  average,
  ce,
  type Formula,
  indexOfMost,
  kl,
  labelOf,
  logP,
  type Refs,
  type Row,
  row,
  sigmoid,
  total,
} from "./loss-formulas.ts";
import { lossOf } from "./track.ts";

const [N, K, C] = [150, 3, 9] as const;
const logits: Draw = { shape: [N, K, C], range: [-4, 4] };
const labels: Draw = { shape: [N], dtype: "i32", range: [0, C] };
const WEIGHTS = [0.5, 1, 0.25];
const exitWeights = (): Tensor => tensor(Float32Array.from(WEIGHTS));

const exitsOf = (x: Ref, i: number): Row[] => Array.from({ length: K }, (_, j) => row(x, C, i, j, K));
const probability = (z: Row, c: number): number => Math.exp(logP(z)[c]!);

/** mean_i sum_j W_ij CE_ij, the weights at the point that is held, from how far early exits have handled a sample. */
function gated(call: Formula["call"], handled: (z: readonly Row[], y: number) => readonly number[]): Formula {
  return {
    inputs: { logits, labels },
    call,
    value: (x, held) =>
      average(N, (i) => {
        const y = labelOf(x, i);
        let eligible = 1;
        const gates = handled(exitsOf(held["logits"]!, i), y);
        const weights = WEIGHTS.map((weight, j) => {
          if (j > 0) eligible *= 1 - gates[j - 1]!;
          return weight * eligible + 0.001;
        });
        return total(exitsOf(x["logits"]!, i).map((z, j) => (weights[j]! / total(weights)) * ce(z, y)));
      }),
    grads: ["logits"],
  };
}

/** Between the confidences that these logits have, and one that nobody has. */
const TAU = [0.5, 2];
const surely =
  (mustBeRight: boolean) =>
  (z: readonly Row[], y: number): number[] =>
    z.slice(0, -1).map((own, j) => {
      const best = indexOfMost(own);
      return Number(probability(own, best) >= TAU[j]! && (!mustBeRight || best === y));
    });

function kept(right: readonly number[], futile: boolean): number[] {
  return right.slice(0, -1).map((own, j) => {
    const nobody = right.slice(j + 1).reduce((share, r) => share * (1 - r), 1);
    return futile ? own + (1 - own) * nobody : own;
  });
}

const MEANS = [5, 4, 6];
const DECAY = 0.6;

/** Mean loss of each exit. */
const meansOf = (x: Refs): number[] =>
  Array.from({ length: K }, (_, j) => average(N, (i) => ce(exitsOf(x["logits"]!, i)[j]!, labelOf(x, i))));

const ofPlan = (plan: Parameters<typeof lossOf>[0], numbers: () => Record<string, Tensor> = () => ({})) =>
  (({ logits, labels }) =>
    lossOf(plan, {
      logits: logits!,
      labels: labels!,
      exitWeights: exitWeights(),
      ramp: ones([]),
      numbers: numbers(),
    })) satisfies Formula["call"];

/** By name. */
export const WEIGHTING_FORMULAS: Readonly<Record<string, Formula>> = {
  "certified-cgt": gated(
    ofPlan(certifiedCgt.with({ right: false }), () => ({ tau: tensor(Float32Array.from(TAU)) })),
    surely(false),
  ),
  "certified-cgt, right": gated(
    ofPlan(certifiedCgt.with(), () => ({ tau: tensor(Float32Array.from(TAU)) })),
    surely(true),
  ),
  "eefp-cgt": gated(ofPlan(eefpCgt.with()), (z, y) =>
    kept(
      z.map((own) => probability(own, y)),
      true,
    ),
  ),
  "eefp-cgt, hard": gated(ofPlan(eefpCgt.with({ soft: false })), (z, y) =>
    kept(
      z.map((own) => Number(indexOfMost(own) === y)),
      true,
    ),
  ),
  "eefp-cgt, without futile ones": gated(ofPlan(eefpCgt.with({ futile: false })), (z, y) =>
    kept(
      z.map((own) => probability(own, y)),
      false,
    ),
  ),
  adaloss: {
    inputs: { logits, labels },
    call: ofPlan(adaloss.with({ decay: DECAY, mix: 0.2 }), () => ({ means: tensor(Float32Array.from(MEANS)) })),
    value: (x, held) => {
      const inverse = meansOf(held).map((mean, j) => 1 / (DECAY * MEANS[j]! + (1 - DECAY) * mean));
      const weights = inverse.map((each, j) => ((0.8 * K * each) / total(inverse) + 0.2) * WEIGHTS[j]!);
      return total(meansOf(x).map((mean, j) => weights[j]! * mean));
    },
    grads: ["logits"],
  },
  eenet: {
    inputs: { logits, labels },
    call: ofPlan(eenet.with({ alpha: 30 })),
    value: (x, held) =>
      average(N, (i) => {
        const z = exitsOf(x["logits"]!, i);
        const last = exitsOf(held["logits"]!, i)[K - 1]!;
        const hard = total(z.map((own, j) => WEIGHTS[j]! * ce(own, labelOf(x, i))));
        return hard + (30 / C) * total(z.slice(0, -1).map((own) => kl(last, own, 3)));
      }),
    grads: ["logits"],
  },
  "selective-net": {
    inputs: { logits, confidence: { shape: [N, K - 1], range: [-3, 1] }, labels },
    call: ({ logits, confidence, labels }) =>
      selectiveLosses(logits!, confidence!, labels!, { coverage: 0.7, lambda: 5, alpha: 0.4 }).mul(exitWeights()).sum(),
    value: (x) => {
      const chosen = (i: number, j: number) => sigmoid(row(x["confidence"]!, K - 1, i)[j]!);
      return total(
        meansOf(x).map((mean, j) => {
          if (j === K - 1) return WEIGHTS[j]! * mean;
          const share = average(N, (i) => chosen(i, j));
          const risk = average(N, (i) => chosen(i, j) * ce(exitsOf(x["logits"]!, i)[j]!, labelOf(x, i))) / share;
          return WEIGHTS[j]! * (0.4 * (risk + 5 * Math.max(0, 0.7 - share) ** 2) + 0.6 * mean);
        }),
      );
    },
    grads: ["logits", "confidence"],
  },
};
