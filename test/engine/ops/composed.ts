// Rows of ops that are made of others: einsum, triangles, norms, convolutions of lines and transposed ones.

import type { Tensor } from "../../../engine/index.ts";
import * as s from "../../../engine/index.ts";
import { type OpCase, type OpRow, type Ref, ref } from "./row.ts";

const product = (shape: readonly number[]): number => shape.reduce((n, extent) => n * extent, 1);

/** The sum over all values of all letters. */
function einsumOf(equation: string, operands: readonly Ref[]): Ref {
  const [inputs = "", out = ""] = equation.split("->");
  const lists = inputs.split(",");
  const extents = new Map<string, number>();
  lists.forEach((axes, i) => {
    [...axes].forEach((letter, k) => {
      extents.set(letter, operands[i]?.shape[k] as number);
    });
  });
  const letters = [...extents.keys()];
  const sizes = letters.map((letter) => extents.get(letter) as number);
  const shape = [...out].map((letter) => extents.get(letter) as number);
  const data = new Float64Array(product(shape));
  const flat = (axes: string, at: Map<string, number>): number =>
    [...axes].reduce((index, letter) => index * (extents.get(letter) as number) + (at.get(letter) as number), 0);
  for (let i = 0; i < product(sizes); i++) {
    const at = new Map<string, number>();
    let rest = i;
    letters.forEach((letter, k) => {
      at.set(letter, rest % (sizes[k] as number));
      rest = Math.floor(rest / (sizes[k] as number));
    });
    const value = lists.reduce((p, axes, o) => p * (operands[o]?.data[flat(axes, at)] as number), 1);
    const target = flat(out, at);
    data[target] = (data[target] as number) + value;
  }
  return { shape, data };
}

function einsum(equation: string, shapes: Readonly<Record<string, number>>): OpCase {
  const lists = (equation.split("->")[0] as string).split(",");
  const names = lists.map((_, i) => `x${i}`);
  return {
    label: equation,
    inputs: Object.fromEntries(
      lists.map((axes, i) => [`x${i}`, { shape: [...axes].map((letter) => shapes[letter] as number) }]),
    ),
    call: (t) =>
      s.einsum(
        equation,
        names.map((name) => t[name] as Tensor),
      ),
    oracle: (t) =>
      einsumOf(
        equation,
        names.map((name) => t[name] as Ref),
      ),
    grads: names,
    atol: 1e-4,
  };
}

const triangle = (op: "tril" | "triu", shape: readonly number[], diagonal: number): OpCase => ({
  label: `[${shape}], diagonal ${diagonal}`,
  inputs: { x: { shape } },
  call: ({ x }) => (op === "tril" ? s.tril : s.triu)(x as Tensor, { diagonal }),
  oracle: (t) => {
    const [rows, columns] = shape.slice(-2) as [number, number];
    return ref(shape, (i) => {
      const offset = (i % columns) - (Math.floor(i / columns) % rows);
      return (op === "tril" ? offset <= diagonal : offset >= diagonal) ? ((t.x as Ref).data[i] as number) : 0;
    });
  },
  grads: ["x"],
});

const norm = (shape: readonly number[], p: number, dim?: number, values?: readonly number[]): OpCase => ({
  label: `[${shape}], p ${p}, along ${dim}${values ? ", zeros" : ""}`,
  inputs: { x: { shape, ...(values && { values }) } },
  call: ({ x }) => s.norm(x as Tensor, { p, ...(dim !== undefined && { dim }) }),
  oracle: (t) => {
    const columns = dim === undefined ? product(shape) : (shape.at(-1) as number);
    return ref(dim === undefined ? [] : shape.slice(0, -1), (i) => {
      const line = [...(t.x as Ref).data.slice(i * columns, (i + 1) * columns)].map(Math.abs);
      return p === Number.POSITIVE_INFINITY ? Math.max(...line) : line.reduce((sum, v) => sum + v ** p, 0) ** (1 / p);
    });
  },
  grads: values ? [] : ["x"],
});

function conv1d(x: readonly number[], weight: readonly number[], options: s.Conv1dOptions = {}): OpCase {
  const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options;
  const [batch, length, channels] = x as [number, number, number];
  const [k, own, out] = weight as [number, number, number];
  const size = Math.floor((length + 2 * padding - dilation * (k - 1) - 1) / stride) + 1;
  return {
    label: `[${x}] by [${weight}] ${JSON.stringify(options)}`,
    inputs: { x: { shape: x }, w: { shape: weight }, b: { shape: [out] } },
    call: (t) => s.conv1d(t.x as Tensor, t.w as Tensor, t.b as Tensor, options),
    oracle: (t) =>
      ref([batch, size, out], (i) => {
        const [o, at, n] = [i % out, Math.floor(i / out) % size, Math.floor(i / out / size)];
        let sum = (t.b as Ref).data[o] as number;
        for (let j = 0; j < k; j++) {
          const place = at * stride - padding + j * dilation;
          if (place < 0 || place >= length) continue;
          for (let c = 0; c < own; c++) {
            const channel = Math.floor(o / (out / groups)) * own + c;
            sum +=
              ((t.x as Ref).data[(n * length + place) * channels + channel] as number) *
              ((t.w as Ref).data[(j * own + c) * out + o] as number);
          }
        }
        return sum;
      }),
    grads: ["x", "w", "b"],
    atol: 1e-4,
  };
}

