// An op that a forward pass called, and the graph that its form is drawn in: operands as ONNX has them, weights by
// name.

import { firstOf } from "../base/index.ts";
import type { TracedOp } from "../engine/functions.ts";
import { type Constant, type Entry, type Graph, isConstant, refuse } from "./graph.ts";

/** An op that was traced, and where its form is drawn. */
export class Site {
  readonly graph: Graph;
  readonly op: TracedOp;
  readonly #entries: readonly (Entry | undefined)[];
  /** A value whose first axis is the batch. */
  readonly #batch: string;

  constructor(graph: Graph, op: TracedOp, entries: readonly (Entry | undefined)[], batch: string) {
    this.graph = graph;
    this.op = op;
    this.#entries = entries;
    this.#batch = batch;
  }

  /** Shape of an operand, or of the result, in our layout. */
  shape = (i: number): readonly number[] => this.op.inputs[i]?.shape ?? [];

  get out(): readonly number[] {
    return firstOf(this.op.outputs).shape;
  }

  has(i: number): boolean {
    return this.#entries[i] !== undefined;
  }

  /** An operand that is computed, in ONNX's layout. */
  value(i: number): string {
    const entry = this.#entries[i];
    if (!entry || isConstant(entry)) return refuse(this.op.name, `a constant as operand ${i + 1}`);
    return entry.value;
  }

  /** The same in our layout. */
  ours = (i: number): string => this.graph.ours(this.value(i), this.shape(i).length);

  constant(i: number): Constant {
    const entry = this.#entries[i];
    return entry && isConstant(entry) ? entry : refuse(this.op.name, `a computed operand ${i + 1}`);
  }

  isConstant(i: number): boolean {
    const entry = this.#entries[i];
    return entry !== undefined && isConstant(entry);
  }

  /** A weight in an order of its axes; "" where there is none. */
  weight(i: number, order?: readonly number[]): string {
    return this.has(i) ? this.graph.weight(this.constant(i), order) : "";
  }

  /** A node, named after the layer of the op's weights. */
  node = (type: string, inputs: readonly string[], attributes: Parameters<Graph["node"]>[2] = {}): string => {
    const layer = this.#entries.find((entry): entry is Constant => entry !== undefined && isConstant(entry))?.name;
    return this.graph.node(type, inputs, attributes, layer?.replace(/\.?[^.]*$/, "") ?? "");
  };

  /** The number of samples of this run, [1]. */
  batch = (): string => this.node("Shape", [this.#batch], { start: 0, end: 1 });
}
