// Clipping of gradients by their norm, without an optimiser.

import { type ClipOptions, type Flat, gradNorm, scaleGrads, slice, type Tensor } from "../../engine/functions.ts";
import { checkFlat } from "./optimizer.ts";

/**
 * Scales the gradients of a flat buffer in place so that their norm is at most `maxNorm`, and returns the norm they had
 * (f32[1]). As in PyTorch, a norm of NaN makes them NaN; an infinite one makes them zero, and NaN where they are
 * infinite. The `clip` option of an optimiser does it without a pass.
 */
export function clipGradNorm(flat: Flat, options: ClipOptions): Tensor {
  checkFlat("clipGradNorm", flat);
  flat.settle();
  const grads = flat.parts.map((part) => part.grads);
  const clip = gradNorm(grads, options);
  for (const part of grads) scaleGrads(part, clip);
  const norm = slice(clip, { starts: [0], ends: [1], steps: [1] });
  clip.dispose();
  return norm;
}
