// The correction of early-exit failure prediction (Kubaty et al., ICML 2026): a light step behind training that
// replaces calibration. An exit should let a sample go that it gets right, or that no later exit gets right; its
// confidence is to rank those above the others. Of the procedure itself nothing was seen: both reconstructions are
// here, a gate beside the answer (55 %) and a last layer fitted to answers and targets together; each by steps on the
// training images, or on the host from validation logits, as `fitGate` and the scaling `failure` of the calibration do.

import { option } from "../../base/index.ts";
import { fit, fitGate, outcomes } from "../../calibration/index.ts";
import {
  add,
  argmax,
  binaryCrossEntropyWithLogits,
  div,
  logSoftmax,
  logsumexp,
  maximum,
  mean,
  mul,
  ne,
  oneHot,
  sub,
  sum,
  type Tensor,
  where,
} from "../../engine/functions.ts";
import { failureGated } from "../network/heads/gated.ts";
import { saidOf } from "../network/heads/head.ts";
import { exitTargets } from "./exit-targets.ts";
import { exitWeightsAt, exitWeightsOption } from "./exit-weights.ts";
import { byOneLabel, earlyExits, exitCrossEntropy, exitMeans, labelSmoothing, weightedCrossEntropy } from "./losses.ts";
import { defineMethod, type Fits, type Method, type Part, type Phase, type Seen, type Track } from "./method.ts";
import { adam, branches, headAt, only } from "./parts.ts";
import { checkOperands } from "./stacked.ts";

/** Stands for log 0. */
const NEVER = -1e30;

/** What is compared: f32 [N, K-1] before the sigmoid, and the targets, f32 [N, K-1] of 0 and 1. */
export type GateTargets = { readonly gates: Tensor; readonly targets: Tensor };

/**
 * The mean over early exits of half the mean of -log sigmoid(gate) over samples that should leave, and half that of
 * -log(1 - sigmoid(gate)) over those that should not: a binary cross-entropy with classes balanced.
 * @throws ShapeError or DTypeError for operands that do not fit.
 */
export function balancedGateLoss({ gates, targets }: GateTargets): Tensor {
  checkOperands("balancedGateLoss", { gates: [gates, "N K"], targets: [targets, "N K"] }, { N: 1, K: 1 });
  const losses = binaryCrossEntropyWithLogits(gates, targets, { reduction: "none" });
  const meanOf = (weights: Tensor) => div(sum(mul(losses, weights), { dim: 0 }), maximum(sum(weights, { dim: 0 }), 1));
  return mul(mean(add(meanOf(targets), meanOf(sub(1, targets)))), 0.5);
}

/**
 * Binary cross-entropy of the largest probability of early exits against targets [N, K-1] of 0 and 1, as [N, K-1];
 * logits f32[N, K-1, C] of early exits. @throws ShapeError or DTypeError for operands that do not fit.
 */
export function confidenceLosses(early: Tensor, targets: Tensor): Tensor {
  const operands = { early: [early, "N K C"], targets: [targets, "N K"] } as const;
  const { C: classes } = checkOperands("confidenceLosses", operands, { K: 1, C: 2 });
  const log = logSoftmax(early);
  const isTop = ne(oneHot(argmax(early, { dim: -1 }), { numClasses: classes }), 0);
  const sure = sum(where(isTop, log, 0), { dim: -1 });
  const rest = logsumexp(where(isTop, NEVER, log), { dim: -1 });
  return mul(add(mul(targets, sure), mul(sub(1, targets), rest)), -1);
}

const OPTIONS = {
  correction: option.choice(
    ["gate", "trained-gate", "vector", "classifier"],
    "what is corrected behind training: a gate beside each early exit, fitted on validation by convex optimisation; the same gate, by Adam on the training images (trained-gate); the last layer of each early exit, whose confidence is to rank too: a factor and a shift of each class, fitted on validation (vector), or all of it by Adam on the training images (classifier)",
    {
      basis:
        "reconstructed, 55 %: of the procedure nothing was seen; a held-out split is likelier than the training images",
    },
  ),
  target: option.choice(
    ["oracle", "correct"],
    "who should leave: samples that are right here or never, or those that are right here",
    { basis: "the paper's; correct is plain failure prediction" },
  ),
  weight: option.number(1, "vector, classifier: weight of the targets beside the labels", {
    min: 0,
    basis: "reconstructed, 50 %",
  }),
  length: option.number(0.2, "length of a correction by Adam, in runs", { above: 0, basis: "ours" }),
  lr: option.number(1e-3, "learning rate of a correction by Adam", { above: 0, basis: "reconstructed, 55 %" }),
  exitWeights: exitWeightsOption(1),
  labelSmoothing: labelSmoothing(0),
} as const;

