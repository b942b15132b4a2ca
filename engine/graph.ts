// The tape's data: Node (a result and how it came about) and Leaf (a tensor whose gradient is wanted).
// References are counted, so saved values go when the last handle that could be differentiated goes.
// `requiresGrad` is the way in: sources make nodes, so what never asks for a gradient brings nothing of this file.

import type { Storage } from "./buffers.ts";
import type { Device } from "./device.ts";
import { type DType, isFloat } from "./dtype.ts";
import { DTypeError, GradientError } from "./errors.ts";
import { type Described, describe, type Shape } from "./shape.ts";
import { checkTensor, Tensor } from "./tensor.ts";

/** Tensors by name. */
export type TensorsByName = Readonly<Record<string, Tensor | undefined>>;

/** What `vjp` works with: operands and results, by name. */
export interface Backward<A, V = TensorsByName> {
  readonly attrs: A;
  /** Shape and dtype, saved or not. */
  described<K extends keyof V>(name: K): V[K] extends Tensor ? Described : Described | undefined;
  /**
   * What the record saves; undefined for an operand that was not given. @throws GradientError for what it does not
   * save.
   */
  value<K extends keyof V>(name: K): V[K];
  /** Whether the gradient of an operand is wanted. */
  needs(name: keyof V): boolean;
  /**
   * Given where the gradients are to be differentiated again: a pointwise expression (WGSL, in the values' names) as
   * ops on tensors, by functions of tensors for those that the engine does not know. A vjp that does not run ops alone
   * must use it there; where it cannot, the tape refuses the second derivative.
   */
  readonly express?:
    | ((expr: string, values: Readonly<Record<string, Tensor | number>>, known?: KnownFunctions) => Tensor | undefined)
    | undefined;
}

/** Functions of a pointwise expression as ops, by name. */
export type KnownFunctions = Readonly<Record<string, (...args: Tensor[]) => Tensor>>;

/** A gradient, or what computes it where it is wanted. */
export type Gradient = Tensor | undefined | (() => Tensor | undefined);

/** What the tape needs of an op's record. */
export interface Differentiable {
  readonly name: string;
  readonly saves?: readonly string[];
  readonly vjp?: (g: Tensor, at: Backward<never, never>) => Readonly<Record<string, Gradient>>;
}

export type Source = Node | Leaf | Constant;

/** An op's call, for the node that it becomes. */
export interface Call {
  readonly record: Differentiable;
  readonly attrs: unknown;
  /** Of the inputs, in the order of their declaration. */
  readonly names: readonly string[];
  readonly inputs: readonly (Tensor | undefined)[];
  /** The first is what gradients flow through. */
  readonly outputs: Readonly<Record<string, Tensor>>;
}

/** What takes part in a call makes a node of it. */
class Extensible {
  extend(call: Call): Node {
    return new Node(call);
  }
}

/**
 * Where gradients lie that were made without a graph of their own: no derivative may flow through them unnoticed, since
 * it would take them for constants.
 */
export class Constant extends Extensible {
  readonly kind = "constant";
  readonly name = "backward";
  /** The op whose gradient cannot be differentiated; undefined where nobody asked for a graph. */
  readonly of: string | undefined;

  constructor(of?: string) {
    super();
    this.of = of;
  }

  retain(): this {
    return this;
  }

  share(): this {
    return this;
  }

  release(): void {}
}

/** The source of all that were made without being asked for a graph. */
export const CONSTANT = new Constant();

/** A value kept for the backward pass, with the version it had. */
export interface Saved {
  readonly storage: Storage;
  readonly version: number;
}

/** A tensor whose gradient `backward` leaves behind. */
export class Leaf extends Extensible {
  readonly kind = "leaf";
  readonly name = "leaf";
  readonly device: Device;
  readonly shape: Shape;
  readonly dtype: DType;
  #slot: Storage | undefined;
  #grad: Tensor | undefined;
  #handles = 1;

  constructor({ device, shape, dtype }: { device: Device; shape: Shape; dtype: DType }) {
    super();
    this.device = device;
    this.shape = shape;
    this.dtype = dtype;
  }

  get grad(): Tensor | undefined {
    return this.#grad;
  }

  /** Part of a flat gradient buffer that the gradient must lie in (see flat.ts). */
  get slot(): Storage | undefined {
    return this.#slot;
  }

  /** Whether no handle is left. */
  get isGone(): boolean {
    return this.#handles === 0;
  }

  /** Takes a gradient over, in place of the one before. */
  leave(gradient: Tensor | undefined): void {
    this.device.stream.recorder?.swaps(this);
    this.swap(gradient)?.dispose();
  }

  /** Puts a gradient in the place of the one before, which is returned, and tells nobody. */
  swap(gradient: Tensor | undefined): Tensor | undefined {
    const before = this.#grad;
    this.#grad = gradient;
    return before;
  }

  /** Drops the gradient. */
  clear(): void {
    this.leave(undefined);
  }

