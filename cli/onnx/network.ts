// A multi-exit network as ONNX files: one graph with all exits' logits, and one for each exit, from the features in
// front of it.

import { SortieError } from "../../base/index.ts";
import { empty, noGrad, read, type Tensor, type TracedOp, trace } from "../../engine/index.ts";
import type { MultiExit } from "../../exits/index.ts";
import { EVAL } from "../../nn/index.ts";
import { draw } from "./forms.ts";
import { type Constant, type Entry, Graph, inOnnx, isConstant, refuse } from "./graph.ts";
import { encodeOnnx, valueInfo } from "./schema.ts";
import { Site } from "./site.ts";

/** What files say besides their graphs. */
export interface OnnxAbout {
  readonly version: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** The files. */
export interface OnnxFiles {
  /** `input`, [batch, C, H, W], to `logits` [batch, exits, classes]. */
  readonly whole: Uint8Array;
  /**
   * Of each exit: `input`, images or the `features` of the one before, to `logits` [batch, classes] and, but for the
   * last, `features`.
   */
  readonly stages: readonly Uint8Array[];
}

/**
 * How many samples are traced; any number that is no other extent would do, since the first axis alone is the batch.
 */
const BATCH = 2;

/** All files of a network. @throws SortieError for an op that has no form in ONNX. */
export async function onnxOf(net: MultiExit, about: OnnxAbout): Promise<OnnxFiles> {
  if (net.heads.some((_, j) => net.readsOf(j).fields.length > 0)) {
    throw new SortieError(
      `export: for ONNX heads must look at their own features alone; got some that are ${net.wraps.join(", ")}. Write a model file instead: leave --format out.`,
    );
  }
  const constants = await constantsOf(net);
  const fileOf = (part: Part) => encode(net, constants, about, part);
  const whole = fileOf({ name: "network", input: net.input, run: (x) => [["logits", net.forward(x, EVAL)]] });
  const stages: Uint8Array[] = [];
  let input: readonly number[] = net.input;
  for (let j = 0; j < net.exits; j++) {
    let after: readonly number[] = [];
    const run = (x: Tensor): Outputs => {
      const features = net.segment(j, x, EVAL);
      after = features.shape.slice(1);
      const logits = ["logits", net.answer(j, features, EVAL)] as const;
      return j === net.exits - 1 ? [logits] : [["features", features], logits];
    };
    stages.push(fileOf({ name: `stage${j + 1}`, input, run }));
    input = after;
  }
  return { whole, stages };
}

async function constantsOf(net: MultiExit): Promise<ReadonlyMap<object, Constant>> {
  const state = [...net.state()];
  const values = (await read(state.map(([, tensor]) => tensor))) as readonly Float32Array[];
  return new Map(state.map(([name, tensor], i) => [tensor, { name, shape: tensor.shape, data: values[i]! }]));
}

type Outputs = readonly (readonly [name: string, tensor: Tensor])[];

interface Part {
  readonly name: string;
  /** Shape of a sample that goes in, in our layout. */
  readonly input: readonly number[];
  run(x: Tensor): Outputs;
}

/** What goes into every graph. */
const INPUT = "input";

function encode(
  net: MultiExit,
  constants: ReadonlyMap<object, Constant>,
  about: OnnxAbout,
  { name, input, run }: Part,
): Uint8Array {
  const device = net.parameters()[0]!.device;
  const entries = new Map<object, Entry>(constants);
  let outputs: { readonly name: string; readonly of: object; readonly shape: readonly number[] }[] = [];
  const ops = trace(device, () =>
    noGrad(() => {
      const x = empty([BATCH, ...input], { device });
      entries.set(x, { value: INPUT, shape: x.shape });
      outputs = run(x).map(([name, tensor]) => ({ name, of: tensor, shape: tensor.shape.slice(1) }));
    }),
  );
  const graph = new Graph();
  for (const op of ops) drawOp(graph, op, entries);
  for (const { name, of } of outputs) {
    const entry = entries.get(of);
    if (!entry || isConstant(entry)) refuse("an output", `${name}, which no op makes`);
    graph.output(entry.value, name);
  }
  return encodeOnnx({
    name,
    ...graph.parts(outputs.map((output) => output.name)),
    inputs: [valueInfo(INPUT, outerShape(input))],
    outputs: outputs.map(({ name, shape }) => valueInfo(name, outerShape(shape))),
    ...about,
  });
}

/** A sample's shape in ONNX's layout. */
const outerShape = (shape: readonly number[]): readonly number[] => inOnnx([0, ...shape]).slice(1);

function drawOp(graph: Graph, op: TracedOp, entries: Map<object, Entry>): void {
  const given = op.inputs.map((input) => {
    const entry = input && entries.get(input);
    return input && !entry ? refuse(op.name, "a tensor that is no weight of the network") : entry;
  });
  const result = op.outputs[0]!;
  const [first] = given;
  // A weight in another shape is a weight.
  if (op.name === "reshape" && first && isConstant(first)) {
    entries.set(result, { ...first, shape: result.shape });
    return;
  }
  entries.set(result, { value: draw(new Site(graph, op, given, INPUT)), shape: result.shape });
}
