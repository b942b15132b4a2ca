// Adam and AdamW, their state and the engine's fused step. Update rules and defaults are PyTorch's.

import { type Kinds, zip } from "../../base/index.ts";
import { adamStep, advanceStep, readOptions, type StepTensors, type Tensor } from "../../engine/functions.ts";
import { atLeastZero, belowOne, OPTIMIZER, Optimizer, type OptimizerOptions, type ParameterList } from "./optimizer.ts";

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
