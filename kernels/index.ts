// Public entry of the kernels: WGSL texts and launch geometry, usable with any WebGPU host. A namespace a family, and
// what kernels of one's own are made of.

export * from "./families.ts";
export * from "./kernel.ts";
export { packHyper } from "./optim/optim.ts";
export { ACTIVATIONS, type Activated, type Activation, type ActivationText } from "./shared/activations.ts";
export { type AdapterTraits, isGrouped } from "./shared/adapter.ts";
export { loadUnstaged } from "./shared/gemm.ts";
export type { RowSpec, Team } from "./shared/row.ts";
