// Losses of published methods in float64, written from their definitions: oracles for test/exits/losses.test.ts.

import { crossEntropy, mean, type Tensor } from "../../engine/index.ts";
import {
  boostLosses,
  calexnetLosses,
  erdeLosses,
  jeiDnnLosses,
  pteeLoss,
  selfDistillation,
  ztwEnsemble,
} from "../../exits/index.ts";
import { type Draw, type OpCase, type Ref, ref } from "../engine/ops/row.ts";

/** A loss as a formula: the engine's call, and its value in float64. */
export interface Formula {
  readonly inputs: Readonly<Record<string, Draw>>;
  readonly call: (x: Readonly<Record<string, Tensor>>) => Tensor;
  /** At `x`; what carries no gradient is taken at `held`, the point where gradients are wanted. */
  readonly value: (x: Refs, held: Refs) => number;
  readonly grads: readonly string[];
}
export type Refs = Readonly<Record<string, Ref>>;
export type Row = readonly number[];

/** A case of the op table's kind, which takes the central differences. */
export function caseOf({ inputs, call, value, grads }: Formula): OpCase {
  let held: Refs | undefined;
  return {
    inputs,
    call,
    grads,
    rtol: 1e-5,
    atol: 5e-6,
    oracle: (x) => {
      held ??= x;
      const found = value(x, held);
      return ref([], () => found);
    },
  };
}

const [N, K, C] = [5, 4, 9] as const;
const COSTS = [0.2, 0.4, 0.7, 1];
const logits: Draw = { shape: [N, K, C], range: [-3, 3] };
const labels: Draw = { shape: [N], dtype: "i32", range: [0, C] };

/** Row `[i, j]` of a tensor whose last axis is `width`. */
export const row = ({ data }: Ref, width: number, i: number, j = 0, rows = 1): Row =>
  Array.from({ length: width }, (_, c) => data[(i * rows + j) * width + c] as number);
const exitsOf = (x: Ref, i: number): Row[] =>
  Array.from({ length: K }, (_, j) => row(x, x.shape[2] as number, i, j, K));
export const labelOf = (x: Refs, i: number): number => x["labels"]!.data[i]!;

export const total = (x: Row): number => x.reduce((a, b) => a + b, 0);
export const average = (n: number, of: (i: number) => number): number =>
  total(Array.from({ length: n }, (_, i) => of(i))) / n;
const eachExit = (of: (i: number, j: number) => number): number => average(N * K, (k) => of(Math.floor(k / K), k % K));

export function logP(z: Row, t = 1): number[] {
  const most = Math.max(...z);
  const log = Math.log(total(z.map((v) => Math.exp((v - most) / t))));
  return z.map((v) => (v - most) / t - log);
}
export const ce = (z: Row, y: number): number => -logP(z)[y]!;
export const entropyOf = (z: Row): number => -total(logP(z).map((v) => Math.exp(v) * v));
export const indexOfMost = (z: Row): number => z.indexOf(Math.max(...z));
export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
export function kl(from: Row, to: Row, t: number): number {
  const q = logP(to, t);
  return t * t * total(logP(from, t).map((v, c) => Math.exp(v) * (v - q[c]!)));
}

const erde: Formula = {
  inputs: { logits, teacher: logits, labels },
  call: ({ logits, teacher, labels }) =>
    mean(erdeLosses(logits!, teacher!, labels!, { gamma: 0.7, ceWeight: 0.5, alpha: 0.8 })),
  value: (x) =>
    eachExit((i, j) => {
      const [s, t] = [exitsOf(x["logits"]!, i)[j]!, exitsOf(x["teacher"]!, i)[j]!];
      const isRight = indexOfMost(t) === labelOf(x, i);
      const doubt = j < K - 1 ? (-0.7 * entropyOf(s)) / Math.log(C) : 0;
      return 0.5 * ce(s, labelOf(x, i)) + (isRight ? 0.8 * kl(t, s, 4) : doubt);
    }),
  grads: ["logits"],
};

