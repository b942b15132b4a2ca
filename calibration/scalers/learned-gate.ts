// A learned exit gate: logistic regression on four softmax statistics, with the prediction left unchanged.
// A reconstruction of the correction step of *Rethinking Calibration for Early-Exit Neural Networks*
// (arXiv 2508.21495 v3, details not published): BCE against the oracle's decision on held-out samples.

import { check, checkKind, readOptions } from "../errors.ts";
import { type FailureTarget, failureTargets } from "../metrics/eefp.ts";
import { addScaled, column, dot, sum } from "../numeric/arrays.ts";
import { orderedSigmoid } from "../numeric/certainty.ts";
import { minimise } from "../numeric/optimise.ts";
import { rememberFit } from "../table/fitted.ts";
import type { Outcomes } from "../table/outcomes.ts";

/** Weights `[K, 5]`: maxProb, margin, normalised entropy, log sum exp, bias. */
export interface Gate {
  readonly kind: "gate";
  readonly weights: Float64Array;
  readonly converged: boolean;
}

const FEATURES = 5;
/** Keeps separable exits finite; far too small to move the others. */
const RIDGE = 1e-4;

/**
 * Fits one gate per exit on held-out outcomes, classes balanced.
 */
export function fitGate(held: Outcomes, options: { readonly target?: FailureTarget } = {}): Gate {
  checkKind("fitGate", "outcomes", held);
  const { target = "oracle" } = readOptions("fitGate", options, { target: "string" });
  const { samples, exits } = held;
  const wanted = failureTargets("fitGate", held.errors, exits, target);
  const weights = new Float64Array(exits * FEATURES);
  const x = new Float64Array(FEATURES);
  let converged = true;
  for (let j = 0; j < exits; j++) {
    const targets = column(wanted, exits, j);
    const positives = sum(targets);
    // one kind only: a constant gate; the ridge keeps it finite
    const [ofStaying, ofLeaving] = [0.5 / Math.max(1, samples - positives), 0.5 / Math.max(1, positives)];
    const found = minimise((w, gradient) => {
      let loss = w.reduce((penalty, weight) => penalty + 0.5 * RIDGE * weight ** 2, 0);
      gradient.set(w.map((weight) => RIDGE * weight));
      for (let i = 0; i < samples; i++) {
        const y = targets[i]!;
        features(held, i * exits + j, x);
        const logit = dot(w, x);
        const weight = y === 1 ? ofLeaving : ofStaying;
        loss += weight * (Math.max(logit, 0) - y * logit + Math.log1p(Math.exp(-Math.abs(logit))));
        addScaled(gradient, weight * (1 / (1 + Math.exp(-logit)) - y), x);
      }
      return loss;
    }, new Float64Array(FEATURES));
    weights.set(found.x, j * FEATURES);
    converged &&= found.converged;
  }
  const gate = { kind: "gate", weights, converged } as const;
  rememberFit(gate, held);
  return gate;
}

/** The gate's probability of leaving, `[N, K]`, ordered near 1 (certainty.ts). */
export function gateScores(all: Outcomes, gate: Gate): Float64Array {
  const { exits } = all;
  const count = gate.weights.length / FEATURES;
  check(count === exits, "gate", `the gate must have one row of weights per exit (${exits})`, count);
  const x = new Float64Array(FEATURES);
  const weights = Array.from({ length: exits }, (_, j) => gate.weights.subarray(j * FEATURES, (j + 1) * FEATURES));
  const out = new Float64Array(all.samples * exits);
  for (let i = 0; i < out.length; i++) {
    features(all, i, x);
    out[i] = orderedSigmoid(dot(weights[i % exits]!, x));
  }
  return out;
}

function features(all: Outcomes, at: number, x: Float64Array): void {
  x[0] = all.maxProb[at]!;
  x[1] = all.margin[at]!;
  x[2] = all.entropy[at]! / Math.log(Math.max(2, all.classes));
  x[3] = all.logSumExp[at]!;
  x[4] = 1;
}
