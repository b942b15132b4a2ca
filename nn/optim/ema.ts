// Moving averages of tensors.

import { type Kinds, what, zip } from "../../base/index.ts";
import {
  ArgumentError,
  checkTensors,
  copy,
  emaStep,
  keep,
  noGrad,
  packHyper,
  readOptions,
  type Tensor,
  tensor,
} from "../../engine/functions.ts";
import { belowOne } from "./optimizer.ts";

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
    this.averages = target ?? source.map((tensor) => noGrad(() => keep(copy(tensor))));
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
