// Reverse-mode differentiation: walks the graph from a result back to its leaves, calls each record's vjp,
// sums back what was broadcast, adds up what was used twice, and leaves gradients at the leaves.

import type { Storage } from "./buffers.ts";
import { ArgumentError, GradientError, ShapeError } from "./errors.ts";
import { Leaf, Node, type Saved, type Source } from "./graph.ts";
import { type Backward, checkDevice, noGrad } from "./op.ts";
import { addInto, copyInto } from "./ops/assign.ts";
import { full } from "./ops/fill.ts";
import { add } from "./ops/pointwise.ts";
import { sumTo } from "./ops/reduce.ts";
import { cast } from "./ops/view.ts";
import { keep, Scope, scope, synchronous } from "./scope.ts";
import { type Described, describe, sameShape } from "./shape.ts";
import { empty, Tensor } from "./tensor.ts";

/** Options of `backward`. */
export interface BackwardOptions {
  /** Upstream gradient, of the result's shape; default 1 for a one-element result. */
  readonly gradient?: Tensor;
  /** Keep saved values, so that `backward` can run again over the same graph. */
  readonly retain?: boolean;
}

/** Adds the gradients of `result` to every leaf it depends on. Frees the graph unless `retain`. */
export function backward(result: Tensor, { gradient, retain = false }: BackwardOptions = {}): void {
  result.check("backward");
  const root = result.source;
  if (!root) {
    throw new GradientError(
      `backward: the result must depend on a tensor with requiresGrad(); got ${describe(result)}, which does not.`,
    );
  }
  if (gradient && !sameShape(gradient.shape, result.shape)) {
    throw new ShapeError(
      `backward: the gradient must have the result's shape; got ${describe(gradient)} for ${describe(result)}.`,
    );
  }
  if (!gradient && result.size !== 1) {
    throw new GradientError(
      `backward: a result of several elements needs a gradient; got ${describe(result)}. Reduce it, or pass { gradient }.`,
    );
  }
  if (gradient) checkDevice("backward", gradient, result.device);
  noGrad(() => new Sweep(root, retain).run(result, gradient));
}

/** One pass over the graph. */
class Sweep {
  readonly #retain: boolean;
  readonly #order: Node[] = [];
  /** How many gradients a source still waits for. */
  readonly #uses = new Map<Source, number>();
  readonly #gradients = new Map<Source, Tensor>();
  /** Memory of others: the caller's gradient, saved values, gradients that were left at a leaf. */
  readonly #shared = new Set<Storage>();

  constructor(root: Source, retain: boolean) {
    this.#retain = retain;
    this.#visit(root);
  }

  run(result: Tensor, gradient: Tensor | undefined): void {
    const root = result.source as Source;
    const sweep = new Scope();
    try {
      if (gradient) this.#shared.add(gradient.storage);
      const seed = gradient ? gradient.detach() : full(result.shape, 1, { dtype: result.dtype, device: result.device });
      this.#receive(root, seed);
      for (let node = this.#order.pop(); node; node = this.#order.pop()) this.#step(node);
    } finally {
      sweep.dispose();
    }
  }

  /** Topological order without recursion; counts uses on the way. */
  #visit(root: Source): void {
    this.#uses.set(root, 1);
    if (root instanceof Leaf) return;
    const stack: { node: Node; next: number }[] = [{ node: root, next: 0 }];
    while (stack.length > 0) {
      const top = stack.at(-1) as { node: Node; next: number };
      const parent = top.node.parents[top.next++];
      if (top.next > top.node.parents.length) {
        this.#order.push(top.node);
        stack.pop();
      } else if (parent) {
        const seen = this.#uses.get(parent);
        this.#uses.set(parent, (seen ?? 0) + 1);
        if (seen === undefined && parent instanceof Node) stack.push({ node: parent, next: 0 });
      }
    }
  }

