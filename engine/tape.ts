// Reverse-mode differentiation: walks the graph from a result back to its leaves, calls each record's vjp,
// sums back what was broadcast, adds up what was used twice, and leaves gradients at the leaves.

import type { Kinds } from "../base/index.ts";
import { Storage } from "./buffers.ts";
import { isFloat } from "./dtype.ts";
import { GradientError, readOptions, ShapeError } from "./errors.ts";
import { type Backward, CONSTANT, Constant, type Leaf, type Node, type Source } from "./graph.ts";
import { noGrad } from "./op.ts";
import { addInto, copyInto } from "./ops/assign.ts";
import { express } from "./ops/express.ts";
import { full } from "./ops/fill.ts";
import { add } from "./ops/pointwise.ts";
import { sumTo } from "./ops/reduce.ts";
import { cast } from "./ops/view.ts";
import { moveInto } from "./parts.ts";
import { keep, Scope, scope } from "./scope.ts";
import { type Described, describe, sameShape } from "./shape.ts";
import { positional } from "./signature.ts";
import { checkDevice, checkTensors, empty, Tensor } from "./tensor.ts";

/** Options of `backward`. */
export interface BackwardOptions {
  /** Upstream gradient, of the result's shape; default 1 for a one-element result. */
  readonly gradient?: Tensor;
  /** Keep saved values, so that `backward` can run again over the same graph. */
  readonly retain?: boolean;
  /** Record the gradients, so that they can be differentiated themselves; keeps the graph. Default false. */
  readonly createGraph?: boolean;
}

const BACKWARD: Kinds<BackwardOptions> = { gradient: "any", retain: "boolean", createGraph: "boolean" };

/**
 * Adds the gradients of `result` to every leaf it depends on. Frees the graph unless `retain` or `createGraph`.
 * @throws GradientError for what has no derivative.
 *
 * @example
 * ```ts
 * import { backward, mul, sum, tensor } from "sortie/engine";
 *
 * const w = tensor([1, -2, 3]).requiresGrad();
 * backward(sum(mul(w, w)));
 * console.log(await w.grad.read()); // Float32Array(3) [2, -4, 6]
 * ```
 */
export const backward = positional(
  "backward(result, options)",
  (result: Tensor, options: BackwardOptions = {}): void => {
    const { gradient, createGraph = false, retain = createGraph } = readOptions("backward", options, BACKWARD);
    checkTensors("backward", { result, "gradient?": gradient });
    const sweep = new Sweep(result, { retain });
    if (gradient && !sameShape(gradient.shape, result.shape)) {
      throw new ShapeError(
        `backward: the gradient must have the result's shape; got ${describe(gradient)} for ${describe(result)}.`,
      );
    }
    if (gradient) checkDevice("backward", gradient, result.device);
    else if (result.size !== 1) {
      throw new GradientError(
        `backward: a result of several elements needs a gradient; got ${describe(result)}. Reduce it, or pass { gradient }.`,
      );
    }
    sweep.run(gradient, createGraph);
  },
);

/** Another handle on a tensor, with its place on the tape. @internal */
export const alias = ({ device, storage, shape, dtype, source }: Tensor): Tensor =>
  new Tensor(device, storage.retain(), shape, dtype, source?.share());

/** One pass over the graph of a result. */
export class Sweep {
  readonly #result: Tensor;
  readonly #retain: boolean;
  readonly #targets: ReadonlySet<Source> | undefined;
  readonly #order: Node[] = [];
  /** How many gradients a source still waits for. */
  readonly #uses = new Map<Source, number>();
  readonly #gradients = new Map<Source, Tensor>();
  /**
   * Memory that was there before belongs to others: the caller's gradient, saved values, what a vjp has from outside.
   */
  readonly #first = new Storage(0).age;
  /** Gradients that were left at a leaf. */
  readonly #left = new Set<Storage>();
  #isOpen = false;
  #createGraph = false;

  /** @param targets Whose gradients are wanted; default those of all leaves. */
  constructor(
    result: Tensor,
    { retain, targets }: { readonly retain: boolean; readonly targets?: ReadonlySet<Source> },
  ) {
    result.check("backward");
    if (!result.source) {
      throw new GradientError(
        `backward: the result must depend on a tensor with requiresGrad(); got ${describe(result)}, which does not.`,
      );
    }
    this.#result = result;
    this.#retain = retain;
    this.#targets = targets;
    this.#count(result.source, this.#visit(result.source));
  }

