// Public entry of the kernels: WGSL texts and launch geometry, usable with any WebGPU host.
export * from "./kernel.ts";
export * from "./pointwise.ts";
