// The optimisers: which state each keeps, and the engine's fused step it calls. Update rules and defaults are
// PyTorch's.

import { type Kinds, what, zip } from "../base/index.ts";
import {
  ArgumentError,
  adamStep,
  advanceStep,
  type ClipOptions,
  checkTensors,
  copy,
  emaStep,
  type Flat,
  gradNorm,
  keep,
  packHyper,
  readOptions,
  rmspropStep,
  type StepTensors,
  scaleGrads,
  sgdStep,
  slice,
  type Tensor,
  tensor,
} from "../engine/functions.ts";
import {
  atLeastZero,
  belowOne,
  checkFlat,
  OPTIMIZER,
  Optimizer,
  type OptimizerOptions,
  type ParameterList,
} from "./optimizer.ts";

export interface SgdOptions extends OptimizerOptions {
  /** Default 0. */
  readonly momentum?: number;
  /** Needs momentum and no dampening. */
  readonly nesterov?: boolean;
  readonly dampening?: number;
}

const SGD_OPTIONS: Kinds<SgdOptions> = {
  ...OPTIMIZER,
  momentum: "number",
  nesterov: "boolean",
  dampening: "number",
};

/**
 * Stochastic gradient descent with momentum; one dispatch a step, two with dampening. Clipping costs its own.
 *
 * @example
 * ```ts
 * import { mean, mul, tensor } from "sortie/engine";
 * import { SGD } from "sortie/nn";
 *
 * const w = tensor([1, 2]).requiresGrad();
 * const sgd = new SGD([w], { lr: 0.5 });
 * mean(mul(w, w)).backward();
 * sgd.step();
 * sgd.zeroGrad();
 * console.log(await w.read()); // Float32Array(2) [0.5, 1]
 * sgd.dispose();
 * sgd.flat.dispose();
 * ```
 */
export class SGD extends Optimizer {
  readonly #m: readonly Tensor[] | undefined;
  readonly #step: Tensor | undefined;
  readonly #nesterov: boolean;
  readonly #dampening: number;

  constructor(parameters: ParameterList, options: SgdOptions) {
    const { momentum = 0, nesterov = false, dampening = 0 } = readOptions("SGD", options, SGD_OPTIONS);
    if (nesterov && (momentum === 0 || dampening !== 0)) {
      const got = `momentum ${momentum}, dampening ${dampening}`;
      throw new ArgumentError(`SGD: nesterov needs momentum above 0 and no dampening; got ${got}.`);
    }
    super("SGD", parameters, options, momentum);
    this.#nesterov = nesterov;
    this.#dampening = dampening;
    if (momentum > 0) this.#m = this.moment("m");
    if (momentum > 0 && dampening !== 0) this.#step = this.counter();
  }

