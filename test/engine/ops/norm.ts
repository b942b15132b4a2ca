// Rows of the norms: training and evaluation, fused parts, large means, constant channels, absent parameters.

import type { Tensor } from "../../../engine/index.ts";
import * as s from "../../../engine/index.ts";
import { type Draw, type OpCase, type OpRow, type Ref, ref } from "./row.ts";

const EPS = 1e-5;

/** Mean and biased variance of the elements that `indices` names. */
function moments(x: Ref, indices: readonly number[]): { readonly mean: number; readonly variance: number } {
  const mean = indices.reduce((sum, i) => sum + (x.data[i] as number), 0) / indices.length;
  return { mean, variance: indices.reduce((sum, i) => sum + ((x.data[i] as number) - mean) ** 2, 0) / indices.length };
}

/** Normalises x by sets of elements: `setOf` names an element's set, `channelOf` its parameters. */
function normalised(
  x: Ref,
  setOf: (i: number) => number,
  channelOf: (i: number) => number,
  weight?: Ref,
  bias?: Ref,
): Ref {
  const sets = new Map<number, number[]>();
  x.data.forEach((_, i) => {
    const set = sets.get(setOf(i));
    if (set) set.push(i);
    else sets.set(setOf(i), [i]);
  });
  const all = new Map([...sets].map(([set, indices]) => [set, moments(x, indices)]));
  return ref(x.shape, (i) => {
    const { mean, variance } = all.get(setOf(i)) as { mean: number; variance: number };
    const xhat = ((x.data[i] as number) - mean) / Math.sqrt(variance + EPS);
    return xhat * (weight?.data[channelOf(i)] ?? 1) + (bias?.data[channelOf(i)] ?? 0);
  });
}

interface Batch {
  readonly shape: readonly number[];
  readonly training: boolean;
  readonly isRelu?: boolean;
  readonly hasResidual?: boolean;
  readonly x?: Partial<Draw>;
  readonly rest?: Partial<OpCase>;
}

/** y, and the running statistics after it. */
function batchNormOf(inputs: Readonly<Record<string, Ref>>, { training, isRelu }: Batch): readonly Ref[] {
  const { x, w, b, m, v, r } = inputs as Record<"x" | "w" | "b" | "m" | "v", Ref> & { readonly r?: Ref };
  const channels = x.shape.at(-1) as number;
  const rows = x.data.length / channels;
  const batch = Array.from({ length: channels }, (_, c) =>
    moments(
      x,
      Array.from({ length: rows }, (_, i) => i * channels + c),
    ),
  );
  const used = (c: number) =>
    training
      ? (batch[c] as { mean: number; variance: number })
      : { mean: m.data[c] as number, variance: v.data[c] as number };
  const y = ref(x.shape, (i) => {
    const c = i % channels;
    const { mean, variance } = used(c);
    const xhat = ((x.data[i] as number) - mean) / Math.sqrt(variance + EPS);
    const sum = xhat * (w.data[c] as number) + (b.data[c] as number) + (r?.data[i] ?? 0);
    return isRelu ? Math.max(sum, 0) : sum;
  });
  const moved = (old: Ref, to: (c: number) => number) =>
    ref([channels], (c) => 0.9 * (old.data[c] as number) + 0.1 * to(c));
  if (!training) return [y, m, v];
  return [y, moved(m, (c) => used(c).mean), moved(v, (c) => (used(c).variance * rows) / (rows - 1))];
}

function batchNorm(one: Batch): OpCase {
  const { shape, training, isRelu, hasResidual, x, rest } = one;
  const channel = [shape.at(-1) as number];
  return {
    label: `[${shape}] ${training ? "training" : "evaluation"}${isRelu ? ", relu" : ""}${hasResidual ? ", residual" : ""}`,
    inputs: {
      x: { shape, ...x },
      w: { shape: channel },
      b: { shape: channel },
      m: { shape: channel },
      v: { shape: channel, range: [0.5, 2] },
      ...(hasResidual && { r: { shape } }),
    },
    call: ({ x, w, b, m, v, r }) => {
      const activation = isRelu ? "relu" : "none";
      const options = { training, activation, residual: r } as const;
      const [mean, variance] = [m as Tensor, v as Tensor];
      const y = s.batchNorm(x as Tensor, w as Tensor, b as Tensor, mean, variance, options);
      return [y, mean.detach(), variance.detach()];
    },
    oracle: (inputs) => batchNormOf(inputs, one),
    grads: hasResidual ? ["x", "w", "b", "r"] : ["x", "w", "b"],
    step: 1e-6,
    atol: 1e-4,
    ...rest,
  };
}

