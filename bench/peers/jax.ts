// jax-js (https://jax-js.com) under the benchmark: every workload as one jitted function, inputs resident.
// It stores images [N, C, H, W] and conv weights [out, in, kh, kw]; conversions happen outside the timed calls.
// Arrays are reference-counted by hand: an argument is consumed unless it is passed as `.ref`.

import { defaultDevice, grad, init, jit, lax, nn, numpy as np, tree, valueAndGrad, vjp } from "@jax-js/jax";
import type { BenchEngine, Prepared } from "../engine.ts";
import { initialParams, type Net, type NetOps, nets, SGD } from "../workloads/nets.ts";
import type { ConvShape, Inputs, NdArray, Workload } from "../workloads/workload.ts";
import { permute } from "./layout.ts";
import { versionOf } from "./version.ts";

type Array = np.Array;
type Params = Record<string, Array>;

const NHWC_TO_NCHW = [0, 3, 1, 2];
const NCHW_TO_NHWC = [0, 2, 3, 1];
const HWIO_TO_OIHW = [3, 2, 0, 1];
const OIHW_TO_HWIO = [2, 3, 1, 0];

/** A resident array, its axes permuted on the way if `axes` is given. */
function upload({ shape, data }: NdArray, axes?: readonly number[]): Array {
  const moved = axes ? permute(data, shape, axes) : { shape, data };
  const dtype = moved.data instanceof Int32Array ? np.int32 : np.float32;
  return np.array(moved.data as Float32Array<ArrayBuffer>, { shape: [...moved.shape], dtype });
}

function input(inputs: Inputs, name: string): NdArray {
  const found = inputs[name];
  if (!found) throw new Error(`jax-js: no input "${name}"`);
  return found;
}

async function download(array: Array, axes?: readonly number[]): Promise<Float32Array> {
  const shape = array.shape;
  const data = (await array.ref.data()) as Float32Array;
  return axes ? (permute(data, shape, axes).data as Float32Array) : data;
}

/** A jitted function of resident arguments; `axes[i]` brings output i back to the canonical layout. */
function prepared(
  fn: (...args: Array[]) => Array[],
  args: Array[],
  axes: readonly (readonly number[] | undefined)[] = [],
): Prepared {
  const compiled = jit(fn);
  let last: Array[] = [];
  return {
    async run() {
      tree.dispose(last);
      last = compiled(...args.map((arg) => arg.ref));
      await Promise.all(last.map((array) => array.blockUntilReady()));
    },
    output: () => Promise.all(last.map((array, i) => download(array, axes[i]))),
    async poison() {
      const shapes = last.map((array) => array.shape);
      tree.dispose(last);
      last = [];
      for (const shape of shapes) {
        const size = shape.reduce((a, b) => a * b, 1);
        const filler = np.array(new Float32Array(size).fill(Number.NaN), { shape: [...shape] });
        await filler.blockUntilReady();
        filler.dispose();
      }
    },
    dispose() {
      tree.dispose(last);
      tree.dispose(args);
      compiled.dispose();
    },
  };
}

function convolve(x: Array, w: Array, { stride, pad, groups }: Pick<ConvShape, "stride" | "pad" | "groups">): Array {
  const padding: [number, number] = [pad, pad];
  return lax.convGeneralDilated(x, w, [stride, stride], [padding, padding], { featureGroupCount: groups });
}

/** The gradient of the linear function `fn` along g. It does not depend on the point `zero` it is taken at. */
function pullBack(fn: (v: Array) => Array, zero: Array, g: Array): Array {
  const [y, back] = vjp(fn, [zero]);
  tree.dispose(y);
  const [gradient] = back(g) as [Array];
  back.dispose();
  return gradient;
}

function prepareConv(pass: "fwd" | "dx" | "dw", shape: ConvShape, inputs: Inputs): Prepared {
  const { n, h, w, c, o, k, groups } = shape;
  const image = (name: string) => upload(input(inputs, name), NHWC_TO_NCHW);
  const weights = () => upload(input(inputs, "w"), HWIO_TO_OIHW);
  switch (pass) {
    case "fwd":
      return prepared((x, wt) => [convolve(x, wt, shape)], [image("x"), weights()], [NCHW_TO_NHWC]);
    case "dx":
      return prepared(
        (wt, g) => [pullBack((x: Array) => convolve(x, wt, shape), np.zeros([n, c, h, w]), g)],
        [weights(), image("g")],
        [NCHW_TO_NHWC],
      );
    case "dw":
      return prepared(
        (x, g) => [pullBack((wt: Array) => convolve(x, wt, shape), np.zeros([o, c / groups, k, k]), g)],
        [image("x"), image("g")],
        [OIHW_TO_HWIO],
      );
  }
}

