// CalexNet (Aperstein and Apartsin, arXiv 2509.08318): branches on a frozen backbone learn its answers, each from the
// samples that the branches before it would hand on. The published form of the weights was not seen: theirs here is
// reconstructed (65 to 75 %).

import { exactly, firstOf, type Kinds, type OptionValues, option, preset } from "../../base/index.ts";
import { cascade, classPrecisionMargin, type PrecisionMarginOptions, type Table } from "../../calibration/index.ts";
import {
  add,
  argmax,
  clamp,
  crossEntropy,
  exp,
  gather,
  logSoftmax,
  logsumexp,
  matmul,
  max,
  mean,
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
import { checkNumbers, exitMeans, lastExit } from "./losses.ts";
import { defineMethod, type Method, type Phase, type PhaseSite, type PolicyPlan, type Track } from "./method.ts";
import { adam, headAt, plainBackbone } from "./parts.ts";
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
  const [n, exits] = exactly(logits.shape, 3);
  const early = slice(logits, { ends: [n, exits - 1] });
  const predicted = permute(argmax(early, { dim: -1 }), [1, 0]);
  const bars = slice(clamp(tau, { max: UNREACHED }), { ends: [exits - 1] });
  const confidence = exp(max(logSoftmax(early), { dim: -1 }));
  const margin = sub(confidence, permute(gather(bars, predicted, { dim: 1 }), [1, 0]));
  return matmul(mul(softplus(mul(margin, 1 / kappa)), -1), beforeEach(exits, logits));
}

const CALEXNET: Kinds<CalexnetOptions> = { temperature: "number", kappa: "number", floor: "number" };

/**
 * Of logits [N, K, C] and thresholds [K, C]: how likely samples are to reach each branch, and what they weigh there,
 * [N, K].
 */
function cascadeWeights(logits: Tensor, tau: Tensor, kappa: number, floor: number) {
  return noGrad(() => {
    const log = logSurvival(logits, tau, kappa);
    // In logarithms, so that a batch none of which is likely to get so far still has weights.
    const share = exp(add(sub(log, logsumexp(log, { dim: 0, keepdim: true })), Math.log(firstOf(logits.shape))));
    return { survival: exp(log), weights: clamp(share, { min: floor }) };
  });
}

/**
 * sum_b mean(w_b KL_T(backbone || z_b)) with w_b = max(u_b / mean u_b, floor), where u_b is the soft probability of
 * surviving the branches before b: logits f32[N, K, C] of K branches, f32[N, C] of the backbone, and the confidences
 * tau f32[K, C] from which each branch answers each class (infinite: never; those of `classPrecisionMargin`). The paper
 * trains branches one after the other, each with the thresholds of those before it: freeze those, and give `logits` up
 * to the branch at hand. Weights and backbone carry no gradient. @throws ShapeError, DTypeError or ArgumentError for
 * operands and options that do not fit.
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
  const { survival, weights } = cascadeWeights(logits, tau, kappa, floor);
  const losses = kd(logits, reshape(backbone, [n, 1, classes]), { temperature });
  const exitLosses = exitMeans(mul(losses, weights));
  return { loss: sum(exitLosses), exitLosses, survival, weights };
}

const OPTIONS = {
  survivorWeights: option.toggle(true, "weigh samples by how likely they are to reach a branch"),
  kl: option.toggle(true, "learn the backbone's softened answers; else its classes, by cross-entropy"),
  sequentialMargins: option.toggle(
    true,
    "find a branch's thresholds on what the branches before it hand on; else on all samples",
  ),
  temperature: option.number(4, "temperature of the softened answers", { above: 0 }),
  margin: option.number(0.05, "share of the backbone's precision that a branch may lose while others are trained", {
    min: 0,
    basis: "ours",
  }),
  minSupport: option.whole(30, "fewest validation samples behind a threshold", { min: 1, basis: "reconstructed" }),
  kappa: option.number(0.05, "width of the soft thresholds, in units of confidence", {
    above: 0,
    basis: "reconstructed, 65 %",
  }),
  floor: option.number(1e-3, "least weight of a sample", { min: 0, basis: "reconstructed, 75 %" }),
  lr: option.number(1e-3, "learning rate of the branches, by Adam", { above: 0, basis: "ours" }),
} as const;

type Options = OptionValues<typeof OPTIONS>;

/** What samples weigh at branch `b`, [N, 1]: by how likely they are to reach it, or all the same. */
function weightsAt(b: number, logits: Tensor, tau: Tensor | undefined, { kappa, floor }: Options): Tensor | 1 {
  if (!tau) return 1;
  const { weights } = cascadeWeights(slice(logits, { ends: [firstOf(logits.shape), b + 1] }), tau, kappa, floor);
  return slice(weights, { starts: [0, b] });
}

