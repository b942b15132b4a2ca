// Public entry of the kernels: WGSL texts and launch geometry, usable with any WebGPU host.

export * from "./attention.ts";
export * from "./attention-grad.ts";
export {
  type BatchNormShape,
  type BatchNormSpec,
  batchNormApply,
  batchNormCandidates,
  batchNormInference,
  batchNormMomentRows,
  batchNormParts,
  batchNormStatistics,
} from "./batch-norm.ts";
export * from "./batch-norm-grad.ts";
export * from "./column-sums.ts";
export * from "./compact.ts";
export * from "./conv.ts";
export * from "./conv-grad.ts";
export * from "./cross-entropy.ts";
export * from "./depthwise.ts";
export * from "./gather.ts";
export * from "./group-norm.ts";
export * from "./images.ts";
export * from "./kernel.ts";
export * from "./layer-norm.ts";
export * from "./matmul.ts";
export * from "./matmul-small.ts";
export * from "./move.ts";
export * from "./move-plan.ts";
export * from "./nll.ts";
export * from "./norm-clip.ts";
export * from "./optim.ts";
export * from "./pointwise.ts";
export * from "./pool.ts";
export * from "./random.ts";
export * from "./reduce.ts";
export * from "./reduce-plan.ts";
export * from "./resize.ts";
export { ACTIVATIONS, type Activated, type Activation, type ActivationText } from "./shared/activations.ts";
export type { AttentionDims, AttentionSpec } from "./shared/attention-tile.ts";
export * from "./shared/epilogue.ts";
export type { GemmAdapter, GemmTile } from "./shared/gemm.ts";
export { type Axis, MAX_AXES, type MoveUnit, numberedDims, unitOf } from "./shared/items.ts";
export { POWERS } from "./shared/power.ts";
export { type ReduceOp, stateWords } from "./shared/reduction.ts";
export type { AdapterTraits, FloatStorage, RowSpec, Team } from "./shared/row.ts";
export * from "./softmax.ts";
