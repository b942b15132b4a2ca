// Confidence-Gated Training (CGT, Mokssit et al., arXiv 2509.17885): an exit learns less from samples that an earlier exit
// already handles. The loss is sum_e mean_i W_e CE(z_e, y); the weights W are computed on the GPU, carry no gradient, and are
// defined in kernels/gate.ts. Defaults are those of the authors' public code; the paper's plain form is leak 0, normalise
// false, anneal false, labelSmoothing 0.

import type { Kinds } from "../../base/index.ts";
import { ArgumentError, exitGates, mul, readOptions, sum } from "../../engine/functions.ts";
import {
  checkEpoch,
  checkFactors,
  checkNumbers,
  checkOneLabel,
  type Epoch,
  exitCrossEntropy,
  meanPerExit,
  type Objective,
} from "../training/objective.ts";

/** Factors of the exits (Lambda), from the first epoch to the last. */
export interface Anneal {
  readonly from: readonly number[];
  readonly to: readonly number[];
}

/** The public code's factors, for four exits. */
const RELEASED: Anneal = { from: [1, 0.7, 0.4, 0.1], to: [0.2, 0.5, 0.8, 1] };

/** Options of `confidenceGated`. */
export interface GatedOptions {
  /**
   * `hard`: an exit hands on nothing it gets right with confidence at least tau. `soft`: it hands on a share that falls with the
   * probability of the true class. `confidence`: it hands on 1 - confidence (probably the paper's first version; reconstructed).
   * `open`: no gate, which leaves the schedule alone, as a control. Default soft.
   */
  readonly gate?: "hard" | "soft" | "confidence" | "open";
  /** Confidence that counts as handled; default 0.5 for hard gates, 0.9 for others. */
  readonly tau?: number;
  /** Steepness of soft gates; default 1, at which they hardly depend on the sample. 10 to 20 make a real gate. */
  readonly kappa?: number;
  /** Added to every weight; default 0.001. */
  readonly leak?: number;
  /** Divide each sample's weights by their sum; default true. */
  readonly normalise?: boolean;
  /** Default true: the public code's factors, interpolated over depth where there are not four exits. False: ones. */
  readonly anneal?: boolean | Anneal;
  /** Default 0.1. */
  readonly labelSmoothing?: number;
}

const OPEN: Kinds<Omit<GatedOptions, "gate" | "tau" | "kappa">> = {
  leak: "number",
  normalise: "boolean",
  anneal: "any",
  labelSmoothing: "number",
};
const GATED: Kinds<GatedOptions> = { gate: "string", tau: "number", kappa: "number", ...OPEN };
const ANNEAL: Kinds<Anneal> = { from: "any!", to: "any!" };

/** Values at `exits` depths of a list given at its own, linearly between. */
function resample(values: readonly number[], exits: number): number[] {
  return Array.from({ length: exits }, (_, j) => {
    const at = exits === 1 ? values.length - 1 : (j * (values.length - 1)) / (exits - 1);
    const below = Math.min(Math.floor(at), values.length - 2);
    const [a, b] = [values[below] as number, values[below + 1] as number];
    return a + (b - a) * (at - below);
  });
}

/** Factors that go linearly from `from` in the first epoch to `to` in the last. */
export function annealed(anneal: Anneal, at: Epoch): number[] {
  const { from, to } = readOptions("annealed", anneal, ANNEAL);
  checkEpoch("annealed", at);
  checkNumbers("annealed", { from, to });
  checkFactors("annealed", "to", to, from.length);
  const { epoch, epochs } = at;
  const share = epochs === 1 ? 1 : (epoch - 1) / (epochs - 1);
  return from.map((start, j) => start + ((to[j] as number) - start) * share);
}

function factorsOf(anneal: boolean | Anneal, exits: number): Anneal {
  if (anneal === false) return { from: new Array(exits).fill(1), to: new Array(exits).fill(1) };
  if (anneal === true) return { from: resample(RELEASED.from, exits), to: resample(RELEASED.to, exits) };
  checkFactors("confidenceGated", "anneal.from", anneal.from, exits);
  checkFactors("confidenceGated", "anneal.to", anneal.to, exits);
  return anneal;
}

/** Confidence-gated training; see `GatedOptions`. */
export function confidenceGated(options: GatedOptions = {}): Objective {
  const op = "confidenceGated";
  const {
    gate = "soft",
    kappa = 1,
    leak = 1e-3,
    normalise = true,
    anneal = true,
    labelSmoothing = 0.1,
  } = readOptions(op, options, GATED);
  const { tau = gate === "hard" ? 0.5 : 0.9 } = options;
  if (typeof anneal !== "boolean") readOptions(`${op}: anneal`, anneal, ANNEAL);
  if (!["hard", "soft", "confidence", "open"].includes(gate)) {
    throw new ArgumentError(`${op}: gate must be "hard", "soft", "confidence" or "open"; got ${JSON.stringify(gate)}.`);
  }
  checkNumbers(op, { tau, kappa, leak, labelSmoothing, ...(typeof anneal === "object" && { ...anneal }) });
  return {
    name: op,
    options: { gate, tau, kappa, leak, normalise, anneal, labelSmoothing },
    schedule: (exits, at) => annealed(factorsOf(anneal, exits), at),
    losses: (batch) => {
      const { logits, labels, schedule } = batch;
      if (gate === "hard" || gate === "soft") checkOneLabel(op, batch, `a ${gate} gate`);
      const gates = { mode: gate, tau, kappa, leak, normalise };
      const { weights, eligibility } = exitGates(logits.detach(), labels, schedule, gates);
      const losses = exitCrossEntropy(batch, labelSmoothing);
      // Per exit first: the same sums as the reported ones, of few terms each.
      return {
        loss: sum(meanPerExit(mul(losses, weights))),
        // Computed only for who asks: training counts its own.
        get exitLosses() {
          return meanPerExit(losses.detach());
        },
        weights,
        eligibility,
      };
    },
  };
}

/** The control for gated training: the same schedule and normalisation with every gate open. */
export const scheduleOnly = (options: Omit<GatedOptions, "gate" | "tau" | "kappa"> = {}): Objective => ({
  ...confidenceGated({ ...readOptions("scheduleOnly", options, OPEN), gate: "open" }),
  name: "scheduleOnly",
});
