// layerNorm and groupNorm. Statistics are kept for the gradient as (mean, rstd) pairs; batchNorm is in batch-norm.ts.

import type { Kinds } from "../../base/index.ts";
import {
  columnSums,
  columnSumsSpec,
  groupNormBackward,
  groupNormBackwardSums,
  groupNormCandidates,
  groupNormChunk,
  groupNormForward,
  type LayerNormSpec,
  layerNormBackward,
  layerNormCandidates,
  layerNormForward,
  layerNormHasPartials,
  layerNormParameterSums,
  layerNormTeams,
} from "../../kernels/norm/index.ts";
import { checkIs, NOT_NEGATIVE } from "../checks.ts";
import { ArgumentError, readOptions, ShapeError } from "../errors.ts";
import { defineOp, type Launcher, single } from "../op.ts";
import { checkList, type Described, describe, formatShape, lastOf, numel, sameShape } from "../shape.ts";
import { positional } from "../signature.ts";
import { checkTensors, type Tensor } from "../tensor.ts";
import { full } from "./fill.ts";
import { floatStorage, sizeClass } from "./floats.ts";

/** Options of the norms. */
export interface NormOptions {
  /** Added to the variance; default 1e-5. */
  readonly eps?: number;
}

interface LayerAttrs {
  readonly len: number;
  readonly eps: number;
  readonly affine: LayerNormSpec["affine"];
}

function layerSpec({ device, choose }: Launcher, x: Described, attrs: LayerAttrs, pass: string): LayerNormSpec {
  const rows = numel(x.shape) / attrs.len;
  const candidates = layerNormCandidates({ rows, len: attrs.len, dtype: floatStorage(x) }, attrs.affine, device.info);
  return choose(`layerNorm.${pass}:${x.dtype}:${attrs.affine}:${sizeClass(rows, attrs.len)}`, candidates);
}

/** Gradients by the names of what they are of. */
const ofOperands = <T>({ dx, dweight, dbias }: { readonly dx: Tensor; readonly dweight: T; readonly dbias: T }) => {
  return { x: dx, weight: dweight, bias: dbias };
};

const layerNormGradient = defineOp({
  name: "layerNormBackward",
  operands: { g: "float", x: "float", stats: "f32", "weight?": "f32" },
  infer: ({ x, weight }, _: LayerAttrs) => ({ dx: x, dweight: weight, dbias: weight }),
  run: (run) => {
    const { g, x, stats, weight } = run.inputs;
    const { dx, dweight, dbias } = run.outputs;
    const { len } = run.attrs;
    const rows = x.size / len;
    const spec = layerSpec(run, x, run.attrs, "backward");
    const isPartial = layerNormHasPartials(spec);
    const chunk = isPartial ? spec.span : Math.max(1, Math.ceil(rows / 64));
    const parts = isPartial ? layerNormTeams(rows, spec) : Math.ceil(rows / chunk);
    const partials = weight && run.temporary([parts, 2, len]);
    run.dispatch(layerNormBackward, spec, { g, x, stats, dx, weight, partials }, { rows, len });
    if (!partials || !dweight || !dbias) return;
    if (!isPartial) run.dispatch(layerNormParameterSums, spec, { g, x, stats, partials }, { rows, len, parts, chunk });
    const sums = { partials, first: dweight, second: dbias };
    run.dispatch(columnSums, columnSumsSpec(spec.width, run.device.info), sums, { parts, len });
  },
});

const layerNormOp = single(
  defineOp({
    name: "layerNorm",
    operands: { x: "float", "weight?": "f32", "bias?": "f32" },
    infer: ({ x: { shape, dtype } }, { len }: LayerAttrs) => ({
      y: { shape, dtype },
      stats: { shape: [numel(shape) / len, 2], dtype: "f32" },
    }),
    run: (run) => {
      const { x } = run.inputs;
      const { len, eps } = run.attrs;
      const spec = layerSpec(run, x, run.attrs, "forward");
      run.dispatch(layerNormForward, spec, { ...run.inputs, ...run.outputs }, { rows: x.size / len, len, eps });
    },
    saves: ["x", "weight", "stats"],
    vjp: (g, at) =>
      ofOperands(
        layerNormGradient({ g, x: at.value("x"), stats: at.value("stats"), weight: at.value("weight") }, at.attrs),
      ),
  }),
);

/** Options of `layerNorm`. */
export interface LayerNormOptions extends NormOptions {
  /** Trailing axes to normalise over; default the weight's shape, or the last axis. */
  readonly normalizedShape?: readonly number[];
}

const LAYER: Kinds<LayerNormOptions> = { eps: NOT_NEGATIVE, normalizedShape: "any" };

/**
 * (x - mean) / sqrt(var + eps) * weight + bias over trailing axes, with the biased variance; weight and bias are f32 of
 * the shape of those axes, or absent.
 */