/** Branch `b` learns the backbone's answers. */
const branchLoss =
  (b: number, options: Options): Track["loss"] =>
  ({ logits, numbers }) => {
    const [n, , classes] = exactly(logits.shape, 3);
    const own = slice(logits, { starts: [0, b], ends: [n, b + 1] });
    const backbone = lastExit(logits).detach();
    const losses = options.kl
      ? kd(own, backbone, { temperature: options.temperature })
      : reshape(
          crossEntropy(reshape(own, [n, classes]), reshape(argmax(backbone, { dim: -1 }), [n]), { reduction: "none" }),
          [n, 1],
        );
    return mean(mul(losses, weightsAt(b, logits, numbers["tau"], options)));
  };

/** How thresholds are found, while branches are trained and afterwards. */
const precisionOf = ({ margin, minSupport, sequentialMargins }: Options): PrecisionMarginOptions => ({
  margin,
  minSupport,
  population: sequentialMargins ? "survivors" : "all",
});

/** Thresholds [b + 1, C] of the branches before `b`, and of `b` itself, which its loss does not look at. */
function marginsBefore(b: number, table: Table, options: Options) {
  // Images that are there several times are trained on as often.
  const { thresholds } = classPrecisionMargin(cascade(table), { ...precisionOf(options), sameSamples: true });
  const data = Float32Array.from(thresholds.subarray(0, (b + 1) * table.classes), (tau) => Math.min(tau, UNREACHED));
  return { tau: { data, shape: [b + 1, table.classes] } };
}

function phasesOf(options: Options, site: PhaseSite): readonly [Phase, ...Phase[]] {
  const branch = (_: unknown, b: number): Phase => ({
    name: `branch ${b + 1}`,
    recipe: adam(options.lr),
    ...(options.survivorWeights &&
      b > 0 && { prepare: async (soFar) => marginsBefore(b, await soFar.logits("validation"), options) }),
    tracks: [{ trains: headAt(b), loss: branchLoss(b, options) }],
  });
  return [plainBackbone(site), ...Array.from({ length: site.exits - 1 }, branch)];
}

const READERS = {
  survivorWeights: { kappa: ["true"], floor: ["true"] },
  kl: { temperature: ["true"] },
} as const;

/** What decides: the thresholds of all branches, found as while they are trained. */
const policyOf = (options: Options): PolicyPlan => ({
  score: "maxProb",
  rule: "classPrecisionMargin",
  precision: precisionOf(options),
});

const paper = {
  title: "CalexNet",
  venue: "Electronics 2026, 15(10), 2149",
  arxiv: "2509.08318",
  code: "ApartsinProjects/CalexNet",
} as const;

/** The backbone; then one branch after the other, each with the thresholds of those before it. */
export const calexnet: Method<typeof OPTIONS> = defineMethod({
  name: "calexnet",
  about: "branches on a frozen backbone learn its answers one after the other, each from what those before it hand on",
  paper,
  options: OPTIONS,
  readers: READERS,
  phases: phasesOf,
  policy: policyOf,
});

const UNALIGNED = {
  ...OPTIONS,
  survivorWeights: preset(OPTIONS.survivorWeights, false),
  kl: preset(OPTIONS.kl, false),
  sequentialMargins: preset(OPTIONS.sequentialMargins, false),
} as const;

/** The paper's own reference: the same branches without any of the three. */
export const calexnetReference: Method<typeof UNALIGNED> = defineMethod({
  name: "calexnet-reference",
  about: "CalexNet without its three alignments: branches learn the classes of a frozen backbone; its control",
  paper,
  options: UNALIGNED,
  readers: READERS,
  phases: phasesOf,
  policy: policyOf,
});
