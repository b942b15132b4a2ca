// Rows of matmul and linear: torch.matmul's rules for vectors, matrices and broadcast batches, and the fused epilogue.

import type { Tensor } from "../../../engine/index.ts";
import * as s from "../../../engine/index.ts";
import { erf } from "./pointwise.ts";
import { type OpCase, type OpRow, type Ref, ref } from "./row.ts";

type Tensors = Readonly<Record<string, Tensor>>;

/** The last two axes swapped. */
function swapped({ shape, data }: Ref): Ref {
  const [rows, columns] = shape.slice(-2) as [number, number];
  const size = rows * columns;
  return ref([...shape.slice(0, -2), columns, rows], (i) => {
    const [matrix, at] = [Math.floor(i / size), i % size];
    return data[matrix * size + (at % rows) * columns + Math.floor(at / rows)] as number;
  });
}

/** torch.matmul in float64. */
export function matmul(a: Ref, b: Ref): Ref {
  const left = a.shape.length === 1 ? [1, ...a.shape] : a.shape;
  const right = b.shape.length === 1 ? [...b.shape, 1] : b.shape;
  const [m, k] = left.slice(-2) as [number, number];
  const n = right.at(-1) as number;
  const [la, lb] = [left.slice(0, -2), right.slice(0, -2)];
  const rank = Math.max(la.length, lb.length);
  const batch = Array.from({ length: rank }, (_, i) => {
    const [x, y] = [la[i - rank + la.length] ?? 1, lb[i - rank + lb.length] ?? 1];
    return x === 1 ? y : x;
  });
  const matrixOf = (lead: readonly number[], flat: number): number => {
    let [at, step, rest] = [0, 1, flat];
    for (let i = rank - 1; i >= 0; i--) {
      const index = rest % (batch[i] as number);
      rest = Math.floor(rest / (batch[i] as number));
      const extent = lead[i - rank + lead.length] ?? 1;
      if (extent > 1) at += index * step;
      step *= extent;
    }
    return at;
  };
  const shape = [...batch, ...(a.shape.length > 1 ? [m] : []), ...(b.shape.length > 1 ? [n] : [])];
  return ref(shape, (i) => {
    const [matrix, row, column] = [Math.floor(i / (m * n)), Math.floor(i / n) % m, i % n];
    const [ma, mb] = [matrixOf(la, matrix) * m * k, matrixOf(lb, matrix) * k * n];
    let sum = 0;
    for (let j = 0; j < k; j++) sum += (a.data[ma + row * k + j] as number) * (b.data[mb + j * n + column] as number);
    return sum;
  });
}

function product(
  a: readonly number[],
  b: readonly number[],
  options: s.MatmulOptions = {},
  rest: Partial<OpCase> = {},
): OpCase {
  const side = (x: Ref, isSwapped = false): Ref => (isSwapped && x.shape.length > 1 ? swapped(x) : x);
  return {
    inputs: { a: { shape: a }, b: { shape: b } },
    call: ({ a, b }) => s.matmul(a as Tensor, b as Tensor, options),
    oracle: ({ a, b }) => matmul(side(a as Ref, options.transposeA), side(b as Ref, options.transposeB)),
    grads: ["a", "b"],
    atol: 1e-4,
    ...rest,
  };
}

const both = { transposeA: true, transposeB: true };

