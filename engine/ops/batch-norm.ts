// batchNorm over the last axis, training and evaluation, with relu and a residual fused. Two dispatches each way in
// training, one forward in evaluation.

import {
  type BatchNormSpec,
  batchNormApply,
  batchNormBackwardApply,
  batchNormBackwardSums,
  batchNormCandidates,
  batchNormInference,
  batchNormPartialSize,
  batchNormParts,
  batchNormSavedSize,
  batchNormStatistics,
} from "../../kernels/index.ts";
import { ArgumentError, ShapeError } from "../errors.ts";
import { defineOp, type Op, type OpRecord, type Run } from "../op.ts";
import { type Described, describe, sameShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { checkEps, checkParameter, type NormOptions } from "./norm.ts";
import { checkFloat, floatStorage, sizeClass } from "./rowwise.ts";

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

interface Attrs {
  readonly training: boolean;
  readonly momentum: number;
  readonly eps: number;
  readonly relu: boolean;
  readonly residual: boolean;
}

function planOf(
  { device, choose }: Pick<Run<Attrs>, "device" | "choose">,
  x: Described,
  { relu, residual }: Attrs,
  pass: string,
) {
  const channels = x.shape.at(-1) as number;
  const rows = x.shape.slice(0, -1).reduce((n, extent) => n * extent, 1);
  const candidates = batchNormCandidates({ channels, dtype: floatStorage(x) }, { relu, residual }, device.info);
  const spec: BatchNormSpec = choose(
    `batchNorm.${pass}:${x.dtype}:${relu}:${residual}:${sizeClass(rows, channels)}`,
    candidates,
  );
  return { spec, sizes: { rows, channels, ...batchNormParts({ rows, channels }, spec) } };
}

/** Inputs: g, x, saved, y (relu and residual only). Outputs: dx, dweight, dbias, and in that case dresidual. */
const batchNormGradient = defineOp<Attrs>({
  name: "batchNormBackward",
  infer: ([, x, , y]) => {
    const perChannel: Described = { shape: [(x as Tensor).shape.at(-1) as number], dtype: "f32" };
    return [x as Tensor, perChannel, perChannel, ...(y ? [y] : [])];
  },
  run: (run) => {
    const [g, x, saved, y] = run.inputs as readonly [Tensor, Tensor, Tensor, Tensor | undefined];
    const [dx, dweight, dbias, dz] = run.outputs as readonly [Tensor, Tensor, Tensor, Tensor | undefined];
    const { training } = run.attrs;
    const { spec, sizes } = planOf(run, x, run.attrs, "backward");
    const partials = run.temporary([2 * sizes.parts, sizes.channels]);
    run.dispatch(batchNormBackwardSums, spec, { g, x, saved, partials, ...(y && dz && { y, dz_out: dz }) }, sizes);
    run.dispatch(
      batchNormBackwardApply,
      { ...spec, training },
      { g: dz ?? g, x, saved, partials, dx, dweight, dbias },
      sizes,
    );
  },
});

function forward(run: Run<Attrs>): void {
  const [x, weight, bias, runningMean, runningVar, residual] = run.inputs as [
    Tensor,
    Tensor,
    Tensor,
    Tensor,
    Tensor,
    Tensor | undefined,
  ];
  const [y, saved] = run.outputs as [Tensor, Tensor];
  const { training, eps, momentum } = run.attrs;
  const { spec, sizes } = planOf(run, x, run.attrs, training ? "forward" : "inference");
  const buffers = {
    x,
    weight,
    bias,
    running_mean: runningMean,
    running_var: runningVar,
    y,
    saved,
    ...(residual && { residual }),
  };
  if (!training) {
    run.dispatch(batchNormInference, spec, buffers, { ...sizes, eps });
    return;
  }
  const partials = run.temporary([batchNormPartialSize(sizes.parts, sizes.channels)]);
  run.dispatch(batchNormStatistics, spec, { ...buffers, partials }, sizes);
  run.dispatch(batchNormApply, spec, { ...buffers, partials }, { ...sizes, eps, momentum });
}

// With relu and residual the mask needs y; otherwise it follows from x, and y need not be kept.
function makeOp(savesResult: boolean): Op<Attrs> {
  const record: OpRecord<Attrs> = {
    name: "batchNorm",
    infer: ([x]) => [x as Tensor, { shape: [batchNormSavedSize((x as Tensor).shape.at(-1) as number)], dtype: "f32" }],
    run: forward,
    saves: { inputs: [0], outputs: savesResult ? [0, 1] : [1] },
    vjp: (g, at) => {
      const y = savesResult ? at.output(0) : undefined;
      const [dx, dweight, dbias, dz] = batchNormGradient([g, at.input(0), at.output(1), y], at.attrs);
      return [dx, dweight, dbias, undefined, undefined, at.has(5) ? (dz ?? g) : undefined];
    },
  };
  return defineOp(record);
}

const batchNormOp = makeOp(false);
const batchNormResidualReluOp = makeOp(true);

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
  { training = false, momentum = 0.1, eps = 1e-5, activation = "none", residual }: BatchNormOptions = {},
): Tensor {
  const op = "batchNorm";
  x.check(op);
  checkFloat(op, "x", x);
  checkEps(op, eps);
  const channels = x.shape.at(-1);
  if (x.rank < 2 || !channels)
    throw new ShapeError(`${op}: x must be [..., C] with at least one channel; got ${describe(x)}.`);
  const rows = x.size / channels;
  if (training && rows < 2) {
    throw new ShapeError(`${op}: training must see more than one value per channel; got ${describe(x)}.`);
  }
  if (activation !== "none" && activation !== "relu") {
    throw new ArgumentError(`${op}: activation must be "none" or "relu"; got "${String(activation)}".`);
  }
  for (const [name, parameter] of Object.entries({ weight, bias, runningMean, runningVar })) {
    checkParameter(op, name, parameter, [channels]);
  }
  if (residual && (!sameShape(residual.shape, x.shape) || residual.dtype !== x.dtype)) {
    throw new ShapeError(`${op}: the residual must be like x; got ${describe(residual)} for ${describe(x)}.`);
  }
  const attrs = { training, momentum, eps, relu: activation === "relu", residual: residual !== undefined };
  const run = attrs.relu && attrs.residual ? batchNormResidualReluOp : batchNormOp;
  return run([x, weight, bias, runningMean, runningVar, residual], attrs)[0] as Tensor;
}