/** Soft probabilities that a sample reaches each branch. */
function survivalOf(x: Refs, i: number, kappa: number): number[] {
  let reached = 1;
  return exitsOf(x["logits"]!, i).map((z, j) => {
    const here = reached;
    reached *= 1 - sigmoid((Math.exp(Math.max(...logP(z))) - row(x["tau"]!, C, j)[indexOfMost(z)]!) / kappa);
    return here;
  });
}

const calexnet: Formula = {
  inputs: { logits, backbone: { shape: [N, C], range: [-3, 3] }, tau: { shape: [K, C], range: [0.1, 0.9] } },
  call: ({ logits, backbone, tau }) => calexnetLosses(logits!, backbone!, tau!, { kappa: 0.1, floor: 0.2 }).loss,
  value: (x, held) => {
    const survival = Array.from({ length: N }, (_, i) => survivalOf(held, i, 0.1));
    const weight = (i: number, j: number) => Math.max(survival[i]![j]! / average(N, (k) => survival[k]![j]!), 0.2);
    return K * eachExit((i, j) => weight(i, j) * kl(row(x["backbone"]!, C, i), exitsOf(x["logits"]!, i)[j]!, 4));
  },
  grads: ["logits"],
};

const ptee: Formula = {
  inputs: { logits, confidence: { shape: [N, K - 1], range: [-3, 3] }, labels },
  call: ({ logits, confidence, labels }) =>
    pteeLoss(logits!, confidence!, labels!, { costs: COSTS, lambda: 0.4, detachFinal: false }).loss,
  value: (x) =>
    average(N, (i) => {
      const p = exitsOf(x["logits"]!, i).map((z) => Math.exp(-ce(z, labelOf(x, i))));
      let [y, c] = [p[K - 1]!, COSTS[K - 1]!];
      for (let j = K - 2; j >= 0; j--) {
        const h = sigmoid(row(x["confidence"]!, K - 1, i)[j]!);
        [y, c] = [h * p[j]! + (1 - h) * y, h * COSTS[j]! + (1 - h) * c];
      }
      return -Math.log(y) + 0.4 * c;
    }),
  grads: ["logits", "confidence"],
};

const boost: Formula = {
  inputs: { logits, labels },
  call: ({ logits, labels }) => boostLosses(logits!, labels!, { t: 0.7 }).loss,
  value: (x, held) =>
    average(N, (i) => {
      let before = new Array<number>(C).fill(0);
      const losses = exitsOf(x["logits"]!, i).map((f, j) => {
        const loss = ce(
          f.map((v, c) => v + 0.7 * before[c]!),
          labelOf(x, i),
        );
        before = exitsOf(held["logits"]!, i)[j]!.map((v, c) => v + 0.7 * before[c]!);
        return loss;
      });
      return total(losses);
    }),
  grads: ["logits"],
};

const ztw: Formula = {
  inputs: { logits, w: { shape: [K, K], range: [-1, 1] }, b: { shape: [K, C] }, labels },
  call: ({ logits, w, b, labels }) => crossEntropy(ztwEnsemble(logits!, w!, b!), labels!),
  value: (x) =>
    eachExit((i, j) => {
      const logs = exitsOf(x["logits"]!, i).map((z) => logP(z));
      const weights = row(x["w"]!, K, j);
      const scores = row(x["b"]!, C, j).map((b, c) => b + average(j + 1, (l) => Math.exp(weights[l]!) * logs[l]![c]!));
      return ce(scores, labelOf(x, i));
    }),
  grads: ["logits", "w", "b"],
};

