// Rows of attention: lengths around tiles, odd head sizes, causal masks, keys unlike queries, the packed projection.

import type { Tensor } from "../../../engine/index.ts";
import * as s from "../../../engine/index.ts";
import { type OpCase, type OpRow, type Ref, ref } from "./row.ts";

/** softmax(scale q k^T) v over the last two axes. */
export function attentionOf(q: Ref, k: Ref, v: Ref, causal: boolean, scale?: number | null): Ref {
  const [queries, dim] = q.shape.slice(-2) as [number, number];
  const keys = k.shape.at(-2) as number;
  const y = new Float64Array(q.data.length);
  for (let row = 0; row < q.data.length / dim; row++) {
    const unit = Math.floor(row / queries);
    const seen = causal ? Math.min(keys, (row % queries) + 1) : keys;
    const scores = Array.from({ length: seen }, (_, j) => {
      let sum = 0;
      for (let d = 0; d < dim; d++)
        sum += (q.data[row * dim + d] as number) * (k.data[(unit * keys + j) * dim + d] as number);
      return sum * (scale ?? 1 / Math.sqrt(dim));
    });
    const top = Math.max(...scores);
    const total = scores.reduce((sum, score) => sum + Math.exp(score - top), 0);
    scores.forEach((score, j) => {
      const p = Math.exp(score - top) / total;
      for (let d = 0; d < dim; d++)
        y[row * dim + d] = (y[row * dim + d] as number) + p * (v.data[(unit * keys + j) * dim + d] as number);
    });
  }
  return ref(q.shape, (i) => y[i] as number);
}

function attention(
  q: readonly number[],
  keys: number,
  options: s.AttentionOptions = {},
  rest: Partial<OpCase> = {},
): OpCase {
  const k = [...q.slice(0, -2), keys, q.at(-1) as number];
  return {
    label: `[${q}] x ${keys} keys${options.causal ? ", causal" : ""}`,
    inputs: { q: { shape: q }, k: { shape: k }, v: { shape: k } },
    call: ({ q, k, v }) => s.scaledDotProductAttention(q as Tensor, k as Tensor, v as Tensor, options),
    oracle: ({ q, k, v }) => attentionOf(q as Ref, k as Ref, v as Ref, options.causal ?? false, options.scale),
    grads: ["q", "k", "v"],
    atol: 4e-5,
    ...rest,
  };
}

/** With a mask: bool, true where a query sees a key, or added to the scores. */
function masked(
  shape: readonly number[],
  keys: number,
  mask: readonly number[],
  isBool: boolean,
  causal = false,
): OpCase {
  const [queries, dim] = shape.slice(-2) as [number, number];
  const source = (unit: number, row: number, key: number): number =>
    (mask.length > 2 ? (unit % (mask[0] as number)) * queries * keys : 0) + (mask.at(-2) === 1 ? 0 : row * keys) + key;
  // Every query sees the first key.
  const bools = Array.from({ length: mask.reduce((n, extent) => n * extent, 1) }, (_, i) =>
    Number(i % keys === 0 || i % 3 !== 1),
  );
  const k = [...shape.slice(0, -2), keys, dim];
  return {
    label: `[${shape}] x ${keys} keys under ${isBool ? "bool" : "f32"}[${mask}]${causal ? ", causal" : ""}`,
    inputs: {
      q: { shape },
      k: { shape: k },
      v: { shape: k },
      mask: isBool ? { shape: mask, dtype: "bool", values: bools } : { shape: mask },
    },
    call: (t) => s.scaledDotProductAttention(t.q as Tensor, t.k as Tensor, t.v as Tensor, { mask: t.mask, causal }),
    oracle: (t) => {
      const [q, all, v] = [t.q as Ref, t.k as Ref, t.v as Ref];
      const y = ref(shape, () => 0);
      for (let row = 0; row < q.data.length / dim; row++) {
        const unit = Math.floor(row / queries);
        const scores = Array.from({ length: keys }, (_, j) => {
          const m = (t.mask as Ref).data[source(unit, row % queries, j)] as number;
          let score = 0;
          for (let d = 0; d < dim; d++)
            score += (q.data[row * dim + d] as number) * (all.data[(unit * keys + j) * dim + d] as number);
          const isHidden = (isBool && m === 0) || (causal && j > row % queries);
          return isHidden ? Number.NEGATIVE_INFINITY : score / Math.sqrt(dim) + (isBool ? 0 : m);
        });
        const top = Math.max(...scores);
        const whole = scores.reduce((sum, score) => sum + Math.exp(score - top), 0);
        scores.forEach((score, j) => {
          for (let d = 0; d < dim; d++)
            y.data[row * dim + d] =
              (y.data[row * dim + d] as number) +
              (Math.exp(score - top) / whole) * (v.data[(unit * keys + j) * dim + d] as number);
        });
      }
      return y;
    },
    grads: isBool ? ["q", "k", "v"] : ["q", "k", "v", "mask"],
    atol: 4e-5,
  };
}

/** [B, T, 3, H, D] as q, k, v of [B, H, T, D]; the result back as [B, T, H D]. */
function packedOf(qkv: Ref, heads: number, causal: boolean): Ref {
  const [batch, length, width] = qkv.shape as [number, number, number];
  const dim = width / 3 / heads;
  const part = (third: number) =>
    ref([batch, heads, length, dim], (i) => {
      const [d, t, h, b] = [
        i % dim,
        Math.floor(i / dim) % length,
        Math.floor(i / dim / length) % heads,
        Math.floor(i / dim / length / heads),
      ];
      return qkv.data[(b * length + t) * width + (third * heads + h) * dim + d] as number;
    });
  const y = attentionOf(part(0), part(1), part(2), causal);
  return ref([batch, length, width / 3], (i) => {
    const [d, h, t, b] = [
      i % dim,
      Math.floor(i / dim) % heads,
      Math.floor((i * 3) / width) % length,
      Math.floor((i * 3) / width / length),
    ];
    return y.data[((b * heads + h) * length + t) * dim + d] as number;
  });
}

const packed = (shape: readonly number[], heads: number, causal = false): OpCase => ({
  label: `[${shape}] in ${heads} heads${causal ? ", causal" : ""}`,
  inputs: { qkv: { shape } },
  call: ({ qkv }) => s.qkvAttention(qkv as Tensor, { heads, causal }),
  oracle: ({ qkv }) => packedOf(qkv as Ref, heads, causal),
  grads: ["qkv"],
  atol: 4e-5,
});

export const rows: OpRow[] = [
  {
    op: "scaledDotProductAttention",
    live: "some",
    cases: [
      ...[1, 31, 32, 33, 65].map((n) => attention([2, 2, n, 16], n)),
      attention([1, 2, 33, 16], 33, { causal: true }),
      attention([2, 1, 5, 16], 11, { scale: 0.3 }),
      attention([2, 1, 12, 16], 5, { causal: true }),
      attention([1, 3, 7, 5], 7),
      attention([9, 4], 9, { causal: true }),
      attention([1, 1, 17, 64], 17),
      attention([0, 2, 5, 16], 5, {}, { grads: [] }),
      attention([1, 2, 0, 16], 5, {}, { grads: [] }),
      masked([2, 3, 5, 8], 7, [5, 7], true),
      masked([2, 3, 5, 8], 7, [3, 5, 7], false),
      masked([1, 1, 33, 16], 33, [1, 33], true, true),
    ],
  },
  {
    op: "qkvAttention",
    live: "rows",
    cases: [packed([2, 9, 96], 2), packed([1, 33, 192], 4), packed([2, 10, 48], 1, true), packed([1, 6, 30], 2)],
  },
];
