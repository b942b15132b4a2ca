// Optimiser steps on flat buffers, and the norm that clips gradients.

export { clipCoefficient, type NormSpec, normPartials, partialCount, scaleByClip } from "./norm-clip.ts";
export {
  type AdamSpec,
  adamKernel,
  BLOCK,
  emaKernel,
  logBeta,
  NOW,
  type OptimSpec,
  optimAdvance,
  type RmspropSpec,
  rmspropKernel,
  type SgdSpec,
  sgdKernel,
} from "./optim.ts";
