// TensorFlow.js with its WebGPU backend under the benchmark: eager ops composed as its users compose them.
// Its layouts are the canonical ones ([N, H, W, C], [kh, kw, in, out]).

import type * as tfjs from "@tensorflow/tfjs-core";
import type {} from "@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops.js";
import type { BenchEngine, Prepared } from "../engine.ts";
import { initialParams, type Net, type NetOps, nets, SGD } from "../workloads/nets.ts";
import type { ConvShape, Inputs, NdArray, Workload } from "../workloads/workload.ts";
import { tfjsBundle } from "./tfjs-bundle.ts";
import { versionOf } from "./version.ts";

type Tensor = tfjs.Tensor;
type Params = ReadonlyMap<string, Tensor>;

/** What the WebGPU backend offers beyond core's types. */
interface Backend {
  readonly device: GPUDevice;
  readonly commandEncoder: GPUCommandEncoder | null;
  endComputePassEncoder(): void;
  submitQueue(): void;
}

let tf: typeof tfjs;

/** Submits what is deferred and waits for the GPU. */
async function finish(): Promise<void> {
  const backend = tf.backend() as unknown as Backend;
  if (backend.commandEncoder) {
    backend.endComputePassEncoder();
    backend.submitQueue();
  }
  await backend.device.queue.onSubmittedWorkDone();
}

function upload({ shape, data }: NdArray): Tensor {
  return tf.tensor(data, [...shape], data instanceof Int32Array ? "int32" : "float32");
}

function uploadInput(inputs: Inputs, name: string): Tensor {
  const found = inputs[name];
  if (!found) throw new Error(`tfjs: no input "${name}"`);
  return upload(found);
}

function prepared(fn: (...args: Tensor[]) => Tensor[], args: Tensor[]): Prepared {
  let last: Tensor[] = [];
  return {
    async run() {
      tf.dispose(last);
      last = tf.tidy(() => fn(...args));
      await finish();
    },
    output: () => Promise.all(last.map(async (tensor) => (await tensor.data()) as Float32Array)),
    async poison() {
      const shapes = last.map(({ shape }) => shape);
      tf.dispose(last);
      last = [];
      tf.dispose(shapes.map((shape) => tf.fill(shape, Number.NaN)));
      await finish();
    },
    dispose() {
      tf.dispose(last);
      tf.dispose(args);
    },
  };
}

/** Gradient kernels are called by name: `tf.grad` would run the forward convolution as well. */
function prepareConv(pass: "fwd" | "dx" | "dw", shape: ConvShape, inputs: Inputs): Prepared {
  const { n, h, w, c, o, k, stride, pad, groups } = shape;
  const isDepthwise = groups > 1;
  const filterShape = isDepthwise ? [k, k, c, 1] : [k, k, c, o];
  const arg = (name: string) => uploadInput(inputs, name);
  const weights = () => arg("w").reshape(filterShape);
  const common = { strides: [stride, stride], pad, dataFormat: "NHWC", dilations: [1, 1] };
  const kernel = (name: string, tensors: Record<string, Tensor>, attrs: Record<string, unknown>) => [
    tf.engine().runKernel(name, tensors, { ...common, ...attrs } as tfjs.NamedAttrMap) as Tensor,
  ];
  const family = isDepthwise ? "DepthwiseConv2dNative" : "Conv2D";
  switch (pass) {
    case "fwd":
      return prepared(
        (x, filter) => kernel(family, { x: x as Tensor, filter: filter as Tensor }, {}),
        [arg("x"), weights()],
      );
    case "dx":
      return prepared(
        (dy, filter) =>
          kernel(
            `${family}BackpropInput`,
            { dy: dy as Tensor, filter: filter as Tensor },
            { inputShape: [n, h, w, c] },
          ),
        [arg("g"), weights()],
      );
    case "dw":
      return prepared(
        (x, dy) => kernel(`${family}BackpropFilter`, { x: x as Tensor, dy: dy as Tensor }, { filterShape }),
        [arg("x"), arg("g")],
      );
  }
}

