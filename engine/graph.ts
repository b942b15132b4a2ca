// The tape's data: Node (a result and how it came about) and Leaf (a tensor whose gradient is wanted).
// References are counted, so saved values go when the last handle that could be differentiated goes.

import type { Storage } from "./buffers.ts";
import type { Device } from "./device.ts";
import type { DType } from "./dtype.ts";
import type { Described, Shape } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

/** What `vjp` works with. Values that the record does not save throw when they are asked for. */
export interface Backward<A> {
  readonly attrs: A;
  /** Shapes and dtypes of the inputs, saved or not. */
  readonly shapes: readonly (Described | undefined)[];
  /** Shapes and dtypes of the outputs. */
  readonly outputShapes: readonly Described[];
  input(i: number): Tensor;
  output(i: number): Tensor;
  /** Whether input i was given at all. */
  has(i: number): boolean;
  /** Whether the gradient of input i is wanted. */
  needs(i: number): boolean;
  /**
   * Given where the gradients are to be differentiated again: a pointwise expression (WGSL, in the values' names) as ops on
   * tensors. A vjp that does not run ops alone must use it there; where it cannot, the tape refuses the second derivative.
   */
  readonly express?:
    | ((expr: string, values: Readonly<Record<string, Tensor | number>>) => Tensor | undefined)
    | undefined;
}

/** What the tape needs of an op's record. */
export interface Derivative<A> {
  readonly name: string;
  /** Which inputs and outputs `vjp` needs, by index; default all of them. */
  readonly saves?: { readonly inputs?: readonly number[] | "all"; readonly outputs?: readonly number[] | "all" };
  /**
   * Gradients of the inputs from the gradient `g` of output 0; broadcast axes are summed by the tape, not here. Absent: the op cannot
   * be differentiated, unless its results count as constants (`isConstant`), or are no floats.
   */
  readonly vjp?: (g: Tensor, at: Backward<A>) => readonly (Tensor | undefined)[];
}

export type Source = Node | Leaf | Constant;

/**
 * Where gradients lie that were made without a graph of their own: no derivative may flow through them unnoticed, since it would
 * take them for constants.
 */
export class Constant {
  readonly name = "backward";

  retain(): this {
    return this;
  }

  share(): this {
    return this;
  }

  release(): void {}
}

/** The source of all of them. */
export const CONSTANT = new Constant();

/** A value kept for the backward pass, with the version it had. */
export interface Saved {
  readonly storage: Storage;
  readonly version: number;
}

/** A tensor whose gradient `backward` leaves behind. */
export class Leaf {
  readonly name = "leaf";
  readonly device: Device;
  readonly shape: Shape;
  readonly dtype: DType;
  #slot: Storage | undefined;
  #grad: Tensor | undefined;
  #handles = 1;

  constructor({ device, shape, dtype }: { device: Device; shape: Shape; dtype: DType }) {
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
export class Node {
  readonly record: Derivative<never>;
  readonly attrs: unknown;
  readonly device: Device;
  readonly parents: readonly (Source | undefined)[];
  readonly inputs: readonly (Described | undefined)[];
  readonly outputs: readonly Described[];
  #savedInputs: (Saved | undefined)[];
  #savedOutputs: (Saved | undefined)[];
  #references = 1;
  #isFreed = false;

  constructor(
    record: Derivative<never>,
    attrs: unknown,
    inputs: readonly (Tensor | undefined)[],
    outputs: readonly Tensor[],
  ) {
    const { inputs: savesInputs = "all", outputs: savesOutputs = "all" } = record.saves ?? {};
    const save = (which: "all" | readonly number[], tensors: readonly (Tensor | undefined)[]) =>
      tensors.map((tensor, i) =>
        tensor && (which === "all" || which.includes(i))
          ? { storage: tensor.storage.retain(), version: tensor.storage.version }
          : undefined,
      );
    this.record = record;
    this.attrs = attrs;
    this.device = (outputs[0] as Tensor).device;
    this.parents = inputs.map((input) => input?.source?.retain());
    this.inputs = inputs.map((input) => input && { shape: input.shape, dtype: input.dtype });
    this.outputs = outputs.map(({ shape, dtype }) => ({ shape, dtype }));
    this.#savedInputs = save(savesInputs, inputs);
    this.#savedOutputs = save(savesOutputs, outputs);
  }

  get name(): string {
    return this.record.name;
  }

  get isFreed(): boolean {
    return this.#isFreed;
  }

  get savedInputs(): readonly (Saved | undefined)[] {
    return this.#savedInputs;
  }

  get savedOutputs(): readonly (Saved | undefined)[] {
    return this.#savedOutputs;
  }

  /** Lets the saved values go; the node cannot be differentiated again. */
  free(): void {
    if (this.#isFreed) return;
    this.#isFreed = true;
    for (const saved of [...this.#savedInputs, ...this.#savedOutputs]) saved?.storage.release();
    this.#savedInputs = [];
    this.#savedOutputs = [];
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
      for (const parent of node.parents) if (parent instanceof Node) drop(parent);
    }
  }
}
