// Optimiser steps on flat buffers, and the norm that clips gradients. Written by `npm run api`.

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
  packHyper,
  type RmspropSpec,
  rmspropKernel,
  type SgdSpec,
  sgdKernel,
} from "./optim.ts";
