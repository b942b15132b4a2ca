// Optimisers over one flat buffer of n parameters: one dispatch updates all of them. PyTorch's update rules
// (torch.optim); with g the gradient, times the clip coefficient if there is one:
//   sgd      g += d w;  m = mu m + (1 - dampening) g, at the first step m = g;  w -= lr (nesterov ? g + mu m : m)
//   adam     g += d w (adamw: w *= 1 - lr d);  m += (1 - b1)(g - m);  v = b2 v + (1 - b2) g^2
//            w -= lr / (1 - b1^t) m / (sqrt(v) / sqrt(1 - b2^t) + eps);  amsgrad: the largest v so far instead of v
//   rmsprop  g += d w;  v = a v + (1 - a) g^2;  centered: q += (1 - a)(g - q);  r = g / (sqrt(v - q^2) + eps)
//            with momentum: m = mu m + r, r = m;  w -= lr r
//   ema      s += (1 - decay)(w - s)
// What schedules move is read from small buffers, never from uniforms, so that a replayed step can change it: `hyper`
// and `lr`, written by the host, and for Adam (and dampening) `now`, which `optimAdvance` computes once a step from
// those and a step counter on the GPU. 1 - beta and log beta come from the host in double: 1 - f32(0.999) is off by
// 5e-5. Mapping: a thread per `width` parameters, TRIPS times, so that the constants are loaded once for several.

import {
  type Bindings,
  ceilDiv,
  defineKernel,
  entry,
  GROUP,
  type Grid,
  LINEAR_GROUP,
  linearGrid,
  reads,
  updates,
  writes,
} from "../kernel.ts";
import { bufferType, valueType } from "../shared/storage.ts";

/** What every optimiser has; `decay`: one weight decay for all, or times a factor per block of `BLOCK` parameters. */
export type OptimSpec = {
  readonly width: 1 | 4;
  readonly decay: "none" | "all" | "blocks";
  /** Multiply gradients by `clip[1]`, the coefficient that `clipCoefficient` leaves there. */
  readonly clip: boolean;
};

export type SgdSpec = OptimSpec & {
  readonly momentum: boolean;
  readonly nesterov: boolean;
  readonly dampening: boolean;
};
export type AdamSpec = OptimSpec & { readonly decoupled: boolean; readonly amsgrad: boolean };
export type RmspropSpec = OptimSpec & { readonly momentum: boolean; readonly centered: boolean };

/** Parameters per entry of a decay table; segments of the flat buffer start at multiples of it. */
export const BLOCK = 64;

/** Floats of `now`. */
export const NOW = 8;

/**
 * The contents of `hyper`: lr, momentum (Adam's first beta, or the decay of an average), 1 - momentum, log momentum.
 */
export function packHyper(lr: number, momentum = 0): Float32Array<ArrayBuffer> {
  return Float32Array.of(lr, momentum, 1 - momentum, logBeta(momentum));
}

/** log beta; for beta = 0 a number whose exponential is 0 as well, since WGSL may not know infinities. */
export const logBeta = (beta: number): number => (beta > 0 ? Math.log(beta) : -1000);

/** Values of `width` parameters per thread. */
const TRIPS = 4;

const flat = ({ width }: Pick<OptimSpec, "width">): string => bufferType("f32", width);
const small = reads("array<f32>");
const grid = ({ n }: { readonly n: number }, { width }: { readonly width: 1 | 4 }): Grid =>
  linearGrid(ceilDiv(n / width, GROUP * TRIPS));

/** Parameters, gradients, and what changes a gradient; `constants` in between. */
const common = <C extends Bindings>(spec: OptimSpec, constants: C) => ({
  w: updates(flat(spec)),
  g: reads(flat(spec)),
  ...constants,
  decay: spec.decay === "blocks" ? small : undefined,
  clip: spec.clip ? small : undefined,
});

/** Loop over this thread's parameters: `update` turns the values `<name>_new` of `targets` into the new ones. */
function loop(width: 1 | 4, targets: readonly string[], constants: string, update: string): string {
  return `
${entry()} {
  let first = ${LINEAR_GROUP} * ${GROUP * TRIPS}u + li;
  let end = min(first + ${GROUP * TRIPS}u, u.n / ${width}u);
  ${constants}
  for (var i = first; i < end; i += ${GROUP}u) {
    ${targets.map((name) => `var ${name}_new = ${name}[i];`).join("\n    ")}
    ${update}
    ${targets.map((name) => `${name}[i] = ${name}_new;`).join("\n    ")}
  }
}`;
}

/** Declares the gradient `d`, clipped, and the parameter's weight decay `rate`. */
function gradient({ width, decay, clip }: OptimSpec): string {
  const factor = decay === "blocks" ? ` * decay[i / ${BLOCK / width}u]` : "";
  return `var d = g[i]${clip ? " * coefficient" : ""};
    ${decay === "none" ? "" : `let rate = u.weightDecay${factor};`}`;
}

const coefficient = ({ clip }: OptimSpec): string => (clip ? "let coefficient = clip[1];" : "");
const coupled = ({ decay }: OptimSpec): string => (decay === "none" ? "" : "d += rate * w_new;");

