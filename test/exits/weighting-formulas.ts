// Losses of methods that weigh samples and exits, in float64, written from their definitions, at sizes beyond one tile:
// oracles for test/exits/weighting.test.ts.

import { mean, ones, type Tensor, tensor } from "../../engine/index.ts";
import {
  adaloss,
  balancedGateLoss,
  certifiedCgt,
  confidenceLosses,
  eefpCgt,
  eenet,
  failurePrediction,
  neighbourLosses,
  neoKd,
  orthogonalLosses,
  ptee,
  selectiveLosses,
} from "../../exits/index.ts";
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

const attacked: Draw = { shape: [N, K, C], range: [-4, 4] };
const softmax = (z: Row): number[] => logP(z).map(Math.exp);

/** -sum_c q_c log p_c */
const against = (z: Row, q: Row): number => -total(logP(z).map((log, c) => q[c]! * log));

/** Mean of what an exit's neighbours and the exit itself say. */
function neighbours(z: readonly Row[], j: number): number[] {
  const near = z.filter((_, k) => Math.abs(k - j) <= 1).map(softmax);
  return Array.from({ length: C }, (_, c) => total(near.map((p) => p[c]!)) / near.length);
}

/** What an exit says of the label and of its own wrong classes, adding up to 1. */
function ownErrors(z: Row, j: number, y: number): number[] {
  const kept = softmax(z).map((p, c) => (c === y || ((c - y - 1 + C) % C) % K === j ? p : 0));
  return kept.map((p) => p / total(kept));
}

const sampleOf = (x: Refs, i: number) => ({
  z: exitsOf(x["logits"]!, i),
  a: exitsOf(x["attacked"]!, i),
  y: labelOf(x, i),
});
const eachExit = (of: (i: number, j: number) => number): number =>
  average(N, (i) => total(Array.from({ length: K }, (_, j) => of(i, j))) / K);

/** Logits of early exits, the two in front of the last. */
const earlyLogits: Draw = { shape: [N, K - 1, C], range: [-4, 4] };
const early = (x: Ref, i: number): Row[] => Array.from({ length: K - 1 }, (_, j) => row(x, C, i, j, K - 1));
/** Some of both at every exit. */
const targets: Draw = {
  shape: [N, K - 1],
  values: Array.from({ length: N * (K - 1) }, (_, i) => Number(i % 3 === 0)),
};
const targetAt = (x: Refs, i: number, j: number) => x["targets"]!.data[i * (K - 1) + j]!;

/** The last exit's logits at another point: they carry no gradient. */
const withLast = (x: Ref, held: Ref): Ref => ({
  ...x,
  data: x.data.map((value, at) => (Math.floor(at / C) % K === K - 1 ? held.data[at]! : value)),
});

