// Attention without the score matrix in memory: scaledDotProductAttention, and qkvAttention on a packed projection.

import type { Checked, Kinds } from "../../base/index.ts";
import {
  type AttentionDims,
  type AttentionSpec,
  attentionBackwardKey,
  attentionBackwardQuery,
  attentionCandidates,
  attentionDims,
  attentionForward,
  packedAttentionDims,
} from "../../kernels/attention/index.ts";
import { COUNT, checkOneDType, checkValue } from "../checks.ts";
import { isFloat } from "../dtype.ts";
import { DTypeError, readOptions, ShapeError } from "../errors.ts";
import { defineOp, type Launcher, single } from "../op.ts";
import { operandsOf } from "../operands.ts";
import { describe, formatShape, lastOf, numel, sameShape } from "../shape.ts";
import { positional } from "../signature.ts";
import { checkTensors, type Tensor } from "../tensor.ts";
import { floatStorage, sizeClass } from "./floats.ts";
import { matmul } from "./matmul.ts";
import { permute } from "./move.ts";
import { add, mul, where } from "./pointwise.ts";
import { softmax } from "./softmax.ts";
import { triangleMask } from "./triangle.ts";
import { cast } from "./view.ts";

/** Options of attention. */
export interface AttentionOptions {
  /** Query i sees keys 0..i only; default false. */
  readonly causal?: boolean;
  /** Factor of the scores; default or null: 1 / sqrt(headDim). */
  readonly scale?: number | null;
}

/** Options of `scaledDotProductAttention`. */
export interface MaskedOptions extends AttentionOptions {
  /**
   * Broadcast to [..., L, M]: bool, true where a query sees a key, or f32 that is added to the scores. The scores are
   * then in memory.
   */
  readonly mask?: Tensor | undefined;
}

/** Options of `qkvAttention`. */
export interface PackedOptions extends AttentionOptions {
  readonly heads: number;
}

const SCALE: Checked = { must: "a finite number or null", fits: (x) => x === null || Number.isFinite(x) };
const ATTENTION: Kinds<AttentionOptions> = { causal: "boolean", scale: SCALE };
const MASKED: Kinds<MaskedOptions> = { ...ATTENTION, mask: "any" };
const PACKED: Kinds<PackedOptions> = { ...ATTENTION, heads: "number!" };

interface Attrs {
  readonly causal: boolean;
  readonly dims: AttentionDims;
}

// Both layouts have strides and offsets that are multiples of the head's size: it alone decides on alignment.
function specOf(
  { device, choose }: Launcher,
  x: Tensor,
  { causal, dims }: Attrs,
  pass: "forward" | "backward",
): AttentionSpec {
  const { dim, units, queries, keys } = dims;
  const given = { dim, dtype: floatStorage(x), causal, isAligned: dim % 4 === 0, pass };
  const key = `attention.${pass}:${x.dtype}:${dim}:${causal}:${sizeClass(units, queries, keys)}`;
  return choose(key, attentionCandidates(given, device.info));
}

const attentionGradient = defineOp({
  name: "scaledDotProductAttentionBackward",
  operands: { g: "float", q: "float", k: "float", v: "float", o: "float", lse: "f32" },
  infer: ({ q, k, v, lse }, _: Attrs) => ({ dq: q, dk: k, dv: v, delta: lse }),
  run: (run) => {
    const { dims } = run.attrs;
    const { o, ...read } = run.inputs;
    const { dq, dk, dv, delta } = run.outputs;
    const spec = specOf(run, read.q, run.attrs, "backward");
    run.dispatch(attentionBackwardQuery, spec, { ...read, o, dq, delta }, dims);
    run.dispatch(attentionBackwardKey, { ...spec, packed: false }, { ...read, delta, dk, dv }, dims);
  },
});

const attentionOp = single(
  defineOp({
    name: "scaledDotProductAttention",
    operands: { q: "float", k: "float", v: "float" },
    infer: ({ q: { shape, dtype } }, { dims }: Attrs) => ({
      o: { shape, dtype },
      lse: { shape: [dims.units, dims.queries], dtype: "f32" },
    }),
    run: (run) => {
      const spec = specOf(run, run.inputs.q, run.attrs, "forward");
      run.dispatch(attentionForward, spec, { ...run.inputs, ...run.outputs }, run.attrs.dims);
    },
    vjp: (g, at) => {
      const [q, k, v, o, lse] = [at.value("q"), at.value("k"), at.value("v"), at.value("o"), at.value("lse")];
      const { dq, dk, dv } = attentionGradient({ g, q, k, v, o, lse }, at.attrs);
      return { q: dq, k: dk, v: dv };
    },
  }),
);

const packedGradient = defineOp({
  name: "qkvAttentionBackward",
  operands: { g: "float", qkv: "float", o: "float", lse: "f32" },
  infer: ({ qkv, lse }, _: Attrs) => ({ dqkv: qkv, delta: lse }),
  run: (run) => {
    const { qkv, o, g, lse } = run.inputs;
    const { dqkv, delta } = run.outputs;
    const { dims } = run.attrs;
    const spec = specOf(run, qkv, run.attrs, "backward");
    const read = { g, q: qkv, k: qkv, v: qkv, lse };
    run.dispatch(attentionBackwardQuery, spec, { ...read, o, dq: dqkv, delta }, dims);
    run.dispatch(attentionBackwardKey, { ...spec, packed: true }, { ...read, delta, dkv: dqkv }, dims);
  },
});

