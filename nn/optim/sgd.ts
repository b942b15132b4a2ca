// Stochastic gradient descent, its state and the engine's fused step. Update rule and defaults are PyTorch's.

import type { Kinds } from "../../base/index.ts";
import {
  ArgumentError,
  advanceStep,
  readOptions,
  type StepTensors,
  sgdStep,
  type Tensor,
} from "../../engine/functions.ts";
import { OPTIMIZER, Optimizer, type OptimizerOptions, type ParameterList } from "./optimizer.ts";

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
