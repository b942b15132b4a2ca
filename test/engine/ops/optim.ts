// The fused steps against their formulas: one step from given state, sizes around vector and workgroup multiples.

import {
  adamStep,
  advanceStep,
  emaStep,
  gradNorm,
  packHyper,
  rmspropStep,
  scaleGrads,
  sgdStep,
  tensor,
} from "../../../engine/index.ts";
import type { OpCase, OpRow, Ref } from "./row.ts";

const SIZES = [1, 33, 256, 257];
const LR = 0.1;

const zip = (refs: readonly Ref[], value: (...values: number[]) => number): Ref => {
  const [first] = refs as readonly [Ref];
  return { shape: first.shape, data: first.data.map((_, i) => value(...refs.map(({ data }) => data[i] as number))) };
};
const hyper = (momentum: number) => tensor(packHyper(LR, momentum));
const positive = (n: number) => ({ shape: [n], range: [0.1, 2] as const });

const sgd = (n: number): OpCase => ({
  inputs: { values: { shape: [n] }, grads: { shape: [n] }, m: { shape: [n] } },
  call: ({ values, grads, m }) => {
    sgdStep({ values: values!, grads: grads!, m, hyper: hyper(0.9) }, { weightDecay: 0.01, nesterov: true });
    return [values!, m!];
  },
  oracle: ({ values, grads, m }) => {
    const moved = zip([values!, grads!, m!], (w, g, m) => 0.9 * m + g + 0.01 * w);
    return [zip([values!, grads!, moved], (w, g, m) => w - LR * (g + 0.01 * w + 0.9 * m)), moved];
  },
});

const adam = (n: number): OpCase => ({
  inputs: { values: { shape: [n] }, grads: { shape: [n] }, m: { shape: [n] }, v: positive(n) },
  call: ({ values, grads, m, v }) => {
    const now = advanceStep({ hyper: hyper(0.9), step: tensor(Uint32Array.of(4)) }, { beta2: 0.999 });
    const options = { beta2: 0.999, eps: 1e-8, weightDecay: 0.1, decoupled: true };
    adamStep({ values: values!, grads: grads!, m: m!, v: v!, now }, options);
    return [values!, m!, v!];
  },
  oracle: ({ values, grads, m, v }) => {
    const mean = zip([grads!, m!], (g, m) => 0.9 * m + 0.1 * g);
    const square = zip([grads!, v!], (g, v) => 0.999 * v + 0.001 * g * g);
    const root = (v: number) => Math.sqrt(v) / Math.sqrt(1 - 0.999 ** 5) + 1e-8;
    const moved = (w: number, m: number, v: number) => w * (1 - LR * 0.1) - (LR / (1 - 0.9 ** 5)) * (m / root(v));
    return [zip([values!, mean, square], moved), mean, square];
  },
});

const advance: OpCase = {
  label: "step 5",
  inputs: {},
  call: () => {
    const step = tensor(Uint32Array.of(4));
    return [
      advanceStep({ hyper: hyper(0.9), lr: tensor([0.5]), step }, { beta2: 0.999, dampening: 0.3 }).slice({
        ends: [7],
      }),
      step,
    ];
  },
  oracle: () => [
    { shape: [7], data: Float64Array.of(5, 0.5 / (1 - 0.9 ** 5), Math.sqrt(1 - 0.999 ** 5), 0.7, 0.5, 0.9, 0.1) },
    { shape: [1], data: Float64Array.of(5) },
  ],
  rtol: 1e-6,
  atol: 0,
};

const rmsprop = (n: number): OpCase => ({
  inputs: { values: { shape: [n] }, grads: { shape: [n] }, v: positive(n), m: { shape: [n] } },
  call: ({ values, grads, v, m }) => {
    rmspropStep({ values: values!, grads: grads!, v: v!, m, lr: tensor([LR, 0.5]) }, { alpha: 0.9, eps: 1e-8 });
    return [values!, v!, m!];
  },
  oracle: ({ values, grads, v, m }) => {
    const square = zip([grads!, v!], (g, v) => 0.9 * v + 0.1 * g * g);
    const moved = zip([grads!, square, m!], (g, v, m) => 0.5 * m + g / (Math.sqrt(v) + 1e-8));
    return [zip([values!, moved], (w, m) => w - LR * m), square, moved];
  },
});

const ema = (n: number): OpCase => ({
  inputs: { average: { shape: [n] }, values: { shape: [n] } },
  call: ({ average, values }) => {
    emaStep({ average: average!, values: values!, hyper: hyper(0.99) });
    return average!;
  },
  oracle: ({ average, values }) => zip([average!, values!], (s, w) => 0.99 * s + 0.01 * w),
});

function normOf({ data }: Ref, normType: 2 | "inf"): number {
  return normType === 2 ? Math.hypot(...data) : Math.max(0, ...data.map(Math.abs));
}

const norm = (n: number, normType: 2 | "inf"): OpCase => ({
  label: `[${n}] ${normType}`,
  inputs: { grads: { shape: [n] } },
  call: ({ grads }) => gradNorm(grads!, { maxNorm: 1.5, normType }),
  oracle: ({ grads }) => {
    const total = normOf(grads!, normType);
    return { shape: [2], data: Float64Array.of(total, Math.min(1, 1.5 / (total + 1e-6))) };
  },
});

const scale = (n: number): OpCase => ({
  inputs: { grads: { shape: [n] } },
  call: ({ grads }) => {
    scaleGrads(grads!, gradNorm(grads!, { maxNorm: 0.5 }));
    return grads!;
  },
  oracle: ({ grads }) => {
    const coefficient = Math.min(1, 0.5 / (normOf(grads!, 2) + 1e-6));
    return zip([grads!], (g) => g * coefficient);
  },
});

export const rows: OpRow[] = [
  { op: "sgdStep", live: "refused", cases: SIZES.map(sgd) },
  { op: "adamStep", live: "refused", cases: SIZES.map(adam) },
  { op: "advanceStep", live: "no operand", cases: [advance] },
  { op: "rmspropStep", live: "refused", cases: SIZES.map(rmsprop) },
  { op: "emaStep", live: "refused", cases: SIZES.map(ema) },
  { op: "gradNorm", live: "refused", cases: [0, ...SIZES].flatMap((n) => [norm(n, 2), norm(n, "inf")]) },
  { op: "scaleGrads", live: "refused", cases: SIZES.map(scale) },
];
