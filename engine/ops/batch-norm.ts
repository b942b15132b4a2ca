// batchNorm over the last axis, training and evaluation, with relu and a residual fused. Two dispatches each way in
// training, one forward in evaluation.

import type { Kinds } from "../../base/index.ts";
import {
  type BatchNormShape,
  batchNormApply,
  batchNormBackwardApply,
  batchNormBackwardSums,
  batchNormCandidates,
  batchNormInference,
  batchNormMomentRows,
  batchNormParts,
  batchNormStatistics,
  batchNormSumRows,
} from "../../kernels/index.ts";
import { ArgumentError, readOptions, ShapeError } from "../errors.ts";
import { defineOp, type Inputs, type Op, type Run } from "../op.ts";
import { type Described, describe, numel, sameShape } from "../shape.ts";
import { checkTensors, type Tensor } from "../tensor.ts";
import { checkEps, checkParameter, type NormOptions } from "./norm.ts";
import { checkFloat, floatStorage } from "./rowwise.ts";

/** Options of `batchNorm`. */
export interface BatchNormOptions extends NormOptions {
  /** Normalise by the batch's statistics and update the running ones; default false: normalise by the running ones. */
  readonly training?: boolean;
  /** Share of the batch's statistics in the new running ones; default 0.1. */
  readonly momentum?: number;
  /** Fused after the sum; default "none". */
  readonly activation?: "none" | "relu";
  /** Added before the activation, of x's shape and dtype. */
  readonly residual?: Tensor | undefined;
}

const BATCH: Kinds<BatchNormOptions> = {
  eps: "number",
  training: "boolean",
  momentum: "number",
  activation: "string",
  residual: "any",
};

interface Attrs {
  readonly training: boolean;
  readonly momentum: number;
  readonly eps: number;
  readonly relu: boolean;
  readonly residual: boolean;
  /** Forward and backward must agree on it: the moments are laid out by it. So it is no matter of tuning. */
  readonly shape: BatchNormShape;
}

function planOf(x: Described, { shape, relu, residual }: Attrs) {
  const channels = x.shape.at(-1) as number;
  const rows = numel(x.shape.slice(0, -1));
  return {
    spec: { ...shape, relu, residual },
    sizes: { rows, channels, ...batchNormParts({ rows, channels }, shape) },
  };
}

/** Inputs: g, x, weight, bias, moments (training) or runningMean and runningVar, y (relu and residual). Outputs: dx, dweight, dbias, dz. */
const batchNormGradient = defineOp<Attrs>({
  name: "batchNormBackward",
  infer: ([, x, weight, bias, , , , y]) => [x, weight, bias, ...(y ? [y] : [])] as Tensor[],
  run: (run) => {
    const [g, x, weight, bias, moments, mean, variance, y] = run.inputs as readonly [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      ...Inputs,
    ];
    const [dx, dweight, dbias, dz] = run.outputs as readonly [Tensor, Tensor, Tensor, Tensor | undefined];
    const { training, eps } = run.attrs;
    const { spec, sizes } = planOf(x, run.attrs);
    const sums = run.temporary([batchNormSumRows(sizes.parts, spec), sizes.channels]);
    const statistics = {
      ...(moments && { moments }),
      ...(mean && variance && { running_mean: mean, running_var: variance }),
    };
    const masks = y && dz ? { y, dz_out: dz } : { weight, bias };
    run.dispatch(
      batchNormBackwardSums,
      { ...spec, training },
      { g, x, ...statistics, ...masks, sums_out: sums },
      { ...sizes, eps },
    );
    const buffers = { g: dz ?? g, x, sums_in: sums, weight, dx, dweight, dbias };
    run.dispatch(batchNormBackwardApply, { ...spec, training }, buffers, sizes);
  },
});

