// Activations fused into products and convolutions: the option, and the way back through them.

import type { Kinds } from "../../base/index.ts";
import { ACTIVATIONS, type Activation, type ActivationText } from "../../kernels/index.ts";
import { checkIs } from "../checks.ts";
import { isFloat } from "../dtype.ts";
import { checkOneOf, DTypeError } from "../errors.ts";
import type { Backward, TensorsByName } from "../graph.ts";
import { isTaped } from "../op.ts";
import { type Described, describe } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { elementwise } from "./elementwise.ts";

/** What a product or convolution may do on its way out: y = activation(x W + bias [+ residual]) [+ residual]. */
export interface FusedOptions {
  /** Applied to the result; default none. */
  readonly activation?: Activation;
  /** Added to the result; it has the result's shape. */
  readonly residual?: Tensor | undefined;
  /** Whether the residual is added before the activation (the default, as in a ResNet block) or after it. */
  readonly residualAt?: "before" | "after";
}

/** @internal */
export const FUSED: Kinds<FusedOptions> = { activation: "string", residual: "any", residualAt: "string" };

/** Checks that the table has the activation. @throws ArgumentError */
export const checkActivation = (op: string, activation: Activation): void =>
  checkOneOf(op, "activation", activation, ["none", ...Object.keys(ACTIVATIONS)]);

/** A fused op's attributes. @internal */
export interface FusedAttrs {
  readonly activation: Activation;
  readonly residual: "none" | "before" | "after";
  /** Whether output 1 is the activation's argument. */
  readonly keep: boolean;
}

const made = new Map<string, (g: Tensor, v: Tensor) => Tensor>();

/**
 * Gradient at the activation's argument from the one at its value, of which the op keeps one: `pre` the argument, or
 * `y` the value.
 * @internal
 */
export function throughActivation(
  g: Tensor,
  at: Pick<Backward<FusedAttrs>, "attrs" | "express"> & { value(name: "y" | "pre"): Tensor | undefined },
): Tensor {
  const { activation, keep } = at.attrs;
  if (activation === "none") return g;
  const { dx, dy }: ActivationText = ACTIVATIONS[activation];
  const v = at.value(keep ? "pre" : "y") as Tensor;
  const [expr, of] = dy && !keep ? [dy, "y"] : [dx, "x"];
  // What was kept of the argument has no place on the tape.
  const again = keep ? undefined : at.express?.(expr, { g, [of]: v });
  if (again) return again;
  const op =
    made.get(expr) ??
    elementwise({ name: `${activation}Grad.${of}`, operands: ["g", "v"], y: expr.replace(/\b[xy]\b/g, "v") });
  made.set(expr, op);
  return op(g, v);
}

/** What a fused op takes besides its own operands. @internal */
export interface FusedOperands {
  readonly bias?: Tensor | undefined;
  readonly residual?: Tensor | undefined;
}

/**
 * Checks that the operands of a fused op have one float dtype, that the bias is as long as the last axis of `y`, and
 * the residual like `y`. @internal @throws DTypeError or ShapeError
 */
export function checkFused(
  op: string,
  inputs: FusedOperands & { readonly x: Tensor; readonly weight: Tensor },
  y: Described,
): void {
  const { bias, residual } = inputs;
  const given = Object.values(inputs).filter((input) => input !== undefined);
  if (given.some(({ dtype }) => !isFloat(dtype) || dtype !== y.dtype)) {
    throw new DTypeError(
      `${op}: all dtypes must be f32, or all f16; got ${given.map(describe).join(" x ")}. Use cast().`,
    );
  }
  checkIs(op, "the bias", bias, { ...y, shape: y.shape.slice(-1) });
  checkIs(op, "the residual", residual, y);
}

/** Whether the gradient of `activation` must see its argument, because the result does not tell. */
const needsArgument = (activation: Activation, residualAt: "none" | "before" | "after"): boolean =>
  activation !== "none" && (!("dy" in ACTIVATIONS[activation]) || residualAt === "after");

/** Attributes of a fused op; the activation's argument is kept only where a gradient will ask for it. @internal */
export function fusedAttrs(op: string, inputs: TensorsByName, options: FusedOptions): FusedAttrs {
  const { activation = "none", residual, residualAt = "before" } = options;
  checkOneOf(op, "residualAt", residualAt, ["before", "after"]);
  checkActivation(op, activation);
  const at = residual ? residualAt : "none";
  return { activation, residual: at, keep: isTaped(inputs) && needsArgument(activation, at) };
}
