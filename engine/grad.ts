// Gradients of functions: `grad` and `valueAndGrad`, which may be nested.

import { type Kinds, what } from "../base/index.ts";
import { checkFunction } from "./checks.ts";
import { ArgumentError, GradientError, readOptions } from "./errors.ts";
import { CONSTANT, requiresGrad, type Source } from "./graph.ts";
import { isRecording, recorded } from "./op.ts";
import { full } from "./ops/fill.ts";
import { reshape } from "./ops/view.ts";
import { Scope, synchronous } from "./scope.ts";
import { describe } from "./shape.ts";
import { alias, Sweep } from "./tape.ts";
import { checkTensorList, Tensor } from "./tensor.ts";

/** Options of `grad` and `valueAndGrad`. */
export interface GradOptions {
  /**
   * Record the gradients, so that they can be differentiated themselves. Default: where anything else could ask for it,
   * as inside another `grad`, or where `fn` uses leaves besides its arguments.
   */
  readonly createGraph?: boolean;
}

const GRAD: Kinds<GradOptions> = { createGraph: "boolean" };

/**
 * Value and gradients of `fn` at its arguments, which need no `requiresGrad()`. `fn` returns a one-element tensor.
 * Leaves that it uses besides its arguments get no gradient. Nested, the gradients are differentiable:
 * `grad((x) => sum(square(grad(f)(x)[0])))`; inside `noGrad` they are constants.
 *
 * @example
 * ```ts
 * import { mul, sum, tensor, valueAndGrad } from "sortie/engine";
 *
 * const { value, grads } = valueAndGrad((x) => sum(mul(x, x)))(tensor([1, 2]));
 * console.log(await value.item()); // 5
 * console.log(await grads[0].read()); // Float32Array(2) [2, 4]
 * ```
 */
export function valueAndGrad<T extends readonly Tensor[]>(
  fn: (...args: T) => Tensor,
  options: GradOptions = {},
): (...args: T) => { value: Tensor; grads: Tensor[] } {
  checkFunction("grad", "fn", fn);
  const { createGraph } = readOptions("grad", options, GRAD);
  return (...args) => {
    checkTensorList("grad", "arguments", args);
    const inner = new Scope();
    try {
      // An argument that depends on others stays connected to them, through a node of its own.
      const isNested = (arg: Tensor): boolean => arg.isDifferentiable && isRecording();
      const own = args.map((arg) => (isNested(arg) ? reshape(arg, arg.shape) : requiresGrad(arg.detach())));
      const value = synchronous(
        "grad",
        recorded(() => fn(...(own as unknown as T))),
      );
      if (!(value instanceof Tensor)) throw new ArgumentError(`grad: fn must return a tensor; got ${what(value)}.`);
      if (value.size !== 1) {
        throw new GradientError(`grad: fn must return one element; got ${describe(value)}. Reduce it.`);
      }
      // A constant's gradients are zeros.
      const zeros = () => own.map(({ shape, dtype, device }) => full(shape, 0, { dtype, device }));
      if (!value.source) return inner.keep({ value, grads: zeros() });
      const sweep = new Sweep(value, { retain: true, targets: new Set(own.map(({ source }) => source as Source)) });
      const isOpen = isRecording() && (sweep.isOpen || args.some(isNested));
      const isRecorded = isRecording() && (createGraph ?? isOpen);
      const found = sweep.run(undefined, isRecorded);
      const grads = own.map(({ source, shape, dtype, device }) => {
        const gradient = found.get(source as Source) ?? full(shape, 0, { dtype, device });
        if (isOpen && !isRecorded) gradient.attach(CONSTANT);
        return gradient;
      });
      return inner.keep({ value: isOpen ? alias(value) : value.detach(), grads });
    } finally {
      inner.dispose();
    }
  };
}

/**
 * Gradients of `fn` with respect to its arguments; see `valueAndGrad`.
 *
 * @example
 * ```ts
 * import { grad, mul, sum, tensor } from "sortie/engine";
 *
 * const cube = (x) => sum(mul(mul(x, x), x));
 * const [slope] = grad(cube)(tensor([1, 2]));
 * console.log(await slope.read()); // Float32Array(2) [3, 12]
 * ```
 */
export function grad<T extends readonly Tensor[]>(
  fn: (...args: T) => Tensor,
  options: GradOptions = {},
): (...args: T) => Tensor[] {
  const run = valueAndGrad(fn, options);
  return (...args) => {
    const { value, grads } = run(...args);
    value.dispose();
    return grads;
  };
}
