// The benchmark's nets on the project's engine: each a capture, replayed with one submit.

import {
  add,
  avgPool2d,
  backward,
  batchNorm,
  type Capture,
  capture,
  concat,
  conv2d,
  crossEntropy,
  type Device,
  expand,
  keep,
  layerNorm,
  linear,
  mul,
  qkvAttention,
  rsqrt,
  scope,
  slice,
  sub,
  type Tensor,
  tensor,
} from "../engine/index.ts";
import { SGD as Sgd } from "../nn/index.ts";
import type { Prepared } from "./engine.ts";
import { initialParams, type Net, type NetOps, SGD } from "./workloads/nets.ts";
import type { Inputs } from "./workloads/workload.ts";

/** The nets' operations. */
class SortieOps implements NetOps<Tensor> {
  readonly #params: ReadonlyMap<string, Tensor>;
  readonly #training: boolean;

  constructor(params: ReadonlyMap<string, Tensor>, training: boolean) {
    this.#params = params;
    this.#training = training;
  }

  protected param(name: string): Tensor {
    const found = this.#params.get(name);
    if (!found) throw new Error(`bench: no parameter "${name}"`);
    return found;
  }

  conv(x: Tensor, name: string, { stride, pad }: { readonly stride: number; readonly pad: number }): Tensor {
    return conv2d(x, this.param(`${name}.weight`), undefined, { stride, padding: pad });
  }

