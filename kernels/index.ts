// Public entry of the kernels: WGSL texts and launch geometry, usable with any WebGPU host.

export { MAX_AXES, type MoveUnit, unitOf } from "./items.ts";
export * from "./kernel.ts";
export * from "./move.ts";
export * from "./move-plan.ts";
export * from "./pointwise.ts";
export * from "./reduce.ts";
export * from "./reduce-plan.ts";
export { type ReduceOp, stateWords } from "./reduction.ts";
export { type AdapterTraits, type FloatStorage, type RowSpec, type Team } from "./row.ts";
export * from "./batch-norm.ts";
export * from "./column-sums.ts";
export * from "./cross-entropy.ts";
export * from "./layer-norm.ts";
export * from "./softmax.ts";
