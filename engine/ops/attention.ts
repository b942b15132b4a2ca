// Attention without the score matrix in memory: scaledDotProductAttention, and qkvAttention on a packed projection.

import { type Kinds, what } from "../../base/index.ts";
import {
  type AttentionDims,
  type AttentionSpec,
  attentionBackwardKey,
  attentionBackwardQuery,
  attentionCandidates,
  attentionDims,
  attentionForward,
  packedAttentionDims,
} from "../../kernels/index.ts";
import { ArgumentError, readOptions, ShapeError } from "../errors.ts";
import { defineOp, type Run, single } from "../op.ts";
import { describe, numel, sameShape } from "../shape.ts";
import { checkTensors, type Tensor } from "../tensor.ts";
import { checkFloat, floatStorage, sizeClass } from "./rowwise.ts";

/** Options of attention. */
export interface AttentionOptions {
  /** Query i sees keys 0..i only; default false. */
  readonly causal?: boolean;
  /** Factor of the scores; default or null: 1 / sqrt(headDim). */
  readonly scale?: number | null;
}

/** Options of `qkvAttention`. */
export interface PackedOptions extends AttentionOptions {
  readonly heads: number;
}

const ATTENTION: Kinds<AttentionOptions> = { causal: "boolean", scale: "any" };
const PACKED: Kinds<PackedOptions> = { ...ATTENTION, heads: "number!" };

interface Attrs {
  readonly causal: boolean;
  readonly dims: AttentionDims;
}

// Both layouts have strides and offsets that are multiples of the head's size: it alone decides on alignment.
function specOf(
  { device, choose }: Pick<Run<Attrs>, "device" | "choose">,
  x: Tensor,
  { causal, dims }: Attrs,
  pass: "forward" | "backward",
): AttentionSpec {
  const { dim, units, queries, keys } = dims;
  const given = { dim, dtype: floatStorage(x), causal, isAligned: dim % 4 === 0, pass };
  const key = `attention.${pass}:${x.dtype}:${dim}:${causal}:${sizeClass(units, queries, keys)}`;
  return choose(key, attentionCandidates(given, device.info));
}

/** Inputs: g, q, k, v, o, lse. Outputs: dq, dk, dv, delta. */
const attentionGradient = defineOp<Attrs>({
  name: "scaledDotProductAttentionBackward",
  infer: ([, q, k, v, , lse]) => [q, k, v, lse] as Tensor[],
  run: (run) => {
    const [g, q, k, v, o, lse] = run.inputs as readonly Tensor[] as [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor];
    const [dq, dk, dv, delta] = run.outputs as [Tensor, Tensor, Tensor, Tensor];
    const { dims } = run.attrs;
    const spec = specOf(run, q, run.attrs, "backward");
    run.dispatch(attentionBackwardQuery, spec, { q, k, v, o, g, lse, dq, delta }, dims);
    run.dispatch(attentionBackwardKey, { ...spec, packed: false }, { q, k, v, g, lse, delta, dk, dv }, dims);
  },
});

const attentionOp = single(
  defineOp<Attrs>({
    name: "scaledDotProductAttention",
    infer: ([q], { dims }) => {
      const { shape, dtype } = q as Tensor;
      return [
        { shape, dtype },
        { shape: [dims.units, dims.queries], dtype: "f32" },
      ];
    },
    run: (run) => {
      const [q, k, v] = run.inputs as [Tensor, Tensor, Tensor];
      const [o, lse] = run.outputs as [Tensor, Tensor];
      run.dispatch(attentionForward, specOf(run, q, run.attrs, "forward"), { q, k, v, o, lse }, run.attrs.dims);
    },
    saves: { inputs: "all", outputs: "all" },
    vjp: (g, at) =>
      attentionGradient([g, at.input(0), at.input(1), at.input(2), at.output(0), at.output(1)], at.attrs).slice(0, 3),
  }),
);

/** Inputs: g, qkv, o, lse. Outputs: dqkv, delta. */
const packedGradient = defineOp<Attrs>({
  name: "qkvAttentionBackward",
  infer: ([, qkv, , lse]) => [qkv, lse] as Tensor[],
  run: (run) => {
    const [g, qkv, o, lse] = run.inputs as [Tensor, Tensor, Tensor, Tensor];
    const [dqkv, delta] = run.outputs as [Tensor, Tensor];
    const { dims } = run.attrs;
    const spec = specOf(run, qkv, run.attrs, "backward");
    const all = { q: qkv, k: qkv, v: qkv, g, lse, delta };
    run.dispatch(attentionBackwardQuery, spec, { ...all, o, dq: dqkv }, dims);
    run.dispatch(attentionBackwardKey, { ...spec, packed: true }, { ...all, dkv: dqkv }, dims);
  },
});

