// Fused optimiser steps on flat tensors: one dispatch updates all parameters in place. What they update carries no
// gradient. The classes in nn/optim own the state; these functions own nothing.

import type { Kinds } from "../../base/index.ts";
import {
  adamKernel,
  BLOCK,
  clipCoefficient,
  emaKernel,
  logBeta,
  NOW,
  type NormSpec,
  normPartials,
  optimAdvance,
  partialCount,
  rmspropKernel,
  scaleByClip,
  sgdKernel,
} from "../../kernels/optim/index.ts";
import { ArgumentError, DTypeError, readOptions, ShapeError } from "../errors.ts";
import { dispatch } from "../op.ts";
import { describe } from "../shape.ts";
import { positional } from "../signature.ts";
import { checkTensors, empty, type Tensor } from "../tensor.ts";

/** What every step updates, and from what. */
export interface StepTensors {
  /** Parameters f32[n], updated. */
  readonly values: Tensor;
  /** Gradients f32[n]. */
  readonly grads: Tensor;
  /** A factor on the weight decay for each 64 parameters (each segment of a flat buffer starts such a block). */
  readonly decay?: Tensor | undefined;
  /** What `gradNorm` returned: gradients are multiplied by its coefficient. */
  readonly clip?: Tensor | undefined;
}

const SGD: Kinds<{ readonly weightDecay?: number; readonly nesterov?: boolean }> = {
  weightDecay: "number",
  nesterov: "boolean",
};
const ADVANCE: Kinds<{ readonly beta2?: number; readonly dampening?: number }> = {
  beta2: "number",
  dampening: "number",
};

const widthOf = (x: Tensor): 1 | 4 => (x.size % 4 === 0 ? 4 : 1);

function check(op: string, tensors: Readonly<Record<string, Tensor | undefined>>, size?: number): void {
  for (const [name, x] of Object.entries(tensors)) {
    if (x === undefined) continue;
    checkTensors(op, { [name]: x });
    if (x.dtype !== "f32") throw new DTypeError(`${op}: ${name} must be f32; got ${describe(x)}.`);
    if (size !== undefined && x.size !== size) {
      throw new ShapeError(`${op}: ${name} must have ${size} elements, like the parameters; got ${describe(x)}.`);
    }
  }
}

/** The structure that all optimisers share, checked, with the bindings that go with it. */
function common<T extends Readonly<Record<string, Tensor | undefined>>>(
  op: string,
  { values, grads, decay, clip }: StepTensors,
  state: T,
  weightDecay: number,
) {
  check(op, { values, grads, ...state }, values.size);
  check(op, { decay }, Math.ceil(values.size / BLOCK));
  check(op, { clip }, 2);
  const kind = weightDecay === 0 ? "none" : decay ? "blocks" : "all";
  return {
    spec: { width: widthOf(values), decay: kind, clip: clip !== undefined } as const,
    bindings: { w: values, g: grads, ...state, decay, clip },
  };
}

/**
 * SGD: g += wd w; m = mu m + (1 - dampening) g (m = g at the first step); w -= lr (nesterov ? g + mu m : m).
 * @param on `m` with momentum; `hyper` as `packHyper` makes it; `lr` where it is not the first of `hyper`; `now`, from
 *   `advanceStep`, where there is dampening.
 */
export const sgdStep = positional(
  "sgdStep(on, options)",
  (
    on: StepTensors & {
      readonly m?: Tensor | undefined;
      readonly hyper: Tensor;
      readonly lr?: Tensor | undefined;
      readonly now?: Tensor | undefined;
    },
    options: { readonly weightDecay?: number; readonly nesterov?: boolean } = {},
  ): void => {
    const { weightDecay = 0, nesterov = false } = readOptions("sgdStep", options, SGD);
    const { values, m, hyper, lr = hyper, now } = on;
    const { spec, bindings } = common("sgdStep", on, { m }, weightDecay);
    check("sgdStep", { hyper, lr, now });
    const full = { ...spec, momentum: m !== undefined, nesterov, dampening: now !== undefined };
    dispatch(
      values.device,
      "sgdStep",
      sgdKernel,
      full,
      { ...bindings, hyper, lr, now },
      { n: values.size, weightDecay },
    );
  },
);

/** Counts a step (`step`: u32[1]) and returns what Adam, or SGD with dampening, needs in it: f32[8]. */
export const advanceStep = positional(
  "advanceStep(on, options)",
  (
    { hyper, lr = hyper, step }: { readonly hyper: Tensor; readonly lr?: Tensor | undefined; readonly step: Tensor },
    options: { readonly beta2?: number; readonly dampening?: number } = {},
  ): Tensor => {
    const { beta2 = 0, dampening = 0 } = readOptions("advanceStep", options, ADVANCE);
    check("advanceStep", { hyper, lr });
    const { device } = step;
    const now = empty([NOW], { device });
    dispatch(
      device,
      "advanceStep",
      optimAdvance,
      {},
      { hyper, lr, step, now },
      { dampening, logBeta2: logBeta(beta2) },
    );
    return now;
  },
);

/** Options of `adamStep`. */
export interface AdamStepOptions {
  readonly beta2: number;
  readonly eps: number;
  readonly weightDecay?: number;
  /** AdamW: the decay shrinks the parameters instead of joining the gradient. */
  readonly decoupled?: boolean;
}

const ADAM: Kinds<AdamStepOptions> = { beta2: "number!", eps: "number!", weightDecay: "number", decoupled: "boolean" };

