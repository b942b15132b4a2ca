// Floating-point operations of a net, counted by running it on shapes alone. Matrix products and convolutions only.

import type { Net, NetOps } from "./nets.ts";
import { sizeOf } from "./workload.ts";

type Shape = readonly number[];

/**
 * FLOPs of one forward pass, and of a training step: each product costs the same again for either gradient, except
 * that nobody needs the gradient of the image.
 */
export function countFlops(net: Net, batch: number): { readonly forward: number; readonly training: number } {
  const params = new Map(net.params.map(({ name, shape }) => [name, shape]));
  const shapeOf = (name: string): Shape => params.get(name) ?? [];
  let forward = 0;
  let first = 0;
  const count = (flops: number) => {
    if (forward === 0) first = flops;
    forward += flops;
  };
  const convolve = (x: Shape, name: string, stride: number, pad: number): Shape => {
    const [n = 0, h = 0, w = 0] = x;
    const [k = 0, , c = 0, o = 0] = shapeOf(`${name}.weight`);
    const extent = (size: number) => Math.floor((size + 2 * pad - k) / stride) + 1;
    count(2 * n * extent(h) * extent(w) * k * k * c * o);
    return [n, extent(h), extent(w), o];
  };
  const ops: NetOps<Shape> = {
    conv: (x, name, { stride, pad }) => convolve(x, name, stride, pad),
    batchNorm: (x) => x,
    globalAvgPool: ([n = 0, , , c = 0]) => [n, c],
    linear(x, name) {
      const [, outputs = 0] = shapeOf(`${name}.weight`);
      count(2 * sizeOf(x) * outputs);
      return [...x.slice(0, -1), outputs];
    },
    embed(x, { patch }) {
      const [n = 0, h = 0, w = 0, d = 0] = convolve(x, "patch", patch, 0);
      return [n, h * w + 1, d];
    },
    layerNorm: (x) => x,
    attention([n = 0, t = 0, d3 = 0]) {
      count((2 * 2 * n * t * t * d3) / 3);
      return [n, t, d3 / 3];
    },
    firstToken: ([n = 0, , d = 0]) => [n, d],
  };
  net.forward(ops, [batch, ...net.input]);
  return { forward, training: 3 * forward - first };
}
