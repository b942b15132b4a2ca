// Losses on class scores: crossEntropy (also over stacked exits, with weights and smoothing) and nllLoss.
// A reduced loss stays one op, so that its gradient is one dispatch from one number.

import type { Kinds } from "../../base/index.ts";
import {
  crossEntropyBackward,
  crossEntropyCandidates,
  crossEntropyForward,
  nllBackward,
  nllForward,
} from "../../kernels/loss/index.ts";
import { checkIs, INTEGER, SHARE } from "../checks.ts";
import { ArgumentError, DTypeError, GradientError, readOptions, ShapeError } from "../errors.ts";
import { defineOp, isRecording, type Launcher, single } from "../op.ts";
import { checkRange } from "../ranges.ts";
import { type Described, describe, lastOf } from "../shape.ts";
import { positional } from "../signature.ts";
import { checkTensors, type Tensor } from "../tensor.ts";
import { floatStorage, sizeClass } from "./floats.ts";
import { indexSelect } from "./gather.ts";
import { div, mul, ne, where } from "./pointwise.ts";
import { mean, sum } from "./reduce.ts";
import { checkReduction, type Reduction, reduceAll } from "./reduction.ts";
import { cast, expand, reshape } from "./view.ts";

/** Options of `crossEntropy`. */
export interface CrossEntropyOptions {
  /** Share of the target that is spread evenly over the classes; default 0. */
  readonly labelSmoothing?: number;
  /** Default "mean", over all samples and exits. */
  readonly reduction?: Reduction;
  /** Factor of each loss, [N] or [N, K]; "mean" still divides by the number of losses. */
  readonly weights?: Tensor | undefined;
  /** Samples of this label do not count: neither as a loss nor in the mean. */
  readonly ignoreIndex?: number | undefined;
  /** f32 [C]: how much the samples of each class count, in the mean's divisor too; for labels, without smoothing. */
  readonly classWeights?: Tensor | undefined;
}

const NLL: Kinds<Pick<CrossEntropyOptions, "reduction">> = { reduction: "string" };
const OPTIONS: Kinds<CrossEntropyOptions> = {
  ...NLL,
  labelSmoothing: SHARE,
  weights: "any",
  ignoreIndex: INTEGER,
  classWeights: "any",
};

interface Attrs {
  readonly smoothing: number;
  readonly reduction: Reduction;
}

/** Rows and scale of a loss: [N, C] or [N, K, C]. */
function sizesOf({ shape }: Described) {
  const [samples = 0, exits = 1] = shape.slice(0, -1);
  return { rows: samples * exits, len: shape.at(-1) ?? 0, exits };
}

const scaleOf = (rows: number, reduction: Reduction): number => (reduction === "mean" ? 1 / rows : 1);

/** What both passes work on: labels, or a distribution. */
interface Losses {
  readonly logits: Tensor;
  readonly labels?: Tensor | undefined;
  readonly weight?: Tensor | undefined;
}

function specOf({ device, choose }: Launcher, { logits, labels, weight }: Losses, { smoothing }: Attrs, pass: string) {
  const { rows, len } = sizesOf(logits);
  const target = labels ? "labels" : "distribution";
  const structure = { target, smooth: smoothing > 0, weighted: weight !== undefined } as const;
  const candidates = crossEntropyCandidates({ rows, len, dtype: floatStorage(logits) }, structure, device.info);
  return choose(`crossEntropy.${pass}:${logits.dtype}:${target}:${sizeClass(rows, len)}`, candidates);
}

const crossEntropyGradient = single(
  defineOp({
    name: "crossEntropyBackward",
    operands: { g: "f32", logits: "float", "labels?": "i32", "distribution?": "f32", "weight?": "f32", saved: "f32" },
    infer: ({ logits }, _: Attrs) => ({ dz: logits }),
    run: (run) => {
      const { inputs, outputs, attrs } = run;
      const { logits: z, ...read } = inputs;
      const sizes = sizesOf(z);
      const upstream = attrs.reduction === "none" ? "row" : "scalar";
      const dims = { ...sizes, smoothing: attrs.smoothing, scale: scaleOf(sizes.rows, attrs.reduction) };
      const spec = { ...specOf(run, inputs, attrs, "backward"), upstream } as const;
      run.dispatch(crossEntropyBackward, spec, { ...read, z, ...outputs }, dims);
    },
  }),
);

