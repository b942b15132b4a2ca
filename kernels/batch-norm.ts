// Batch norm over x [rows, C] (NHWC, channel last), with optional residual r and relu fused.
//   y = act((x - mean) rstd w + b + r);  dz = g where y > 0 (relu), else g
//   db = sum dz,  dw = sum dz xhat,  dx = w rstd (dz - db/rows - xhat dw/rows),  dr = dz;  evaluation: dx = w rstd dz
// Training takes two dispatches each way: statistics of `parts` blocks of rows, then an apply kernel that merges the few
// partial results itself; its first row of workgroups also writes what is per channel. A workgroup is `lanes` channel
// lanes (of `width` channels) by group/lanes row lanes, which are merged through workgroup memory.
// Numerics: f32; Welford updates of x - x[0, c] and Chan's merge, so neither a large mean nor a constant channel hurts.

import { type Binding, ceilDiv, defineKernel, type Grid, type KernelFeature, type RowAxis } from "./kernel.ts";
import { type AdapterTraits, bufferType, type FloatStorage, stored, valueType } from "./row.ts";

/** Structure of a batch norm: workgroup size, channel lanes (powers of two), channels per lane, fused parts, storage. */
export type BatchNormSpec = {
  readonly group: number;
  readonly lanes: number;
  readonly width: 1 | 4;
  readonly relu: boolean;
  readonly residual: boolean;
  readonly dtype: FloatStorage;
};

/** Backward kernels differ between training and evaluation. */
export type BatchNormBackwardSpec = BatchNormSpec & { readonly training: boolean };

const sizes = { rows: "u32", channels: "u32", parts: "u32", chunk: "u32" } as const;
const forwardUniforms = { ...sizes, eps: "f32", momentum: "f32" } as const;
type Size = keyof typeof sizes;

/** Blocks of rows: about enough workgroups to fill the adapter, and at least 8 rows per row lane. */
export function batchNormParts(
  { rows, channels }: { readonly rows: number; readonly channels: number },
  { group, lanes, width }: Pick<BatchNormSpec, "group" | "lanes" | "width">,
): { readonly parts: number; readonly chunk: number } {
  const columns = ceilDiv(channels, lanes * width);
  const wanted = group > 64 ? ceilDiv(256, columns) : ceilDiv(16, columns);
  const most = ceilDiv(rows, 8 * (group / lanes));
  const chunk = Math.max(1, ceilDiv(rows, Math.max(1, Math.min(wanted, most))));
  return { parts: Math.max(1, ceilDiv(rows, chunk)), chunk };
}

/** Floats in the buffer of forward partials: mean and M2 per part, then weight and bias. */
export const batchNormPartialSize = (parts: number, channels: number): number => (2 * parts + 2) * channels;

/** Floats in `saved`: mean, rstd, weight, bias per channel. */
export const batchNormSavedSize = (channels: number): number => 4 * channels;

type AnyDims = { readonly rows: number; readonly channels: number; readonly parts: number };
const grid = ({ channels, parts }: AnyDims, spec: BatchNormSpec): Grid => [
  ceilDiv(channels, spec.lanes * spec.width),
  parts,
  1,
];

const features = ({ dtype }: BatchNormSpec): KernelFeature[] => (dtype === "f16" ? ["f16"] : []);

const activations = (spec: BatchNormSpec, name: string, access: "read" | "write"): Binding => {
  return { name, access, type: bufferType(spec.dtype, spec.width) };
};

const perChannel = (spec: BatchNormSpec, name: string, access: "read" | "write" | "update"): Binding => {
  return { name, access, type: bufferType("f32", spec.width) };
};

const ENTRY = "@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) li: u32";

/** Declares the thread's channel column `c` (clamped), its row range `first .. last` in steps of `row_lanes`, and `inside`. */
function place({ group, lanes, width }: BatchNormSpec): string {
  return `@compute @workgroup_size(${group}) fn main(${ENTRY}) {
  const row_lanes = ${group / lanes}u;
  let columns = u.channels / ${width}u;
  let inside = wid.x * ${lanes}u + li % ${lanes}u < columns;
  let c = min(wid.x * ${lanes}u + li % ${lanes}u, columns - 1u);
  let row_lane = li / ${lanes}u;
  let first = wid.y * u.chunk + row_lane;
  let last = min(wid.y * u.chunk + u.chunk, u.rows);`;
}

