// Batch norm over x [rows, C]: gradients. With z the argument of the activation:
//   dz = g act'(z),  xhat = (x - mean) rstd
//   dbias = sum dz,  dweight = sum dz xhat,  dresidual = dz
//   training: dx = weight rstd (dz - dbias/rows - xhat dweight/rows);  evaluation: dx = weight rstd dz
// Two dispatches: sums over blocks of rows, then an apply kernel that merges the few partial sums itself and whose
// first block's threads write dweight and dbias. Mean and rstd come from the forward pass: from its partial moments
// (training), or as they are; the first dispatch leaves them, and the bias, in three rows after its sums for the
// second. z follows from x, which is read anyway, and the residual; where y tells as much, it is read in place of the
// residual. With a residual dz is written on the way. Threads and numerics as in batch-norm.ts.

import { defineKernel, reads, writes } from "../kernel.ts";
import { ACTIVATIONS, type ActivationText, activationFunction } from "../shared/activations.ts";
import { chained, sumsOf } from "../shared/chain.ts";
import { stored, valueType } from "../shared/storage.ts";
import {
  activations,
  type BatchNormShape,
  type BatchNormSpec,
  batchNormGrid,
  batchNormMomentRows,
  batchNormPlace,
  batchNormRows,
  batchNormSizes,
  eachPart,
  loadPair,
  mergeMoments,
  mergeRowLanes,
  momentFunctions,
  perChannel,
} from "./batch-norm.ts";

/** Backward kernels differ between training and evaluation. */
export type BatchNormBackwardSpec = BatchNormSpec & { readonly training: boolean };

/** Rows of C floats in the buffer of partial sums: two per part, then mean, rstd and bias. */
export const batchNormSumRows = (parts: number, shape: BatchNormShape): number => batchNormMomentRows(parts, shape) + 3;

type Fused = Pick<BatchNormSpec, "activation" | "residual">;

/** Whether the first dispatch writes dz: the residual's gradient, and what the second reads in place of g. */
const writesDz = ({ activation, residual }: Fused): boolean => activation !== "none" && residual;

/** What the activation's gradient is computed from besides x: nothing, its result, or the residual. */
export function batchNormKeeps(spec: Pick<BatchNormSpec, "activation" | "residual">): "none" | "y" | "residual" {
  if (spec.activation === "none" || !writesDz(spec)) return "none";
  return "dy" in ACTIVATIONS[spec.activation] ? "y" : "residual";
}

/** Whether it is computed from z. */
const readsArgument = (spec: Fused): boolean => spec.activation !== "none" && batchNormKeeps(spec) !== "y";

/** Declares `through(g, z or y)`, if there is an activation. */
function throughFunction(spec: BatchNormSpec): string {
  if (spec.activation === "none") return "";
  const { dx, dy }: ActivationText = ACTIVATIONS[spec.activation];
  return dy && !readsArgument(spec)
    ? activationFunction("through", ["g", "y"], dy, spec.width)
    : activationFunction("through", ["g", "x"], dx, spec.width);
}

function gradientOfSum(spec: BatchNormSpec): string {
  const type = valueType(spec.width);
  if (spec.activation === "none") return `let dz = ${type}(g[at]);`;
  const z = `centred * gain + offset${spec.residual ? ` + ${type}(residual[at])` : ""}`;
  return `let dz = through(${type}(g[at]), ${readsArgument(spec) ? z : `${type}(y[at])`});`;
}

const sumFunctions = (spec: BatchNormSpec): string => `
struct Sums { dz: ${valueType(spec.width)}, dz_xhat: ${valueType(spec.width)} }
${mergeRowLanes(spec, "Sums", "Sums(a.dz + b.dz, a.dz_xhat + b.dz_xhat)")}`;

