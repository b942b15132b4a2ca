// A namespace for each family of kernels. Written by `npm run api`.

export * as attentionKernels from "./attention/index.ts";
export * as compactKernels from "./compact.ts";
export * as convKernels from "./conv/index.ts";
export * as gatherKernels from "./gather.ts";
export * as imageKernels from "./image.ts";
export * as liveGridsKernels from "./live-grids.ts";
export * as lossKernels from "./loss/index.ts";
export * as matmulKernels from "./matmul/index.ts";
export * as moveKernels from "./move/index.ts";
export * as normKernels from "./norm/index.ts";
export * as optimKernels from "./optim/index.ts";
export * as orderKernels from "./order.ts";
export * as pointwiseKernels from "./pointwise.ts";
export * as poolKernels from "./pool.ts";
export * as randomKernels from "./random.ts";
export * as reduceKernels from "./reduce/index.ts";
export * as resizeKernels from "./resize.ts";
export * as softmaxKernels from "./softmax.ts";
