// onnxruntime-node with its WebGPU execution provider under the benchmark: inference graphs only.
// It brings its own Dawn on the same Vulkan driver, so its calls cannot be counted from here. Inputs and outputs stay
// in GPU buffers while timed; each run ends with a one-number read-back, since the provider does not wait by itself.
// Layout: images [N, C, H, W], conv weights [out, in, kh, kw]; conversions happen outside the timed calls.

import ort from "onnxruntime-node";
import type { BenchEngine, Prepared } from "../engine.ts";
import { initialParams, type Net, type NetOps, nets } from "../workloads/nets.ts";
import type { ConvShape, Inputs, NdArray, Workload } from "../workloads/workload.ts";
import { permute } from "./layout.ts";
import { type OnnxConstant, type OnnxNode, type OnnxValue, onnxModel } from "./onnx.ts";
import { versionOf } from "./version.ts";

type Tensor = ort.Tensor;

const NHWC_TO_NCHW = [0, 3, 1, 2];
const NCHW_TO_NHWC = [0, 2, 3, 1];
const HWIO_TO_OIHW = [3, 2, 0, 1];
/** ConvTranspose wants [in, out/groups, kh, kw] in terms of its own direction: the same array as the convolution's. */
const TRANSPOSED_WEIGHTS = HWIO_TO_OIHW;

/** A graph with one output, its inputs resident, and the axes that bring the output to the canonical layout. */
interface Graph {
  readonly nodes: readonly OnnxNode[];
  readonly inputs: readonly { readonly name: string; readonly value: NdArray }[];
  readonly constants?: readonly OnnxConstant[];
  readonly output: OnnxValue;
  readonly axes?: readonly number[];
}

const provider = { executionProviders: [{ name: "webgpu" }] } as const;

function session(model: Uint8Array, where: "cpu" | "gpu-buffer", optimise = true): Promise<ort.InferenceSession> {
  return ort.InferenceSession.create(model, {
    ...provider,
    graphOptimizationLevel: optimise ? "all" : "disabled",
    preferredOutputLocation: where,
    logSeverityLevel: 3,
  });
}

/** x -> x through the GPU. Unoptimised, so that the multiplication by one stays. */
function copySession(shape: readonly number[], where: "cpu" | "gpu-buffer"): Promise<ort.InferenceSession> {
  const model = onnxModel({
    nodes: [{ op: "Mul", inputs: ["x", "one"], outputs: ["y"] }],
    constants: [{ name: "one", shape: [1], data: Float32Array.of(1) }],
    inputs: [{ name: "x", shape }],
    outputs: [{ name: "y", shape }],
  });
  return session(model, where, false);
}

async function only(run: ReturnType<ort.InferenceSession["run"]>): Promise<Tensor> {
  const [tensor] = Object.values(await run);
  if (!tensor) throw new Error("onnxruntime: no output");
  return tensor;
}

/** A resident tensor. Its buffer belongs to the session that made it, so that one is released after it. */
class Resident {
  readonly tensor: Tensor;
  readonly #session: ort.InferenceSession;

  constructor(tensor: Tensor, session: ort.InferenceSession) {
    this.tensor = tensor;
    this.#session = session;
  }

  static async upload({ shape, data }: NdArray): Promise<Resident> {
    const copy = await copySession(shape, "gpu-buffer");
    return new Resident(await only(copy.run({ x: new ort.Tensor("float32", data as Float32Array, shape) })), copy);
  }

  async release(): Promise<void> {
    this.tensor.dispose();
    await this.#session.release();
  }
}

async function prepared(graph: Graph, tick: () => Promise<void>): Promise<Prepared> {
  const { name, shape } = graph.output;
  const main = await session(
    onnxModel({
      nodes: graph.nodes,
      constants: graph.constants ?? [],
      inputs: graph.inputs.map((item) => ({ name: item.name, shape: item.value.shape })),
      outputs: [graph.output],
    }),
    "gpu-buffer",
  );
  const download = await copySession(shape, "cpu");
  const residents: Resident[] = [];
  for (const item of graph.inputs) residents.push(await Resident.upload(item.value));
  const feeds = Object.fromEntries(graph.inputs.map((item, i) => [item.name, (residents[i] as Resident).tensor]));
  let last: Tensor | undefined;
  return {
    async run() {
      last?.dispose();
      last = (await main.run(feeds))[name] as Tensor;
      await tick();
    },
    async output() {
      if (!last) throw new Error("onnxruntime: nothing ran");
      const data = (await only(download.run({ x: last }))).data as Float32Array;
      return [graph.axes ? (permute(data, shape, graph.axes).data as Float32Array) : data];
    },
    async poison() {
      last?.dispose();
      last = undefined;
      const size = shape.reduce((a, b) => a * b, 1);
      const filler = await Resident.upload({ shape, data: new Float32Array(size).fill(Number.NaN) });
      await filler.release();
    },
    async dispose() {
      last?.dispose();
      for (const resident of residents) await resident.release();
      await main.release();
      await download.release();
    },
  };
}

function array(inputs: Inputs, name: string, axes?: readonly number[]): NdArray {
  const found = inputs[name];
  if (!found) throw new Error(`onnxruntime: no input "${name}"`);
  return axes ? permute(found.data, found.shape, axes) : found;
}

const asConstant = (name: string, { shape, data }: NdArray): OnnxConstant => ({
  name,
  shape,
  data: data as Float32Array,
});