function forward(run: Run<Attrs>): void {
  const [x, weight, bias, mean, variance, residual] = run.inputs as readonly [
    Tensor,
    Tensor,
    Tensor,
    Tensor,
    Tensor,
    Tensor | undefined,
  ];
  const [y, moments] = run.outputs as readonly [Tensor, Tensor | undefined];
  const { eps, momentum } = run.attrs;
  const { spec, sizes } = planOf(x, run.attrs);
  const buffers = { x, weight, bias, running_mean: mean, running_var: variance, y, ...(residual && { residual }) };
  if (moments) {
    run.dispatch(batchNormStatistics, run.attrs.shape, { x, moments }, sizes);
    run.dispatch(batchNormApply, spec, { ...buffers, moments }, { ...sizes, eps, momentum });
  } else {
    run.dispatch(batchNormInference, spec, buffers, { ...sizes, eps });
  }
}

// What is saved depends on the mode: moments in training, else the running statistics; y only if it holds the relu's mask.
function makeOp(training: boolean, savesResult: boolean): Op<Attrs> {
  return defineOp<Attrs>({
    name: "batchNorm",
    infer: ([input], attrs) => {
      const x = input as Tensor;
      const { spec, sizes } = planOf(x, attrs);
      const moments: Described = { shape: [batchNormMomentRows(sizes.parts, spec), sizes.channels], dtype: "f32" };
      return training ? [x, moments] : [x];
    },
    run: forward,
    saves: {
      inputs: training ? [0, 1, 2] : [0, 1, 2, 3, 4],
      outputs: [...(savesResult ? [0] : []), ...(training ? [1] : [])],
    },
    vjp: (g, at) => {
      const statistics = training ? [at.output(1), undefined, undefined] : [undefined, at.input(3), at.input(4)];
      const y = savesResult ? at.output(0) : undefined;
      const inputs = [g, at.input(0), at.input(1), at.input(2), ...statistics, y];
      const [dx, dweight, dbias, dz] = batchNormGradient(inputs, at.attrs);
      return [dx, dweight, dbias, undefined, undefined, at.has(5) ? (dz ?? g) : undefined];
    },
  });
}

const trainingOps = [makeOp(true, false), makeOp(true, true)] as const;
const evaluationOps = [makeOp(false, false), makeOp(false, true)] as const;

/**
 * Batch norm of x [..., C] per channel: act((x - mean) / sqrt(var + eps) * weight + bias + residual). Training uses the
 * batch's mean and biased variance and moves `runningMean` and `runningVar` (with the unbiased variance) in place.
 * All four parameters are f32 [C]; no gradient flows to the running statistics.
 */
export function batchNorm(
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  runningMean: Tensor,
  runningVar: Tensor,
  options: BatchNormOptions = {},
): Tensor {
  const name = "batchNorm";
  const {
    training = false,
    momentum = 0.1,
    eps = 1e-5,
    activation = "none",
    residual,
  } = readOptions(name, options, BATCH);
  checkTensors(name, { x, weight, bias, runningMean, runningVar, "residual?": residual });
  checkFloat(name, "x", x);
  checkEps(name, eps);
  const channels = x.shape.at(-1);
  if (x.rank < 2 || !channels)
    throw new ShapeError(`${name}: x must be [..., C] with at least one channel; got ${describe(x)}.`);
  const rows = x.size / channels;
  if (training && rows < 2) {
    throw new ShapeError(`${name}: training must see more than one value per channel; got ${describe(x)}.`);
  }
  if (activation !== "none" && activation !== "relu") {
    throw new ArgumentError(`${name}: activation must be "none" or "relu"; got "${String(activation)}".`);
  }
  for (const [what, parameter] of Object.entries({ weight, bias, runningMean, runningVar })) {
    checkParameter(name, what, parameter, [channels]);
  }
  if (residual && (!sameShape(residual.shape, x.shape) || residual.dtype !== x.dtype)) {
    throw new ShapeError(`${name}: the residual must be like x; got ${describe(residual)} for ${describe(x)}.`);
  }
  const [shape] = batchNormCandidates({ channels, dtype: floatStorage(x) }, x.device.info) as [BatchNormShape];
  const attrs = { training, momentum, eps, relu: activation === "relu", residual: residual !== undefined, shape };
  const op = (training ? trainingOps : evaluationOps)[attrs.relu && attrs.residual ? 1 : 0];
  return op([x, weight, bias, runningMean, runningVar, residual], attrs)[0] as Tensor;
}
