// CalexNet (Aperstein and Apartsin, arXiv 2509.08318): branches on a frozen backbone learn its answers, each from the samples that
// the branches before it would hand on. The published form of the weights was not seen: theirs here is reconstructed (65 to 75 %).

import type { Kinds } from "../../base/index.ts";
import {
  add,
  argmax,
  clamp,
  exp,
  gather,
  logSoftmax,
  logsumexp,
  matmul,
  max,
  mul,
  noGrad,
  permute,
  readOptions,
  reshape,
  slice,
  softplus,
  sub,
  sum,
  type Tensor,
} from "../../engine/functions.ts";
import { kd } from "./distill.ts";
import { checkNumbers, exitMeans } from "./losses.ts";
import { beforeEach, checkOperands, checkPositive } from "./stacked.ts";

/** Options of `calexnetLosses`. */
export interface CalexnetOptions {
  /** Default 4, as in the paper. */
  readonly temperature?: number;
  /** Width of the soft threshold, in units of confidence; above 0, default 0.05 (reconstructed, 65 %). */
  readonly kappa?: number;
  /** Least weight of a sample; default 0.001 (reconstructed, 75 %). */
  readonly floor?: number;
}

/** What `calexnetLosses` finds. */
export interface CalexnetLosses {
  /** The scalar to differentiate: the sum over branches. */
  readonly loss: Tensor;
  /** `[K]`: mean weighted loss of each branch. */
  readonly exitLosses: Tensor;
  /** `[N, K]`: soft probability that a sample reaches a branch; no gradient. */
  readonly survival: Tensor;
  /** `[N, K]`: survival over its mean in the batch, at least `floor`; no gradient. */
  readonly weights: Tensor;
}

/** Stands for a threshold that nothing reaches: finite, so that no kernel has to compute with an infinity. */
const UNREACHED = 1e30;

/** log prod_{k<b} (1 - h_k) for h_k = sigmoid((confidence - tau of the predicted class) / kappa), [N, K]. */
function logSurvival(logits: Tensor, tau: Tensor, kappa: number): Tensor {
  const [n, exits] = logits.shape as readonly [number, number];
  const early = slice(logits, { ends: [n, exits - 1] });
  const predicted = permute(argmax(early, { dim: -1 }), [1, 0]);
  const bars = slice(clamp(tau, { max: UNREACHED }), { ends: [exits - 1] });
  const confidence = exp(max(logSoftmax(early), { dim: -1 }));
  const margin = sub(confidence, permute(gather(bars, predicted, { dim: 1 }), [1, 0]));
  return matmul(mul(softplus(mul(margin, 1 / kappa)), -1), beforeEach(exits, logits));
}

const CALEXNET: Kinds<CalexnetOptions> = { temperature: "number", kappa: "number", floor: "number" };

/**
 * sum_b mean(w_b KL_T(backbone || z_b)) with w_b = max(u_b / mean u_b, floor), where u_b is the soft probability of surviving the
 * branches before b: logits f32[N, K, C] of K branches, f32[N, C] of the backbone, and the confidences tau f32[K, C] from which
 * each branch answers each class (infinite: never; those of `classPrecisionMargin`). The paper trains branches one after the
 * other, each with the thresholds of those before it: freeze those, and give `logits` up to the branch at hand. Weights and
 * backbone carry no gradient. Throws ShapeError, DTypeError or ArgumentError for operands and options that do not fit.
 */
export function calexnetLosses(
  logits: Tensor,
  backbone: Tensor,
  tau: Tensor,
  options: CalexnetOptions = {},
): CalexnetLosses {
  const { temperature = 4, kappa = 0.05, floor = 1e-3 } = readOptions("calexnetLosses", options, CALEXNET);
  const op = "calexnetLosses";
  checkPositive(op, { temperature, kappa });
  checkNumbers(op, { floor });
  const operands = { logits: [logits, "N K C"], backbone: [backbone, "N C"], tau: [tau, "K C"] } as const;
  const { N: n, C: classes } = checkOperands(op, operands, { N: 1, K: 1, C: 1 });
  const { survival, weights } = noGrad(() => {
    const log = logSurvival(logits, tau, kappa);
    // In logarithms, so that a batch none of which is likely to get so far still has weights.
    const share = exp(add(sub(log, logsumexp(log, { dim: 0, keepdim: true })), Math.log(n)));
    return { survival: exp(log), weights: clamp(share, { min: floor }) };
  });
  const losses = kd(logits, reshape(backbone, [n, 1, classes]), { temperature });
  const exitLosses = exitMeans(mul(losses, weights));
  return { loss: sum(exitLosses), exitLosses, survival, weights };
}