  protected override update(parts: readonly StepTensors[], lr: Tensor): void {
    const { hyper, weightDecay } = this;
    const now = this.#step && advanceStep({ hyper, lr, step: this.#step }, { dampening: this.#dampening });
    parts.forEach((on, i) => {
      sgdStep({ ...on, m: this.#m?.[i], hyper, lr, now }, { weightDecay, nesterov: this.#nesterov });
    });
    now?.dispose();
  }
}

export interface AdamOptions extends OptimizerOptions {
  /** Decay of the mean gradient; default 0.9. */
  readonly beta1?: number;
  /** Decay of the mean square; default 0.999. */
  readonly beta2?: number;
  /** Default 1e-8. */
  readonly eps?: number;
  /** Divide by the largest mean square so far (Reddi et al., ICLR 2018). Default false. */
  readonly amsgrad?: boolean;
}

const ADAM_OPTIONS: Kinds<AdamOptions> = {
  ...OPTIMIZER,
  beta1: "number",
  beta2: "number",
  eps: "number",
  amsgrad: "boolean",
};

/**
 * Adam (Kingma and Ba, ICLR 2015); two dispatches a step. Weight decay joins the gradient.
 *
 * @example
 * ```ts
 * import { mean, mul, tensor } from "sortie/engine";
 * import { Adam } from "sortie/nn";
 *
 * const w = tensor([1, 2]).requiresGrad();
 * const adam = new Adam([w], { lr: 0.1 });
 * mean(mul(w, w)).backward();
 * adam.step();
 * console.log(Array.from(await w.read(), (value) => value.toFixed(2))); // ["0.90", "1.90"]
 * adam.dispose();
 * adam.flat.dispose();
 * ```
 */
export class Adam extends Optimizer {
  readonly #m: readonly Tensor[];
  readonly #v: readonly Tensor[];
  readonly #top: readonly Tensor[] | undefined;
  readonly #step: Tensor;
  readonly #beta2: number;
  readonly #eps: number;
  /** Whether weight decay shrinks the parameters instead of joining the gradient. */
  protected readonly decoupled: boolean = false;

  constructor(parameters: ParameterList, options: AdamOptions, name = "Adam") {
    const { beta1 = 0.9, beta2 = 0.999, eps = 1e-8, amsgrad = false } = readOptions(name, options, ADAM_OPTIONS);
    belowOne(name, { beta1, beta2 });
    atLeastZero(name, { eps });
    super(name, parameters, options, beta1);
    this.#beta2 = beta2;
    this.#eps = eps;
    this.#m = this.moment("m");
    this.#v = this.moment("v");
    if (amsgrad) this.#top = this.moment("top");
    this.#step = this.counter();
  }

  protected override update(parts: readonly StepTensors[], lr: Tensor): void {
    const { hyper, weightDecay, decoupled } = this;
    const [beta2, eps] = [this.#beta2, this.#eps];
    const now = advanceStep({ hyper, lr, step: this.#step }, { beta2 });
    zip(parts, this.#m, this.#v).forEach(([on, m, v], i) => {
      adamStep({ ...on, m, v, top: this.#top?.[i], now }, { beta2, eps, weightDecay, decoupled });
    });
    now.dispose();
  }
}

/** Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019); default decay 0.01. */
export class AdamW extends Adam {
  protected override readonly decoupled = true;

  constructor(parameters: ParameterList, options: AdamOptions) {
    super(parameters, { weightDecay: 0.01, ...readOptions("AdamW", options, ADAM_OPTIONS) }, "AdamW");
  }
}

export interface RmspropOptions extends OptimizerOptions {
  /** Decay of the mean square; default 0.99. */
  readonly alpha?: number;
  /** Default 1e-8. */
  readonly eps?: number;
  readonly momentum?: number;
  /** Subtract the squared mean gradient from the mean square. Default false. */
  readonly centered?: boolean;
}

const RMSPROP_OPTIONS: Kinds<RmspropOptions> = {
  ...OPTIMIZER,
  alpha: "number",
  eps: "number",
  momentum: "number",
  centered: "boolean",
};

/** RMSprop (Tieleman and Hinton, 2012); one dispatch a step. */
export class RMSprop extends Optimizer {
  readonly #v: readonly Tensor[];
  readonly #m: readonly Tensor[] | undefined;
  readonly #q: readonly Tensor[] | undefined;
  readonly #options: { readonly alpha: number; readonly eps: number };

  constructor(parameters: ParameterList, options: RmspropOptions) {
    const {
      alpha = 0.99,
      eps = 1e-8,
      momentum = 0,
      centered = false,
    } = readOptions("RMSprop", options, RMSPROP_OPTIONS);
    belowOne("RMSprop", { alpha });
    atLeastZero("RMSprop", { eps });
    super("RMSprop", parameters, options, momentum);
    this.#options = { alpha, eps };
    this.#v = this.moment("v");
    if (momentum > 0) this.#m = this.moment("m");
    if (centered) this.#q = this.moment("q");
  }

  protected override update(parts: readonly StepTensors[], lr: Tensor): void {
    const { momentum, weightDecay } = this;
    zip(parts, this.#v).forEach(([on, v], i) => {
      const memory = { v, m: this.#m?.[i], q: this.#q?.[i] };
      rmspropStep({ ...on, ...memory, lr }, { ...this.#options, momentum, weightDecay });
    });
  }
}

export interface EmaOptions {
  readonly decay: number;
  /** Tensors that become the averages, such as a teacher's parameters; default copies of the source. */
  readonly target?: readonly Tensor[];
}

const EMA_OPTIONS: Kinds<EmaOptions> = { decay: "number!", target: "any" };

/** Exponential moving averages: `average = decay average + (1 - decay) source`, a dispatch for each tensor. */
export class EMA {
  readonly averages: readonly Tensor[];
  readonly #source: readonly Tensor[];
  readonly #hyper: Tensor;
  readonly #isOwner: boolean;
  #decay: number;

  /** @param source The tensors to follow; the values of a flat buffer's parts follow all parameters at once. */
  constructor(source: readonly Tensor[], options: EmaOptions) {
    const { decay, target } = readOptions("EMA", options, EMA_OPTIONS);
    belowOne("EMA", { decay });
    for (const [name, list] of Object.entries({ source, target: target ?? [] })) {
      if (!Array.isArray(list)) throw new ArgumentError(`EMA: ${name} must be a list of tensors; got ${what(list)}.`);
      checkTensors("EMA", { ...list });
    }
    const first = source[0];
    if (!first || (target && target.length !== source.length)) {
      throw new ArgumentError(
        `EMA: there must be as many targets as sources, and some; got ${target?.length ?? 0} and ${source.length}.`,
      );
    }
    this.#source = source;
    this.#decay = decay;
    this.#isOwner = target === undefined;
    this.averages = target ?? source.map((tensor) => keep(copy(tensor.detach())));
    this.#hyper = keep(tensor(packHyper(0, decay), { device: first.device }));
  }

  get decay(): number {
    return this.#decay;
  }

  set decay(value: number) {
    if (value === this.#decay) return;
    belowOne("EMA", { decay: value });
    this.#decay = value;
    this.#hyper.write(packHyper(0, value));
  }

  /** What a captured step that contains `update()` has to declare. */
  get state(): readonly Tensor[] {
    return this.averages;
  }

  /** Moves the averages towards the source. */
  update(): void {
    for (const [average, values] of zip(this.averages, this.#source)) emaStep({ average, values, hyper: this.#hyper });
  }

  /** Frees the averages, unless they are someone else's. */
  dispose(): void {
    if (this.#isOwner) for (const average of this.averages) average.dispose();
    this.#hyper.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

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