const isGate = only("gate");

/** Whether the correction stands beside the answers. */
const isBeside = (correction: string): boolean => correction === "gate" || correction === "trained-gate";

/** The convex fit on validation. */
const fittedGate = (exits: number, target: "oracle" | "correct"): Fits => ({
  part: isGate,
  async values(soFar) {
    const { weights } = fitGate(outcomes(await soFar.logits("validation")), { target });
    const width = weights.length / exits;
    const gates = Array.from({ length: exits - 1 }, (_, j) =>
      Float32Array.from(weights.subarray(j * width, (j + 1) * width)),
    );
    return Object.fromEntries(
      gates.flatMap((gate, j) => [
        [`heads.${j}.gate.weight`, gate.subarray(0, width - 1)],
        [`heads.${j}.gate.bias`, gate.subarray(width - 1)],
      ]),
    );
  },
});

/** Last layers whose answers are those of the scaling `failure`, fitted on validation. */
const fittedVector = (
  part: Part,
  options: { readonly target: "oracle" | "correct"; readonly weight: number },
): Fits => ({
  part,
  async values(soFar, held) {
    const { scalers } = fit(await soFar.logits("validation"), { method: "failure", ...options });
    const changed = [...held].map(([name, values]) => {
      const scaler = scalers.find((_, exit) => headAt(exit)(name));
      if (!scaler || !("parameters" in scaler)) return [name, values] as const;
      const classes = scaler.parameters.length / 2;
      const [factors, shifts] = [scaler.parameters.subarray(0, classes), scaler.parameters.subarray(classes)];
      const shift = (at: number) => (name.endsWith("bias") ? (shifts[at] ?? 0) : 0);
      return [name, values.map((x, i) => x * (factors[i % classes] ?? 1) + shift(i))] as const;
    });
    return Object.fromEntries(changed);
  },
});

/** The targets of early exits for a batch, f32 [N, K-1]. */
const targetsOf = ({ logits, labels }: Seen, target: "oracle" | "correct"): Tensor =>
  exitTargets(logits, labels, { futile: target === "oracle" });

/** All exits together; then, on the network as it is, the correction of its early exits. */
export const failurePrediction: Method<typeof OPTIONS> = defineMethod({
  name: "eefp",
  about: "all exits together; then a correction by which their confidence ranks what may leave above what should go on",
  paper: {
    title: "Rethinking Calibration for Early-Exit Neural Networks",
    venue: "ICML 2026",
    arxiv: "2508.21495",
    code: "gmum/rethinking-calibration-for-eenns",
  },
  options: OPTIONS,
  readers: {
    correction: {
      weight: ["vector", "classifier"],
      ...{ length: ["trained-gate", "classifier"], lr: ["trained-gate", "classifier"] },
    },
  },
  wraps: ({ correction }) => (isBeside(correction) ? [failureGated()] : []),
  phases({ correction, target, weight, length, lr, exitWeights, labelSmoothing: smoothing }, site) {
    const weights: Pick<Track, "exitWeights"> = {
      exitWeights: (exits, at) => exitWeightsAt("eefp", exitWeights, exits, at),
    };
    const network: Phase = {
      name: "network",
      tracks: [{ ...weights, trains: (name) => !isGate(name), loss: weightedCrossEntropy(smoothing) }],
    };
    if (correction === "gate") return [{ ...network, fits: fittedGate(site.exits, target) }];
    const ofBranch = branches(site);
    const lastLayers: Part = (name) => ofBranch(name) && only("linear")(name);
    if (correction === "vector") return [{ ...network, fits: fittedVector(lastLayers, { target, weight }) }];
    const byTargets = (loss: (seen: Seen) => Tensor) => byOneLabel("eefp", "a target", loss);
    const gates = byTargets((seen) =>
      balancedGateLoss({ gates: saidOf(seen.out, "confidence"), targets: targetsOf(seen, target) }),
    );
    const answers = byTargets((seen) => {
      const early = { ...seen, logits: earlyExits(seen.logits) };
      const losses = mul(confidenceLosses(early.logits, targetsOf(seen, target)), weight);
      return sum(exitMeans(add(exitCrossEntropy(early, smoothing), losses)));
    });
    const track: Track =
      correction === "trained-gate"
        ? { trains: isGate, loss: gates, control: gates }
        : { trains: lastLayers, loss: answers };
    return [network, { name: "correction", share: length, recipe: adam(lr), tracks: [track] }];
  },
  policy: ({ correction }) => ({
    score: isBeside(correction) ? "confidence" : "maxProb",
    rule: "learnThenTest",
  }),
});
