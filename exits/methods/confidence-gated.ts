// Confidence-Gated Training (CGT, Mokssit et al., arXiv 2509.17885): an exit learns less from samples that an earlier exit
// already handles. The loss is sum_e mean_i W_e CE(z_e, y); the weights W are computed on the GPU, carry no gradient, and are
// defined in exits/ops/gate.ts. Defaults are those of the authors' public code; the paper's plain form is leak 0, normalise
// false, anneal false, labelSmoothing 0.

import { type Given, type Kinds, type Option, option, preset } from "../../base/index.ts";
import { mul, readOptions, sum } from "../../engine/functions.ts";
import { exitGates } from "../ops/gate.ts";
import { complete } from "../options.ts";
import {
  checkEpoch,
  checkNumbers,
  checkOneLabel,
  checkPerExit,
  type Epoch,
  exitCrossEntropy,
  labelSmoothing,
  meanPerExit,
  type Objective,
} from "../training/objective.ts";
import { defineMethod, type Method } from "./method.ts";

/** Exit weights (Lambda), from the first epoch to the last. */
export interface Anneal {
  readonly from: readonly number[];
  readonly to: readonly number[];
}

/** The public code's exit weights, for four exits. */
const RELEASED: Anneal = { from: [1, 0.7, 0.4, 0.1], to: [0.2, 0.5, 0.8, 1] };

const ANNEAL: Kinds<Anneal> = { from: "any!", to: "any!" };

const isWeights = (value: unknown): boolean =>
  Array.isArray(value) && value.every((x) => typeof x === "number" && x >= 0 && Number.isFinite(x));

/** `true`, `false`, `1,0.7,0.4,0.1:0.2,0.5,0.8,1` */
function parseAnneal(text: string): unknown {
  if (text === "true" || text === "false") return text === "true";
  const [from, to, ...more] = text
    .split(":")
    .map((side) => side.split(",").map((x) => (x.trim() === "" ? NaN : Number(x))));
  return isWeights(from) && isWeights(to) && more.length === 0 ? { from, to } : text;
}

const anneal: Option<boolean | Anneal> = {
  kind: "parsed",
  about:
    "move the exit weights to later exits over the epochs: as the public code does (between its four exits linearly), not at all, or from and to these",
  default: true,
  must: "true, false, or the exit weights of the first and the last epoch, 1,0.7,0.1:0.2,0.5,1",
  fits: (value) => {
    if (typeof value !== "object" || value === null) return typeof value === "boolean";
    const { from, to, ...more } = value as Readonly<Record<string, unknown>>;
    return isWeights(from) && isWeights(to) && Object.keys(more).length === 0;
  },
  parse: parseAnneal,
};

/** Of every gate, and of none. */
const OPEN = {
  leak: option.number(1e-3, "added to every weight", { min: 0 }),
  normalise: option.toggle(true, "divide each sample's weights by their sum"),
  anneal,
  labelSmoothing: labelSmoothing(0.1),
} as const;

const TAU = option.number(undefined, "confidence that counts as handled", { min: 0, max: 1 });
const KAPPA = option.number(
  1,
  "steepness of the gate: at 1 it hardly depends on the sample, 10 to 20 make a real one",
  {
    min: 0,
  },
);

const OPTIONS = {
  gate: option.choice(
    ["soft", "hard", "confidence", "open"],
    "what an exit hands on: soft a share that falls with the probability of the true class, hard nothing that it gets right with confidence tau, confidence 1 - confidence, open everything",
  ),
  /** Default 0.5 for hard gates, 0.9 for others. */
  tau: TAU,
  kappa: KAPPA,
  ...OPEN,
} as const;

/** Options of `confidenceGated`; `confidence` gates are probably the paper's first version (reconstructed). */
export interface GatedOptions extends Given<typeof OPTIONS> {}

/** Values at `exits` depths of a list given at its own, linearly between. */
function resample(values: readonly number[], exits: number): number[] {
  return Array.from({ length: exits }, (_, j) => {
    const at = exits === 1 ? values.length - 1 : (j * (values.length - 1)) / (exits - 1);
    const below = Math.min(Math.floor(at), values.length - 2);
    const [a, b] = [values[below]!, values[below + 1]!];
    return a + (b - a) * (at - below);
  });
}