/** (x - mean) / sqrt(var + eps) over `axes`, biased variance. Consumes x. */
function standardise(x: Array, axes: number[], eps: number): Array {
  const centred = x.ref.sub(x.mean(axes, { keepdims: true }));
  const variance = centred.ref.mul(centred.ref).mean(axes, { keepdims: true });
  return centred.div(np.sqrt(variance.add(eps)));
}

const perChannel = (v: Array): Array => v.reshape([1, -1, 1, 1]);

function prepareBatchNorm(inputs: Inputs): Prepared {
  const loss = (x: Array, gamma: Array, beta: Array, g: Array): [Array, Array] => {
    const y = standardise(x, [0, 2, 3], 1e-5).mul(perChannel(gamma)).add(perChannel(beta));
    return [y.ref.mul(g).sum(), y];
  };
  const gradients = grad(loss, { argnums: [0, 1, 2], hasAux: true });
  const fn = (x: Array, gamma: Array, beta: Array, g: Array) => {
    const [[dx, dgamma, dbeta], y] = gradients(x, gamma, beta, g);
    return [y, dx, dgamma, dbeta] as Array[];
  };
  const args = [
    upload(input(inputs, "x"), NHWC_TO_NCHW),
    upload(input(inputs, "gamma")),
    upload(input(inputs, "beta")),
    upload(input(inputs, "g"), NHWC_TO_NCHW),
  ];
  return prepared(fn, args, [NCHW_TO_NHWC, NCHW_TO_NHWC]);
}

/** Mean cross-entropy. Consumes both. */
function crossEntropy(logits: Array, labels: Array): Array {
  const [rows = 1, classes = 1] = logits.shape;
  return nn
    .logSoftmax(logits)
    .mul(nn.oneHot(labels, classes))
    .sum()
    .mul(-1 / rows);
}

/** The nets' operations on traced arrays. As the seam asks, arguments are never consumed. */
class JaxOps implements NetOps<Array> {
  readonly #params: Params;
  readonly #isTraining: boolean;

  constructor(params: Params, isTraining: boolean) {
    this.#params = params;
    this.#isTraining = isTraining;
  }

