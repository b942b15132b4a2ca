// Norm of a flat gradient, and the coefficient that clips it, in two dispatches; deterministic.
//   norm = sqrt(sum g_i^2) or max |g_i|;  coefficient = min(1, maxNorm / (norm + 1e-6)), as clip_grad_norm_ of torch
// A NaN in g makes both NaN, an infinite norm makes the coefficient 0. Mapping: up to GROUPS workgroups take every
// GROUPS-th stretch, each leaves one partial result; one workgroup combines them. The order of additions depends on n
// alone. |g| is compared by its bits, in which NaN lies above infinity.

import { ceilDiv, defineKernel, entry, GROUP, LINEAR_GROUP, linearGrid, reads, updates, writes } from "../kernel.ts";
import { chained, sumsOf } from "../shared/chain.ts";
import { bufferType, valueType } from "../shared/storage.ts";

export type NormSpec = { readonly norm: "2" | "inf"; readonly width: 1 | 4 };

const GROUPS = 128;

/** Partial results that `normPartials` leaves: floats of its output. */
export const partialCount = (n: number, { width }: NormSpec): number =>
  Math.max(1, Math.min(GROUPS, ceilDiv(n / width, GROUP * 4)));

const isTwo = (spec: NormSpec): boolean => spec.norm === "2";

/** Combines the workgroup's `part` into `whole`: a tree in workgroup memory. */
const combine = (spec: NormSpec): string => {
  const pair = isTwo(spec) ? "shares[li] + shares[li + step]" : "max(shares[li], shares[li + step])";
  return `
  shares[li] = part;
  for (var step = ${GROUP / 2}u; step > 0u; step >>= 1u) {
    workgroupBarrier();
    if (li < step) { shares[li] = ${pair}; }
  }`;
};

const memory = (spec: NormSpec): string => `var<workgroup> shares: array<${isTwo(spec) ? "f32" : "u32"}, ${GROUP}>;`;

/**
 * Sum of squares, or bits of the largest magnitude, of each workgroup's stretch of g [n], from element `at` of the
 * partials on.
 */
export const normPartials = defineKernel({
  name: "normPartials",
  bindings: (spec: NormSpec) => ({
    g: reads(bufferType("f32", spec.width)),
    partials: writes(isTwo(spec) ? "array<f32>" : "array<u32>"),
  }),
  uniforms: { n: "u32", at: "u32" },
  grid: ({ n }, spec) => [partialCount(n, spec), 1, 1],
  source: (spec) => {
    const value = isTwo(spec) ? valueType(spec.width) : spec.width === 4 ? "vec4u" : "u32";
    const step = isTwo(spec)
      ? "let v = g[i]; sum += v * v;"
      : `sum = max(sum, bitcast<${value}>(g[i]) & ${value}(0x7fffffffu));`;
    const next = `i += nwg.x * ${GROUP}u;`;
    const fold = isTwo(spec) ? "(sum.x + sum.y) + (sum.z + sum.w)" : "max(max(sum.x, sum.y), max(sum.z, sum.w))";
    return `${memory(spec)}
${entry()} {
  var sum = ${value}();
  let count = u.n / ${spec.width}u;
  var i = wid.x * ${GROUP}u + li;
  ${isTwo(spec) ? chained(sumsOf(value, "sum"), "i < count", next, step) : `while (i < count) { ${step} ${next} }`}
  let part = ${spec.width === 4 ? fold : "sum"};
  ${combine(spec)}
  if (li == 0u) { partials[u.at + wid.x] = shares[0]; }
}`;
  },
});

/** clip = [norm, coefficient] from `count` partial results. */
export const clipCoefficient = defineKernel({
  name: "clipCoefficient",
  bindings: (spec: NormSpec) => ({
    partials: reads(isTwo(spec) ? "array<f32>" : "array<u32>"),
    clip: writes("array<f32>"),
  }),
  uniforms: { count: "u32", maxNorm: "f32" },
  grid: () => [1, 1, 1],
  source: (spec) => `${memory(spec)}
@compute @workgroup_size(${GROUP}) fn main(@builtin(local_invocation_index) li: u32) {
  var part = ${isTwo(spec) ? "0.0" : "0u"};
  for (var i = li; i < u.count; i += ${GROUP}u) { part = ${isTwo(spec) ? "part + partials[i]" : "max(part, partials[i])"}; }
  ${combine(spec)}
  if (li == 0u) {
    let norm = ${isTwo(spec) ? "sqrt(shares[0])" : "bitcast<f32>(shares[0])"};
    let bits = bitcast<u32>(norm);
    clip[0] = norm;
    if (bits > 0x7f800000u) { clip[1] = norm; }
    else if (bits == 0x7f800000u) { clip[1] = 0.0; }
    else { clip[1] = min(1.0, u.maxNorm / (norm + 1e-6)); }
  }
}`,
});

/** g [n] times the coefficient, in place: for gradients that are read before an optimiser sees them. */
export const scaleByClip = defineKernel({
  name: "scaleByClip",
  bindings: ({ width }: { readonly width: 1 | 4 }) => ({
    g: updates(bufferType("f32", width)),
    clip: reads("array<f32>"),
  }),
  uniforms: { n: "u32" },
  grid: ({ n }, { width }) => linearGrid(ceilDiv(n / width, GROUP)),
  source: ({ width }) => `
${entry()} {
  let i = ${LINEAR_GROUP} * ${GROUP}u + li;
  if (i < u.n / ${width}u) { g[i] *= clip[1]; }
}`,
});