const byot: Formula = {
  inputs: { logits, features: { shape: [N, K, 3] }, labels },
  call: ({ logits, features, labels }) => selfDistillation(logits!, features!, labels!, { a: 0.3, b: 0.2 }).loss,
  value: (x, held) =>
    average(N, (i) => {
      const [z, f] = [exitsOf(x["logits"]!, i), exitsOf(x["features"]!, i)];
      const [zLast, fLast] = [exitsOf(held["logits"]!, i)[K - 1]!, exitsOf(held["features"]!, i)[K - 1]!];
      const answers = total(z.slice(0, -1).map((early) => kl(zLast, early, 3)));
      const hint = total(f.slice(0, -1).flatMap((early) => early.map((v, d) => (v - fLast[d]!) ** 2)));
      return 0.7 * total(z.map((exit) => ce(exit, labelOf(x, i)))) + 0.3 * answers + 0.2 * hint;
    }),
  grads: ["logits", "features"],
};

/** Gates of a sample before the sigmoid; on statistics that carry no gradient. */
const gatesOf = (x: Refs, held: Refs, i: number): number[] =>
  exitsOf(held["logits"]!, i)
    .slice(0, -1)
    .map((z, j) => {
      const [first, second] = logP(z)
        .map(Math.exp)
        .sort((a, b) => b - a) as [number, number];
      const statistics = [first, entropyOf(z), first - second, entropyOf(z.map((v) => 2 * v))];
      return total(statistics.map((v, k) => v * row(x["weight"]!, 4, j)[k]!)) + x["bias"]!.data[j]!;
    });

const jeiInputs = { logits, labels, weight: { shape: [K - 1, 4] }, bias: { shape: [K - 1] } };

const jeiClassifiers: Formula = {
  inputs: jeiInputs,
  call: ({ logits, labels, weight, bias }) =>
    jeiDnnLosses(logits!, labels!, { weight: weight!, bias: bias! }, { costs: COSTS }).classifierLoss,
  value: (x, held) =>
    average(N, (i) => {
      let spent = 0;
      const shares = [...gatesOf(held, held, i).map(sigmoid), 1].map((g) => {
        const share = Math.max(0, Math.min(g, 1 - spent));
        spent += g;
        return share;
      });
      const before = exitsOf(held["logits"]!, i).map((z) => ce(z, labelOf(x, i)));
      const ratio = total(before) / total(before.map((l, j) => l * shares[j]!));
      return ratio * total(exitsOf(x["logits"]!, i).map((z, j) => shares[j]! * ce(z, labelOf(x, i))));
    }),
  grads: ["logits", "weight", "bias"],
};

const jeiGates: Formula = {
  inputs: jeiInputs,
  call: ({ logits, labels, weight, bias }) =>
    jeiDnnLosses(logits!, labels!, { weight: weight!, bias: bias! }, { costs: COSTS, lambda: 2 }).gateLoss,
  value: (x, held) => {
    const losses = { leave: [] as number[], stay: [] as number[] };
    for (let i = 0; i < N; i++) {
      const prices = exitsOf(held["logits"]!, i).map((z, j) => ce(z, labelOf(x, i)) + 2 * COSTS[j]!);
      const first = prices.indexOf(Math.min(...prices));
      gatesOf(x, held, i).forEach((g, j) => {
        if (j >= first) losses.leave.push(-Math.log(sigmoid(g)));
        else losses.stay.push(-Math.log(sigmoid(-g)));
      });
    }
    const weight = losses.stay.length / losses.leave.length;
    return (weight * total(losses.leave) + total(losses.stay)) / (N * (K - 1));
  },
  grads: ["logits", "weight", "bias"],
};

/** The losses by name. */
export const FORMULAS: Readonly<Record<string, Formula>> = {
  erdeLosses: erde,
  calexnetLosses: calexnet,
  pteeLoss: ptee,
  boostLosses: boost,
  ztwEnsemble: ztw,
  selfDistillation: byot,
  "jeiDnnLosses, classifiers": jeiClassifiers,
  "jeiDnnLosses, gates": jeiGates,
};