/** Walks the thread's rows; `at` is the element's index. The value is stored one trip late: see `sweepStore` in row.ts. */
function applyRows(spec: BatchNormSpec, target: string, value: string): string {
  const store = `${target}[held_at] = ${stored("held", spec.dtype, spec.width)};`;
  return `if (inside && first < last) {
    var held = ${valueType(spec.width)}();
    var held_at = first * columns + c;
    for (var row = first; row < last; row += row_lanes) {
      let at = row * columns + c;
      ${value}
      ${store} held = value; held_at = at;
    }
    ${store}
  }`;
}

// Chan, Golub, LeVeque (1979): two sets of counts, means and sums of squared deviations become one.
function mergeMoments({ group, lanes, width }: BatchNormSpec): string {
  const type = valueType(width);
  return `
struct Moments { n: f32, mean: ${type}, m2: ${type} }
var<workgroup> moments: array<Moments, ${group}>;
fn merged(a: Moments, b: Moments) -> Moments {
  let n = a.n + b.n;
  if (n == 0.0) { return a; }
  let delta = b.mean - a.mean;
  return Moments(n, a.mean + delta * (b.n / n), a.m2 + b.m2 + delta * delta * (a.n * b.n / n));
}
fn merge_row_lanes(own: Moments, li: u32) -> Moments {
  moments[li] = own;
  for (var half = ${group / 2}u; half >= ${lanes}u; half >>= 1u) {
    workgroupBarrier();
    if (li < half) { moments[li] = merged(moments[li], moments[li + half]); }
  }
  workgroupBarrier();
  return moments[li % ${lanes}u];
}`;
}

function mergeSums({ group, lanes, width }: BatchNormSpec): string {
  const type = valueType(width);
  return `
struct Sums { dz: ${type}, dz_xhat: ${type} }
var<workgroup> sums: array<Sums, ${group}>;
fn merge_row_lanes(own: Sums, li: u32) -> Sums {
  sums[li] = own;
  for (var half = ${group / 2}u; half >= ${lanes}u; half >>= 1u) {
    workgroupBarrier();
    if (li < half) { sums[li] = Sums(sums[li].dz + sums[li + half].dz, sums[li].dz_xhat + sums[li + half].dz_xhat); }
  }
  workgroupBarrier();
  return sums[li % ${lanes}u];
}`;
}

/** First training dispatch: moments of each block of rows. Passes weight and bias on, to keep the second within 8 buffers. */
export const batchNormStatistics = defineKernel<BatchNormSpec, Size>({
  name: "batchNormStatistics",
  bindings: (spec) => [
    activations(spec, "x", "read"),
    perChannel(spec, "weight", "read"),
    perChannel(spec, "bias", "read"),
    perChannel(spec, "partials", "write"),
  ],
  uniforms: sizes,
  features,
  source: (spec) => {
    const type = valueType(spec.width);
    return `${mergeMoments(spec)}
${place(spec)}
  let shift = ${type}(x[c]);
  var own = Moments(0.0, ${type}(), ${type}());
  for (var row = first; row < last; row += row_lanes) {
    let d = ${type}(x[row * columns + c]) - shift;
    own.n += 1.0;
    let delta = d - own.mean;
    own.mean += delta * (1.0 / own.n);
    own.m2 += delta * (d - own.mean);
  }
  let block = merge_row_lanes(own, li);
  if (inside && row_lane == 0u) {
    partials[2u * wid.y * columns + c] = block.mean;
    partials[(2u * wid.y + 1u) * columns + c] = block.m2;
    if (wid.y == 0u) {
      partials[2u * u.parts * columns + c] = weight[c];
      partials[(2u * u.parts + 1u) * columns + c] = bias[c];
    }
  }
}`;
  },
  grid,
});

