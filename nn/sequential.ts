// Layers one behind the other, as one module: a norm is folded into the convolution in front of it for inference, and
// an activation named after a layer is computed in that layer's dispatch.

import { what } from "../base/index.ts";
import { type Activation, ArgumentError, checkActivation, type Tensor } from "../engine/functions.ts";
import { BatchNorm2d, Conv2d, Linear } from "./layers.ts";
import { checkMode, type Mode, Module } from "./module.ts";
import type { Pass } from "./pass.ts";

/** A module that says what it does to features in a mode, as all layers of one input do. */
export type Layer = Module & { pass(mode: Mode): Pass };

/**
 * What a Sequential is made of: a layer; a function of tensors, such as `globalAveragePool`; or an activation's name,
 * behind a Linear, a Conv2d or a BatchNorm2d.
 */
export type SequentialItem = Layer | ((x: Tensor) => Tensor) | Activation;

const fuses = (item: SequentialItem | undefined): boolean =>
  item instanceof Linear || item instanceof Conv2d || item instanceof BatchNorm2d;

/**
 * Layers, functions and activations in order. Tensors are named by the place of their layer, from 0, as in PyTorch.
 *
 * @example
 * ```ts
 * import { ones } from "sortie/engine";
 * import { EVAL, Init, Linear, Sequential } from "sortie/nn";
 *
 * const init = new Init({ seed: 1 });
 * const net = new Sequential(new Linear(3, 16, init), "relu", new Linear(16, 2, init));
 * console.log(net.forward(ones([4, 3]), EVAL).shape); // [4, 2]
 * console.log(net.parameters().length); // 4
 * ```
 */
export class Sequential extends Module {
  readonly #items: readonly SequentialItem[];

  /**
   * @throws ArgumentError unless every item is a layer, a function, or the name of an activation behind a layer that
   *   computes one on its way out
   */
  constructor(...items: readonly SequentialItem[]) {
    super();
    items.forEach((item, i) => {
      if (typeof item === "string") {
        checkActivation("Sequential", item);
        if (fuses(items[i - 1])) return;
        throw new ArgumentError(
          `Sequential: an activation's name must follow a Linear, a Conv2d or a BatchNorm2d; got "${item}" behind ${i === 0 ? "nothing" : what(items[i - 1])}. Pass the function.`,
        );
      }
      if (typeof item !== "function" && typeof item?.pass !== "function")
        throw new ArgumentError(
          `Sequential: items must be layers, functions or names of activations; got ${what(item)} at ${i}.`,
        );
    });
    this.#items = items;
    // Fields by number, so that names are PyTorch's.
    for (const [i, item] of items.entries()) if (item instanceof Module) Object.assign(this, { [i]: item });
  }

  pass(mode: Mode): Pass {
    checkMode("Sequential", mode);
    const steps: Pass[] = [];
    for (let i = 0; i < this.#items.length; i++) {
      const item = this.#items[i]!;
      if (typeof item === "string") continue;
      const behind = this.#items[i + 1];
      const isFolded = item instanceof Conv2d && behind instanceof BatchNorm2d;
      const step: Pass = isFolded ? item.pass(mode, behind) : typeof item === "function" ? item : item.pass(mode);
      if (isFolded) i++;
      const activation = this.#items[i + 1];
      steps.push(typeof activation === "string" ? (x) => step(x, { activation }) : step);
    }
    return (x) => steps.reduce((at, step) => step(at), x);
  }

  forward(x: Tensor, mode: Mode): Tensor {
    return this.pass(mode)(x);
  }
}
