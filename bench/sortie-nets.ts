// The benchmark's nets on the project's engine: each a capture, replayed with one submit.

import {
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
  layerNorm,
  linear,
  qkvAttention,
  slice,
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

  #param(name: string): Tensor {
    const found = this.#params.get(name);
    if (!found) throw new Error(`bench: no parameter "${name}"`);
    return found;
  }

  conv(x: Tensor, name: string, { stride, pad }: { readonly stride: number; readonly pad: number }): Tensor {
    return conv2d(x, this.#param(`${name}.weight`), undefined, { stride, padding: pad });
  }

  batchNorm(
    x: Tensor,
    name: string,
    { residual, relu = false }: { readonly residual?: Tensor; readonly relu?: boolean } = {},
  ): Tensor {
    const [weight, bias] = [this.#param(`${name}.weight`), this.#param(`${name}.bias`)];
    const [mean, variance] = [this.#param(`${name}.mean`), this.#param(`${name}.var`)];
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
    const [weight, bias] = [this.#param(`${name}.weight`), this.#param(`${name}.bias`)];
    return linear(x, weight, bias, { activation: gelu ? "gelu" : "none", residual, residualAt: "after" });
  }

  embed(x: Tensor, { patch }: { readonly patch: number }): Tensor {
    const patches = conv2d(x, this.#param("patch.weight"), this.#param("patch.bias"), { stride: patch });
    const [n = 1, h = 1, w = 1, d = 1] = patches.shape;
    const cls = expand(this.#param("cls"), [n, 1, d]);
    return concat([cls, patches.reshape([n, h * w, d])], { dim: 1 }).add(this.#param("pos"));
  }

  layerNorm(x: Tensor, name: string): Tensor {
    return layerNorm(x, this.#param(`${name}.weight`), this.#param(`${name}.bias`), { eps: 1e-6 });
  }

  attention(qkv: Tensor, heads: number): Tensor {
    return qkvAttention(qkv, { heads });
  }

  firstToken(x: Tensor): Tensor {
    const [n = 1, , d = 1] = x.shape;
    return slice(x, { starts: [0, 0, 0], ends: [n, 1, d] }).reshape([n, d]);
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

/** Inference: captured by the first run, replayed from then on. */
export function prepareInference(device: Device, net: Net, inputs: Inputs): Prepared {
  const params = loadParams(net);
  const { x, labels } = uploads(inputs);
  labels.dispose();
  let forward: Capture<{ readonly x: Tensor }, Record<string, number>, Tensor> | undefined;
  let logits: Tensor | undefined;
  return {
    async run() {
      forward ??= await capture({ inputs: { x } }, (given) => net.forward(new SortieOps(params, false), given.x));
      logits = forward.run({ x });
      await device.sync();
    },
    output: async () => [(await (logits as Tensor).read()) as Float32Array],
    dispose() {
      forward?.dispose();
      for (const each of [...params.values(), x]) each.dispose();
    },
  };
}
