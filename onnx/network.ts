// A multi-exit network as ONNX files: one graph with all exits' logits, and one for each exit, from the features in
// front of it.

import { firstOf, SortieError } from "../base/index.ts";
import { type Device, empty, noGrad, read, type Tensor, type TracedOp, trace } from "../engine/functions.ts";
import { EVAL, type Mode } from "../nn/index.ts";
import { draw } from "./forms.ts";
import { type Constant, type Entry, Graph, inOnnx, isConstant, refuse } from "./graph.ts";
import { encodeOnnx, valueInfo } from "./schema.ts";
import { Site } from "./site.ts";

/** A network that is drawn: exits one behind the other, each with the stages in front of it. */
export interface StagedNet {
  /** [H, W, C] */
  readonly input: readonly number[];
  readonly exits: number;
  readonly classes: number;
  /** What stands around its heads, for messages. */
  readonly wraps: readonly string[];
  /** Weights and running statistics by name. */
  state(): ReadonlyMap<string, Tensor>;
  /** Logits [N, K, C] of images [N, H, W, C]. */
  forward(x: Tensor, mode: Mode): Tensor;
  /** Features in front of exit `j` from those in front of the one before, or from images. */
  segment(j: number, x: Tensor, mode: Mode): Tensor;
  /** Logits [N, C] of exit `j`. */
  answer(j: number, features: Tensor, mode: Mode): Tensor;
  /** What exit `j` reads of what others say. */
  readsOf(j: number): { readonly fields: readonly string[] };
}

/** What files say besides their graphs. */
export interface OnnxAbout {
  /** Of what writes them. */
  readonly version?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  /** The values of `state()` by name, where they are known; else they are read. */
  readonly values?: ReadonlyMap<string, Float32Array>;
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
export async function onnxOf(net: StagedNet, about: OnnxAbout): Promise<OnnxFiles> {
  const drawing = await open(net, about);
  const whole = encode(drawing, { name: "network", input: net.input, run: (x) => [["logits", net.forward(x, EVAL)]] });
  return { whole, stages: drawStages(net, drawing) };
}

/** The files of the stages alone. @throws SortieError for an op that has no form in ONNX. */
export async function onnxStages(net: StagedNet, about: OnnxAbout): Promise<readonly Uint8Array[]> {
  return drawStages(net, await open(net, about));
}

/** Where graphs are drawn. */
interface Drawing {
  readonly device: Device;
  readonly constants: ReadonlyMap<object, Constant>;
  readonly about: OnnxAbout;
}

async function open(net: StagedNet, about: OnnxAbout): Promise<Drawing> {
  if (Array.from({ length: net.exits }, (_, j) => net.readsOf(j)).some(({ fields }) => fields.length > 0)) {
    throw new SortieError(
      `export: for ONNX heads must look at their own features alone; got some that are ${net.wraps.join(", ")}. Write a model file instead: leave --format out.`,
    );
  }
  const state = [...net.state()];
  const values = about.values
    ? state.map(([name]) => about.values?.get(name))
    : ((await read(state.map(([, tensor]) => tensor))) as readonly Float32Array[]);
  const constants = state.map(
    ([name, tensor], i) => [tensor, { name, shape: tensor.shape, data: values[i]! }] as const,
  );
  return { device: firstOf(state)[1].device, constants: new Map(constants), about };
}

function drawStages(net: StagedNet, drawing: Drawing): readonly Uint8Array[] {
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
    stages.push(encode(drawing, { name: `stage${j + 1}`, input, run }));
    input = after;
  }
  return stages;
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

function encode({ device, constants, about }: Drawing, { name, input, run }: Part): Uint8Array {
  const { version = "", metadata = {} } = about;
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
    version,
    metadata,
  });
}

/** A sample's shape in ONNX's layout. */
const outerShape = (shape: readonly number[]): readonly number[] => inOnnx([0, ...shape]).slice(1);

function drawOp(graph: Graph, op: TracedOp, entries: Map<object, Entry>): void {
  const given = op.inputs.map((input) => {
    const entry = input && entries.get(input);
    return input && !entry ? refuse(op.name, "a tensor that is no weight of the network") : entry;
  });
  const result = firstOf(op.outputs);
  const [first] = given;
  // A weight in another shape is a weight.
  if (op.name === "reshape" && first && isConstant(first)) {
    entries.set(result, { ...first, shape: result.shape });
    return;
  }
  entries.set(result, { value: draw(new Site(graph, op, given, INPUT)), shape: result.shape });
}