const COSTS = [1 / 3, 2 / 3, 1];
/** -log of the mixture from exit `first` on for a class, and its cost. */
function mixed(x: Refs, i: number, first: number, target: number): number {
  const p = exitsOf(x["logits"]!, i).map((z) => probability(z, target));
  let [y, c] = [p[K - 1]!, COSTS[K - 1]!];
  for (let j = K - 2; j >= first; j--) {
    const h = sigmoid(row(x["confidence"]!, K - 1, i)[j]!);
    [y, c] = [h * p[j]! + (1 - h) * y, h * COSTS[j]! + (1 - h) * c];
  }
  return -Math.log(y) + 0.7 * c;
}

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
  neighbourLosses: {
    inputs: { logits, attacked, labels },
    call: ({ logits, attacked, labels }) =>
      mean(neighbourLosses({ clean: logits!, attacked: attacked!, labels: labels! })),
    value: (x, held) => eachExit((i, j) => against(sampleOf(x, i).a[j]!, neighbours(sampleOf(held, i).z, j))),
    grads: ["logits", "attacked"],
  },
  orthogonalLosses: {
    inputs: { logits, attacked, labels },
    call: ({ logits, attacked, labels }) =>
      mean(orthogonalLosses({ clean: logits!, attacked: attacked!, labels: labels! })),
    value: (x, held) =>
      eachExit((i, j) => against(sampleOf(x, i).a[j]!, ownErrors(sampleOf(held, i).z[j]!, j, labelOf(x, i)))),
    grads: ["logits", "attacked"],
  },
  "neo-kd": {
    inputs: { logits, attacked, labels },
    call: ({ logits, attacked, labels }) =>
      lossOf(neoKd.with({ alpha: 0.7, beta: 0.3 }), {
        logits: logits!,
        attacked,
        labels: labels!,
        exitWeights: exitWeights(),
      }),
    value: (x, held) =>
      average(N, (i) => {
        const [{ z, a, y }, before] = [sampleOf(x, i), sampleOf(held, i)];
        return total(
          WEIGHTS.map((weight, j) => {
            const soft =
              0.7 * against(a[j]!, neighbours(before.z, j)) + 0.3 * against(a[j]!, ownErrors(before.z[j]!, j, y));
            return weight * (ce(z[j]!, y) + ce(a[j]!, y) + soft);
          }),
        );
      }),
    grads: ["logits", "attacked"],
  },
  balancedGateLoss: {
    inputs: { gates: { shape: [N, K - 1], range: [-3, 3] }, targets },
    call: ({ gates, targets }) => balancedGateLoss({ gates: gates!, targets: targets! }),
    value: (x) =>
      average(K - 1, (j) => {
        const of = (target: number) => {
          const own = Array.from({ length: N }, (_, i) => i).filter((i) => targetAt(x, i, j) === target);
          const sign = target === 1 ? 1 : -1;
          return total(own.map((i) => -Math.log(sigmoid(sign * x["gates"]!.data[i * (K - 1) + j]!)))) / own.length;
        };
        return (of(0) + of(1)) / 2;
      }),
    grads: ["gates"],
  },
  confidenceLosses: {
    inputs: { early: earlyLogits, targets },
    call: ({ early, targets }) => mean(confidenceLosses(early!, targets!)),
    value: (x) =>
      average(N * (K - 1), (at) => {
        const [i, j] = [Math.floor(at / (K - 1)), at % (K - 1)];
        const sure = Math.max(...softmax(early(x["early"]!, i)[j]!));
        return -Math.log(targetAt(x, i, j) === 1 ? sure : 1 - sure);
      }),
    grads: ["early"],
  },
  "eefp, classifier": {
    inputs: { logits, labels },
    call: ({ logits, labels }) =>
      lossOf(
        failurePrediction.with({ correction: "classifier", weight: 0.6 }),
        { logits: logits!, labels: labels!, exitWeights: exitWeights() },
        1,
      ),
    value: (x, held) =>
      average(N, (i) => {
        const [z, before, y] = [exitsOf(x["logits"]!, i), exitsOf(held["logits"]!, i), labelOf(x, i)];
        const isKept = kept(
          before.map((own) => Number(indexOfMost(own) === y)),
          true,
        );
        return total(
          z.slice(0, -1).map((own, j) => {
            const sure = Math.max(...softmax(own));
            return ce(own, y) - 0.6 * Math.log(isKept[j] === 1 ? sure : 1 - sure);
          }),
        );
      }),
    grads: ["logits"],
  },
  "ptee, every mixture": {
    inputs: { logits, confidence: { shape: [N, K - 1], range: [-3, 3] }, labels },
    call: ({ logits, confidence, labels }) =>
      lossOf(
        ptee.with({ mixtures: "every", target: "labels", lambda: 0.7 }),
        {
          logits: logits!,
          labels: labels!,
          exitWeights: exitWeights(),
          out: { logits: logits!, confidence: confidence! },
        },
        2,
      ),
    value: (x, held) =>
      average(N, (i) => {
        const own = { ...x, logits: withLast(x["logits"]!, held["logits"]!) };
        return average(K - 1, (first) => mixed(own, i, first, labelOf(x, i)));
      }),
    grads: ["logits", "confidence"],
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
