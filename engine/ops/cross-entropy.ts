// Losses on class scores: crossEntropy (also over stacked exits, with weights and smoothing) and nllLoss.
// A reduced loss stays one op, so that its gradient is one dispatch from one number.

import type { Kinds } from "../../base/index.ts";
import {
  crossEntropyBackward,
  crossEntropyCandidates,
  crossEntropyForward,
  nllBackward,
  nllForward,
} from "../../kernels/index.ts";
import { ArgumentError, DTypeError, GradientError, readOptions, ShapeError } from "../errors.ts";
import { defineOp, type Inputs, isRecording, type Run, single } from "../op.ts";
import { type Described, describe, sameShape } from "../shape.ts";
import { checkRange, checkTensors, type Tensor } from "../tensor.ts";
import { mul } from "./pointwise.ts";
import { mean, sum } from "./reduce.ts";
import { checkF32, checkFloat, checkReduction, floatStorage, type Reduction, reduceAll, sizeClass } from "./rowwise.ts";

/** Options of `crossEntropy`. */
export interface CrossEntropyOptions {
  /** Share of the target that is spread evenly over the classes; default 0. */
  readonly labelSmoothing?: number;
  /** Default "mean", over all samples and exits. */
  readonly reduction?: Reduction;
  /** Factor of each loss, [N] or [N, K]; "mean" still divides by the number of losses. */
  readonly weights?: Tensor | undefined;
}

const NLL: Kinds<Pick<CrossEntropyOptions, "reduction">> = { reduction: "string" };
const OPTIONS: Kinds<CrossEntropyOptions> = { ...NLL, labelSmoothing: "number", weights: "any" };

interface Attrs {
  readonly smoothing: number;
  readonly reduction: Reduction;
}

/** Rows and scale of a loss: [N, C] or [N, K, C]. */
function sizesOf({ shape }: Described) {
  const len = shape.at(-1) as number;
  const samples = shape[0] as number;
  const exits = shape.length === 3 ? (shape[1] as number) : 1;
  return { rows: samples * exits, len, exits };
}

const scaleOf = (rows: number, reduction: Reduction): number => (reduction === "mean" ? 1 / rows : 1);

function specOf(
  run: Pick<Run<Attrs>, "device" | "choose">,
  [logits, target, weights]: Inputs,
  { smoothing }: Attrs,
  pass: string,
) {
  const z = logits as Tensor;
  const { rows, len } = sizesOf(z);
  const structure = {
    target: target?.dtype === "i32" ? "labels" : "distribution",
    smooth: smoothing > 0,
    weighted: weights !== undefined,
  } as const;
  const candidates = crossEntropyCandidates({ rows, len, dtype: floatStorage(z) }, structure, run.device.info);
  return run.choose(`crossEntropy.${pass}:${z.dtype}:${structure.target}:${sizeClass(rows, len)}`, candidates);
}

const bindings = (target: Tensor, weights: Tensor | undefined): Record<string, Tensor> => ({
  [target.dtype === "i32" ? "labels" : "distribution"]: target,
  ...(weights && { weight: weights }),
});

/** Inputs: g, logits, target, weights, saved. */
const crossEntropyGradient = single(
  defineOp<Attrs>({
    name: "crossEntropyBackward",
    infer: ([, logits]) => [logits as Tensor],
    run: (run) => {
      const [g, z, target, weights, saved] = run.inputs as readonly [
        Tensor,
        Tensor,
        Tensor,
        Tensor | undefined,
        Tensor,
      ];
      const { smoothing, reduction } = run.attrs;
      const sizes = sizesOf(z);
      const spec = specOf(run, [z, target, weights], run.attrs, "backward");
      const upstream = reduction === "none" ? ("row" as const) : ("scalar" as const);
      const dims = { ...sizes, smoothing, scale: scaleOf(sizes.rows, reduction) };
      const buffers = { g, z, saved, dz: run.outputs[0] as Tensor, ...bindings(target, weights) };
      run.dispatch(crossEntropyBackward, { ...spec, upstream }, buffers, dims);
    },
  }),
);