const products: OpRow = {
  op: "matmul",
  live: "some",
  cases: [
    ...[1, 31, 32, 33, 257].map((n) => product([n, n === 257 ? 33 : n], [n === 257 ? 33 : n, 17], {}, { grads: [] })),
    product([33, 20], [20, 31]),
    product([64, 32], [32, 48]),
    product([20, 33], [20, 31], { transposeA: true }),
    product([33, 20], [31, 20], { transposeB: true }),
    product([20, 33], [31, 20], both),
    product([5], [5]),
    product([5], [5, 3]),
    product([4, 5], [5]),
    product([2, 4, 5], [5]),
    product([5], [2, 5, 3]),
    product([5], [3, 5], { transposeA: true, transposeB: true }),
    product([3, 4, 5], [5, 6]),
    product([3, 4, 5], [6, 5], { transposeB: true }),
    product([4, 5], [3, 5, 6]),
    product([3, 4, 5], [3, 5, 6]),
    product([2, 1, 4, 5], [3, 5, 6]),
    product([2, 3, 5, 4], [2, 1, 6, 5], both),
    product([2, 1, 2, 1, 3, 4], [1, 2, 1, 2, 4, 5]),
    // Beyond the kernel for small products.
    product([64, 40], [40, 48]),
    product([65, 40], [41, 40], { transposeB: true }),
    product([40, 66], [40, 44], { transposeA: true }),
    product([33, 65], [63, 33], both),
    product([2, 1, 20, 36], [3, 36, 31]),
    product([2, 1, 2, 1, 20, 36], [1, 3, 1, 2, 36, 31]),
    product([2, 1, 2, 1, 40, 36], [1, 3, 1, 2, 32, 36], { transposeB: true }),
    product([3, 37, 40], [40, 30]),
    product([1200, 20], [1200, 12], { transposeA: true }, { label: "split along k", atol: 4e-4 }),
    product([12, 4800], [4800, 100], {}, { label: "split along k", grads: [], atol: 4e-4 }),
    ...(
      [
        [
          [0, 4],
          [4, 3],
        ],
        [
          [3, 0],
          [0, 5],
        ],
        [
          [2, 3],
          [3, 0],
        ],
        [
          [0, 3, 4],
          [4, 2],
        ],
        [
          [2, 3, 0],
          [2, 0, 2],
        ],
        [[0], [0]],
      ] as const
    ).map(([a, b]) => product(a, b)),
    product(
      [33, 20],
      [20, 36],
      {},
      {
        inputs: { a: { shape: [33, 20], dtype: "f32" }, b: { shape: [20, 36] } },
        call: ({ a, b }) => s.cast(s.matmul(s.cast(a as Tensor, "f16"), s.cast(b as Tensor, "f16")), "f32"),
        label: "f16",
        rtol: 2e-3,
        atol: 5e-2,
      },
    ),
  ],
};

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** The activations in float64. */
export const activations: Readonly<Record<NonNullable<s.FusedOptions["activation"]>, (x: number) => number>> = {
  none: (x) => x,
  relu: (x) => Math.max(0, x),
  sigmoid,
  tanh: Math.tanh,
  silu: (x) => x * sigmoid(x),
  gelu: (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
  geluTanh: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  hardsigmoid: (x) => Math.min(1, Math.max(0, x / 6 + 0.5)),
  hardswish: (x) => x * Math.min(1, Math.max(0, x / 6 + 0.5)),
};

/** What the epilogue does to a product in float64; the bias runs along the last axis. */
export function epilogue(
  y: Ref,
  { bias, residual }: Readonly<Record<string, Ref | undefined>>,
  options: s.FusedOptions,
): Ref {
  const act = activations[options.activation ?? "none"];
  const n = y.shape.at(-1) as number;
  return ref(y.shape, (i) => {
    const extra = residual ? (residual.data[i] as number) : 0;
    const sum = (y.data[i] as number) + (bias ? (bias.data[i % n] as number) : 0);
    return options.residualAt === "after" ? act(sum) + extra : act(sum + extra);
  });
}

/** Options of a fused op's case: the residual's place is taken by a mark. */
export type FusedCase = Omit<s.FusedOptions, "residual"> & { readonly bias?: boolean; readonly hasResidual?: boolean };

/** Activations x residuals, each once with its gradients. */
export const FUSED: readonly FusedCase[] = [
  { bias: true },
  { hasResidual: true },
  { bias: true, activation: "relu" },
  { bias: true, activation: "relu", hasResidual: true },
  { activation: "relu", hasResidual: true, residualAt: "after" },
  { activation: "tanh", hasResidual: true, residualAt: "after" },
  { activation: "sigmoid" },
  { bias: true, activation: "silu" },
  { bias: true, activation: "gelu", hasResidual: true, residualAt: "after" },
  { activation: "geluTanh" },
  { bias: true, activation: "hardswish" },
  { activation: "hardsigmoid", hasResidual: true, residualAt: "after" },
];

function linearCase(x: readonly number[], out: number, fused: FusedCase = {}): OpCase {
  const { bias, hasResidual, ...options } = fused;
  const inner = x.at(-1) as number;
  const inputs = {
    x: { shape: x, range: [-1, 1] },
    weight: { shape: [inner, out], range: [-1, 1] },
    ...(bias && { bias: { shape: [out] } }),
    ...(hasResidual && { residual: { shape: [...x.slice(0, -1), out] } }),
  } as const;
  return {
    label: `[${x}] -> ${out} ${JSON.stringify(fused)}`,
    inputs,
    call: (at: Tensors) =>
      s.linear(at["x"] as Tensor, at["weight"] as Tensor, at["bias"], { ...options, residual: at["residual"] }),
    oracle: (at) =>
      epilogue(matmul(at["x"] as Ref, at["weight"] as Ref), { bias: at["bias"], residual: at["residual"] }, options),
    grads: Object.keys(inputs),
    atol: 1e-4,
  };
}

const linears: OpRow = {
  op: "linear",
  live: "some",
  cases: [
    linearCase([7], 5, { bias: true }),
    linearCase([33, 16], 10, { bias: true }),
    linearCase([2, 3, 8], 12),
    linearCase([0, 8], 4, { bias: true }),
    linearCase([3, 0], 4, { bias: true }),
    linearCase([66, 40], 44, { bias: true, activation: "gelu", hasResidual: true, residualAt: "after" }),
    linearCase([66, 41], 43, { bias: true, activation: "relu", hasResidual: true }),
    ...FUSED.map((fused) => linearCase([6, 8], 12, fused)),
  ],
};

export const rows: readonly OpRow[] = [products, linears];