/**
 * Adam or AdamW; `top`, the largest v so far, makes it amsgrad. lr and the first beta are in `now`, from `advanceStep`.
 */
export const adamStep = positional(
  "adamStep(on, options)",
  (
    on: StepTensors & {
      readonly m: Tensor;
      readonly v: Tensor;
      readonly top?: Tensor | undefined;
      readonly now: Tensor;
    },
    options: AdamStepOptions,
  ): void => {
    const { beta2, eps, weightDecay = 0, decoupled = false } = readOptions("adamStep", options, ADAM);
    const { values, m, v, top, now } = on;
    const { spec, bindings } = common("adamStep", on, { m, v, top }, weightDecay);
    check("adamStep", { now }, NOW);
    const dims = { n: values.size, eps, weightDecay, beta2, rest2: 1 - beta2 };
    dispatch(
      values.device,
      "adamStep",
      adamKernel,
      { ...spec, decoupled, amsgrad: top !== undefined },
      { ...bindings, now },
      dims,
    );
  },
);

/** Options of `rmspropStep`. */
export interface RmspropStepOptions {
  readonly alpha: number;
  readonly eps: number;
  readonly weightDecay?: number;
}

const RMSPROP: Kinds<RmspropStepOptions> = {
  alpha: "number!",
  eps: "number!",
  weightDecay: "number",
};

/**
 * RMSprop; `m` holds the momentum, `q` the mean gradient of the centered form. The first element of `lr` counts and,
 * where there is `m`, the second as its factor. @throws ShapeError where that is missing.
 */
export const rmspropStep = positional(
  "rmspropStep(on, options)",
  (
    on: StepTensors & {
      readonly v: Tensor;
      readonly m?: Tensor | undefined;
      readonly q?: Tensor | undefined;
      readonly lr: Tensor;
    },
    options: RmspropStepOptions,
  ): void => {
    const { alpha, eps, weightDecay = 0 } = readOptions("rmspropStep", options, RMSPROP);
    const { values, v, m, q, lr } = on;
    const { spec, bindings } = common("rmspropStep", on, { v, m, q }, weightDecay);
    check("rmspropStep", { lr });
    if (m && lr.size < 2)
      throw new ShapeError(`rmspropStep: with m, lr must be [learning rate, momentum]; got ${describe(lr)}.`);
    const dims = { n: values.size, eps, weightDecay, alpha, rest: 1 - alpha };
    const full = { ...spec, momentum: m !== undefined, centered: q !== undefined };
    dispatch(values.device, "rmspropStep", rmspropKernel, full, { ...bindings, lr }, dims);
  },
);

/** average = decay average + (1 - decay) values, in place; the decay is the momentum of `hyper`. */
export const emaStep = positional(
  "emaStep(on)",
  ({ average, values, hyper }: { readonly average: Tensor; readonly values: Tensor; readonly hyper: Tensor }): void => {
    check("emaStep", { average, values }, average.size);
    check("emaStep", { hyper });
    dispatch(
      average.device,
      "emaStep",
      emaKernel,
      { width: widthOf(average) },
      { s: average, w: values, hyper },
      { n: average.size },
    );
  },
);

/** Which norm, and from where on it is clipped. */
export interface ClipOptions {
  readonly maxNorm: number;
  /** Euclidean, or the largest magnitude. Default 2. */
  readonly normType?: 2 | "inf";
}

const CLIP: Kinds<ClipOptions> = { maxNorm: "number!", normType: "any" };

/**
 * f32[2]: the norm of all of `grads` (one tensor, or several), and the coefficient min(1, maxNorm / (norm + 1e-6)) that
 * clips it.
 */
export const gradNorm = positional(
  "gradNorm(grads, options)",
  (grads: Tensor | readonly Tensor[], options: ClipOptions): Tensor => {
    const { maxNorm, normType = 2 } = readOptions("gradNorm", options, CLIP);
    const all = Array.isArray(grads) ? (grads as readonly Tensor[]) : [grads as Tensor];
    for (const one of all) check("gradNorm", { grads: one });
    if (normType !== 2 && normType !== "inf")
      throw new ArgumentError(`gradNorm: normType must be 2 or "inf"; got ${JSON.stringify(normType)}.`);
    if (!(maxNorm >= 0)) throw new ArgumentError(`gradNorm: maxNorm must be a number of at least 0; got ${maxNorm}.`);
    const { device } = all[0]!;
    const specOf = (one: Tensor): NormSpec => ({ norm: normType === 2 ? "2" : "inf", width: widthOf(one) });
    const counts = all.map((one) => partialCount(one.size, specOf(one)));
    const count = counts.reduce((a, b) => a + b);
    const partials = empty([count], { dtype: normType === 2 ? "f32" : "u32", device });
    const clip = empty([2], { device });
    let at = 0;
    all.forEach((one, i) => {
      dispatch(device, "gradNorm", normPartials, specOf(one), { g: one, partials }, { n: one.size, at });
      at += counts[i]!;
    });
    dispatch(device, "gradNorm", clipCoefficient, specOf(all[0]!), { partials, clip }, { count, maxNorm });
    partials.dispose();
    return clip;
  },
);

/** Multiplies `grads` in place by the coefficient of `gradNorm`. */
export const scaleGrads = positional("scaleGrads(grads, clip)", (grads: Tensor, clip: Tensor): void => {
  check("scaleGrads", { grads });
  check("scaleGrads", { clip }, 2);
  dispatch(grads.device, "scaleGrads", scaleByClip, { width: widthOf(grads) }, { g: grads, clip }, { n: grads.size });
});
