// Batch norm over x [rows, C] (NHWC, channel last), with optional residual r and activation fused: forward.
//   y = act((x - mean) rstd weight + bias + r)
// Training takes two dispatches: moments of `parts` blocks of rows, then an apply kernel in which every workgroup
// merges the few partial moments itself; the first block's threads also move the running statistics. A workgroup is
// `lanes` channel columns (of `width` channels) by group / lanes row lanes, which meet in workgroup memory (`merge`,
// GPUs) or leave a partial result each (CPU adapters, where every load and store in the text costs tens of milliseconds
// of compilation). The backward kernels (batch-norm-grad.ts) start from the same partial moments. Numerics: f32;
// Welford updates of x - x[0, c] and Chan's merge, so neither a large mean nor a constant channel hurts.

import {
  ceilDiv,
  defineKernel,
  type FloatStorage,
  type Grid,
  type RowAxis,
  reads,
  updates,
  writes,
} from "../kernel.ts";
import { ACTIVATIONS, type Activation, activationFunction } from "../shared/activations.ts";
import { type AdapterTraits, isNarrow } from "../shared/adapter.ts";
import { chained, sumsOf } from "../shared/chain.ts";
import { bufferType, stored, valueType } from "../shared/storage.ts";

/** Shape of a workgroup: threads, channel columns (powers of two), channels per column, and how row lanes meet. */
export type BatchNormShape = {
  readonly group: number;
  readonly lanes: number;
  readonly width: 1 | 4;
  readonly merge: boolean;
  readonly dtype: FloatStorage;
};

/** A shape with what is fused. */
export type BatchNormSpec = BatchNormShape & { readonly activation: Activation; readonly residual: boolean };

/** `keeps`: evaluation leaves mean and rstd for the gradient. */
export type BatchNormInferenceSpec = BatchNormSpec & { readonly keeps: boolean };

/** `parts` blocks of `chunk` rows. @internal */
export const batchNormSizes = { rows: "u32", channels: "u32", parts: "u32", chunk: "u32" } as const;

/** Row lanes that leave partial results of their own. */
const splits = ({ group, lanes, merge }: BatchNormShape): number => (merge ? 1 : group / lanes);

/** Blocks of rows: about enough workgroups to fill the adapter, and at least 8 rows per row lane. */
export function batchNormParts(
  { rows, channels }: { readonly rows: number; readonly channels: number },
  { group, lanes, width, merge }: BatchNormShape,
): { readonly parts: number; readonly chunk: number } {
  const wanted = ceilDiv(merge ? 256 : 16, ceilDiv(channels, lanes * width));
  const most = ceilDiv(rows, 8 * (group / lanes));
  const chunk = Math.max(1, ceilDiv(rows, Math.max(1, Math.min(wanted, most))));
  return { parts: Math.max(1, ceilDiv(rows, chunk)), chunk };
}

/** Rows of C floats in the buffer of partial moments: mean and M2 of each part. */
export const batchNormMomentRows = (parts: number, shape: BatchNormShape): number => 2 * parts * splits(shape);

/** @internal */
export const batchNormGrid = (
  { channels, parts }: { readonly channels: number; readonly parts: number },
  { lanes, width }: BatchNormShape,
): Grid => [ceilDiv(channels, lanes * width), parts, 1];

/** The WGSL type of what has x's shape. @internal */
export const activations = ({ dtype, width }: BatchNormShape): string => bufferType(dtype, width);

/** The WGSL type of whole rows of C floats. @internal */
export const perChannel = ({ width }: BatchNormShape): string => bufferType("f32", width);

/**
 * Opens the entry point: column `c` (clamped, `inside` if real), the thread's rows `first .. last` in steps of
 * `row_lanes`.
 * @internal
 */
export function batchNormPlace({ group, lanes, width, merge }: BatchNormShape): string {
  return `@compute @workgroup_size(${group})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) li: u32) {
  let row_lanes = ${group / lanes}u;
  let columns = u.channels / ${width}u;
  let inside = wid.x * ${lanes}u + li % ${lanes}u < columns;
  let c = min(wid.x * ${lanes}u + li % ${lanes}u, columns - 1u);
  let row_lane = li / ${lanes}u;
  let first = wid.y * u.chunk + row_lane;
  let last = min(wid.y * u.chunk + u.chunk, u.rows);
  let part = ${merge ? "wid.y" : "wid.y * row_lanes + row_lane"};
  let leaves = inside${merge ? " && row_lane == 0u" : ""};`;
}

/**
 * Walks the thread's rows: `value` (a statement that declares it) of the element at `at` goes to `target`. @internal
 */