const crossEntropyOp = single(
  defineOp({
    name: "crossEntropy",
    operands: { logits: "float N ... C", "labels?": "i32 N", "distribution?": "f32 N C", "weight?": "f32" },
    infer: (inputs, { reduction }: Attrs) => {
      const { logits, weight } = inputs;
      const { shape } = logits;
      checkIs("crossEntropy", "weights", weight, { shape: shape.slice(0, -1), dtype: "f32" });
      return {
        y: { shape: reduction === "none" ? shape.slice(0, -1) : [], dtype: "f32" },
        saved: { shape: [3, sizesOf(inputs.logits).rows], dtype: "f32" },
      };
    },
    run: (run) => {
      const { inputs, attrs } = run;
      const { y, saved } = run.outputs;
      const { smoothing, reduction } = attrs;
      const { logits: z, ...read } = inputs;
      const sizes = sizesOf(z);
      const loss = reduction === "none" ? y : run.temporary([sizes.rows]);
      const spec = specOf(run, inputs, attrs, "forward");
      run.dispatch(crossEntropyForward, spec, { ...read, z, loss, saved }, { ...sizes, smoothing });
      if (reduction !== "none") reduceAll(run, reduction, loss, y);
    },
    saves: ["logits", "labels", "distribution", "weight", "saved"],
    vjp: (g, at) => ({
      logits: () => {
        const target = { labels: at.value("labels"), distribution: at.value("distribution") };
        const own = { logits: at.value("logits"), weight: at.value("weight"), saved: at.value("saved") };
        return crossEntropyGradient({ g, ...own, ...target }, at.attrs);
      },
    }),
  }),
);

function checkLosses(logits: Tensor, target: Tensor): void {
  if ((logits.rank !== 2 && logits.rank !== 3) || logits.shape.at(-1) === 0) {
    throw new ShapeError(
      `crossEntropy: logits must be [N, C] or [N, K, C] with at least one class; got ${describe(logits)}.`,
    );
  }
  if (target.dtype !== "i32" && target.dtype !== "f32") {
    throw new DTypeError(
      `crossEntropy: the target must be i32 labels or an f32 distribution; got ${describe(target)}. Use cast().`,
    );
  }
  if (target.isDifferentiable) {
    throw new GradientError(
      `crossEntropy: the target must carry no gradient; got ${describe(target)}, which does. Call detach().`,
    );
  }
}

/** Labels that are all within the classes, and how much each sample counts. */
function countedOf(
  logits: Tensor,
  labels: Tensor,
  { ignoreIndex, classWeights, labelSmoothing = 0 }: CrossEntropyOptions,
) {
  const classes = lastOf(logits.shape);
  if (labels.dtype !== "i32")
    throw new DTypeError(
      `crossEntropy: ignoreIndex and classWeights must go with labels, i32; got ${describe(labels)}.`,
    );
  checkIs("crossEntropy", "classWeights", classWeights, { shape: [classes], dtype: "f32" });
  if (classWeights && labelSmoothing !== 0)
    throw new ArgumentError(`crossEntropy: labelSmoothing must be 0 beside classWeights; got ${labelSmoothing}.`);
  checkRange("crossEntropy", "labels", labels, classes, ignoreIndex);
  if (ignoreIndex === undefined) return { labels, counts: indexSelect(classWeights as Tensor, labels) };
  const isCounted = ne(labels, ignoreIndex);
  const safe = where(isCounted, labels, 0);
  return {
    labels: safe,
    counts: classWeights ? where(isCounted, indexSelect(classWeights, safe), 0) : cast(isCounted, "f32"),
  };
}

/** Cross-entropy where samples count differently. */
function countedLoss(logits: Tensor, target: Tensor, options: CrossEntropyOptions): Tensor {
  const { ignoreIndex: _, classWeights: __, reduction = "mean", weights, ...rest } = options;
  const { labels, counts } = countedOf(logits, target, options);
  const each = logits.rank === 2 ? counts : expand(reshape(counts, [counts.size, 1]), logits.shape.slice(0, -1));
  const total = weights ? mul(each, weights) : each;
  const loss = crossEntropy(logits, labels, {
    ...rest,
    weights: total,
    reduction: reduction === "mean" ? "sum" : reduction,
  });
  return reduction === "mean" ? div(loss, sum(each)) : loss;
}