/** Second training dispatch: y, `saved`, and the running statistics in place (their variance unbiased). */
export const batchNormApply = defineKernel<BatchNormSpec, keyof typeof forwardUniforms>({
  name: "batchNormApply",
  bindings: (spec) => [
    activations(spec, "x", "read"),
    perChannel(spec, "partials", "read"),
    ...(spec.residual ? [activations(spec, "residual", "read")] : []),
    perChannel(spec, "running_mean", "update"),
    perChannel(spec, "running_var", "update"),
    activations(spec, "y", "write"),
    perChannel(spec, "saved", "write"),
  ],
  uniforms: forwardUniforms,
  features,
  source: (spec) => {
    const type = valueType(spec.width);
    return `${mergeMoments(spec)}
${place(spec)}
  var own = Moments(0.0, ${type}(), ${type}());
  for (var part = row_lane; part < u.parts; part += row_lanes) {
    let n = f32(min(u.chunk, u.rows - part * u.chunk));
    own = merged(own, Moments(n, partials[2u * part * columns + c], partials[(2u * part + 1u) * columns + c]));
  }
  let all = merge_row_lanes(own, li);
  let mean = ${type}(x[c]) + all.mean;
  let rstd = inverseSqrt(all.m2 / f32(u.rows) + u.eps);
  let weight = partials[2u * u.parts * columns + c];
  let bias = partials[(2u * u.parts + 1u) * columns + c];
  if (inside && wid.y == 0u && row_lane == 0u) {
    let variance = all.m2 / max(f32(u.rows) - 1.0, 1.0);
    running_mean[c] = running_mean[c] * (1.0 - u.momentum) + mean * u.momentum;
    running_var[c] = running_var[c] * (1.0 - u.momentum) + variance * u.momentum;
    saved[c] = mean;
    saved[columns + c] = rstd;
    saved[2u * columns + c] = weight;
    saved[3u * columns + c] = bias;
  }
  ${applyRows(spec, "y", outputValue(spec))}
}`;
  },
  grid,
});

function outputValue({ width, residual, relu }: BatchNormSpec): string {
  const type = valueType(width);
  const sum = `(${type}(x[at]) - mean) * (rstd * weight) + bias${residual ? ` + ${type}(residual[at])` : ""}`;
  // A comparison, since max may drop a NaN.
  return relu ? `let sum = ${sum}; let value = select(sum, ${type}(), sum < ${type}());` : `let value = ${sum};`;
}

/** Evaluation in one dispatch: running statistics in place of the batch's. `chunk` rows per workgroup, `parts` = their number. */
export const batchNormInference = defineKernel<BatchNormSpec, Size | "eps">({
  name: "batchNormInference",
  bindings: (spec) => [
    activations(spec, "x", "read"),
    perChannel(spec, "weight", "read"),
    perChannel(spec, "bias", "read"),
    perChannel(spec, "running_mean", "read"),
    perChannel(spec, "running_var", "read"),
    ...(spec.residual ? [activations(spec, "residual", "read")] : []),
    activations(spec, "y", "write"),
    perChannel(spec, "saved", "write"),
  ],
  uniforms: { ...sizes, eps: "f32" },
  features,
  source: (spec) => `${place(spec)}
  let mean = running_mean[c];
  let rstd = inverseSqrt(running_var[c] + u.eps);
  let weight = weight[c];
  let bias = bias[c];
  if (inside && wid.y == 0u && row_lane == 0u) {
    saved[c] = mean;
    saved[columns + c] = rstd;
    saved[2u * columns + c] = weight;
    saved[3u * columns + c] = bias;
  }
  ${applyRows(spec, "y", outputValue(spec))}
}`,
  grid,
  rows: ({ rows, chunk }): RowAxis => ({ axis: 1, units: rows, perGroup: chunk }),
});

// Without a residual the sign of the relu's input follows from x, which is read anyway; with one it is read from y.
function maskedGradient({ width, relu, residual }: BatchNormSpec): string {
  const type = valueType(width);
  if (!relu) return `let dz = ${type}(g[at]);`;
  const on = residual ? `${type}(y[at]) > ${type}()` : `centred * (rstd * weight) + bias > ${type}()`;
  return `let dz = select(${type}(), ${type}(g[at]), ${on});`;
}

const channelState = (type: string): string => `let mean: ${type} = saved[c];
  let rstd: ${type} = saved[columns + c];
  let weight: ${type} = saved[2u * columns + c];
  let bias: ${type} = saved[3u * columns + c];`;

