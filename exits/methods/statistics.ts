// What gates look at in an exit's answer: that of JEI-DNN (Regol et al., ICLR 2024), and that which failure prediction
// is fitted on.

import {
  argmax,
  exp,
  logSoftmax,
  logsumexp,
  max,
  mul,
  noGrad,
  oneHot,
  stack,
  sub,
  type Tensor,
} from "../../engine/functions.ts";
import { entropy } from "./distill.ts";
import { checkOperands } from "./stacked.ts";

/** The largest probability, and how far the second is behind it; logits [N, K, C] to [N, K] each. */
function firstTwo(logits: Tensor, classes: number): { readonly first: Tensor; readonly margin: Tensor } {
  const p = exp(logSoftmax(logits));
  const first = max(p, { dim: -1 });
  const others = sub(1, oneHot(argmax(p, { dim: -1 }), { numClasses: classes }));
  return { first, margin: sub(first, max(mul(p, others), { dim: -1 })) };
}

/**
 * What gates look at, without gradient: the largest probability, the entropy of p, the margin of the two largest
 * probabilities, and the entropy of p^2 / sum p^2, in nats; logits f32[N, K, C] to f32[N, K, 4].
 */
export function exitStatistics(logits: Tensor): Tensor {
  const { C: classes } = checkOperands("exitStatistics", { logits: [logits, "N K C"] }, { C: 2 });
  return noGrad(() => {
    const { first, margin } = firstTwo(logits, classes);
    return stack([first, entropy(logits), margin, entropy(mul(logits, 2))], { dim: -1 });
  });
}

/**
 * What `fitGate` of the calibration looks at, without gradient: the largest probability, the margin of the two largest,
 * the entropy as a share of the largest possible, and the log of the sum of exponentials; logits f32[N, K, C] to f32[N,
 * K, 4].
 */
export function failureStatistics(logits: Tensor): Tensor {
  const { C: classes } = checkOperands("failureStatistics", { logits: [logits, "N K C"] }, { C: 2 });
  return noGrad(() => {
    const { first, margin } = firstTwo(logits, classes);
    const doubt = mul(entropy(logits), 1 / Math.log(classes));
    return stack([first, margin, doubt, logsumexp(logits, { dim: -1 })], { dim: -1 });
  });
}
