// Confidence-Gated Training (CGT, Mokssit et al., arXiv 2509.17885): an exit learns less from samples that an earlier
// exit already handles. The loss is sum_e mean_i W_e CE(z_e, y); the weights W are computed on the GPU, carry no
// gradient, and are defined in exits/ops/gate.ts. Defaults are those of the authors' public code; the paper's plain
// form is leak 0, normalise false, anneal false, labelSmoothing 0.

import { firstOf, type Kinds, type Option, type OptionValues, option, preset } from "../../base/index.ts";
import {
  ArgumentError,
  concat,
  mul,
  noGrad,
  readOptions,
  reshape,
  slice,
  stack,
  sum,
  type Tensor,
  tensor,
} from "../../engine/functions.ts";
import { exitGates, type GateMode } from "../ops/gate.ts";
import {
  byOneLabel,
  checkEpoch,
  checkNumbers,
  checkPerExit,
  exitCrossEntropy,
  exitMeans,
  labelSmoothing,
} from "./losses.ts";
import { defineMethod, type Epoch, type Method, type Seen, type Track } from "./method.ts";
import { once } from "./parts.ts";

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

/** Where defaults come from that the paper does not have. */
const CODE = "the public code";

const anneal: Option<boolean | Anneal> = {
  kind: "parsed",
  about:
    "move the exit weights to later exits over the epochs: as the public code does (between its four exits linearly), not at all, or from and to these",
  default: true,
  basis: CODE,
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
  leak: option.number(1e-3, "added to every weight", { min: 0, basis: CODE }),
  normalise: option.toggle(true, "divide each sample's weights by their sum", { basis: CODE }),
  anneal,
  labelSmoothing: labelSmoothing(0.1, CODE),
} as const;

const TAU = option.number(undefined, "confidence that counts as handled", { min: 0, max: 1 });
/** The public code's, by gate; gates by confidence, and open ones, have none. */
const TAUS = { soft: 0.9, hard: 0.5 } as const;
const KAPPA = option.number(
  1,
  "steepness of the gate: at 1 it hardly depends on the sample, 10 to 20 make a real one",
  { min: 0, basis: CODE },
);

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

function endsOf(op: string, anneal: boolean | Anneal, exits: number): Anneal {
  if (anneal === false) return { from: new Array(exits).fill(1), to: new Array(exits).fill(1) };
  if (anneal === true) return { from: resample(RELEASED.from, exits), to: resample(RELEASED.to, exits) };
  checkPerExit(op, "anneal.from", anneal.from, exits);
  checkPerExit(op, "anneal.to", anneal.to, exits);
  return anneal;
}

const SKIP = option.choice(
  ["survivors", "frozen"],
  "leave samples that an exit has handled out of the stages behind it, which saves their time; without norms over the batch and random layers nothing else changes. Batch norms there take the statistics of the survivors, or keep their running ones (frozen: evaluation mode, without dropout). Needs a hard gate and leak 0",
  { default: undefined },
);

/** Confidence that counts as handled, unless it is given. */
const tauOf = (gate: GateMode): number => TAUS[gate === "hard" ? gate : "soft"];

type Skip = "survivors" | "frozen" | undefined;
type Gate = {
  readonly gate: GateMode;
  readonly tau?: number | undefined;
  readonly kappa?: number;
  readonly skip?: Skip;
  /** Each sample under the gates of its neighbour in the batch, which is another one in each epoch. */
  readonly isShuffled?: boolean;
};

/** The part of hard gates that is known before later exits are: which samples an exit leaves to them. */
function skipping(name: string, { gate, tau = tauOf(gate), skip }: Gate, leak: number): Track["skips"] {
  if (skip === undefined) return undefined;
  if (gate !== "hard") throw new ArgumentError(`${name}: with skip the gate must be hard; got ${gate}.`);
  if (leak > 0)
    throw new ArgumentError(
      `${name}: with skip leak must be 0, as handled samples are learnt from no more; got ${leak}.`,
    );
  return {
    norms: skip,
    stays(logits, labels) {
      const exitWeights = tensor(Float32Array.of(1, 1), { device: logits.device });
      const { eligibility } = exitGates(stack([logits, logits], { dim: 1 }), labels, exitWeights, {
        mode: "hard",
        tau,
      });
      const n = firstOf(logits.shape);
      return reshape(slice(eligibility, { starts: [0, 1], ends: [n, 2] }), [n]);
    },
  };
}

/** Rows one place further, the last in front. */
function shifted(rows: Tensor): Tensor {
  const n = firstOf(rows.shape);
  return concat([slice(rows, { starts: [n - 1] }), slice(rows, { ends: [n - 1] })]);
}