/** Exit weights that go linearly from `from` in the first epoch to `to` in the last. */
export function annealed(anneal: Anneal, at: Epoch): number[] {
  const { from, to } = readOptions("annealed", anneal, ANNEAL);
  checkEpoch("annealed", at);
  checkNumbers("annealed", { from, to });
  checkPerExit("annealed", "to", to, from.length);
  const { epoch, epochs } = at;
  const share = epochs === 1 ? 1 : (epoch - 1) / (epochs - 1);
  return from.map((start, j) => start + (to[j]! - start) * share);
}

function endsOf(anneal: boolean | Anneal, exits: number): Anneal {
  if (anneal === false) return { from: new Array(exits).fill(1), to: new Array(exits).fill(1) };
  if (anneal === true) return { from: resample(RELEASED.from, exits), to: resample(RELEASED.to, exits) };
  checkPerExit("confidenceGated", "anneal.from", anneal.from, exits);
  checkPerExit("confidenceGated", "anneal.to", anneal.to, exits);
  return anneal;
}

/** Confidence-gated training; see `GatedOptions`. Throws ArgumentError for options that do not fit. */
export function confidenceGated(given: GatedOptions = {}): Objective {
  const op = "confidenceGated";
  const completed = complete(op, OPTIONS, given);
  const options = { ...completed, tau: completed.tau ?? (completed.gate === "hard" ? 0.5 : 0.9) };
  const { gate, tau, kappa, leak, normalise, anneal } = options;
  return {
    name: op,
    options,
    exitWeights: (exits, at) => annealed(endsOf(anneal, exits), at),
    losses: (batch) => {
      const { logits, labels, exitWeights } = batch;
      if (gate === "hard" || gate === "soft") checkOneLabel(op, batch, `a ${gate} gate`);
      const gates = { mode: gate, tau, kappa, leak, normalise };
      const { weights, eligibility } = exitGates(logits.detach(), labels, exitWeights, gates);
      const losses = exitCrossEntropy(batch, options.labelSmoothing);
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

/** Options of `scheduleOnly`. */
export interface ScheduleOnlyOptions extends Given<typeof OPEN> {}

/** The control for gated training: the same exit weights and normalisation with every gate open. */
export const scheduleOnly = (given: ScheduleOnlyOptions = {}): Objective => ({
  ...confidenceGated({ ...readOptions<ScheduleOnlyOptions>("scheduleOnly", given, OPEN), gate: "open" }),
  name: "scheduleOnly",
});

const paper = { title: "Confidence-Gated Training", venue: "2025", arxiv: "2509.17885" } as const;

const soft = { tau: preset(TAU, 0.9), kappa: KAPPA, ...OPEN } as const;
const hard = { tau: preset(TAU, 0.5), ...OPEN } as const;

/** CGT with soft gates. */
export const softCgt: Method<typeof soft> = defineMethod({
  name: "soft-cgt",
  about: "an exit learns less from a sample the surer an earlier exit is of its class",
  paper,
  options: soft,
  objective: (options) => confidenceGated({ ...options, gate: "soft" }),
});

/** CGT with hard gates. */
export const hardCgt: Method<typeof hard> = defineMethod({
  name: "hard-cgt",
  about: "an exit learns nothing from a sample that an earlier exit gets right with confidence",
  paper,
  options: hard,
  objective: (options) => confidenceGated({ ...options, gate: "hard" }),
});

/** CGT by confidence alone. */
export const confidenceCgt: Method<typeof OPEN> = defineMethod({
  name: "confidence-cgt",
  about: "an exit learns less from a sample the surer an earlier exit is, right or wrong; reconstructed",
  paper,
  options: OPEN,
  objective: (options) => confidenceGated({ ...options, gate: "confidence" }),
});

/** The control without gates. */
export const scheduleOnlyMethod: Method<typeof OPEN> = defineMethod({
  name: "schedule-only",
  about: "the exit weights of CGT with every gate open: its control",
  options: OPEN,
  objective: scheduleOnly,
});
