// What gates look at in an exit's answer (JEI-DNN, Regol et al., ICLR 2024).

import { argmax, exp, logSoftmax, max, mul, noGrad, oneHot, stack, sub, type Tensor } from "../../engine/functions.ts";
import { entropy } from "./distill.ts";
import { checkOperands } from "./stacked.ts";

/**
 * What gates look at, without gradient: the largest probability, the entropy of p, the margin of the two largest
 * probabilities, and the entropy of p^2 / sum p^2, in nats; logits f32[N, K, C] to f32[N, K, 4].
 */
export function exitStatistics(logits: Tensor): Tensor {
  const { C: classes } = checkOperands("exitStatistics", { logits: [logits, "N K C"] }, { C: 2 });
  return noGrad(() => {
    const p = exp(logSoftmax(logits));
    const first = max(p, { dim: -1 });
    const others = sub(1, oneHot(argmax(p, { dim: -1 }), { numClasses: classes }));
    const margin = sub(first, max(mul(p, others), { dim: -1 }));
    return stack([first, entropy(logits), margin, entropy(mul(logits, 2))], { dim: -1 });
  });
}
