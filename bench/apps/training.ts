// A page that trains a residual network. Measured by `npm run size`.

import { backward, capture, createDevice, crossEntropy } from "../../engine/functions.ts";
import { resnet, SGD, TRAIN } from "../../nn/index.ts";

await createDevice();
const net = resnet({ depth: 20, classes: 10, seed: 1 });
const optimizer = new SGD(net.parameters(), { lr: 0.1, momentum: 0.9 });

export const step = await capture(
  {
    inputs: { x: { shape: [32, 32, 32, 3], dtype: "f32" }, y: { shape: [32], dtype: "i32" } },
    state: [optimizer, ...net.buffers()],
  },
  ({ x, y }) => {
    const loss = crossEntropy(net.forward(x, TRAIN), y);
    backward(loss);
    optimizer.step();
    optimizer.zeroGrad();
    return { loss };
  },
);