export function batchNormRows(spec: BatchNormShape, target: string, value: string): string {
  return `if (inside) {
    for (var row = first; row < last; row += row_lanes) {
      let at = row * columns + c;
      ${value}
      ${target}[at] = ${stored("value", spec.dtype, spec.width)};
    }
  }`;
}

// The loop starts at wid.z, which is 0: a trip count that is unknown keeps compilers from unrolling it into more
// stores.
/** Writes two values of the thread's part: rows 2 part and 2 part + 1. */
const storePair = (spec: BatchNormShape, target: string, a: string, b: string): string => `
  var pair = array<${valueType(spec.width)}, 2>(${a}, ${b});
  for (var k = wid.z; k < 2u; k++) {
    if (leaves) { ${target}[(2u * part + k) * columns + c] = pair[k]; }
  }`;

/** Reads rows 2 p and 2 p + 1 of a part into `pair`. @internal */
export const loadPair = (spec: BatchNormShape, source: string, p: string): string => `
    var pair = array<${valueType(spec.width)}, 2>();
    for (var k = wid.z; k < 2u; k++) { pair[k] = ${source}[(2u * ${p} + k) * columns + c]; }`;

/** Header of a loop over all parts, spread over the row lanes if they merge. @internal */
export const eachPart = ({ group, lanes, merge }: BatchNormShape): string =>
  merge
    ? "for (var p = row_lane; p < u.parts; p += row_lanes)"
    : `for (var p = 0u; p < u.parts * ${group / lanes}u; p++)`;

/**
 * Declares `merge_TYPE(own, li)`: reduction over the row lanes through workgroup memory by `a, b -> combine`. @internal
 */
export function mergeRowLanes({ group, lanes, merge }: BatchNormShape, type: string, combine: string): string {
  if (!merge) return "";
  return `
var<workgroup> lane_${type}: array<${type}, ${group}>;
fn merge_${type}(own: ${type}, li: u32) -> ${type} {
  lane_${type}[li] = own;
  for (var half = ${group / 2}u; half >= ${lanes}u; half >>= 1u) {
    workgroupBarrier();
    if (li < half) {
      let a = lane_${type}[li];
      let b = lane_${type}[li + half];
      lane_${type}[li] = ${combine};
    }
  }
  workgroupBarrier();
  return lane_${type}[li % ${lanes}u];
}`;
}

// Chan, Golub, LeVeque (1979): two sets of counts, means and sums of squared deviations become one.
/** Declares `Moments`, `merged(a, b)` and, if row lanes merge, `merge_Moments`. @internal */
export function momentFunctions(spec: BatchNormShape): string {
  const type = valueType(spec.width);
  return `
struct Moments { n: f32, mean: ${type}, m2: ${type} }
fn merged(a: Moments, b: Moments) -> Moments {
  let n = a.n + b.n;
  if (n == 0.0) { return a; }
  let delta = b.mean - a.mean;
  return Moments(n, a.mean + delta * (b.n / n), a.m2 + b.m2 + delta * delta * (a.n * b.n / n));
}
${mergeRowLanes(spec, "Moments", "merged(a, b)")}`;
}

/** Declares `mean` and `all`, the moments of all rows, from the buffer `moments`; needs x. @internal */
export function mergeMoments(spec: BatchNormShape): string {
  const { group, lanes, merge, width } = spec;
  const rows = "min(u.chunk, u.rows - block * u.chunk)";
  const count = merge ? rows : `(${rows} + ${group / lanes - 1}u - p % ${group / lanes}u) / ${group / lanes}u`;
  return `var own = Moments();
  ${eachPart(spec)} {
    let block = p / ${splits(spec)}u;
    ${loadPair(spec, "moments", "p")}
    own = merged(own, Moments(f32(${count}), pair[0], pair[1]));
  }
  let all = ${merge ? "merge_Moments(own, li)" : "own"};
  let mean = ${valueType(width)}(x[c]) + all.mean;`;
}

/** First training dispatch: moments of each part, as deviations from the channel's first value. */
export const batchNormStatistics = defineKernel({
  name: "batchNormStatistics",
  bindings: (spec: BatchNormShape) => ({ x: reads(activations(spec)), moments: writes(perChannel(spec)) }),
  uniforms: batchNormSizes,
  source: (spec) => {
    const type = valueType(spec.width);
    return `${momentFunctions(spec)}
${batchNormPlace(spec)}
  let shift = ${type}(x[c]);
  var count = 0.0;
  var mean = ${type}();
  var m2 = ${type}();
  var row = first;
  ${chained(
    sumsOf(type, "m2"),
    "row < last",
    "row += row_lanes;",
    `let d = ${type}(x[row * columns + c]) - shift;
    count += 1.0;
    let delta = d - mean;
    mean += delta * (1.0 / count);
    m2 += delta * (d - mean);`,
  )}
  var own = Moments(count, mean, m2);
  ${spec.merge ? "own = merge_Moments(own, li);" : ""}
  ${storePair(spec, "moments", "own.mean", "own.m2")}
}`;
  },
  grid: batchNormGrid,
});