/** SGD. State m [n] with momentum; `now` with dampening. */
export const sgdKernel = defineKernel({
  name: "sgd",
  bindings: (spec: SgdSpec) => ({
    ...common(spec, { lr: small }),
    hyper: spec.momentum ? small : undefined,
    m: spec.momentum ? updates(flat(spec)) : undefined,
    now: spec.dampening ? small : undefined,
  }),
  uniforms: { n: "u32", weightDecay: "f32" },
  grid,
  source: (spec) => {
    const { momentum, nesterov, dampening } = spec;
    const moved = `m_new = momentum * m_new + ${dampening ? "fresh * d" : "d"};
    d = ${nesterov ? "d + momentum * m_new" : "m_new"};`;
    return loop(
      spec.width,
      momentum ? ["w", "m"] : ["w"],
      `let step_size = lr[0]; ${momentum ? "let momentum = hyper[1];" : ""} ${dampening ? "let fresh = now[3];" : ""}
  ${coefficient(spec)}`,
      `${gradient(spec)}
    ${coupled(spec)}
    ${momentum ? moved : ""}
    w_new -= step_size * d;`,
    );
  },
});

/** Adam and (`decoupled`) AdamW. State m, v [n], with amsgrad also `top` [n]; reads `now`. `rest2` = 1 - beta2. */
export const adamKernel = defineKernel({
  name: "adam",
  bindings: (spec: AdamSpec) => ({
    ...common(spec, { now: small }),
    m: updates(flat(spec)),
    v: updates(flat(spec)),
    top: spec.amsgrad ? updates(flat(spec)) : undefined,
  }),
  uniforms: { n: "u32", eps: "f32", weightDecay: "f32", beta2: "f32", rest2: "f32" },
  grid,
  source: (spec) => {
    const { decoupled, amsgrad, decay } = spec;
    return loop(
      spec.width,
      amsgrad ? ["w", "m", "v", "top"] : ["w", "m", "v"],
      `let size = now[1]; let correction = now[2]; let lr = now[4]; let rest1 = now[6];
  ${coefficient(spec)}`,
      `${gradient(spec)}
    ${decoupled ? (decay === "none" ? "" : "w_new *= 1.0 - lr * rate;") : coupled(spec)}
    m_new += rest1 * (d - m_new);
    v_new = u.beta2 * v_new + u.rest2 * d * d;
    ${amsgrad ? "top_new = max(top_new, v_new);" : ""}
    w_new -= size * m_new / (sqrt(${amsgrad ? "top_new" : "v_new"}) / correction + u.eps);`,
    );
  },
});

/**
 * RMSprop. State v [n], with momentum m [n], centered q [n]. `rest` = 1 - alpha. With momentum, `lr` is [lr, momentum]:
 * `hyper` beside it would be one binding too many.
 */
export const rmspropKernel = defineKernel({
  name: "rmsprop",
  bindings: (spec: RmspropSpec) => ({
    ...common(spec, { lr: small }),
    v: updates(flat(spec)),
    m: spec.momentum ? updates(flat(spec)) : undefined,
    q: spec.centered ? updates(flat(spec)) : undefined,
  }),
  uniforms: { n: "u32", eps: "f32", weightDecay: "f32", alpha: "f32", rest: "f32" },
  grid,
  source: (spec) => {
    const { momentum, centered } = spec;
    const spread = centered ? `max(v_new - q_new * q_new, ${valueType(spec.width)}())` : "v_new";
    return loop(
      spec.width,
      ["w", "v", ...(momentum ? ["m"] : []), ...(centered ? ["q"] : [])],
      `let step_size = lr[0]; ${momentum ? "let momentum = lr[1];" : ""} ${coefficient(spec)}`,
      `${gradient(spec)}
    ${coupled(spec)}
    v_new = u.alpha * v_new + u.rest * d * d;
    ${centered ? "q_new += u.rest * (d - q_new);" : ""}
    d /= sqrt(${spread}) + u.eps;
    ${momentum ? "m_new = momentum * m_new + d; d = m_new;" : ""}
    w_new -= step_size * d;`,
    );
  },
});

/** Exponential moving average: s follows w; the decay is the `momentum` of `hyper`. */
export const emaKernel = defineKernel({
  name: "ema",
  bindings: (spec: { readonly width: 1 | 4 }) => ({ s: updates(flat(spec)), w: reads(flat(spec)), hyper: small }),
  uniforms: { n: "u32" },
  grid,
  source: ({ width }) => loop(width, ["s"], "let rest = hyper[2];", "s_new += rest * (w[i] - s_new);"),
});

/**
 * Starts a step: step += 1, and `now` = [t, lr / (1 - b1^t), sqrt(1 - b2^t), share of a fresh gradient in m, lr,
 * momentum, 1 - momentum]. A dispatch of its own, since no workgroup can know when the others have read a counter.
 * 1 - beta^t is -expm1(t log beta), a series for small arguments: 1 - exp would lose the digits of 1 - 0.999.
 */
export const optimAdvance = defineKernel({
  name: "optimAdvance",
  bindings: () => ({
    hyper: small,
    lr: small,
    step: updates("array<u32>"),
    now: writes("array<f32>"),
  }),
  uniforms: { dampening: "f32", logBeta2: "f32" },
  grid: () => [1, 1, 1],
  source: () => `
fn minus_expm1(x: f32) -> f32 {
  if (x < -0.5) { return 1.0 - exp(x); }
  var sum = 0.0;
  for (var k = 9; k > 0; k--) { sum = (sum + 1.0) * x / f32(k); }
  return -sum;
}
@compute @workgroup_size(1) fn main() {
  step[0] += 1u;
  let t = f32(step[0]);
  now[0] = t;
  now[1] = lr[0] / minus_expm1(t * hyper[3]);
  now[2] = sqrt(minus_expm1(t * u.logBeta2));
  now[3] = select(1.0 - u.dampening, 1.0, step[0] == 1u);
  now[4] = lr[0];
  now[5] = hyper[1];
  now[6] = hyper[2];
}`,
});