/** Convolution, or ConvTranspose for the input gradient. Weights are constants, as in any model. */
function convGraph(pass: "fwd" | "dx", shape: ConvShape, inputs: Inputs, output: readonly number[]): Graph {
  const { h, k, stride, pad, groups } = shape;
  const gradientPad = (h + 2 * pad - k) % stride;
  const attrs = { strides: [stride, stride], pads: [pad, pad, pad, pad], group: groups, kernel_shape: [k, k] };
  const [n = 1, height = 1, width = 1, c = 1] = output;
  const name = pass === "fwd" ? "x" : "g";
  return {
    nodes: [
      pass === "fwd"
        ? { op: "Conv", inputs: [name, "w"], outputs: ["y"], attrs }
        : {
            op: "ConvTranspose",
            inputs: [name, "w"],
            outputs: ["y"],
            attrs: { ...attrs, output_padding: [gradientPad, gradientPad] },
          },
    ],
    inputs: [{ name, value: array(inputs, name, NHWC_TO_NCHW) }],
    constants: [asConstant("w", array(inputs, "w", pass === "fwd" ? HWIO_TO_OIHW : TRANSPOSED_WEIGHTS))],
    output: { name: "y", shape: [n, c, height, width] },
    axes: NCHW_TO_NHWC,
  };
}

/** The nets' operations as graph nodes; values are names. Inference only. */
class OrtOps implements NetOps<string> {
  readonly nodes: OnnxNode[] = [];

  #node(op: string, inputs: readonly string[], attrs: NonNullable<OnnxNode["attrs"]> = {}): string {
    const output = `v${this.nodes.length}`;
    this.nodes.push({ op, inputs, outputs: [output], attrs });
    return output;
  }

  conv(x: string, name: string, { stride, pad }: { readonly stride: number; readonly pad: number }): string {
    return this.#node("Conv", [x, `${name}.weight`], { strides: [stride, stride], pads: [pad, pad, pad, pad] });
  }

  batchNorm(x: string, name: string, options: { readonly residual?: string; readonly relu?: boolean } = {}): string {
    const params = ["weight", "bias", "mean", "var"].map((part) => `${name}.${part}`);
    let y = this.#node("BatchNormalization", [x, ...params], { epsilon: { float: 1e-5 } });
    if (options.residual) y = this.#node("Add", [y, options.residual]);
    return options.relu ? this.#node("Relu", [y]) : y;
  }

  globalAvgPool(x: string): string {
    return this.#node("Flatten", [this.#node("GlobalAveragePool", [x])]);
  }

  linear(x: string, name: string): string {
    return this.#node("Gemm", [x, `${name}.weight`, `${name}.bias`]);
  }

  embed(): string {
    throw new Error("onnxruntime: no row asks for a ViT");
  }

  layerNorm(): string {
    throw new Error("onnxruntime: no row asks for a ViT");
  }

  attention(): string {
    throw new Error("onnxruntime: no row asks for a ViT");
  }

  firstToken(): string {
    throw new Error("onnxruntime: no row asks for a ViT");
  }
}

function inferGraph(net: Net, batch: number, inputs: Inputs): Graph {
  const ops = new OrtOps();
  const y = net.forward(ops, "x");
  const values = initialParams(net);
  return {
    nodes: ops.nodes,
    inputs: [{ name: "x", value: array(inputs, "x", NHWC_TO_NCHW) }],
    constants: net.params.map(({ name, isConv }) => {
      const value = values.get(name) as NdArray;
      return asConstant(name, isConv ? permute(value.data, value.shape, HWIO_TO_OIHW) : value);
    }),
    output: { name: y, shape: [batch, net.classes] },
  };
}

function graphOf({ problem, outputs }: Workload, inputs: Inputs): Graph | undefined {
  const [shape = []] = outputs;
  const output = { name: "y", shape };
  const feed = (name: string) => ({ name, value: array(inputs, name) });
  switch (problem.kind) {
    case "matmul":
      return { nodes: [{ op: "MatMul", inputs: ["a", "b"], outputs: ["y"] }], inputs: [feed("a"), feed("b")], output };
    case "conv":
      return problem.pass === "dw" ? undefined : convGraph(problem.pass, problem.shape, inputs, shape);
    case "softmax":
      return {
        nodes: [{ op: "Softmax", inputs: ["x"], outputs: ["y"], attrs: { axis: 1 } }],
        inputs: [feed("x")],
        output,
      };
    case "layerNorm":
      return {
        nodes: [
          {
            op: "LayerNormalization",
            inputs: ["x", "gamma", "beta"],
            outputs: ["y"],
            attrs: { epsilon: { float: 1e-5 } },
          },
        ],
        inputs: [feed("x")],
        constants: [asConstant("gamma", array(inputs, "gamma")), asConstant("beta", array(inputs, "beta"))],
        output,
      };
    case "infer":
      return inferGraph(nets[problem.net], problem.batch, inputs);
    default:
      return undefined;
  }
}

/** onnxruntime-node's WebGPU provider. It trains nothing. */
export async function createEngine(): Promise<BenchEngine> {
  const relu = onnxModel({
    nodes: [{ op: "Relu", inputs: ["x"], outputs: ["y"] }],
    inputs: [{ name: "x", shape: [1] }],
    outputs: [{ name: "y", shape: [1] }],
  });
  const ticker = await session(relu, "cpu", false);
  const one = new ort.Tensor("float32", Float32Array.of(1), [1]);
  const tick = async () => {
    await ticker.run({ x: one });
  };
  return {
    name: "onnxruntime",
    version: versionOf("onnxruntime-node"),
    counted: false,
    async prepare(workload, inputs) {
      const graph = graphOf(workload, inputs);
      return graph && prepared(graph, tick);
    },
  };
}