const crossEntropyOp = single(
  defineOp<Attrs>({
    name: "crossEntropy",
    infer: (inputs, { reduction }) => {
      checkOperands(inputs);
      const { shape } = inputs[0] as Tensor;
      const { rows } = sizesOf(inputs[0] as Tensor);
      return [
        { shape: reduction === "none" ? shape.slice(0, -1) : [], dtype: "f32" },
        { shape: [3, rows], dtype: "f32" },
      ];
    },
    run: (run) => {
      const [z, target, weights] = run.inputs as readonly [Tensor, Tensor, Tensor | undefined];
      const [y, saved] = run.outputs as readonly [Tensor, Tensor];
      const { smoothing, reduction } = run.attrs;
      const sizes = sizesOf(z);
      const loss = reduction === "none" ? y : run.temporary([sizes.rows]);
      const spec = specOf(run, run.inputs, run.attrs, "forward");
      run.dispatch(
        crossEntropyForward,
        spec,
        { z, loss, saved, ...bindings(target, weights) },
        { ...sizes, smoothing },
      );
      if (reduction !== "none") reduceAll(run, reduction, loss, y);
    },
    saves: { inputs: [0, 1, 2], outputs: [1] },
    vjp: (g, at) => [
      crossEntropyGradient([g, at.input(0), at.input(1), at.has(2) ? at.input(2) : undefined, at.output(1)], at.attrs),
    ],
  }),
);

function checkOperands([logits, target, weights]: Inputs): void {
  const [z, t] = [logits as Tensor, target as Tensor];
  checkFloat("crossEntropy", "logits", z);
  if ((z.rank !== 2 && z.rank !== 3) || z.shape.at(-1) === 0) {
    throw new ShapeError(
      `crossEntropy: logits must be [N, C] or [N, K, C] with at least one class; got ${describe(z)}.`,
    );
  }
  const [samples, classes] = [z.shape[0] as number, z.shape.at(-1) as number];
  if (t.dtype === "i32") {
    if (!sameShape(t.shape, [samples])) {
      throw new ShapeError(`crossEntropy: labels must be [N]; got ${describe(t)} for logits ${describe(z)}.`);
    }
  } else if (t.dtype !== "f32") {
    throw new DTypeError(
      `crossEntropy: the target must be i32 labels or an f32 distribution; got ${describe(t)}. Use cast().`,
    );
  } else if (!sameShape(t.shape, [samples, classes])) {
    throw new ShapeError(
      `crossEntropy: a target distribution must be [N, C]; got ${describe(t)} for logits ${describe(z)}.`,
    );
  }
  if (t.isDifferentiable) {
    throw new GradientError(
      `crossEntropy: the target must carry no gradient; got ${describe(t)}, which does. Call detach().`,
    );
  }
  if (weights) {
    checkF32("crossEntropy", "weights", weights);
    if (!sameShape(weights.shape, z.shape.slice(0, -1))) {
      throw new ShapeError(
        `crossEntropy: weights must have a number per loss; got ${describe(weights)} for logits ${describe(z)}.`,
      );
    }
  }
}

/**
 * Cross-entropy of logits [N, C], or of the stacked logits of K exits [N, K, C], against labels (i32 [N]) or
 * distributions (f32 [N, C]) of the samples: [N] or [N, K] without reduction. Labels outside 0..C-1 are refused
 * where they came from the host; those that the GPU made give their loss, and their row of the gradient, NaN.
 */
