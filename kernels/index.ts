// Public entry of the kernels: WGSL texts and launch geometry, usable with any WebGPU host. A namespace a family, and
// what kernels of one's own are made of.

export * as attentionKernels from "./attention/index.ts";
export * as compactKernels from "./compact.ts";
export * as convKernels from "./conv/index.ts";
export * as gatherKernels from "./gather.ts";
export * as imageKernels from "./images.ts";
export * from "./kernel.ts";
export * as lossKernels from "./loss/index.ts";
export * as matmulKernels from "./matmul/index.ts";
export * as moveKernels from "./move/index.ts";
export * as normKernels from "./norm/index.ts";
export * as optimKernels from "./optim/index.ts";
export { packHyper } from "./optim/optim.ts";
export * as orderKernels from "./order.ts";
export * as pointwiseKernels from "./pointwise.ts";
export * as poolKernels from "./pool.ts";
export * as randomKernels from "./random.ts";
export * as reduceKernels from "./reduce/index.ts";
export * as resizeKernels from "./resize.ts";
export { ACTIVATIONS, type Activated, type Activation, type ActivationText } from "./shared/activations.ts";
export type { AdapterTraits, FloatStorage, RowSpec, Team } from "./shared/row.ts";
export * as softmaxKernels from "./softmax.ts";