const packedOp = single(
  defineOp({
    name: "qkvAttention",
    operands: { qkv: "float B T W" },
    infer: ({ qkv: { dtype } }, { dims }: Attrs, { B, T, W }) => ({
      o: { shape: [B, T, W / 3], dtype },
      lse: { shape: [dims.units, dims.queries], dtype: "f32" },
    }),
    run: (run) => {
      const { qkv } = run.inputs;
      const spec = specOf(run, qkv, run.attrs, "forward");
      run.dispatch(attentionForward, spec, { q: qkv, k: qkv, v: qkv, ...run.outputs }, run.attrs.dims);
    },
    vjp: (g, at) => ({
      qkv: packedGradient({ g, qkv: at.value("qkv"), o: at.value("o"), lse: at.value("lse") }, at.attrs).dqkv,
    }),
  }),
);

/** The same by ops that keep the scores: whatever the mask, gradients flow to it as well. */
function masked(operands: Readonly<Record<"q" | "k" | "v" | "mask", Tensor>>, causal: boolean, scale: number): Tensor {
  const op = "scaledDotProductAttention";
  const { q, k, v, mask } = operands;
  if (mask.dtype !== "bool" && !isFloat(mask.dtype))
    throw new DTypeError(`${op}: mask must be bool or float; got ${describe(mask)}. Use cast().`);
  const axes = Array.from({ length: k.rank }, (_, i) => i);
  const scores = mul(matmul(q, permute(k, [...axes.slice(0, -2), k.rank - 1, k.rank - 2])), scale);
  const shown = mask.dtype === "bool" ? where(mask, scores, Number.NEGATIVE_INFINITY) : add(scores, mask);
  if (!sameShape(shown.shape, scores.shape))
    throw new ShapeError(`${op}: mask must broadcast to ${formatShape(scores.shape)}; got ${describe(mask)}.`);
  const seen = causal
    ? where(triangleMask("tril", scores.shape, { diagonal: 0, device: q.device }), shown, Number.NEGATIVE_INFINITY)
    : shown;
  // A mask of f32 makes scores of f16 wider.
  return matmul(cast(softmax(seen), v.dtype), v);
}

/**
 * softmax(scale q k^T) v for q [..., L, D], k and v [..., M, D] with equal leading axes (batch, heads): [..., L, D].
 * Memory grows with L, not with L M, but for a `mask`. A query that sees no key answers NaN, as in PyTorch.
 */
export const scaledDotProductAttention = positional(
  "scaledDotProductAttention(q, k, v, options)",
  (q: Tensor, k: Tensor, v: Tensor, options: MaskedOptions = {}): Tensor => {
    const op = "scaledDotProductAttention";
    const { causal = false, scale = null, mask } = readOptions(op, options, MASKED);
    checkTensors(op, { q, k, v, "mask?": mask });
    checkOneDType(op, { q, k, v });
    const fits =
      q.rank >= 2 &&
      q.rank === k.rank &&
      sameShape([...q.shape.slice(0, -2), lastOf(q.shape)], [...k.shape.slice(0, -2), lastOf(k.shape)]);
    if (!fits || !sameShape(k.shape, v.shape)) {
      throw new ShapeError(
        `${op}: q must be [..., L, D], k and v [..., M, D]; got ${describe(q)}, ${describe(k)}, ${describe(v)}.`,
      );
    }
    const [queries = 0, dim = 0] = q.shape.slice(-2);
    const [keys = 0] = k.shape.slice(-2);
    if (keys === 0 || dim === 0)
      throw new ShapeError(`${op}: there must be keys, and elements in a head; got ${describe(k)}.`);
    if (mask) return masked({ q, k, v, mask }, causal, scale ?? 1 / Math.sqrt(dim));
    const dims = attentionDims({
      batch: numel(q.shape.slice(0, -2)),
      heads: 1,
      queries,
      keys,
      dim,
      scale: scale ?? 1 / Math.sqrt(dim),
    });
    return attentionOp({ q, k, v }, { causal, dims });
  },
);

const checkPacked = operandsOf({ qkv: "any batch length width" });

/** Self-attention of a packed projection [B, T, 3 H D], ordered q, k, v and each split into `heads`: [B, T, H D]. */
export const qkvAttention = positional("qkvAttention(qkv, options)", (qkv: Tensor, options: PackedOptions): Tensor => {
  const op = "qkvAttention";
  const { heads, causal = false, scale = null } = readOptions(op, options, PACKED);
  const { batch, length, width } = checkPacked(op, { qkv });
  checkValue(op, "heads", heads, COUNT);
  if (width === 0 || width % (3 * heads) !== 0) {
    throw new ShapeError(`${op}: qkv must be [B, T, 3 * heads * headDim]; got ${describe(qkv)} for ${heads} heads.`);
  }
  const dim = width / 3 / heads;
  const dims = packedAttentionDims({ batch, heads, length, dim, scale: scale ?? 1 / Math.sqrt(dim) });
  return packedOp({ qkv }, { causal, dims });
});
