// A graph of ONNX while it is drawn: nodes and constants under PyTorch's names, what no output needs left out. Of
// layouts it knows that our images are [B, H, W, C] and ONNX's [B, C, H, W]: a value of four axes goes under its ONNX
// layout, and may be asked for in ours.

import { permuted, SortieError, take } from "../base/index.ts";
import { toTorchName } from "../nn/index.ts";
import { type Attribute, attributesOf, type Initializer, initializerOf, type Node } from "./schema.ts";

/** A tensor of the network whose values are known: a weight. */
export interface Constant {
  readonly name: string;
  /** In our layout. */
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** What an op reads: a name in the graph with its shape in our layout, or a constant. */
export type Entry = { readonly value: string; readonly shape: readonly number[] } | Constant;

export const isConstant = (entry: Entry): entry is Constant => "data" in entry;

/** Our axes in the order of ONNX's, and back, for four of them. */
const TO_ONNX = [0, 3, 1, 2];
const TO_OURS = [0, 2, 3, 1];

/** Our axis in ONNX's order. */
export const axisOf = (axis: number, rank: number): number => (rank === 4 ? TO_ONNX.indexOf(axis) : axis);

/** A shape, or one number for each axis, in ONNX's order. */
export const inOnnx = <T>(each: readonly T[]): T[] => (each.length === 4 ? take(each, TO_ONNX) : [...each]);

/** Nodes and constants, as they are drawn. */
export class Graph {
  readonly #nodes: { readonly node: Node; readonly inputs: readonly string[]; readonly output: string }[] = [];
  readonly #constants = new Map<string, { readonly initializer: Initializer; readonly key: string }>();
  readonly #names = new Map<string, number>();
  /** Values that are the transposed of others: asked for in that layout, it is there already. */
  readonly #ours = new Map<string, string>();

  /** A node, named after the layer that `path` says, like PyTorch's; the name of its output. Absent inputs are "". */
  node(op: string, inputs: readonly string[], attributes: Readonly<Record<string, Attribute>> = {}, path = ""): string {
    const layer = path === "" ? "" : `/${toTorchName(path).replaceAll(".", "/")}`;
    const name = this.#unique(`${layer}/${op}`);
    const output = `${name}_output_0`;
    const used = inputs.slice(0, inputs.findLastIndex((input) => input !== "") + 1);
    const node = { name, opType: op, input: used, output: [output], attribute: attributesOf(attributes) };
    this.#nodes.push({ node, inputs: used, output });
    return output;
  }

  /** Gives a value the name of an output of the graph. */
  output(value: string, name: string): void {
    this.#nodes.push({
      node: { name: `/${name}`, opType: "Identity", input: [value], output: [name] },
      inputs: [value],
      output: name,
    });
  }

  /** Whole numbers that are known. */
  ints(values: readonly number[]): string {
    const name = `/Constant_${values.join("_").replaceAll("-", "m")}`;
    return this.#constant(name, "ints", () => initializerOf(name, [values.length], values));
  }

  /** A number as a constant without axes. */
  float(value: number): string {
    const name = `/Constant_f${String(value).replaceAll("-", "m")}`;
    return this.#constant(name, "float", () => initializerOf(name, [], Float32Array.of(value)));
  }

  /** A constant with its axes in an order, and perhaps a shape of its own; `order` is of our axes. */
  weight(
    { name, shape, data }: Constant,
    order: readonly number[] = shape.map((_, axis) => axis),
    as?: readonly number[],
  ): string {
    const key = `${order.join()}:${as?.join() ?? ""}`;
    const torch = toTorchName(name);
    const taken = this.#constants.get(torch);
    // One tensor may be needed in two layouts.
    const own = taken && taken.key !== key ? `${torch}:${key}` : torch;
    return this.#constant(own, key, () => {
      const values = permuted(data, shape, order, new Float32Array(data.length));
      return initializerOf(own, as ?? take(shape, order), values);
    });
  }

  /** A value of four axes in our layout, [B, H, W, C]; others as they are. */
  ours(value: string, rank: number): string {
    if (rank !== 4) return value;
    const known = this.#ours.get(value);
    if (known !== undefined) return known;
    const made = this.node("Transpose", [value], { perm: TO_OURS });
    this.#ours.set(value, made);
    return made;
  }

  /** The way back. */
  fromOurs(value: string, rank: number): string {
    if (rank !== 4) return value;
    const made = this.node("Transpose", [value], { perm: TO_ONNX });
    this.#ours.set(made, value);
    return made;
  }

  /** Nodes and constants that `outputs` need. */
  parts(outputs: readonly string[]): {
    readonly nodes: readonly Node[];
    readonly initializers: readonly Initializer[];
  } {
    const needed = new Set(outputs);
    const nodes: Node[] = [];
    for (const { node, inputs, output } of this.#nodes.toReversed()) {
      if (!needed.has(output)) continue;
      nodes.unshift(node);
      for (const input of inputs) needed.add(input);
    }
    const initializers = [...this.#constants].flatMap(([name, { initializer }]) =>
      needed.has(name) ? [initializer] : [],
    );
    return { nodes, initializers };
  }

  #constant(name: string, key: string, make: () => Initializer): string {
    if (!this.#constants.has(name)) this.#constants.set(name, { initializer: make(), key });
    return name;
  }

  #unique(name: string): string {
    const count = this.#names.get(name) ?? 0;
    this.#names.set(name, count + 1);
    return count === 0 ? name : `${name}_${count}`;
  }
}

/** What ONNX has no form of here. */
export function refuse(op: string, what: string): never {
  throw new SortieError(
    `export: ${op} must have a form in ONNX; got ${what}, which has none here. Write a model file instead: leave --format out.`,
  );
}
