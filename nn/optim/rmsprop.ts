// RMSprop, its state and the engine's fused step. Update rule and defaults are PyTorch's.

import { type Kinds, zip } from "../../base/index.ts";
import {
  concat,
  readOptions,
  reshape,
  rmspropStep,
  type StepTensors,
  scope,
  slice,
  type Tensor,
} from "../../engine/functions.ts";
import { atLeastZero, belowOne, OPTIMIZER, Optimizer, type OptimizerOptions, type ParameterList } from "./optimizer.ts";

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

/** RMSprop (Tieleman and Hinton, 2012); one dispatch a step; two more with momentum and a rate of the step's own. */
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
    const { weightDecay } = this;
    scope(() => {
      const rates = this.#m ? this.#rates(lr) : lr;
      zip(parts, this.#v).forEach(([on, v], i) => {
        const memory = { v, m: this.#m?.[i], q: this.#q?.[i] };
        rmspropStep({ ...on, ...memory, lr: rates }, { ...this.#options, weightDecay });
      });
    });
  }

  /** [lr, momentum], as they are at the step. */
  #rates(lr: Tensor): Tensor {
    if (lr === this.hyper) return lr;
    return concat([reshape(lr, [1]), slice(this.hyper, { starts: [1], ends: [2] })]);
  }
}
