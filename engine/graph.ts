// The tape's data: Node (a result and how it came about) and Leaf (a tensor whose gradient is wanted).
// References are counted, so saved values go when the last handle that could be differentiated goes.

import type { Storage } from "./buffers.ts";
import type { Device } from "./device.ts";
import type { DType } from "./dtype.ts";
import type { OpRecord } from "./op.ts";
import type { Described, Shape } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

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
  /** Part of a flat gradient buffer that the gradient must lie in (see flat.ts). */
  slot: Storage | undefined;
  grad: Tensor | undefined;
  isGone = false;
  #handles = 1;

  constructor({ device, shape, dtype }: { device: Device; shape: Shape; dtype: DType }) {
    this.device = device;
    this.shape = shape;
    this.dtype = dtype;
  }

  /** Takes a gradient over. */
  leave(gradient: Tensor): void {
    this.device.stream.recorder?.swaps(this);
    this.grad = gradient;
  }

  clear(): void {
    this.device.stream.recorder?.swaps(this);
    this.grad?.dispose();
    this.grad = undefined;
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
    this.isGone = true;
    if (by === "scope") this.grad?.leaveScope();
    this.clear();
    this.slot?.release();
    this.slot = undefined;
  }
}

/** One application of an op that gradients can flow through. */
export class Node {
  readonly record: OpRecord<never>;
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
    record: OpRecord<never>,
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