function sumsSource(spec: BatchNormBackwardSpec): string {
  const { training, merge, group, lanes } = spec;
  const type = valueType(spec.width);
  const splits = merge ? 1 : group / lanes;
  const statistics = training
    ? `${mergeMoments(spec)}
  let rstd = inverseSqrt(all.m2 / f32(u.rows) + u.eps);`
    : "let mean = moments[c];\n  let rstd = moments[columns + c];";
  return `${training ? momentFunctions(spec) : ""}
${sumFunctions(spec)}
${throughFunction(spec)}
${batchNormPlace(spec)}
  ${statistics}
  ${readsArgument(spec) ? "let gain = rstd * weight[c];\n  let offset = bias[c];" : `let offset = ${type}();`}
  var total = ${type}();
  var along = ${type}();
  var row = first;
  ${chained(
    sumsOf(type, "total", "along"),
    "row < last",
    "row += row_lanes;",
    `let at = row * columns + c;
    let centred = ${type}(x[at]) - mean;
    ${gradientOfSum(spec)}
    ${writesDz(spec) ? `if (inside) { dz_out[at] = ${stored("dz", spec.dtype, spec.width)}; }` : ""}
    total += dz;
    along += dz * centred;`,
  )}
  var sums = Sums(total, along);
  ${merge ? "sums = merge_Sums(sums, li);" : ""}
  // One store for all five rows (see storePair): two of the part, three of the channel by the first block.
  var values = array<${type}, 5>(sums.dz, sums.dz_xhat * rstd, mean, rstd, offset);
  let last_value = select(2u, 5u, part == 0u);
  for (var k = wid.z; k < last_value; k++) {
    let target_row = select(2u * part + k, 2u * u.parts * ${splits}u + k - 2u, k >= 2u);
    if (leaves) { sums_out[target_row * columns + c] = values[k]; }
  }
}`;
}

/** First dispatch: sums of dz and dz xhat per part; mean, rstd and bias; with activation and residual also `dz_out`. */
export const batchNormBackwardSums = defineKernel({
  name: "batchNormBackwardSums",
  bindings: (spec: BatchNormBackwardSpec) => ({
    g: reads(activations(spec)),
    x: reads(activations(spec)),
    moments: reads(perChannel(spec)),
    weight: readsArgument(spec) ? reads(perChannel(spec)) : undefined,
    bias: readsArgument(spec) ? reads(perChannel(spec)) : undefined,
    y: batchNormKeeps(spec) === "y" ? reads(activations(spec)) : undefined,
    residual: batchNormKeeps(spec) === "residual" ? reads(activations(spec)) : undefined,
    dz_out: writesDz(spec) ? writes(activations(spec)) : undefined,
    sums_out: writes(perChannel(spec)),
  }),
  uniforms: { ...batchNormSizes, eps: "f32" },
  source: sumsSource,
  grid: batchNormGrid,
});

function applySource(spec: BatchNormBackwardSpec): string {
  const { training, merge, group, lanes } = spec;
  const type = valueType(spec.width);
  const splits = merge ? 1 : group / lanes;
  const own: BatchNormSpec = writesDz(spec) ? { ...spec, activation: "none" } : spec;
  const centre = training ? " - mean_dz - centred * slope" : "";
  return `${sumFunctions(spec)}
${throughFunction(own)}
${batchNormPlace(spec)}
  var own = Sums();
  ${eachPart(spec)} {
    ${loadPair(spec, "sums_in", "p")}
    own.dz += pair[0];
    own.dz_xhat += pair[1];
  }
  let all = ${merge ? "merge_Sums(own, li)" : "own"};
  var state = array<${type}, 3>();
  for (var k = wid.z; k < 3u; k++) { state[k] = sums_in[(2u * u.parts * ${splits}u + k) * columns + c]; }
  let mean = state[0];
  let rstd = state[1];
  let offset = state[2];
  let gain = rstd * weight[c];
  if (inside && wid.y == 0u && row_lane == 0u) {
    dweight[c] = all.dz_xhat;
    dbias[c] = all.dz;
  }
  let mean_dz = all.dz / f32(u.rows);
  let slope = all.dz_xhat * rstd / f32(u.rows);
  ${batchNormRows(spec, "dx", `let centred = ${type}(x[at]) - mean;\n${gradientOfSum(own)}\nlet value = gain * (dz${centre});`)}
}`;
}

/** Second dispatch: dx, dweight, dbias. With activation and residual, `g` is the first dispatch's dz. */
export const batchNormBackwardApply = defineKernel({
  name: "batchNormBackwardApply",
  bindings: (spec: BatchNormBackwardSpec) => ({
    g: reads(activations(spec)),
    x: reads(activations(spec)),
    sums_in: reads(perChannel(spec)),
    weight: reads(perChannel(spec)),
    dx: writes(activations(spec)),
    dweight: writes(perChannel(spec)),
    dbias: writes(perChannel(spec)),
  }),
  uniforms: batchNormSizes,
  source: applySource,
  grid: batchNormGrid,
});