const batchNorms: OpRow = {
  op: "batchNorm",
  live: "some",
  cases: [
    ...[31, 32, 33, 257].map((c) => batchNorm({ shape: [9, c], training: true })),
    batchNorm({ shape: [2, 5, 4, 7], training: true, isRelu: true }),
    batchNorm({ shape: [2, 5, 4, 8], training: true, isRelu: true, hasResidual: true }),
    batchNorm({ shape: [257, 16], training: true, hasResidual: true }),
    batchNorm({ shape: [3, 4, 4, 8], training: false }),
    batchNorm({ shape: [1, 5], training: false, isRelu: true }),
    batchNorm({ shape: [33, 12], training: false, isRelu: true, hasResidual: true }),
    batchNorm({
      shape: [600, 3],
      training: true,
      x: { range: [999, 1001] },
      rest: { label: "mean 1000 times the spread", atol: 2e-3, grads: ["b"] },
    }),
  ],
};

function layerNorm(
  shape: readonly number[],
  normalizedShape: readonly number[],
  parameters: "none" | "weight" | "both",
  rest: Partial<OpCase> = {},
): OpCase {
  const len = normalizedShape.reduce((n, extent) => n * extent, 1);
  return {
    label: `[${shape}] over [${normalizedShape}], ${parameters}`,
    inputs: {
      x: { shape },
      ...(parameters !== "none" && { w: { shape: normalizedShape } }),
      ...(parameters === "both" && { b: { shape: normalizedShape } }),
    },
    call: ({ x, w, b }) => s.layerNorm(x as Tensor, w, b, { normalizedShape }),
    oracle: ({ x, w, b }) =>
      normalised(
        x as Ref,
        (i) => Math.floor(i / len),
        (i) => i % len,
        w,
        b,
      ),
    grads: ["x", ...(parameters !== "none" ? ["w"] : []), ...(parameters === "both" ? ["b"] : [])],
    atol: 1e-4,
    ...rest,
  };
}

const layerNorms: OpRow = {
  op: "layerNorm",
  live: "some",
  cases: [
    ...[31, 32, 33, 257].map((n) => layerNorm([5, n], [n], "both")),
    layerNorm([2, 33, 64], [64], "both"),
    layerNorm([3, 4, 5], [4, 5], "weight"),
    layerNorm([7, 10], [10], "none"),
    layerNorm([0, 8], [8], "both", { grads: ["w", "b"] }),
    layerNorm([3, 2000], [2000], "both"),
    {
      ...layerNorm([3, 8], [8], "both", { label: "constant rows", grads: ["w", "b"] }),
      inputs: { x: { shape: [3, 8], values: Array(24).fill(3.3) }, w: { shape: [8] }, b: { shape: [8] } },
    },
    layerNorm([4, 64], [64], "both", {
      label: "far from zero",
      inputs: { x: { shape: [4, 64], range: [999, 1001] }, w: { shape: [64] }, b: { shape: [64] } },
      atol: 2e-3,
      grads: ["b"],
    }),
  ],
};

function groupNorm(shape: readonly number[], numGroups: number, hasParameters = true): OpCase {
  const channels = shape.at(-1) as number;
  const perSample = shape.slice(1).reduce((n, extent) => n * extent, 1);
  const setOf = (i: number) =>
    Math.floor(i / perSample) * numGroups + Math.floor(((i % channels) * numGroups) / channels);
  return {
    label: `[${shape}] in ${numGroups} groups`,
    inputs: { x: { shape }, ...(hasParameters && { w: { shape: [channels] }, b: { shape: [channels] } }) },
    call: ({ x, w, b }) => s.groupNorm(x as Tensor, w, b, { numGroups }),
    oracle: ({ x, w, b }) => normalised(x as Ref, setOf, (i) => i % channels, w, b),
    grads: hasParameters ? ["x", "w", "b"] : ["x"],
    atol: 1e-4,
  };
}

const groupNorms: OpRow = {
  op: "groupNorm",
  live: "some",
  cases: [
    groupNorm([2, 5, 4, 6], 3),
    groupNorm([2, 3, 3, 5], 1),
    groupNorm([3, 7, 8], 8),
    groupNorm([2, 9, 9, 32], 4),
    groupNorm([33, 24], 2),
    groupNorm([130, 12], 3),
    groupNorm([70, 3, 8], 4),
    groupNorm([1, 4, 4, 16], 2, false),
  ],
};

export const rows: OpRow[] = [batchNorms, layerNorms, groupNorms];