  #param(name: string): Array {
    const found = this.#params[name];
    if (!found) throw new Error(`jax-js: no parameter "${name}"`);
    return found.ref;
  }

  conv(x: Array, name: string, { stride, pad }: { readonly stride: number; readonly pad: number }): Array {
    return convolve(x.ref, this.#param(`${name}.weight`), { stride, pad, groups: 1 });
  }

  batchNorm(x: Array, name: string, options: { readonly residual?: Array; readonly relu?: boolean } = {}): Array {
    let y: Array;
    if (this.#isTraining) {
      y = standardise(x.ref, [0, 2, 3], 1e-5);
    } else {
      const rstd = np.sqrt(this.#param(`${name}.var`).add(1e-5));
      y = x.ref.sub(perChannel(this.#param(`${name}.mean`))).div(perChannel(rstd));
    }
    y = y.mul(perChannel(this.#param(`${name}.weight`))).add(perChannel(this.#param(`${name}.bias`)));
    if (options.residual) y = y.add(options.residual.ref);
    return options.relu ? nn.relu(y) : y;
  }

  globalAvgPool(x: Array): Array {
    return x.ref.mean([2, 3]);
  }

  linear(x: Array, name: string, options: { readonly gelu?: boolean; readonly residual?: Array } = {}): Array {
    let y = np.matmul(x.ref, this.#param(`${name}.weight`)).add(this.#param(`${name}.bias`));
    if (options.gelu) y = nn.gelu(y, { approximate: false });
    return options.residual ? y.add(options.residual.ref) : y;
  }

  embed(x: Array, { patch }: { readonly patch: number }): Array {
    const patches = this.conv(x, "patch", { stride: patch, pad: 0 });
    const [n = 1, d = 1, h = 1, w = 1] = patches.shape;
    const tokens = patches
      .reshape([n, d, h * w])
      .transpose([0, 2, 1])
      .add(this.#param("patch.bias"));
    const cls = np.broadcastTo(this.#param("cls"), [n, 1, d]);
    return np.concatenate([cls, tokens], 1).add(this.#param("pos"));
  }

  layerNorm(x: Array, name: string): Array {
    return standardise(x.ref, [-1], 1e-6)
      .mul(this.#param(`${name}.weight`))
      .add(this.#param(`${name}.bias`));
  }

  /** By hand: `nn.dotProductAttention` needs iterator helpers, which Node 20 lacks. */
  attention(qkv: Array, heads: number): Array {
    const [n = 1, t = 1, d3 = 3] = qkv.shape;
    const width = d3 / 3 / heads;
    const split = np.split(qkv.ref, 3, -1).map((part) => part.reshape([n, t, heads, width]));
    const [q, k, v] = split as [Array, Array, Array];
    const scores = np.matmul(q.transpose([0, 2, 1, 3]), k.transpose([0, 2, 3, 1])).mul(1 / Math.sqrt(width));
    const mixed = np.matmul(nn.softmax(scores, -1), v.transpose([0, 2, 1, 3]));
    return mixed.transpose([0, 2, 1, 3]).reshape([n, t, d3 / 3]);
  }

  firstToken(x: Array): Array {
    return x.ref.slice([], 0);
  }
}

/** A net's parameters, resident; `trainable` ones only if so asked. */
function loadParams(net: Net, which: "trainable" | "all"): Params {
  const values = initialParams(net);
  const chosen = net.params.filter((param) => which === "all" || param.trainable);
  return Object.fromEntries(
    chosen.map(({ name, isConv }) => [name, upload(values.get(name) as NdArray, isConv ? HWIO_TO_OIHW : undefined)]),
  );
}

function prepareTraining(net: Net, inputs: Inputs): Prepared {
  const loss = (params: Params, x: Array, labels: Array) => {
    const logits = net.forward(new JaxOps(params, true), x);
    return crossEntropy(logits, labels);
  };
  const step = jit((params: Params, velocity: Params, x: Array, labels: Array): [Array, Params, Params] => {
    const [value, gradients] = valueAndGrad(loss)(tree.ref(params), x, labels) as [Array, Params];
    const names = Object.keys(params);
    const moved = names.map(
      (name) => [name, (velocity[name] as Array).mul(SGD.momentum).add(gradients[name] as Array)] as const,
    );
    const next = moved.map(([name, v]) => [name, (params[name] as Array).sub(v.ref.mul(SGD.lr))] as const);
    return [value, Object.fromEntries(next), Object.fromEntries(moved)];
  });
  const x = upload(input(inputs, "x"), NHWC_TO_NCHW);
  const labels = upload(input(inputs, "labels"));
  let params = loadParams(net, "trainable");
  let velocity = tree.map((p: Array) => np.zeros(p.shape), params) as Params;
  let loss32 = new Float32Array(0);
  return {
    async run() {
      const [value, nextParams, nextVelocity] = step(params, velocity, x.ref, labels.ref) as [Array, Params, Params];
      params = nextParams;
      velocity = nextVelocity;
      loss32 = (await value.data()) as Float32Array<ArrayBuffer>;
    },
    output: async () => [loss32],
    dispose() {
      tree.dispose([params, velocity, x, labels]);
      step.dispose();
    },
  };
}

function prepareInference(net: Net, inputs: Inputs): Prepared {
  const names = net.params.map(({ name }) => name);
  const params = loadParams(net, "all");
  const fn = (x: Array, ...values: Array[]) => {
    const named = Object.fromEntries(names.map((name, i) => [name, values[i] as Array]));
    return [net.forward(new JaxOps(named, false), x)];
  };
  return prepared(fn, [upload(input(inputs, "x"), NHWC_TO_NCHW), ...names.map((name) => params[name] as Array)]);
}

function prepare({ problem }: Workload, inputs: Inputs): Prepared {
  const plain = (name: string) => upload(input(inputs, name));
  switch (problem.kind) {
    case "matmul":
      return prepared((a, b) => [np.matmul(a, b)], [plain("a"), plain("b")]);
    case "conv":
      return prepareConv(problem.pass, problem.shape, inputs);
    case "softmax":
      return prepared((x) => [nn.softmax(x, -1)], [plain("x")]);
    case "layerNorm":
      return prepared(
        (x, gamma, beta) => [standardise(x, [-1], 1e-5).mul(gamma).add(beta)],
        [plain("x"), plain("gamma"), plain("beta")],
      );
    case "batchNorm":
      return prepareBatchNorm(inputs);
    case "crossEntropy": {
      const both = valueAndGrad(crossEntropy);
      return prepared((logits, labels) => both(logits, labels) as Array[], [plain("logits"), plain("labels")]);
    }
    case "train":
      return prepareTraining(nets[problem.net], inputs);
    case "infer":
      return prepareInference(nets[problem.net], inputs);
  }
}

/** jax-js on WebGPU. */
export async function createEngine(): Promise<BenchEngine> {
  const ready = await init("webgpu");
  if (!ready.includes("webgpu")) throw new Error("jax-js: no WebGPU");
  defaultDevice("webgpu");
  return {
    name: "jax-js",
    version: versionOf("@jax-js/jax"),
    counted: true,
    prepare: async (workload, inputs) => prepare(workload, inputs),
  };
}
