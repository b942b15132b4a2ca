// The end of most classifiers, as data: one vector of each sample, normed or not, and a linear layer. As data, so that
// who decides by the logits can compute them in the same dispatch.

import { exactly } from "../base/index.ts";
import { mean, reshape, slice, type Tensor } from "../engine/functions.ts";
import { globalAveragePool, type LayerNorm, type Linear } from "./layers.ts";
import type { Mode } from "./module.ts";
import type { Pass } from "./pass.ts";
import type { Dropout } from "./random-layers.ts";

/** From features - a map [B, H, W, C] or tokens [B, T, C] - to logits. */
export interface Tail {
  /** The vector of a sample: the mean of all positions, or the first token. */
  readonly vector: "mean" | "first";
  readonly norm?: LayerNorm;
  /** In training, in front of the linear layer. */
  readonly dropout?: Dropout | undefined;
  readonly linear: Linear;
}

/** Logits [B, classes] of features, an op after the other. */
export const throughTail = (tail: Tail, features: Tensor): Tensor => tailPass(tail, { training: false })(features);

/** The same as a pass. */
export function tailPass({ vector, norm, dropout, linear }: Tail, mode: Mode): Pass {
  const out = linear.pass(mode);
  return (x, fused) => {
    const row = vectorOf(vector, x);
    const normed = norm ? norm.forward(row) : row;
    return out(dropout ? dropout.forward(normed, mode) : normed, fused);
  };
}

/** The vector of each sample, [B, C], of a map or of tokens. */
export function vectorOf(vector: Tail["vector"], x: Tensor): Tensor {
  if (vector === "mean") return x.rank === 4 ? globalAveragePool(x) : mean(x, { dim: 1 });
  const [batch, , dim] = exactly(x.shape, 3);
  return reshape(slice(x, { starts: [0, 0, 0], ends: [batch, 1, dim] }), [batch, dim]);
}
