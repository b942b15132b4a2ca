// Weights of samples at exits, from how far earlier exits have handled them: what gates that are made of tensors share.
// Those of the public code of CGT are one kernel (exits/ops/gate.ts).

import { exactly } from "../../base/index.ts";
import { add, clamp, div, exp, log, matmul, mul, sub, sum, type Tensor, zeros } from "../../engine/functions.ts";
import type { Seen } from "./method.ts";
import { beforeEach } from "./stacked.ts";

/** Stands for 0 inside logarithms. */
const LEAST = 1e-30;

/**
 * prod_{k<e} (1 - h_k): how far exit e is needed, [N, K], where h [N, K-1] within 0 and 1 says how far an exit has
 * handled a sample.
 */
function eligibility(handled: Tensor): Tensor {
  const exits = handled.shape[1]! + 1;
  return exp(matmul(log(clamp(sub(1, handled), { min: LEAST })), beforeEach(exits, handled)));
}

/** Every gate open, [N, K-1]. */
export const noneHandled = ({ logits }: Pick<Seen, "logits">): Tensor => {
  const [n, exits] = exactly(logits.shape, 3);
  return zeros([n, exits - 1], { device: logits.device });
};

/** How weights are made of eligibilities. */
export interface WeighOptions {
  /** Added to every weight, so that no exit starves. */
  readonly leak: number;
  /** Divide a sample's weights by their sum. */
  readonly normalise: boolean;
}

/** Weights [N, K] of samples at exits: exit weights [K] times eligibilities. */
export function weighSamples(handled: Tensor, exitWeights: Tensor, { leak, normalise }: WeighOptions): Tensor {
  const weights = add(mul(eligibility(handled), exitWeights), leak);
  return normalise ? div(weights, add(sum(weights, { dim: 1, keepdim: true }), 1e-12)) : weights;
}