/** One phase under gates. */
function gatedPhase(name: string, given: Gate, options: OptionValues<typeof OPEN>) {
  const { gate, tau = tauOf(gate), kappa = KAPPA.default, isShuffled = false } = given;
  const { leak, normalise, anneal, labelSmoothing: smoothing } = options;
  const learning = (mode: GateMode) => (seen: Seen) => {
    const gates = { mode, tau, kappa, leak, normalise };
    const { weights: own } = exitGates(seen.logits.detach(), seen.labels, seen.exitWeights, gates);
    const weights = isShuffled ? noGrad(() => shifted(own)) : own;
    // Per exit first: the same sums as the reported ones, of few terms each.
    return sum(exitMeans(mul(exitCrossEntropy(seen, smoothing), weights)));
  };
  const under = (mode: GateMode) =>
    mode === "hard" || mode === "soft" ? byOneLabel(name, `a ${mode} gate`, learning(mode)) : learning(mode);
  return once({
    exitWeights: (exits, at) => annealed(endsOf(name, anneal, exits), at),
    loss: under(gate),
    control: under("open"),
    skips: skipping(name, given, leak),
  });
}

const paper = {
  title: "Confidence-Gated Training",
  venue: "2025",
  arxiv: "2509.17885",
  code: "gunki-geek/CG-Training",
} as const;

const soft = { tau: preset(TAU, TAUS.soft, { basis: CODE }), kappa: KAPPA, ...OPEN } as const;
const hard = { tau: preset(TAU, TAUS.hard, { basis: CODE }), ...OPEN, skip: SKIP } as const;

/** CGT with soft gates. */
export const softCgt: Method<typeof soft> = defineMethod({
  name: "soft-cgt",
  about: "an exit learns less from a sample the surer an earlier exit is of its class",
  paper,
  options: soft,
  phases: (options) => gatedPhase("soft-cgt", { ...options, gate: "soft" }, options),
});

/** CGT with hard gates. */
export const hardCgt: Method<typeof hard> = defineMethod({
  name: "hard-cgt",
  about: "an exit learns nothing from a sample that an earlier exit gets right with confidence",
  paper,
  options: hard,
  phases: (options) => gatedPhase("hard-cgt", { ...options, gate: "hard" }, options),
});

/** CGT by confidence alone. */
export const confidenceCgt: Method<typeof OPEN> = defineMethod({
  name: "confidence-cgt",
  about: "an exit learns less from a sample the surer an earlier exit is, right or wrong; reconstructed",
  paper,
  options: OPEN,
  phases: (options) => gatedPhase("confidence-cgt", { gate: "confidence" }, options),
});

const plain = {
  gate: option.choice(["soft", "hard", "confidence"], "what counts as handled", {
    basis: "the public code's; the paper's first version prints confidence (60 %)",
  }),
  tau: option.number(
    undefined,
    `confidence that counts as handled (default: ${TAUS.soft} under a soft gate, ${TAUS.hard} under a hard one)`,
    {
      min: 0,
      max: 1,
    },
  ),
  kappa: KAPPA,
  skip: SKIP,
} as const;

/** Gates by confidence have neither. */
const GATES = { gate: { tau: ["soft", "hard"], kappa: ["soft"] } } as const;

const shuffled = { gate: plain.gate, tau: plain.tau, kappa: KAPPA, ...OPEN } as const;

/** The control whose gates say nothing of their samples. */
export const shuffledCgt: Method<typeof shuffled> = defineMethod({
  name: "shuffled-cgt",
  about: "every sample under the gates of another one of its batch: as much is gated, at random; a control of CGT",
  options: shuffled,
  readers: GATES,
  phases: ({ gate, tau, kappa, ...open }) => gatedPhase("shuffled-cgt", { gate, tau, kappa, isShuffled: true }, open),
});

/** CGT as the paper prints it. */
export const plainCgt: Method<typeof plain> = defineMethod({
  name: "plain-cgt",
  about: "gates as the paper prints them: no leak, no normalisation, no moving exit weights, no smoothing of labels",
  paper,
  options: plain,
  readers: GATES,
  phases: ({ gate, tau, kappa, skip }) =>
    gatedPhase(
      "plain-cgt",
      { gate, tau, kappa, skip },
      { leak: 0, normalise: false, anneal: false, labelSmoothing: 0 },
    ),
});

/** The control without gates. */
export const scheduleOnly: Method<typeof OPEN> = defineMethod({
  name: "schedule-only",
  about: "the exit weights of CGT with every gate open: its control",
  options: OPEN,
  isPlain: true,
  phases: (options) => gatedPhase("schedule-only", { gate: "open" }, options),
});
