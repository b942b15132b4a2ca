// A page that classifies images by a residual network with weights from a file. Measured by `npm run size`.

import { capture, createDevice, readSafetensors, softmax } from "../../engine/functions.ts";
import { EVAL, loadTorch, resnet } from "../../nn/index.ts";

await createDevice();
const net = resnet({ depth: 20, classes: 10, seed: 1 });
loadTorch(net, (await readSafetensors("weights.safetensors")).tensors);

export const classifier = await capture({ inputs: { x: { shape: [1, 32, 32, 3], dtype: "f32" } } }, ({ x }) => ({
  p: softmax(net.forward(x, EVAL), { dim: 1 }),
}));