/** Declares `activated(x)`, if there is an activation. */
const activated = ({ width, activation }: BatchNormSpec): string =>
  activation === "none" ? "" : activationFunction("activated", ["x"], ACTIVATIONS[activation].y, width);

function outputValue({ width, residual, activation }: BatchNormSpec): string {
  const type = valueType(width);
  const sum = `(${type}(x[at]) - mean) * gain + offset${residual ? ` + ${type}(residual[at])` : ""}`;
  return `let value = ${activation === "none" ? sum : `activated(${sum})`};`;
}

/** Second training dispatch: y, and the running statistics in place (their variance unbiased). */
export const batchNormApply = defineKernel({
  name: "batchNormApply",
  bindings: (spec: BatchNormSpec) => ({
    x: reads(activations(spec)),
    moments: reads(perChannel(spec)),
    weight: reads(perChannel(spec)),
    bias: reads(perChannel(spec)),
    residual: spec.residual ? reads(activations(spec)) : undefined,
    running_mean: updates(perChannel(spec)),
    running_var: updates(perChannel(spec)),
    y: writes(activations(spec)),
  }),
  uniforms: { ...batchNormSizes, eps: "f32", momentum: "f32" },
  source: (spec) => `${momentFunctions(spec)}
${activated(spec)}
${batchNormPlace(spec)}
  ${mergeMoments(spec)}
  let gain = inverseSqrt(all.m2 / f32(u.rows) + u.eps) * weight[c];
  let offset = bias[c];
  if (inside && wid.y == 0u && row_lane == 0u) {
    let variance = all.m2 / max(f32(u.rows) - 1.0, 1.0);
    running_mean[c] = running_mean[c] * (1.0 - u.momentum) + mean * u.momentum;
    running_var[c] = running_var[c] * (1.0 - u.momentum) + variance * u.momentum;
  }
  ${batchNormRows(spec, "y", outputValue(spec))}
}`,
  grid: batchNormGrid,
});

/** Evaluation in one dispatch: running statistics in place of the batch's; rows of mean and rstd in `moments`. */
export const batchNormInference = defineKernel({
  name: "batchNormInference",
  bindings: (spec: BatchNormInferenceSpec) => ({
    x: reads(activations(spec)),
    weight: reads(perChannel(spec)),
    bias: reads(perChannel(spec)),
    running_mean: reads(perChannel(spec)),
    running_var: reads(perChannel(spec)),
    residual: spec.residual ? reads(activations(spec)) : undefined,
    y: writes(activations(spec)),
    moments: spec.keeps ? writes(perChannel(spec)) : undefined,
  }),
  uniforms: { ...batchNormSizes, eps: "f32" },
  source: (spec) => `${activated(spec)}
${batchNormPlace(spec)}
  let mean = running_mean[c];
  let rstd = inverseSqrt(running_var[c] + u.eps);
  let gain = rstd * weight[c];
  let offset = bias[c];
  ${
    spec.keeps
      ? `if (inside && wid.y == 0u && row_lane == 0u) {
    moments[c] = mean;
    moments[columns + c] = rstd;
  }`
      : ""
  }
  ${batchNormRows(spec, "y", outputValue(spec))}
}`,
  grid: batchNormGrid,
  rows: ({ rows, chunk }): RowAxis => {
    const apart = { weight: 1, bias: 1, running_mean: 1, running_var: 1 };
    return { axis: 1, units: rows, perGroup: chunk, blocks: rows, apart };
  },
});

/** Workgroup shapes for [rows, channels], best guess first: single subgroups where they are narrow (CPU adapters). */
export function batchNormCandidates(
  { channels, dtype }: { readonly channels: number; readonly dtype: FloatStorage },
  traits: AdapterTraits,
): [best: BatchNormShape, other: BatchNormShape] {
  const width = channels % 4 === 0 ? 4 : 1;
  const columns = 2 ** Math.ceil(Math.log2(Math.max(1, channels / width)));
  const shape = (group: number, lanes: number, merge: boolean): BatchNormShape => {
    return { group, lanes: Math.min(lanes, columns), width, merge, dtype };
  };
  const small = shape(8, 8, false);
  // 128 threads: moments and sums of 256 would not fit the 16 KiB of workgroup memory that WebGPU promises.
  const large = shape(128, 16, true);
  return isNarrow(traits) ? [small, large] : [large, small];
}