  batchNorm(
    x: Tensor,
    name: string,
    { residual, relu = false }: { readonly residual?: Tensor; readonly relu?: boolean } = {},
  ): Tensor {
    const [weight, bias] = [this.param(`${name}.weight`), this.param(`${name}.bias`)];
    const [mean, variance] = [this.param(`${name}.mean`), this.param(`${name}.var`)];
    const activation = relu ? "relu" : "none";
    return batchNorm(x, weight, bias, mean, variance, { training: this.#training, eps: 1e-5, activation, residual });
  }

  globalAvgPool(x: Tensor): Tensor {
    const [n = 1, h = 1, w = 1, c = 1] = x.shape;
    return avgPool2d(x, { kernel: [h, w] }).reshape([n, c]);
  }

  linear(
    x: Tensor,
    name: string,
    { gelu = false, residual }: { readonly gelu?: boolean; readonly residual?: Tensor } = {},
  ): Tensor {
    const [weight, bias] = [this.param(`${name}.weight`), this.param(`${name}.bias`)];
    return linear(x, weight, bias, { activation: gelu ? "gelu" : "none", residual, residualAt: "after" });
  }

  embed(x: Tensor, { patch }: { readonly patch: number }): Tensor {
    const patches = conv2d(x, this.param("patch.weight"), this.param("patch.bias"), { stride: patch });
    const [n = 1, h = 1, w = 1, d = 1] = patches.shape;
    const cls = expand(this.param("cls"), [n, 1, d]);
    return concat([cls, patches.reshape([n, h * w, d])], { dim: 1 }).add(this.param("pos"));
  }

  layerNorm(x: Tensor, name: string): Tensor {
    return layerNorm(x, this.param(`${name}.weight`), this.param(`${name}.bias`), { eps: 1e-6 });
  }

  attention(qkv: Tensor, heads: number): Tensor {
    return qkvAttention(qkv, { heads });
  }

  firstToken(x: Tensor): Tensor {
    const [n = 1, , d = 1] = x.shape;
    return slice(x, { starts: [0, 0, 0], ends: [n, 1, d] }).reshape([n, d]);
  }
}

/** The same for inference: norms are folded into the convolutions in front of them, as `deploy` does it. */
class PreparedOps extends SortieOps {
  readonly #folded = new Map<string, { readonly weight: Tensor; readonly bias: Tensor }>();
  /** What stands for a convolution until its norm is known. */
  readonly #pending = new Map<Tensor, Parameters<NetOps<Tensor>["conv"]>>();

  constructor(params: ReadonlyMap<string, Tensor>) {
    super(params, false);
  }

  override conv(...given: Parameters<NetOps<Tensor>["conv"]>): Tensor {
    const stand = given[0].detach();
    this.#pending.set(stand, given);
    return stand;
  }

  override batchNorm(
    stand: Tensor,
    norm: string,
    { residual, relu = false }: { readonly residual?: Tensor; readonly relu?: boolean } = {},
  ): Tensor {
    const found = this.#pending.get(stand);
    if (!found) throw new Error(`bench: ${norm} must stand behind a convolution`);
    this.#pending.delete(stand);
    const [x, name, { stride, pad }] = found;
    const { weight, bias } = this.#fold(name, norm);
    return conv2d(x, weight, bias, { stride, padding: pad, activation: relu ? "relu" : "none", residual });
  }

  dispose(): void {
    for (const { weight, bias } of this.#folded.values()) for (const each of [weight, bias]) each.dispose();
  }

  #fold(name: string, norm: string): { readonly weight: Tensor; readonly bias: Tensor } {
    const known = this.#folded.get(name);
    if (known) return known;
    const of = (field: string): Tensor => this.param(`${norm}.${field}`);
    const gain = mul(of("weight"), rsqrt(add(of("var"), 1e-5)));
    const weight = mul(this.param(`${name}.weight`), gain);
    const made = keep({ weight, bias: sub(of("bias"), mul(of("mean"), gain)) });
    this.#folded.set(name, made);
    return made;
  }
}

/** Parameters and statistics, resident. */
function loadParams(net: Net): Map<string, Tensor> {
  return new Map([...initialParams(net)].map(([name, { shape, data }]) => [name, tensor(data, { shape })]));
}

function uploads(inputs: Inputs): { readonly x: Tensor; readonly labels: Tensor } {
  const { x, labels } = inputs;
  if (!x || !labels) throw new Error("bench: a net needs x and labels");
  return { x: tensor(x.data, { shape: x.shape }), labels: tensor(labels.data, { shape: labels.shape }) };
}

type Batch = { readonly x: Tensor; readonly labels: Tensor };

/** Training steps: captured by the first run, which therefore includes the capture, and replayed from then on. */
export function prepareTraining(net: Net, inputs: Inputs): Prepared {
  const params = loadParams(net);
  const batch = uploads(inputs);
  const named = net.params.map(({ name, trainable }) => ({ trainable, value: params.get(name) as Tensor }));
  const optimizer = new Sgd(
    named.filter(({ trainable }) => trainable).map(({ value }) => value.requiresGrad()),
    SGD,
  );
  const statistics = named.filter(({ trainable }) => !trainable).map(({ value }) => value);
  const record = () =>
    capture({ inputs: batch, state: [optimizer, ...statistics] }, ({ x, labels }) => {
      optimizer.zeroGrad();
      const loss = crossEntropy(net.forward(new SortieOps(params, true), x), labels);
      backward(loss);
      optimizer.step();
      return loss;
    });
  let step: Capture<Batch, Record<string, number>, Tensor> | undefined;
  let loss = new Float32Array(0);
  return {
    async run() {
      step ??= await record();
      loss = Float32Array.of(await step.run(batch).item());
    },
    output: async () => [loss],
    dispose() {
      step?.dispose();
      optimizer.dispose();
      for (const each of [...params.values(), batch.x, batch.labels]) each.dispose();
    },
  };
}

/** Inference: captured by the first run, which prepares the weights, and replayed from then on. */
export function prepareInference(device: Device, net: Net, inputs: Inputs): Prepared {
  const params = loadParams(net);
  const ops = new PreparedOps(params);
  const { x, labels } = uploads(inputs);
  labels.dispose();
  let forward: Capture<{ readonly x: Tensor }, Record<string, number>, Tensor> | undefined;
  let logits: Tensor | undefined;
  return {
    async run() {
      if (!forward) {
        scope(() => void net.forward(ops, x));
        forward = await capture({ inputs: { x } }, (given) => net.forward(ops, given.x));
      }
      logits = forward.run({ x });
      await device.sync();
    },
    output: async () => [(await (logits as Tensor).read()) as Float32Array],
    dispose() {
      forward?.dispose();
      ops.dispose();
      for (const each of [...params.values(), x]) each.dispose();
    },
  };
}