  /** From now on the gradient lies in `slot`, of which one reference is taken over. */
  lieIn(slot: Storage): void {
    this.#slot = slot;
  }

  retain(): this {
    return this;
  }

  /** For another handle; nodes only `retain`. */
  share(): this {
    this.#handles += 1;
    return this;
  }

  /** When the last handle goes nobody can read the gradient any more, which ends as the handle did. */
  release(by: "dispose" | "scope" = "scope"): void {
    this.#handles -= 1;
    if (this.#handles > 0) return;
    if (by === "scope") this.#grad?.leaveScope();
    this.clear();
    this.#slot?.release();
    this.#slot = undefined;
  }
}

/** One application of an op that gradients can flow through. */
export class Node extends Extensible {
  readonly kind = "node";
  readonly record: Differentiable;
  readonly attrs: unknown;
  readonly device: Device;
  readonly names: readonly string[];
  readonly parents: readonly (Source | undefined)[];
  readonly inputs: readonly (Described | undefined)[];
  readonly outputs: Readonly<Record<string, Described>>;
  readonly #saved = new Map<string, Saved>();
  #references = 1;
  #isFreed = false;

  constructor({ record, attrs, names, inputs, outputs }: Call) {
    super();
    const save = (name: string, tensor: Tensor | undefined): void => {
      if (!tensor || record.saves?.includes(name) === false) return;
      const { storage } = tensor;
      this.#saved.set(name, { storage: storage.retain(), version: storage.version });
    };
    const described = ({ shape, dtype }: Described): Described => ({ shape, dtype });
    this.record = record;
    this.attrs = attrs;
    this.names = names;
    this.device = (inputs.find((input) => input) as Tensor).device;
    this.parents = inputs.map((input) => input?.source?.retain());
    this.inputs = inputs.map((input) => input && described(input));
    this.outputs = Object.fromEntries(Object.entries(outputs).map(([name, output]) => [name, described(output)]));
    names.forEach((name, i) => {
      save(name, inputs[i]);
    });
    for (const [name, output] of Object.entries(outputs)) save(name, output);
  }

  get name(): string {
    return this.record.name;
  }

  get isFreed(): boolean {
    return this.#isFreed;
  }

  saved(name: string): Saved | undefined {
    return this.#saved.get(name);
  }

  /** Lets the saved values go; the node cannot be differentiated again. */
  free(): void {
    if (this.#isFreed) return;
    this.#isFreed = true;
    for (const { storage } of this.#saved.values()) storage.release();
    this.#saved.clear();
  }

  retain(): this {
    this.#references += 1;
    return this;
  }

  share(): this {
    return this.retain();
  }

  release(_by?: "dispose" | "scope"): void {
    // Iterative: a long chain of nodes must not overflow the stack.
    const dying: Node[] = [];
    const drop = (node: Node) => {
      node.#references -= 1;
      if (node.#references === 0) dying.push(node);
    };
    drop(this);
    for (let node = dying.pop(); node; node = dying.pop()) {
      node.free();
      for (const parent of node.parents) if (parent?.kind === "node") drop(parent);
    }
  }
}

/**
 * Makes `x` a leaf, whose gradient `backward` computes, and returns it. @throws DTypeError for integers, GradientError
 * for what was computed from leaves
 */
export function requiresGrad(x: Tensor): Tensor {
  checkTensor("requiresGrad", "x", x);
  if (!isFloat(x.dtype)) throw new DTypeError(`requiresGrad: the dtype must be f32 or f16; got ${describe(x)}.`);
  const { source } = x;
  if (source && source.kind !== "leaf") {
    throw new GradientError(
      `requiresGrad: only a leaf can be made one; got the result of ${source.name}. Call detach() first.`,
    );
  }
  if (!source) x.attach(new Leaf(x));
  return x;
}

/** The gradient that `backward` left at the leaf `x`. @throws GradientError if there is none */
export function gradOf(x: Tensor): Tensor {
  checkTensor("grad", "x", x);
  const { source } = x;
  if (source?.kind === "leaf" && source.grad) {
    void x.storage; // which tells who records that it is used
    return source.grad;
  }
  const why = source
    ? source.kind === "leaf"
      ? "backward() has not reached it"
      : "it is not a leaf"
    : "requiresGrad() was not called";
  throw new GradientError(`grad: a gradient must exist; got none on ${describe(x)}: ${why}.`);
}

/** Whether `backward` has left a gradient at `x`. */
export const hasGrad = (x: Tensor): boolean => leafOf("hasGrad", x)?.grad !== undefined;

/** Drops the gradient of `x`, so that the next `backward` starts afresh. */
export function zeroGrad(x: Tensor): void {
  leafOf("zeroGrad", x)?.clear();
}

/** The leaf that a tensor is, alive or not. @throws ArgumentError for what is no tensor */
function leafOf(op: string, x: Tensor): Leaf | undefined {
  if (!(x instanceof Tensor)) checkTensor(op, "x", x);
  return x.source?.kind === "leaf" ? x.source : undefined;
}
