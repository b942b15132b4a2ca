// Cross-entropy of logits z [N, K, C] (sample, exit, class) against class indices or distributions of the samples, per
// (sample, exit), with label smoothing s and optional weights w [N, K]; K = 1 for plain [N, C].
//   loss = w sum_c t'_c (lse(z) - z_c),  t' = (1 - s) t + s/C;  dz_c = g w (softmax(z)_c sum_k t'_k - t'_c)
// A team per row of C logits (row.ts); row r belongs to target r / K. The forward pass reads the row once (running
// maximum and rescaled sum) and keeps maximum, 1 / sum and sum of t' per row for the backward pass: a logsumexp alone
// would round away what tells large logits apart. f32 accumulation. A label outside 0..C-1 gives a NaN loss and a NaN
// gradient row instead of an access out of bounds.

import { ceilDiv, defineKernel, type FloatStorage, linearGrid, type RowAxis, reads, writes } from "../kernel.ts";
import type { AdapterTraits } from "../shared/adapter.ts";
import { sumsOf } from "../shared/chain.ts";
import {
  loadRow,
  maxOf,
  NAN_FUNCTION,
  onlineFunctions,
  onlineStep,
  onlineSum,
  type RowSpec,
  rowAxis,
  rowCandidates,
  rowEntry,
  rowsPerGroup,
  sumOf,
  sweep,
  sweepStore,
  teamCall,
  teamFunctions,
  teamIndex,
} from "../shared/row.ts";
import { bufferType, valueType } from "../shared/storage.ts";

/** Structure of a cross-entropy: class indices or distributions, with or without smoothing and weights. */
export type CrossEntropySpec = RowSpec & {
  readonly target: "labels" | "distribution";
  readonly smooth: boolean;
  readonly weighted: boolean;
};

/** The backward kernel also knows whether g is one number for all rows (a reduced loss) or one per row. */
export type CrossEntropyBackwardSpec = CrossEntropySpec & { readonly upstream: "scalar" | "row" };

/** What both passes read. */
const operands = ({ dtype, width, target, weighted }: CrossEntropySpec) => ({
  z: reads(bufferType(dtype, width)),
  labels: target === "labels" ? reads("array<i32>") : undefined,
  distribution: target === "distribution" ? reads(bufferType("f32", width)) : undefined,
  weight: weighted ? reads("array<f32>") : undefined,
});

const forwardUniforms = { rows: "u32", len: "u32", exits: "u32", smoothing: "f32" } as const;
const backwardUniforms = { ...forwardUniforms, scale: "f32" } as const;

const grid = (dims: { readonly rows: number }, spec: RowSpec) => linearGrid(ceilDiv(dims.rows, rowsPerGroup(spec)));
const rowsOf = (dims: { readonly rows: number; readonly exits: number }, spec: CrossEntropySpec): RowAxis => {
  return rowAxis(dims.rows, spec, { blocks: dims.rows / dims.exits });
};

const locate = (spec: CrossEntropySpec): string => `${teamIndex(spec)}
  let exists = team < u.rows;
  let row = min(team, u.rows - 1u);
  let n = u.len / ${spec.width}u;
  let base = row * n;
  let sample = row / u.exits;`;

/**
 * Statement that folds one step of the row into the online sum `line`, `linear` = sum of t z, `mass` = sum of t,
 * `plain` = sum of z.
 */
function accumulate(spec: CrossEntropySpec): string {
  const type = valueType(spec.width);
  const sums = [...(spec.smooth ? ["plain"] : []), ...(spec.target === "distribution" ? ["linear", "mass"] : [])];
  const step = ([z]: readonly string[], j: string): string => {
    const target = `let t = ${type}(distribution[sample * n + ${j}]); let tz = t * ${z};
    linear += ${sumOf("tz", spec.width)}; mass += ${sumOf("t", spec.width)};`;
    return `${onlineStep(`${z}`, maxOf(`${z}`, spec.width), sumOf("e", spec.width))}
    ${spec.smooth ? `plain += ${sumOf(`${z}`, spec.width)};` : ""}
    ${spec.target === "distribution" ? target : ""}`;
  };
  return sweep(spec, ["z"], step, { sums: [onlineSum("f32"), ...sumsOf("f32", ...sums)] });
}

/**
 * Expression of the loss, from the maximum `top` and `log_total` so that large logits cancel before they are rounded.
 */
function lossValue(spec: CrossEntropySpec): string {
  const hard = spec.target === "labels" ? "((top - picked) + log_total)" : "((mass * top - linear) + mass * log_total)";
  if (!spec.smooth) return hard;
  return `((1.0 - u.smoothing) * ${hard} + u.smoothing * ((top - plain / f32(u.len)) + log_total))`;
}