/** Every input pixel adds its multiple of the kernel to the result. */
function transposed(
  x: readonly number[],
  weight: readonly number[],
  [oh, ow]: readonly [number, number],
  options: Readonly<Record<"stride" | "padding" | "dilation" | "groups" | "outputPadding", number>>,
): OpCase {
  const { stride, padding, dilation, groups } = options;
  const [batch, h, w, channels] = x as [number, number, number, number];
  const [kh, kw, own] = weight as [number, number, number, number];
  const shape = [batch, oh, ow, own * groups];
  return {
    label: `[${x}] by [${weight}] ${JSON.stringify(options)}`,
    inputs: { x: { shape: x }, w: { shape: weight }, b: { shape: [own * groups] } },
    call: (t) => s.convTranspose2d(t.x as Tensor, t.w as Tensor, t.b as Tensor, options),
    oracle: (t) => {
      const y = ref(shape, (i) => (t.b as Ref).data[i % (own * groups)] as number);
      for (let i = 0; i < product(x); i++) {
        const [c, j, r, n] = [
          i % channels,
          Math.floor(i / channels) % w,
          Math.floor(i / channels / w) % h,
          Math.floor(i / channels / w / h),
        ];
        for (let a = 0; a < kh; a++) {
          for (let b = 0; b < kw; b++) {
            const [row, column] = [r * stride - padding + a * dilation, j * stride - padding + b * dilation];
            if (row < 0 || row >= oh || column < 0 || column >= ow) continue;
            for (let o = 0; o < own; o++) {
              const at = ((n * oh + row) * ow + column) * own * groups + Math.floor(c / (channels / groups)) * own + o;
              y.data[at] =
                (y.data[at] as number) +
                ((t.x as Ref).data[i] as number) *
                  ((t.w as Ref).data[((a * kw + b) * own + o) * channels + c] as number);
            }
          }
        }
      }
      return y;
    },
    grads: ["x", "w", "b"],
    atol: 2e-4,
  };
}

const PLAIN = { stride: 1, padding: 0, dilation: 1, groups: 1, outputPadding: 0 };

export const rows: readonly OpRow[] = [
  {
    op: "einsum",
    live: "some",
    cases: [
      einsum("ij,jk->ik", { i: 5, j: 7, k: 3 }),
      einsum("bij,bjk->bik", { b: 2, i: 3, j: 33, k: 5 }),
      einsum("bhqd,bkhd->bqhk", { b: 2, h: 2, q: 3, d: 4, k: 5 }),
      einsum("ij->ji", { i: 3, j: 4 }),
      einsum("ij->", { i: 3, j: 4 }),
      einsum("i,j->ij", { i: 3, j: 4 }),
      einsum("i,i->", { i: 9 }),
      einsum("ij,ij->i", { i: 3, j: 4 }),
      einsum("ijk,j->k", { i: 2, j: 3, k: 4 }),
      einsum("ab,bc,cd->ad", { a: 2, b: 3, c: 4, d: 5 }),
    ],
  },
  {
    op: "tril",
    live: "rows",
    cases: [triangle("tril", [5, 7], 0), triangle("tril", [2, 4, 3], -1), triangle("tril", [3, 33], 5)],
  },
  {
    op: "triu",
    live: "rows",
    cases: [triangle("triu", [5, 7], 0), triangle("triu", [2, 4, 3], -1), triangle("triu", [33, 3], 1)],
  },
  {
    op: "norm",
    live: "some",
    cases: [
      norm([257], 2),
      norm([3, 33], 2, -1),
      norm([3, 33], 1, -1),
      norm([3, 5], 3, -1),
      norm([4, 9], Number.POSITIVE_INFINITY, -1),
      norm([2, 3], 2, -1, [0, 0, 0, 3, 0, 4]),
    ],
  },
  {
    op: "conv1d",
    live: "some",
    cases: [
      conv1d([2, 9, 3], [3, 3, 4]),
      conv1d([2, 40, 4], [5, 2, 6], { stride: 2, padding: 2, groups: 2 }),
      conv1d([1, 12, 2], [3, 2, 33], { dilation: 2, padding: 1 }),
    ],
  },
  {
    op: "convTranspose2d",
    live: "refused",
    cases: [
      transposed([2, 3, 4, 3], [3, 3, 5, 3], [5, 6], PLAIN),
      transposed([1, 4, 4, 8], [3, 3, 4, 8], [8, 8], { ...PLAIN, stride: 2, padding: 1, outputPadding: 1 }),
      transposed([1, 4, 3, 4], [2, 2, 3, 4], [8, 6], { ...PLAIN, stride: 2, groups: 2 }),
      transposed([1, 3, 3, 20], [3, 3, 1, 20], [3, 3], { ...PLAIN, padding: 1, groups: 20 }),
      transposed([1, 3, 3, 2], [3, 3, 33, 2], [7, 7], { ...PLAIN, dilation: 2 }),
    ],
  },
];
