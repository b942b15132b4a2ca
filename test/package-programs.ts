// What users of the package write, as texts: the tests of it install, compile, bundle and run them.

export const CONSUMER = `
import { clopperPearson } from "sortie/calibration";
import { createDevice, type Tensor, tensor } from "sortie/engine";
import { pipelineKey } from "sortie/kernels";

export async function gradient(): Promise<{ loss: number; grad: number[] }> {
  using device = await createDevice();
  const x: Tensor = tensor([[1, 2], [3, 4]]);
  const w = tensor([[1], [1]], { device }).requiresGrad();
  const loss = x.matmul(w).sum();
  loss.backward();
  return { loss: await loss.item(), grad: [...(await w.grad.read())] };
}

export const bound: number = clopperPearson(0, 10, { alpha: 0.05 }).upper;
export const key: (kernel: never, spec: never) => string = pipelineKey;
`;

// What functions alone bring: nn and exits train without a single method on tensors.
export const PLAIN = `
import { backward, createDevice, crossEntropy, randn, Tensor, tensor } from "sortie/engine/functions";
import { HEADS, multiExit } from "sortie/exits";
import { resnet, SGD, TRAIN, vit } from "sortie/nn";

using device = await createDevice();
const y = tensor([1, 2], { dtype: "i32" });
const nets = [
  multiExit(resnet({ depth: 8, classes: 3, seed: 1 }), { after: ["stage1"], head: HEADS["pool-linear"], seed: 1 }),
  multiExit(vit({ imgSize: 8, patchSize: 4, embedDim: 8, depth: 3, numHeads: 2, classes: 3, seed: 1 }), {
    after: ["stage1"],
    head: "mean-token",
    seed: 1,
  }),
];
const losses: number[] = [];
for (const [i, net] of nets.entries()) {
  const optimizer = new SGD(net.parameters(), { lr: 0.1 });
  const size = i === 0 ? 32 : 8;
  const loss = crossEntropy(net.forward(randn([2, size, size, 3], { seed: 2 }), TRAIN), y);
  backward(loss);
  optimizer.step();
  losses.push(await loss.item());
}
console.log(JSON.stringify({ methods: "reshape" in Tensor.prototype, isFinite: losses.every(Number.isFinite) }));
`;

// Every entry, and what the root has: one thing by each name.
export const ENTRIES = `
import * as root from "sortie";
import * as calibration from "sortie/calibration";
import * as data from "sortie/data";
import * as engine from "sortie/engine";
import { grad } from "sortie/engine.min.js";
import * as functions from "sortie/engine/functions";
import * as exits from "sortie/exits";
import * as kernels from "sortie/kernels";
import * as nn from "sortie/nn";
import { train } from "sortie/sortie.min.js";

export const entries = [calibration, data, exits, functions, kernels, nn, grad, train];
export const sum: engine.Tensor = root.tensor([1, 2]).add(1);
export const fit: typeof calibration.fit = root.fit;
`;

export const MAIN = `
import { gradient } from "./consumer.js";
console.log(JSON.stringify(await gradient()));
`;

/** Some steps of training, wider than a tile, and a JPEG file, by functions of a module: numbers. */
export const PROGRAM = (module: string): string => `
import { backward, buildNetwork, createDevice, crossEntropy, decodeJpeg, randn, SGD, TRAIN, tensor } from "${module}";

globalThis.numbers = async () => {
  const device = await createDevice();
  const shape = { input: [12, 12, 3], classes: 5, exits: ["stage1", "stage2"], head: "gap-norm-linear" };
  const net = buildNetwork({ backbone: "resnet", options: { depth: 8, widths: [24, 40, 72] }, ...shape }, { seed: 1, device });
  const optimizer = new SGD(net.flat(), { lr: 0.1, momentum: 0.9 });
  const x = randn([16, 12, 12, 3], { seed: 2, device });
  const labels = tensor(Int32Array.from({ length: 16 }, (_, i) => i % 5), { device });
  const losses = [];
  for (let step = 0; step < 3; step++) {
    optimizer.zeroGrad();
    const loss = crossEntropy(net.forward(x, TRAIN), labels);
    backward(loss);
    optimizer.step();
    losses.push(await loss.item());
  }
  const { data } = await decodeJpeg(new Uint8Array(await (await fetch("/picture.jpg")).arrayBuffer()), { file: "picture.jpg", channels: 3 });
  return { losses, pixels: [...data] };
};
`;

/** What the engine's file adds: methods. */
export const METHODS = `
import { createDevice, tensor } from "/engine.min.js";
globalThis.methods = async () => {
  const device = await createDevice();
  const w = tensor([[1], [1]], { device }).requiresGrad();
  tensor([[1, 2], [3, 4]], { device }).matmul(w).sum().backward();
  return [...(await w.grad.read())];
};
`;
