// Public entry of the package: what an app takes first, in one place. Tensors come as functions, so that bundles hold
// only what they use; `sortie/engine` adds the same as methods of tensors.

export * from "./calibration/index.ts";
export * from "./data/index.ts";
export * from "./engine/functions.ts";
export * from "./exits/index.ts";
export * from "./nn/index.ts";
