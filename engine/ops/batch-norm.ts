// batchNorm over the last axis, training and evaluation, with an activation and a residual fused. Two dispatches each
// way in training, one forward in evaluation.

import type { Kinds } from "../../base/index.ts";
import type { Activation } from "../../kernels/index.ts";
import {
  type BatchNormShape,
  batchNormApply,
  batchNormBackwardApply,
  batchNormBackwardSums,
  batchNormCandidates,
  batchNormInference,
  batchNormKeeps,
  batchNormMomentRows,
  batchNormParts,
  batchNormStatistics,
  batchNormSumRows,
} from "../../kernels/norm/index.ts";
import { checkIs, NOT_NEGATIVE } from "../checks.ts";
import { readOptions, ShapeError } from "../errors.ts";
import { defineOp, isTaped, single } from "../op.ts";
import { type Described, describe, lastOf, numel } from "../shape.ts";
import { positional } from "../signature.ts";
import { checkTensors, type Tensor } from "../tensor.ts";
import { checkActivation } from "./activation.ts";
import { floatStorage } from "./floats.ts";
import type { NormOptions } from "./norm.ts";

/** Options of `batchNorm`. */
export interface BatchNormOptions extends NormOptions {
  /** Normalise by the batch's statistics and update the running ones; default false: normalise by the running ones. */
  readonly training?: boolean;
  /** Share of the batch's statistics in the new running ones; default 0.1. */
  readonly momentum?: number;
  /** Fused after the sum; default "none". */
  readonly activation?: Activation;
  /** Added before the activation, of x's shape and dtype. */
  readonly residual?: Tensor | undefined;
}

const BATCH: Kinds<BatchNormOptions> = {
  eps: NOT_NEGATIVE,
  training: "boolean",
  momentum: "number",
  activation: "string",
  residual: "any",
};

interface Attrs {
  readonly training: boolean;
  readonly momentum: number;
  readonly eps: number;
  readonly activation: Activation;
  readonly residual: boolean;
  /** Forward and backward must agree on it: the moments are laid out by it. So it is no matter of tuning. */
  readonly shape: BatchNormShape;
}

function planOf(x: Described, { shape, activation, residual }: Attrs) {
  const channels = lastOf(x.shape);
  const rows = numel(x.shape.slice(0, -1));
  return {
    spec: { ...shape, activation, residual },
    sizes: { rows, channels, ...batchNormParts({ rows, channels }, shape) },
  };
}

const batchNormGradient = defineOp({
  name: "batchNormBackward",
  operands: {
    g: "float",
    x: "float",
    weight: "f32",
    bias: "f32",
    moments: "f32",
    // Behind a residual the activation's gradient needs one of them.
    "y?": "float",
    "residual?": "float",
  },
  infer: ({ x, weight, bias, y, residual }, _: Attrs) => ({ dx: x, dweight: weight, dbias: bias, dz: y ?? residual }),
  run: ({ inputs, outputs, attrs, dispatch, temporary }) => {
    const { training, eps } = attrs;
    const { spec, sizes } = planOf(inputs.x, attrs);
    const sums = temporary([batchNormSumRows(sizes.parts, spec), sizes.channels]);
    const { dz, ...results } = outputs;
    const { x, weight } = inputs;
    const written = { dz_out: dz, sums_out: sums };
    dispatch(batchNormBackwardSums, { ...spec, training }, { ...inputs, ...written }, { ...sizes, eps });
    const read = { g: dz ?? inputs.g, x, weight, sums_in: sums };
    dispatch(batchNormBackwardApply, { ...spec, training }, { ...read, ...results }, sizes);
  },
});

// What is saved depends on what the activation's gradient needs.
const batchNormOp = (kept: ReturnType<typeof batchNormKeeps>) =>
  single(
    defineOp({
      name: "batchNorm",
      operands: {
        x: "float ... C",
        weight: "f32 C",
        bias: "f32 C",
        running_mean: "f32 C",
        running_var: "f32 C",
        "residual?": "float",
      },
      infer: (inputs, attrs: Attrs) => {
        const { x } = inputs;
        const { spec, sizes } = planOf(x, attrs);
        const rows = attrs.training ? batchNormMomentRows(sizes.parts, spec) : 2;
        const moments: Described | undefined =
          attrs.training || isTaped(inputs) ? { shape: [rows, sizes.channels], dtype: "f32" } : undefined;
        return { y: { shape: x.shape, dtype: x.dtype }, moments };
      },
      run: ({ inputs, outputs: { y, moments }, attrs, dispatch }) => {
        const { training, eps, momentum, shape } = attrs;
        const { spec, sizes } = planOf(inputs.x, attrs);
        if (!training || !moments) {
          const own = { ...spec, keeps: moments !== undefined };
          return dispatch(batchNormInference, own, { ...inputs, y, moments }, { ...sizes, eps });
        }
        dispatch(batchNormStatistics, shape, { x: inputs.x, moments }, sizes);
        dispatch(batchNormApply, spec, { ...inputs, moments, y }, { ...sizes, eps, momentum });
      },
      saves: ["x", "weight", "bias", "moments", ...(kept === "none" ? [] : [kept])],
      vjp: (g, at) => {
        const [x, weight, bias] = [at.value("x"), at.value("weight"), at.value("bias")];
        const moments = at.value("moments") as Tensor;
        const own = kept === "none" ? {} : { [kept]: at.value(kept) };
        const { dx, dweight, dbias, dz } = batchNormGradient({ g, x, weight, bias, moments, ...own }, at.attrs);
        return { x: dx, weight: dweight, bias: dbias, residual: dz ?? g };
      },
    }),
  );

const OPS = { none: batchNormOp("none"), y: batchNormOp("y"), residual: batchNormOp("residual") };

/**
 * Batch norm of x [..., C] per channel: act((x - mean) / sqrt(var + eps) * weight + bias + residual). Training uses the
 * batch's mean and biased variance and moves `runningMean` and `runningVar` (with the unbiased variance) in place.
 * All four parameters are f32 [C]; no gradient flows to the running statistics.
 */
export const batchNorm = positional(
  "batchNorm(x, weight, bias, runningMean, runningVar, options)",
  (
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    runningMean: Tensor,
    runningVar: Tensor,
    options: BatchNormOptions = {},
  ): Tensor => {
    const name = "batchNorm";
    const {
      training = false,
      momentum = 0.1,
      eps = 1e-5,
      activation = "none",
      residual,
    } = readOptions(name, options, BATCH);
    checkTensors(name, { x, weight, bias, runningMean, runningVar, "residual?": residual });
    const channels = x.shape.at(-1);
    if (x.rank < 2 || !channels)
      throw new ShapeError(`${name}: x must be [..., C] with at least one channel; got ${describe(x)}.`);
    const rows = x.size / channels;
    if (training && rows < 2) {
      throw new ShapeError(`${name}: training must see more than one value per channel; got ${describe(x)}.`);
    }
    checkActivation(name, activation);
    checkIs(name, "the residual", residual, x);
    const [shape] = batchNormCandidates({ channels, dtype: floatStorage(x) }, x.device.info);
    const attrs = { training, momentum, eps, activation, residual: residual !== undefined, shape };
    return OPS[batchNormKeeps(attrs)](
      { x, weight, bias, running_mean: runningMean, running_var: runningVar, residual },
      attrs,
    );
  },
);
