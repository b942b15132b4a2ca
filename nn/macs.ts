// Multiply-accumulates, counted from the ops that a forward pass really calls, without running it.

import { type Device, defaultDevice, empty, noGrad, numel, type Shape, type Tensor, type TracedOp, trace } from "../engine/index.ts";

/** MACs of one traced op: products only, as is usual; norms, pools and pointwise ops count nothing. */
function macsOf({ name, inputs, outputs, attrs }: TracedOp): number {
  const x = inputs[0]?.shape ?? [];
  const w = inputs[1]?.shape ?? [];
  const out = numel(outputs[0]?.shape ?? []);
  switch (name) {
    case "conv2d":
      return out * numel(w.slice(0, 3));
    case "linear":
      return out * (w[0] as number);
    case "matmul":
      return out * (x.at((attrs as { readonly ta: boolean }).ta && x.length > 1 ? -2 : -1) as number);
    // Scores and mixture: each output element costs a product with every key, twice.
    case "scaledDotProductAttention":
      return 2 * out * (w[2] as number);
    case "qkvAttention":
      return 2 * out * (x[1] as number);
    default:
      return 0;
  }
}

/** MACs of `fn` on one image (or other input) of the shape given, without its batch axis. Nothing runs on the GPU. */
export function countMacs(input: Shape, fn: (x: Tensor) => unknown, device: Device = defaultDevice()): number {
  const ops = trace(device, () => noGrad(() => fn(empty([1, ...input], { device }))));
  return ops.reduce((sum, op) => sum + macsOf(op), 0);
}