export const layerNorm = positional(
  "layerNorm(x, weight, bias, options)",
  (x: Tensor, weight?: Tensor, bias?: Tensor, options: LayerNormOptions = {}): Tensor => {
    const op = "layerNorm";
    checkTensors(op, { x, "weight?": weight, "bias?": bias });
    const { normalizedShape, eps = 1e-5 } = readOptions(op, options, LAYER);
    const shape = normalizedShape ?? weight?.shape ?? x.shape.slice(-1);
    checkList(op, "normalizedShape", shape);
    const len = numel(shape);
    if (shape.length === 0 || shape.length > x.rank || len === 0 || !sameShape(x.shape.slice(-shape.length), shape)) {
      throw new ShapeError(
        `${op}: normalizedShape must be the trailing axes of x, not empty; got ${formatShape(shape)} for ${describe(x)}.`,
      );
    }
    if (bias && !weight)
      throw new ArgumentError(`${op}: a bias must come with a weight; got a bias alone. Pass ones().`);
    checkIs(op, "weight", weight, { shape, dtype: "f32" });
    checkIs(op, "bias", bias, { shape, dtype: "f32" });
    return layerNormOp({ x, weight, bias }, { len, eps, affine: bias ? "both" : weight ? "weight" : "none" });
  },
);

interface GroupAttrs {
  readonly groups: number;
  readonly eps: number;
}

const groupSizes = ({ shape }: Described, groups: number) => {
  const [samples, channels] = [shape[0]!, lastOf(shape)];
  return { samples, positions: numel(shape.slice(1, -1)), channels, groups };
};

function groupSpec({ device, choose }: Launcher, x: Described, { groups }: GroupAttrs, pass: string) {
  const sizes = groupSizes(x, groups);
  const candidates = groupNormCandidates({ ...sizes, dtype: floatStorage(x) }, device.info);
  return choose(
    `groupNorm.${pass}:${x.dtype}:${sizeClass(sizes.samples * groups, sizes.positions, sizes.channels / groups)}`,
    candidates,
  );
}

const groupNormGradient = defineOp({
  name: "groupNormBackward",
  operands: { g: "float", x: "float", stats: "f32", weight: "f32" },
  infer: ({ x, weight }, _: GroupAttrs) => ({ dx: x, dweight: weight, dbias: weight }),
  run: (run) => {
    const { g, x, stats, weight } = run.inputs;
    const { dx, dweight, dbias } = run.outputs;
    const sizes = groupSizes(x, run.attrs.groups);
    const spec = groupSpec(run, x, run.attrs, "backward");
    const chunk = groupNormChunk(sizes);
    const parts = Math.ceil(sizes.samples / chunk);
    const sums = run.temporary([parts, 2, sizes.channels]);
    const own = chunk > 1;
    const partial = { width: spec.width, dtype: spec.dtype };
    run.dispatch(groupNormBackwardSums, partial, { g, x, stats, sums }, { ...sizes, parts, chunk });
    if (x.size > 0) run.dispatch(groupNormBackward, { ...spec, own }, { g, x, stats, weight, dx, sums }, sizes);
    const buffers = { partials: sums, first: dweight, second: dbias };
    run.dispatch(columnSums, columnSumsSpec(spec.width, run.device.info), buffers, { parts, len: sizes.channels });
  },
});

const groupNormOp = single(
  defineOp({
    name: "groupNorm",
    operands: { x: "float N ... C", weight: "f32 C", bias: "f32 C" },
    infer: ({ x: { shape, dtype } }, { groups }: GroupAttrs, { N }) => ({
      y: { shape, dtype },
      stats: { shape: [N, groups, 2], dtype: "f32" },
    }),
    run: (run) => {
      const { x } = run.inputs;
      if (x.size === 0) return;
      const dims = { ...groupSizes(x, run.attrs.groups), eps: run.attrs.eps };
      const spec = groupSpec(run, x, run.attrs, "forward");
      run.dispatch(groupNormForward, spec, { ...run.inputs, ...run.outputs }, dims);
    },
    saves: ["x", "weight", "stats"],
    vjp: (g, at) =>
      ofOperands(
        groupNormGradient({ g, x: at.value("x"), stats: at.value("stats"), weight: at.value("weight") }, at.attrs),
      ),
  }),
);

/** Options of `groupNorm`. */
export interface GroupNormOptions extends NormOptions {
  /** Number of groups of consecutive channels. */
  readonly numGroups: number;
}

const GROUP: Kinds<GroupNormOptions> = { eps: NOT_NEGATIVE, numGroups: "number!" };

/**
 * Group norm of x [N, ..., C]: statistics per sample over all positions of each group of channels; weight and bias
 * (f32 [C]; default ones and zeros) per channel.
 */
export const groupNorm = positional(
  "groupNorm(x, weight, bias, options)",
  (x: Tensor, weight: Tensor | undefined, bias: Tensor | undefined, options: GroupNormOptions): Tensor => {
    const op = "groupNorm";
    checkTensors(op, { x, "weight?": weight, "bias?": bias });
    const { numGroups, eps = 1e-5 } = readOptions(op, options, GROUP);
    const channels = x.shape.at(-1);
    if (x.rank < 2 || !channels || !Number.isInteger(numGroups) || numGroups < 1 || channels % numGroups !== 0) {
      throw new ShapeError(
        `${op}: x must be [N, ..., C] with C a multiple of numGroups; got ${describe(x)} for ${numGroups} groups.`,
      );
    }
    const { device } = x;
    const parameters = {
      weight: weight ?? full([channels], 1, { device }),
      bias: bias ?? full([channels], 0, { device }),
    };
    return groupNormOp({ x, ...parameters }, { groups: numGroups, eps });
  },
);