  #step(node: Node): void {
    const g = this.#gradients.get(node);
    this.#gradients.delete(node);
    if (node.isFreed) {
      throw new GradientError(
        `backward: the graph of ${node.name} must still be there; it was freed by an earlier backward(). Pass { retain: true } to that one.`,
      );
    }
    const gradients = g ? scope(() => this.#gradientsOf(node, g)) : [];
    g?.dispose();
    node.parents.forEach((parent, i) => {
      if (parent) this.#receive(parent, gradients[i]);
    });
    if (!this.#retain) node.free();
  }

  /** The vjp's results in the shapes and dtypes of the inputs. One tensor may be handed to several parents: each gets a handle of its own. */
  #gradientsOf(node: Node, g: Tensor): (Tensor | undefined)[] {
    const gradients = node.record.vjp?.(g, new View(node, this.#shared) as unknown as Backward<never>) ?? [];
    return node.inputs.map((described, i) => {
      const gradient = node.parents[i] && gradients[i];
      return described && gradient ? cast(sumTo(gradient, described.shape), described.dtype).detach() : undefined;
    });
  }

  #receive(source: Source, gradient: Tensor | undefined): void {
    const waiting = (this.#uses.get(source) as number) - 1;
    this.#uses.set(source, waiting);
    const sofar = this.#gradients.get(source);
    if (gradient) {
      this.#gradients.set(source, sofar ? add(sofar, gradient) : gradient);
      if (sofar) {
        sofar.dispose();
        gradient.dispose();
      }
    }
    if (waiting === 0 && source instanceof Leaf) this.#settle(source);
  }

  /** All of a leaf's gradient is there: leave it, in its slot if it has one. */
  #settle(leaf: Leaf): void {
    const gradient = this.#gradients.get(leaf);
    this.#gradients.delete(leaf);
    if (!gradient || leaf.isGone) return;
    if (leaf.grad) {
      addInto(leaf.grad, gradient);
      gradient.dispose();
      return;
    }
    leaf.leave(keep(this.#own(gradient, leaf.slot)));
  }

  /** The gradient in memory that is the leaf's alone, inside `slot` if there is one: a pending storage is moved there. */
  #own(gradient: Tensor, slot: Storage | undefined): Tensor {
    const { storage, device, shape, dtype } = gradient;
    const isShared = this.#shared.has(storage);
    this.#shared.add(storage);
    if (!isShared && !slot) return gradient;
    if (!isShared && slot && !storage.placed && storage.owner === device.stream.recorder) {
      storage.moveInto(slot);
      return gradient;
    }
    const target = slot ? new Tensor(device, slot.retain(), shape, dtype) : empty(shape, { dtype, device });
    copyInto(target, gradient);
    gradient.dispose();
    return target;
  }
}

/** A node as its vjp sees it; handles on saved values are made on demand and go with the step's scope. */
class View implements Backward<unknown> {
  readonly #node: Node;
  readonly #opened: Set<Storage>;

  /** @param opened Gets the saved values that are asked for. */
  constructor(node: Node, opened: Set<Storage>) {
    this.#node = node;
    this.#opened = opened;
  }

  get attrs(): unknown {
    return this.#node.attrs;
  }

  get shapes(): readonly (Described | undefined)[] {
    return this.#node.inputs;
  }

  get outputShapes(): readonly Described[] {
    return this.#node.outputs;
  }

  has(i: number): boolean {
    return this.#node.inputs[i] !== undefined;
  }

  needs(i: number): boolean {
    return this.#node.parents[i] !== undefined;
  }

  input(i: number): Tensor {
    return this.#open(this.#node.savedInputs[i], this.#node.inputs[i], `input ${i}`);
  }

  output(i: number): Tensor {
    return this.#open(this.#node.savedOutputs[i], this.#node.outputs[i], `output ${i}`);
  }

  #open(saved: Saved | undefined, described: Described | undefined, what: string): Tensor {
    const { name, device } = this.#node;
    if (!saved || !described) {
      throw new GradientError(`${name}: its vjp may use only what the record saves; got a request for ${what}.`);
    }
    if (saved.storage.version !== saved.version) {
      throw new GradientError(
        `backward: values that ${name} saved must be unchanged; ${what}, ${describe(described)}, was written in place afterwards.`,
      );
    }
    this.#opened.add(saved.storage);
    return new Tensor(device, saved.storage.retain(), described.shape, described.dtype);
  }
}

/** Value and gradients of `fn` at its arguments, which need no `requiresGrad()`. `fn` returns a one-element tensor. */
export function valueAndGrad<T extends readonly Tensor[]>(
  fn: (...args: T) => Tensor,
): (...args: T) => { value: Tensor; grads: Tensor[] } {
  return (...args) => {
    const inner = new Scope();
    try {
      const leaves = args.map((arg) => arg.detach().requiresGrad());
      const value = synchronous("grad", fn(...(leaves as unknown as T)));
      if (!(value instanceof Tensor)) throw new ArgumentError(`grad: fn must return a tensor; got ${typeof value}.`);
      backward(value);
      const grads = leaves.map((leaf) =>
        leaf.hasGrad ? leaf.grad.detach() : full(leaf.shape, 0, { dtype: leaf.dtype, device: leaf.device }),
      );
      return inner.keep({ value: value.detach(), grads });
    } finally {
      inner.dispose();
    }
  };
}

/** Gradients of `fn` with respect to its arguments. */
export function grad<T extends readonly Tensor[]>(fn: (...args: T) => Tensor): (...args: T) => Tensor[] {
  return (...args) => {
    const { value, grads } = valueAndGrad(fn)(...args);
    value.dispose();
    return grads;
  };
}