export function crossEntropy(logits: Tensor, target: Tensor, options: CrossEntropyOptions = {}): Tensor {
  const { labelSmoothing = 0, reduction = "mean", weights } = readOptions("crossEntropy", options, OPTIONS);
  checkTensors("crossEntropy", { logits, target, "weights?": weights });
  checkReduction("crossEntropy", reduction);
  if (!(labelSmoothing >= 0 && labelSmoothing <= 1)) {
    throw new ArgumentError(`crossEntropy: labelSmoothing must be in 0..1; got ${labelSmoothing}.`);
  }
  if (target.dtype === "i32") checkRange("crossEntropy", "labels", target, logits.shape.at(-1) ?? 0);
  const attrs = { smoothing: labelSmoothing, reduction };
  // Weights that learn need the bare losses in their gradient: the product is an op of its own then.
  if (weights?.isDifferentiable && isRecording()) {
    const weighted = mul(crossEntropyOp([logits, target], { ...attrs, reduction: "none" }), weights);
    return reduction === "none" ? weighted : reduction === "mean" ? mean(weighted) : sum(weighted);
  }
  return crossEntropyOp([logits, target, weights], attrs);
}

interface NllAttrs {
  readonly reduction: Reduction;
  readonly shape: readonly [number, number];
  readonly dtype: Tensor["dtype"];
}

const nllGradient = single(
  defineOp<NllAttrs>({
    name: "nllLossBackward",
    infer: (_, { shape, dtype }) => [{ shape, dtype }],
    run: ({ inputs, outputs, attrs, dispatch }) => {
      const [g, labels] = inputs as readonly [Tensor, Tensor];
      const [rows, len] = attrs.shape;
      const upstream = attrs.reduction === "none" ? "row" : "scalar";
      const dims = { rows, len, scale: scaleOf(rows, attrs.reduction) };
      dispatch(nllBackward, { dtype: floatStorage(attrs), upstream }, { g, labels, dp: outputs[0] as Tensor }, dims);
    },
  }),
);

const nllOp = single(
  defineOp<NllAttrs>({
    name: "nllLoss",
    infer: ([p, labels], { reduction }) => {
      const [x, y] = [p as Tensor, labels as Tensor];
      checkFloat("nllLoss", "logProbs", x);
      if (x.rank !== 2 || x.shape[1] === 0) {
        throw new ShapeError(`nllLoss: logProbs must be [N, C] with at least one class; got ${describe(x)}.`);
      }
      if (y.dtype !== "i32" || !sameShape(y.shape, [x.shape[0] as number])) {
        throw new ShapeError(`nllLoss: labels must be i32 [N]; got ${describe(y)} for logProbs ${describe(x)}.`);
      }
      return [{ shape: reduction === "none" ? y.shape : [], dtype: "f32" }];
    },
    run: (run) => {
      const [p, labels] = run.inputs as readonly [Tensor, Tensor];
      const y = run.outputs[0] as Tensor;
      const { reduction } = run.attrs;
      const [rows, len] = p.shape as readonly [number, number];
      const loss = reduction === "none" ? y : run.temporary([rows]);
      run.dispatch(nllForward, { dtype: floatStorage(p) }, { p, labels, loss }, { rows, len });
      if (reduction !== "none") reduceAll(run, reduction, loss, y);
    },
    saves: { inputs: [1], outputs: [] },
    vjp: (g, at) => [nllGradient([g, at.input(1)], at.attrs)],
  }),
);

/** -logProbs[i, label_i] for log-probabilities [N, C] and i32 labels [N]; NaN for a label outside 0..C-1. */
export function nllLoss(
  logProbs: Tensor,
  labels: Tensor,
  options: Pick<CrossEntropyOptions, "reduction"> = {},
): Tensor {
  const { reduction = "mean" } = readOptions("nllLoss", options, NLL);
  checkTensors("nllLoss", { logProbs, labels });
  checkRange("nllLoss", "labels", labels, logProbs.shape.at(-1) ?? 0);
  checkReduction("nllLoss", reduction);
  return nllOp([logProbs, labels], { reduction, shape: logProbs.shape as [number, number], dtype: logProbs.dtype });
}