function batchNormTraining(x: Tensor, gamma: Tensor, beta: Tensor): Tensor {
  const { mean, variance } = tf.moments(x, [0, 1, 2]);
  return tf.batchNorm(
    x,
    mean as tfjs.Tensor1D,
    variance as tfjs.Tensor1D,
    beta as tfjs.Tensor1D,
    gamma as tfjs.Tensor1D,
    1e-5,
  );
}

function layerNorm(x: Tensor, gamma: Tensor, beta: Tensor, eps: number): Tensor {
  const { mean, variance } = tf.moments(x, -1, true);
  return x.sub(mean).mul(variance.add(eps).rsqrt()).mul(gamma).add(beta);
}

function crossEntropy(logits: Tensor, labels: Tensor): tfjs.Scalar {
  const classes = logits.shape.at(-1) ?? 1;
  return tf.losses.softmaxCrossEntropy(tf.oneHot(labels, classes), logits);
}

/** The nets' operations. Intermediates live until the surrounding `tidy` or gradient ends. */
class TfjsOps implements NetOps<Tensor> {
  readonly #params: Params;
  readonly #isTraining: boolean;

  constructor(params: Params, isTraining: boolean) {
    this.#params = params;
    this.#isTraining = isTraining;
  }

  #param(name: string): Tensor {
    const found = this.#params.get(name);
    if (!found) throw new Error(`tfjs: no parameter "${name}"`);
    return found;
  }

  conv(x: Tensor, name: string, { stride, pad }: { readonly stride: number; readonly pad: number }): Tensor {
    return tf.conv2d(x as tfjs.Tensor4D, this.#param(`${name}.weight`) as tfjs.Tensor4D, stride, pad);
  }

  batchNorm(x: Tensor, name: string, options: { readonly residual?: Tensor; readonly relu?: boolean } = {}): Tensor {
    const [gamma, beta] = [this.#param(`${name}.weight`), this.#param(`${name}.bias`)];
    let y: Tensor;
    if (this.#isTraining) {
      y = batchNormTraining(x, gamma, beta);
    } else {
      const [mean, variance] = [this.#param(`${name}.mean`), this.#param(`${name}.var`)] as tfjs.Tensor1D[];
      y = tf.batchNorm(
        x,
        mean as tfjs.Tensor1D,
        variance as tfjs.Tensor1D,
        beta as tfjs.Tensor1D,
        gamma as tfjs.Tensor1D,
        1e-5,
      );
    }
    if (options.residual) y = y.add(options.residual);
    return options.relu ? y.relu() : y;
  }

  globalAvgPool(x: Tensor): Tensor {
    return x.mean([1, 2]);
  }

  linear(x: Tensor, name: string, options: { readonly gelu?: boolean; readonly residual?: Tensor } = {}): Tensor {
    const w = this.#param(`${name}.weight`) as tfjs.Tensor2D;
    const [k, n] = w.shape;
    let y = tf.fused.matMul({ a: x.reshape([-1, k]), b: w, bias: this.#param(`${name}.bias`) }) as Tensor;
    if (options.gelu) y = y.mul(0.5).mul(y.mul(Math.SQRT1_2).erf().add(1));
    y = y.reshape([...x.shape.slice(0, -1), n]);
    return options.residual ? y.add(options.residual) : y;
  }

  embed(x: Tensor, { patch }: { readonly patch: number }): Tensor {
    const patches = this.conv(x, "patch", { stride: patch, pad: 0 }).add(this.#param("patch.bias"));
    const [n = 1, h = 1, w = 1, d = 1] = patches.shape;
    const cls = this.#param("cls").tile([n, 1, 1]);
    return tf.concat([cls, patches.reshape([n, h * w, d])], 1).add(this.#param("pos"));
  }

  layerNorm(x: Tensor, name: string): Tensor {
    return layerNorm(x, this.#param(`${name}.weight`), this.#param(`${name}.bias`), 1e-6);
  }

  attention(qkv: Tensor, heads: number): Tensor {
    const [n = 1, t = 1, d3 = 3] = qkv.shape;
    const width = d3 / 3 / heads;
    const [q, k, v] = tf
      .split(qkv, 3, -1)
      .map((part) => part.reshape([n, t, heads, width]).transpose([0, 2, 1, 3])) as [Tensor, Tensor, Tensor];
    const weights = tf
      .matMul(q, k, false, true)
      .mul(1 / Math.sqrt(width))
      .softmax();
    return tf
      .matMul(weights, v)
      .transpose([0, 2, 1, 3])
      .reshape([n, t, d3 / 3]);
  }

  firstToken(x: Tensor): Tensor {
    const [n = 1, , d = 1] = x.shape;
    return x.slice([0, 0, 0], [n, 1, d]).reshape([n, d]);
  }
}

function prepareTraining(net: Net, inputs: Inputs): Prepared {
  const values = initialParams(net);
  const trainable = net.params.filter((param) => param.trainable);
  const params = new Map(trainable.map(({ name }) => [name, tf.variable(upload(values.get(name) as NdArray))]));
  const [x, labels] = [uploadInput(inputs, "x"), uploadInput(inputs, "labels")];
  const optimizer = tf.train.momentum(SGD.lr, SGD.momentum);
  let loss = new Float32Array(0);
  return {
    async run() {
      const value = optimizer.minimize(() => crossEntropy(net.forward(new TfjsOps(params, true), x), labels), true, [
        ...params.values(),
      ]);
      loss = Float32Array.from((await value?.data()) ?? []);
      value?.dispose();
      await finish();
    },
    output: async () => [loss],
    dispose() {
      optimizer.dispose();
      tf.dispose([x, labels, ...params.values()]);
    },
  };
}

function prepareInference(net: Net, inputs: Inputs): Prepared {
  const params = new Map([...initialParams(net)].map(([name, value]) => [name, upload(value)]));
  return prepared((x) => [net.forward(new TfjsOps(params, false), x as Tensor)], [uploadInput(inputs, "x")]);
}

function prepareKernel({ problem }: Workload, inputs: Inputs): Prepared {
  const arg = (name: string) => uploadInput(inputs, name);
  switch (problem.kind) {
    case "matmul":
      return prepared((a, b) => [tf.matMul(a as Tensor, b as Tensor)], [arg("a"), arg("b")]);
    case "conv":
      return prepareConv(problem.pass, problem.shape, inputs);
    case "softmax":
      return prepared((x) => [tf.softmax(x as Tensor)], [arg("x")]);
    case "layerNorm":
      return prepared(
        (x, gamma, beta) => [layerNorm(x as Tensor, gamma as Tensor, beta as Tensor, 1e-5)],
        [arg("x"), arg("gamma"), arg("beta")],
      );
    case "batchNorm": {
      const both = tf.valueAndGrads((x, gamma, beta) =>
        batchNormTraining(x as Tensor, gamma as Tensor, beta as Tensor),
      );
      return prepared(
        (x, gamma, beta, g) => {
          const { value, grads } = both([x, gamma, beta] as Tensor[], g);
          return [value, ...grads];
        },
        [arg("x"), arg("gamma"), arg("beta"), arg("g")],
      );
    }
    case "crossEntropy": {
      const labels = arg("labels");
      const both = tf.valueAndGrad((logits) => crossEntropy(logits as Tensor, labels));
      return prepared(
        (logits) => {
          const { value, grad } = both(logits as Tensor);
          return [value, grad];
        },
        [arg("logits")],
      );
    }
    case "train":
      return prepareTraining(nets[problem.net], inputs);
    case "infer":
      return prepareInference(nets[problem.net], inputs);
  }
}

/** tfjs on WebGPU. */
export async function createEngine(): Promise<BenchEngine> {
  tf = (await import(await tfjsBundle())) as typeof tfjs;
  await tf.setBackend("webgpu");
  await tf.ready();
  return {
    name: "tfjs",
    version: versionOf("@tensorflow/tfjs-core"),
    counted: true,
    prepare: async (workload, inputs) => prepareKernel(workload, inputs),
  };
}
