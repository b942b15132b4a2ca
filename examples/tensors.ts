// Tensors in Node: made, computed with, differentiated, fitted to data. `npm i sortie webgpu`, then `npx tsx tensors.ts`.

import { createDevice, matmul, mean, randn, scope, tensor } from "sortie/engine";
import { SGD } from "sortie/nn";

const device = await createDevice();

// Operations are queued on the GPU; `read` is what waits.
const x = tensor([
  [1, 2, 3],
  [4, 5, 6],
]);
console.log("row sums", Array.from(await x.sum({ dim: 1 }).read()));
console.log("x times its transpose", Array.from(await matmul(x, x, { transposeB: true }).read()));

// A gradient: of the mean square, by every element.
const w = tensor([1, -2, 3]).requiresGrad();
mean(w.mul(w)).backward();
console.log("gradient", Array.from(await w.grad.read(), (value) => value.toFixed(3)).join(" "));

// Least squares by gradient descent: y = points * [2, -1], found again. A scope frees what a step makes.
const points = randn([64, 2], { seed: 1 });
const y = matmul(points, tensor([[2], [-1]]));
const slope = tensor([[0], [0]]).requiresGrad();
const sgd = new SGD([slope], { lr: 0.2 });
for (let step = 0; step < 50; step++) {
  scope(() => {
    const error = matmul(points, slope).sub(y);
    mean(error.mul(error)).backward();
    sgd.step();
    sgd.zeroGrad();
  });
}
console.log("found", Array.from(await slope.read(), (value) => value.toFixed(2)).join(" "));
device.dispose();