function forwardSource(spec: CrossEntropySpec): string {
  const isLabels = spec.target === "labels";
  const component = spec.width === 4 ? "z[(row * u.len + at) / 4u][(row * u.len + at) % 4u]" : "z[row * u.len + at]";
  return `${NAN_FUNCTION}
${onlineFunctions("f32")}
${teamFunctions(spec, ["team_max", "team_add", "team_add2"])}
${rowEntry(spec)} {
  ${locate(spec)}
  ${loadRow(spec, ["z"])}
  var line = ${onlineSum("f32").start};
  var linear = 0.0; var mass = 0.0; var plain = 0.0;
  ${accumulate(spec)}
  let top = ${teamCall("team_max", "line.top", spec)};
  let total = ${teamCall("team_add", "line.total * exp(line.top - top)", spec)};
  ${spec.smooth ? `plain = ${teamCall("team_add", "plain", spec)};` : ""}
  ${isLabels ? "" : `let target_sums = ${teamCall("team_add2", "vec2f(linear, mass)", spec)}; linear = target_sums.x; mass = target_sums.y;`}
  if (exists && lane == 0u) {
    let log_total = log(total);
    ${
      isLabels
        ? `let label = labels[sample];
    let at = u32(clamp(label, 0, i32(u.len) - 1));
    let picked = f32(${component});
    mass = 1.0;`
        : ""
    }
    var value = ${lossValue(spec)};
    ${spec.weighted ? "value *= weight[row];" : ""}
    loss[row] = ${isLabels ? "select(value, not_a_number(), label < 0 || label >= i32(u.len))" : "value"};
    saved[row] = top;
    saved[u.rows + row] = 1.0 / total;
    saved[2u * u.rows + row] = ${spec.smooth ? "mix(mass, 1.0, u.smoothing)" : "mass"};
  }
}`;
}

function backwardSource(spec: CrossEntropyBackwardSpec): string {
  const { width, target, smooth } = spec;
  const type = valueType(width);
  const keep = smooth ? "(1.0 - u.smoothing)" : "1.0";
  const classes = (j: string) => (width === 4 ? `vec4i(i32(${j}) * 4) + vec4i(0, 1, 2, 3)` : `i32(${j})`);
  const own = width === 4 ? "vec4i(label)" : "label";
  const hit = (j: string): string =>
    target === "labels"
      ? `select(${type}(), ${type}(${keep}), ${own} == ${classes(j)})`
      : `${keep} * distribution[sample * n + ${j}]`;
  // NaN is chosen where it is stored: of arithmetic with it some compilers make anything.
  const given = (value: string): string =>
    target === "labels" ? `select(${value}, ${type}(not_a_number()), is_none)` : value;
  const floor = smooth ? " - u.smoothing / f32(u.len)" : "";
  return `${NAN_FUNCTION}
${rowEntry(spec)} {
  ${locate(spec)}
  let factor = ${spec.upstream === "scalar" ? "g[0] * u.scale" : "g[row] * u.scale"}${spec.weighted ? " * weight[row]" : ""};
  ${target === "labels" ? "let label = labels[sample]; let is_none = label < 0 || label >= i32(u.len);" : ""}
  let top = saved[row];
  let gain = saved[u.rows + row] * ${target === "labels" ? "1.0" : "saved[2u * u.rows + row]"};
  ${loadRow(spec, ["z"])}
  if (exists) {
    ${sweepStore(spec, ["z"], "dz", ([z], j) => given(`factor * (gain * exp(${z} - top) - ${hit(j)}${floor})`))}
  }
}`;
}

/** Loss per row [N * K], and `saved` [3, N * K] for the backward kernel. */
export const crossEntropyForward = defineKernel({
  name: "crossEntropy",
  bindings: (spec: CrossEntropySpec) => ({
    ...operands(spec),
    loss: writes("array<f32>"),
    saved: writes("array<f32>"),
  }),
  uniforms: forwardUniforms,
  source: forwardSource,
  grid,
  rows: rowsOf,
});

/** Gradient of the logits, from g per row or from one g times `scale`. */
export const crossEntropyBackward = defineKernel({
  name: "crossEntropyBackward",
  bindings: (spec: CrossEntropyBackwardSpec) => ({
    g: reads("array<f32>"),
    ...operands(spec),
    saved: reads("array<f32>"),
    dz: writes(bufferType(spec.dtype, spec.width)),
  }),
  uniforms: backwardUniforms,
  source: backwardSource,
  grid,
  rows: (dims, spec) => ({ ...rowsOf(dims, spec), ...(spec.upstream === "scalar" && { apart: { g: 1 } }) }),
});

/** Variants for `rows` rows of `len` logits, best guess first. */
export function crossEntropyCandidates(
  { rows, len, dtype }: { readonly rows: number; readonly len: number; readonly dtype: FloatStorage },
  structure: Pick<CrossEntropySpec, "target" | "smooth" | "weighted">,
  traits: AdapterTraits,
): CrossEntropySpec[] {
  return rowCandidates({ rows, length: len, dtype }, traits).map((spec) => ({ ...spec, ...structure }));
}
