// The project's own engine under the benchmark, through its public entry: kernels eagerly, nets as captures.

import { readFileSync } from "node:fs";
import {
  backward,
  batchNorm,
  conv2d,
  createDevice,
  crossEntropy,
  type Device,
  layerNorm,
  matmul,
  numel,
  read,
  scope,
  softmax,
  type Tensor,
  tensor,
  zeros,
} from "../engine/index.ts";
import type { BenchEngine, Prepared } from "./engine.ts";
import { SELF } from "./report.ts";
import { prepareInference, prepareTraining } from "./sortie-nets.ts";
import { nets } from "./workloads/nets.ts";
import type { ConvShape, Inputs, Workload } from "./workloads/workload.ts";

/** The input `name`, resident. */
function upload(inputs: Inputs, name: string): Tensor {
  const found = inputs[name];
  if (!found) throw new Error(`${SELF}: no input "${name}"`);
  return tensor(found.data, { shape: found.shape });
}

/** Runs `fn` eagerly; `owned` goes with it. */
function prepared(device: Device, fn: () => readonly Tensor[], owned: readonly Tensor[]): Prepared {
  let last: readonly Tensor[] = [];
  const release = () => {
    for (const each of last) each.dispose();
    last = [];
  };
  return {
    async run() {
      release();
      last = scope(fn);
      await device.sync();
    },
    output: async () => (await read(last)) as Float32Array[],
    async poison() {
      const shapes = last.map(({ shape }) => shape);
      release();
      const fillers = shapes.map((shape) => tensor(new Float32Array(numel(shape)).fill(Number.NaN), { shape }));
      await device.sync();
      for (const filler of fillers) filler.dispose();
    },
    dispose() {
      release();
      for (const each of owned) each.dispose();
    },
  };
}

/** Runs the backward pass of a graph that `forward` built once; its outputs are the leaves' gradients. */
function preparedGradient(
  device: Device,
  forward: () => Tensor,
  leaves: readonly Tensor[],
  g: Tensor,
  owned: readonly Tensor[],
): Prepared {
  const y = forward();
  const pullBack = () => {
    for (const leaf of leaves) leaf.zeroGrad();
    backward(y, { gradient: g, retain: true });
    return leaves.map((leaf) => leaf.grad.detach());
  };
  return prepared(device, pullBack, [y, g, ...leaves, ...owned]);
}

/** The gradient's point does not matter: convolution is linear, so zeros stand in for the operand it is taken in. */
function prepareConv(device: Device, pass: "fwd" | "dx" | "dw", shape: ConvShape, inputs: Inputs): Prepared {
  const { n, h, w, c, o, k, stride, pad, groups } = shape;
  const options = { stride, padding: pad, groups };
  const arg = (name: string) => upload(inputs, name);
  switch (pass) {
    case "fwd": {
      const [x, weight] = [arg("x"), arg("w")];
      return prepared(device, () => [conv2d(x, weight, undefined, options)], [x, weight]);
    }
    case "dx": {
      const [x, weight] = [zeros([n, h, w, c]).requiresGrad(), arg("w")];
      return preparedGradient(device, () => conv2d(x, weight, undefined, options), [x], arg("g"), [weight]);
    }
    case "dw": {
      const [x, weight] = [arg("x"), zeros([k, k, c / groups, o]).requiresGrad()];
      return preparedGradient(device, () => conv2d(x, weight, undefined, options), [weight], arg("g"), [x]);
    }
  }
}

function prepareBatchNorm(device: Device, inputs: Inputs): Prepared {
  const [x, gamma, beta, g] = ["x", "gamma", "beta", "g"].map((name) => upload(inputs, name)) as [
    Tensor,
    Tensor,
    Tensor,
    Tensor,
  ];
  const [mean, variance] = [zeros(gamma.shape), zeros(gamma.shape)];
  const leaves = [x, gamma, beta].map((leaf) => leaf.requiresGrad());
  const both = () => {
    for (const leaf of leaves) leaf.zeroGrad();
    const y = batchNorm(x, gamma, beta, mean, variance, { training: true, eps: 1e-5 });
    backward(y, { gradient: g });
    return [y.detach(), ...leaves.map((leaf) => leaf.grad.detach())];
  };
  return prepared(device, both, [...leaves, g, mean, variance]);
}

function prepare(device: Device, { problem }: Workload, inputs: Inputs): Prepared {
  const arg = (name: string) => upload(inputs, name);
  switch (problem.kind) {
    case "matmul": {
      const [a, b] = [arg("a"), arg("b")];
      return prepared(device, () => [matmul(a, b)], [a, b]);
    }
    case "conv":
      return prepareConv(device, problem.pass, problem.shape, inputs);
    case "softmax": {
      const x = arg("x");
      return prepared(device, () => [softmax(x)], [x]);
    }
    case "layerNorm": {
      const [x, gamma, beta] = [arg("x"), arg("gamma"), arg("beta")];
      return prepared(device, () => [layerNorm(x, gamma, beta, { eps: 1e-5 })], [x, gamma, beta]);
    }
    case "batchNorm":
      return prepareBatchNorm(device, inputs);
    case "crossEntropy": {
      const [logits, labels] = [arg("logits").requiresGrad(), arg("labels")];
      const both = () => {
        logits.zeroGrad();
        const loss = crossEntropy(logits, labels);
        backward(loss);
        return [loss.detach(), logits.grad.detach()];
      };
      return prepared(device, both, [logits, labels]);
    }
    case "train":
      return prepareTraining(nets[problem.net], inputs);
    case "infer":
      return prepareInference(device, nets[problem.net], inputs);
  }
}

/** sortie on the same adapter as its peers. */
export async function createEngine(): Promise<BenchEngine> {
  const device = await createDevice();
  const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  return {
    name: SELF,
    version,
    counted: true,
    prepare: async (workload, inputs) => prepare(device, workload, inputs),
  };
}