  /** Whether the result depends on leaves besides the targets. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Leaves gradients at the leaves; those of the targets it returns, for the innermost scope. */
  run(gradient: Tensor | undefined, createGraph: boolean): ReadonlyMap<Source, Tensor> {
    const { shape, dtype, device, source } = this.#result;
    this.#createGraph = createGraph;
    const walk = (): void => {
      this.#receive(source as Source, gradient ? alias(cast(gradient, dtype)) : full(shape, 1, { dtype, device }));
      for (let node = this.#order.pop(); node; node = this.#order.pop()) this.#step(node);
    };
    const sweep = new Scope();
    try {
      if (createGraph) walk();
      else noGrad(walk);
      return new Map([...this.#gradients].map(([target, found]) => [target, sweep.keep(this.#own(found, undefined))]));
    } finally {
      sweep.dispose();
    }
  }

  /** Topological order, parents first, without recursion; ends at the targets. */
  #visit(root: Source): Node[] {
    const order: Node[] = [];
    const seen = new Set<Source>();
    const stack: { node: Node; next: number }[] = [];
    const enter = (source: Source): void => {
      if (seen.has(source)) return;
      seen.add(source);
      if (this.#targets?.has(source)) return;
      if (source.kind === "constant") {
        const { of } = source;
        throw new GradientError(
          of
            ? `backward: the gradient of ${of} has no derivative; detach() it, or what goes into ${of}, to hold that constant.`
            : "backward: what a gradient depends on is known only if it was made with { createGraph: true }; got one that was not. detach() holds it constant.",
        );
      }
      if (source.kind === "node") stack.push({ node: source, next: 0 });
      else this.#isOpen = true;
    };
    enter(root);
    while (stack.length > 0) {
      const top = stack.at(-1) as { node: Node; next: number };
      const parent = top.node.parents[top.next++];
      if (top.next > top.node.parents.length) {
        order.push(top.node);
        stack.pop();
      } else if (parent) enter(parent);
    }
    return order;
  }

  /** Keeps the nodes that lead to a target, counts what they use, and refuses those without a derivative. */
  #count(root: Source, order: readonly Node[]): void {
    const targets = this.#targets;
    const use = (source: Source): void => void this.#uses.set(source, (this.#uses.get(source) ?? 0) + 1);
    const live = new Set<Source>(targets);
    const leads = (source: Source | undefined): source is Source =>
      source !== undefined && (targets === undefined || live.has(source));
    for (const node of order) {
      const parents = node.parents.filter(leads);
      if (parents.length === 0) continue;
      if (!node.record.vjp) {
        throw new GradientError(
          `backward: ${node.name} has no derivative; detach() what goes into it to hold that constant.`,
        );
      }
      live.add(node);
      this.#order.push(node);
      parents.forEach(use);
    }
    use(root);
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
      if (parent && this.#uses.has(parent)) this.#receive(parent, gradients[i]);
    });
    if (!this.#retain) node.free();
  }

  /**
   * The vjp's results in the shapes and dtypes of the inputs. One tensor may be handed to several parents: each gets a
   * handle of its own.
   */
  #gradientsOf(node: Node, g: Tensor): (Tensor | undefined)[] {
    const view = new View(node, this.#createGraph, (parent) => this.#uses.has(parent));
    const found = node.record.vjp?.(g, view as unknown as Backward<never, never>) ?? {};
    const gradients = node.names.map((name) => {
      const gradient = view.needs(name) ? found[name] : undefined;
      return typeof gradient === "function" ? gradient() : gradient;
    });
    const isVaried = this.#createGraph && (g.isDifferentiable || view.isVaried);
    return node.inputs.map((described, i) => {
      const gradient = gradients[i];
      if (!described || !gradient) return undefined;
      const own = alias(cast(sumTo(gradient, described.shape), described.dtype));
      // It depends on g, or on what the vjp looked at, by dispatches that left no trace on the tape.
      if (isVaried && !own.isDifferentiable) own.attach(new Constant(node.name));
      return own;
    });
  }

  #receive(source: Source, gradient: Tensor | undefined): void {
    const waiting = (this.#uses.get(source) as number) - 1;
    this.#uses.set(source, waiting);
    if (gradient) {
      const sofar = this.#gradients.get(source);
      this.#gradients.set(source, sofar ? add(sofar, gradient) : gradient);
      if (sofar) for (const part of [sofar, gradient]) part.dispose();
    }
    if (waiting === 0 && source.kind === "leaf" && !this.#targets) this.#settle(source);
  }

  /** All of a leaf's gradient is there: leave it, in its slot if it has one. */
  #settle(leaf: Leaf): void {
    const gradient = this.#gradients.get(leaf);
    this.#gradients.delete(leaf);
    if (!gradient || leaf.isGone) return;
    if (leaf.grad && !this.#createGraph) {
      addInto(leaf.grad, gradient);
      gradient.dispose();
      return;
    }
    const total = leaf.grad ? add(leaf.grad, gradient) : gradient;
    leaf.clear();
    const left = keep(this.#own(total, leaf.slot));
    if (!this.#createGraph && !left.source) left.attach(CONSTANT);
    leaf.leave(left);
  }

  /**
   * The gradient in memory that is its holder's alone, inside `slot` if there is one: a pending storage is moved there.
   */
  #own(gradient: Tensor, slot: Storage | undefined): Tensor {
    const { storage, device, shape, dtype, source } = gradient;
    const isShared = storage.age < this.#first || this.#left.has(storage);
    this.#left.add(storage);
    if (!isShared && (!slot || (!storage.placed && storage.owner === device.stream.recorder))) {
      if (slot) moveInto(storage, slot);
      return gradient;
    }
    const target = slot ? new Tensor(device, slot.retain(), shape, dtype) : empty(shape, { dtype, device });
    copyInto(target, gradient);
    if (source) target.attach(source.share());
    gradient.dispose();
    return target;
  }
}

/** A node as its vjp sees it; handles on saved values are made on demand and go with the step's scope. */
class View implements Backward<unknown> {
  readonly #node: Node;
  readonly #createGraph: boolean;
  readonly #isWanted: (parent: Source) => boolean;
  /** Whether a value was looked at that gradients flow to. */
  isVaried = false;

  constructor(node: Node, createGraph: boolean, isWanted: (parent: Source) => boolean) {
    this.#node = node;
    this.#createGraph = createGraph;
    this.#isWanted = isWanted;
  }

  get express(): Backward<unknown>["express"] {
    if (!this.#createGraph) return undefined;
    return (text, values, known) => {
      const value = express(text, values, known);
      // Made of ops alone: what it depends on is on the tape.
      if (value) this.isVaried = false;
      return value;
    };
  }

  get attrs(): unknown {
    return this.#node.attrs;
  }

  described(name: string): Described {
    const { names, inputs, outputs } = this.#node;
    return (outputs[name] ?? inputs[names.indexOf(name)]) as Described;
  }

  needs(name: string): boolean {
    const { names, parents } = this.#node;
    const parent = parents[names.indexOf(name)];
    return parent !== undefined && this.#isWanted(parent);
  }

  value(name: string): Tensor | undefined {
    const described = this.described(name);
    if (!described) return undefined;
    const node = this.#node;
    const saved = node.saved(name);
    if (!saved) {
      throw new GradientError(`${node.name}: its vjp may use only what the record saves; got a request for ${name}.`);
    }
    if (saved.storage.version !== saved.version) {
      throw new GradientError(
        `backward: values that ${node.name} saved must be unchanged; ${name}, ${describe(described)}, was written in place afterwards.`,
      );
    }
    const own = this.#createGraph && isFloat(described.dtype) ? this.#sourceOf(name)?.share() : undefined;
    if (own) this.isVaried = true;
    return new Tensor(node.device, saved.storage.retain(), described.shape, described.dtype, own);
  }

  #sourceOf(name: string): Source | undefined {
    const { names, parents, outputs } = this.#node;
    const i = names.indexOf(name);
    if (i >= 0) return parents[i];
    // Further outputs are statistics; how they depend on the inputs the tape does not know.
    return name === Object.keys(outputs)[0] ? this.#node : new Constant(this.#node.name);
  }
}