/**
 * Cross-entropy of logits [N, C], or of the stacked logits of K exits [N, K, C], against labels (i32 [N]) or
 * distributions (f32 [N, C]) of the samples: [N] or [N, K] without reduction. Labels outside 0..C-1 are refused
 * where they came from the host; those that the GPU made give their loss, and their row of the gradient, NaN.
 *
 * @example
 * ```ts
 * import { crossEntropy, tensor } from "sortie/engine";
 *
 * const logits = tensor([[2, 0], [0, 2]]);
 * const loss = crossEntropy(logits, tensor(Int32Array.of(0, 1)));
 * console.log((await loss.item()).toFixed(4)); // 0.1269
 * ```
 */
export const crossEntropy = positional(
  "crossEntropy(logits, target, options)",
  (logits: Tensor, target: Tensor, options: CrossEntropyOptions = {}): Tensor => {
    const { labelSmoothing = 0, reduction = "mean", weights } = readOptions("crossEntropy", options, OPTIONS);
    checkTensors("crossEntropy", { logits, target, "weights?": weights, "classWeights?": options.classWeights });
    checkReduction("crossEntropy", reduction);
    checkLosses(logits, target);
    if (options.ignoreIndex !== undefined || options.classWeights) return countedLoss(logits, target, options);
    const isLabels = target.dtype === "i32";
    if (isLabels) checkRange("crossEntropy", "labels", target, logits.shape.at(-1) ?? 0);
    const inputs = { logits, ...(isLabels ? { labels: target } : { distribution: target }) };
    const attrs = { smoothing: labelSmoothing, reduction };
    // Weights that learn need the bare losses in their gradient: the product is an op of its own then.
    if (weights?.isDifferentiable && isRecording()) {
      const weighted = mul(crossEntropyOp(inputs, { ...attrs, reduction: "none" }), weights);
      return reduction === "none" ? weighted : reduction === "mean" ? mean(weighted) : sum(weighted);
    }
    return crossEntropyOp({ ...inputs, weight: weights }, attrs);
  },
);

interface NllAttrs {
  readonly reduction: Reduction;
}

const nllGradient = single(
  defineOp({
    name: "nllLossBackward",
    operands: { g: "f32", labels: "i32" },
    infer: (_, { of }: NllAttrs & { readonly of: Described }) => ({ dp: of }),
    run: ({ inputs, outputs, attrs: { of, reduction }, dispatch }) => {
      const [rows = 0, len = 0] = of.shape;
      const spec = { dtype: floatStorage(of), upstream: reduction === "none" ? "row" : "scalar" } as const;
      dispatch(nllBackward, spec, { ...inputs, ...outputs }, { rows, len, scale: scaleOf(rows, reduction) });
    },
  }),
);

const nllOp = single(
  defineOp({
    name: "nllLoss",
    operands: { logProbs: "float N C", labels: "i32 N" },
    infer: ({ logProbs, labels: y }, { reduction }: NllAttrs, { C }) => {
      if (C === 0)
        throw new ShapeError(`nllLoss: logProbs must be [N, C] with at least one class; got ${describe(logProbs)}.`);
      return { y: { shape: reduction === "none" ? y.shape : [], dtype: "f32" } };
    },
    run: (run) => {
      const { logProbs: p, labels } = run.inputs;
      const { y } = run.outputs;
      const { reduction } = run.attrs;
      const { N: rows, C: len } = run.sizes;
      const loss = reduction === "none" ? y : run.temporary([rows]);
      run.dispatch(nllForward, { dtype: floatStorage(p) }, { p, labels, loss }, { rows, len });
      if (reduction !== "none") reduceAll(run, reduction, loss, y);
    },
    saves: ["labels"],
    vjp: (g, at) => ({
      logProbs: () => nllGradient({ g, labels: at.value("labels") }, { ...at.attrs, of: at.described("logProbs") }),
    }),
  }),
);

/** -logProbs[i, label_i] for log-probabilities [N, C] and i32 labels [N]; NaN for a label outside 0..C-1. */
export const nllLoss = positional(
  "nllLoss(logProbs, labels, options)",
  (logProbs: Tensor, labels: Tensor, options: Pick<CrossEntropyOptions, "reduction"> = {}): Tensor => {
    const { reduction = "mean" } = readOptions("nllLoss", options, NLL);
    checkTensors("nllLoss", { logProbs, labels });
    checkRange("nllLoss", "labels", labels, logProbs.shape.at(-1) ?? 0);
    checkReduction("nllLoss", reduction);
    return nllOp({ logProbs, labels }, { reduction });
  },
);