const writesDz = (spec: BatchNormSpec): boolean => spec.relu && spec.residual;

/** First backward dispatch: sums of dz and dz xhat per block of rows; with relu and residual also `dz`, the residual's gradient. */
export const batchNormBackwardSums = defineKernel<BatchNormSpec, Size>({
  name: "batchNormBackwardSums",
  bindings: (spec) => [
    activations(spec, "g", "read"),
    activations(spec, "x", "read"),
    perChannel(spec, "saved", "read"),
    ...(writesDz(spec) ? [activations(spec, "y", "read"), activations(spec, "dz_out", "write")] : []),
    perChannel(spec, "partials", "write"),
  ],
  uniforms: sizes,
  features,
  source: (spec) => {
    const type = valueType(spec.width);
    return `${mergeSums(spec)}
${place(spec)}
  ${channelState(type)}
  var own = Sums(${type}(), ${type}());
  for (var row = first; row < last; row += row_lanes) {
    let at = row * columns + c;
    let centred = ${type}(x[at]) - mean;
    ${maskedGradient(spec)}
    ${writesDz(spec) ? `if (inside) { dz_out[at] = ${stored("dz", spec.dtype, spec.width)}; }` : ""}
    own.dz += dz;
    own.dz_xhat += dz * centred;
  }
  own.dz_xhat *= rstd;
  let block = merge_row_lanes(own, li);
  if (inside && row_lane == 0u) {
    partials[2u * wid.y * columns + c] = block.dz;
    partials[(2u * wid.y + 1u) * columns + c] = block.dz_xhat;
  }
}`;
  },
  grid,
});

/** Second backward dispatch: dx, dweight, dbias. With relu and residual, `g` is the first dispatch's dz. */
export const batchNormBackwardApply = defineKernel<BatchNormBackwardSpec, Size>({
  name: "batchNormBackwardApply",
  bindings: (spec) => [
    activations(spec, "g", "read"),
    activations(spec, "x", "read"),
    perChannel(spec, "saved", "read"),
    perChannel(spec, "partials", "read"),
    activations(spec, "dx", "write"),
    perChannel(spec, "dweight", "write"),
    perChannel(spec, "dbias", "write"),
  ],
  uniforms: sizes,
  features,
  source: (spec) => {
    const type = valueType(spec.width);
    const masked = maskedGradient(writesDz(spec) ? { ...spec, relu: false } : spec);
    const centre = spec.training ? " - mean_dz - centred * slope" : "";
    return `${mergeSums(spec)}
${place(spec)}
  ${channelState(type)}
  var own = Sums(${type}(), ${type}());
  for (var part = row_lane; part < u.parts; part += row_lanes) {
    own.dz += partials[2u * part * columns + c];
    own.dz_xhat += partials[(2u * part + 1u) * columns + c];
  }
  let all = merge_row_lanes(own, li);
  if (inside && wid.y == 0u && row_lane == 0u) {
    dweight[c] = all.dz_xhat;
    dbias[c] = all.dz;
  }
  let mean_dz = all.dz / f32(u.rows);
  let slope = all.dz_xhat * rstd / f32(u.rows);
  let gain = weight * rstd;
  ${applyRows(spec, "dx", `let centred = ${type}(x[at]) - mean;\n${masked}\nlet value = gain * (dz${centre});`)}
}`;
  },
  grid,
});

/** Workgroup shapes for [rows, channels], best guess first: small groups where subgroups are narrow (CPU adapters). */
export function batchNormCandidates(
  { channels, dtype }: { readonly channels: number; readonly dtype: FloatStorage },
  fused: Pick<BatchNormSpec, "relu" | "residual">,
  { subgroupSize }: AdapterTraits,
): BatchNormSpec[] {
  const width = channels % 4 === 0 ? 4 : 1;
  const columns = 2 ** Math.ceil(Math.log2(Math.max(1, channels / width)));
  const shape = (group: number, lanes: number): BatchNormSpec => {
    return { group, lanes: Math.min(lanes, columns), width, dtype, ...fused };
  };
  const small = shape(64, 8);
  const large = shape(256, 16);
  return subgroupSize > 0 && subgroupSize <= 8 ? [small, large] : [large, small];
}