const packedOp = single(
  defineOp<Attrs>({
    name: "qkvAttention",
    infer: ([qkv], { dims }) => {
      const { shape, dtype } = qkv as Tensor;
      return [
        { shape: [...shape.slice(0, -1), (shape.at(-1) as number) / 3], dtype },
        { shape: [dims.units, dims.queries], dtype: "f32" },
      ];
    },
    run: (run) => {
      const qkv = run.inputs[0] as Tensor;
      const [o, lse] = run.outputs as [Tensor, Tensor];
      const spec = specOf(run, qkv, run.attrs, "forward");
      run.dispatch(attentionForward, spec, { q: qkv, k: qkv, v: qkv, o, lse }, run.attrs.dims);
    },
    saves: { inputs: "all", outputs: "all" },
    vjp: (g, at) => packedGradient([g, at.input(0), at.output(0), at.output(1)], at.attrs).slice(0, 1),
  }),
);

function checkScale(op: string, scale: number): number {
  if (Number.isFinite(scale)) return scale;
  throw new ArgumentError(`${op}: scale must be a finite number or null; got ${what(scale)}.`);
}

/**
 * softmax(scale q k^T) v for q [..., L, D], k and v [..., M, D] with equal leading axes (batch, heads): [..., L, D].
 * Memory grows with L, not with L M.
 */
export function scaledDotProductAttention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Tensor {
  const op = "scaledDotProductAttention";
  const { causal = false, scale = null } = readOptions(op, options, ATTENTION);
  checkTensors(op, { q, k, v });
  for (const [name, x] of [
    ["q", q],
    ["k", k],
    ["v", v],
  ] as const) {
    checkFloat(op, name, x);
    if (x.dtype !== q.dtype)
      throw new ArgumentError(`${op}: q, k and v must have one dtype; got ${describe(q)} and ${describe(x)}.`);
  }
  const fits =
    q.rank >= 2 &&
    q.rank === k.rank &&
    sameShape([...q.shape.slice(0, -2), q.shape.at(-1) as number], [...k.shape.slice(0, -2), k.shape.at(-1) as number]);
  if (!fits || !sameShape(k.shape, v.shape)) {
    throw new ShapeError(
      `${op}: q must be [..., L, D], k and v [..., M, D]; got ${describe(q)}, ${describe(k)}, ${describe(v)}.`,
    );
  }
  const [queries, dim] = q.shape.slice(-2) as [number, number];
  const keys = k.shape.at(-2) as number;
  if (keys === 0 || dim === 0)
    throw new ShapeError(`${op}: there must be keys, and elements in a head; got ${describe(k)}.`);
  const dims = attentionDims({
    batch: numel(q.shape.slice(0, -2)),
    heads: 1,
    queries,
    keys,
    dim,
    scale: checkScale(op, scale ?? 1 / Math.sqrt(dim)),
  });
  return attentionOp([q, k, v], { causal, dims });
}

/** Self-attention of a packed projection [B, T, 3 H D], ordered q, k, v and each split into `heads`: [B, T, H D]. */
export function qkvAttention(qkv: Tensor, options: PackedOptions): Tensor {
  const op = "qkvAttention";
  const { heads, causal = false, scale = null } = readOptions(op, options, PACKED);
  checkTensors(op, { qkv });
  checkFloat(op, "qkv", qkv);
  const [batch, length, width] = qkv.shape as readonly [number, number, number];
  if (qkv.rank !== 3 || !Number.isInteger(heads) || heads < 1 || width === 0 || width % (3 * heads) !== 0) {
    throw new ShapeError(`${op}: qkv must be [B, T, 3 * heads * headDim]; got ${describe(qkv)} for ${heads} heads.`);
  }
  const dim = width / 3 / heads;
  const dims = packedAttentionDims({ batch, heads, length, dim, scale: checkScale(op, scale ?? 1 / Math.sqrt(dim)) });
  return packedOp([qkv], { causal, dims });
}
