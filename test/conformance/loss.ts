// Conformance cases of kind "loss": training objectives on logits, and the weights behind them.

import { add, crossEntropy, mean, mul, softmax, stack, sub, sum, type Tensor, tensor } from "../../engine/index.ts";
import {
  adaloss,
  annealed,
  balancedGateLoss,
  beem,
  boostLosses,
  calexnetLosses,
  confidenceCgt,
  confidenceLosses,
  type DeeperExits,
  deeperExitsLoss,
  dkd,
  type ErdeOptions,
  type ExitWeights,
  eefpCgt,
  eenet,
  entropy,
  erdeLosses,
  exitGates,
  exitStatistics,
  exitTargets,
  failureStatistics,
  gradientEquilibrium,
  hardCgt,
  type JeiDnnOptions,
  jeiDnnLosses,
  joint,
  kd,
  neighbourLosses,
  orthogonalLosses,
  type PteeOptions,
  pteeLoss,
  type SelectiveOptions,
  safeKd,
  selectiveLosses,
  selfDistillation,
  softCgt,
  softCrossEntropy,
  type TrainingPlan,
  ztwEnsemble,
  ztwHead,
} from "../../exits/index.ts";
import { dkdParts } from "../../exits/methods/distill.ts";
import { exitWeightsAt, lossOf, lossPerExit } from "../exits/track.ts";
import type { CaseAttrs } from "./case.ts";
import type { EngineFunction, Operands } from "./engine.ts";

const as = <T>(attrs: CaseAttrs): T => attrs as T;

/**
 * The loss of a method in one epoch, all of it and by exits; constant exit weights come first, so that it is an output
 * too.
 */
function objective(
  at: Operands,
  plan: TrainingPlan,
  { epoch = 1, epochs = 1 }: { epoch?: number; epochs?: number } = {},
) {
  const logits = at("logits");
  const exitWeights = tensor(Float32Array.from(exitWeightsAt(plan, logits.shape[1] as number, { epoch, epochs })));
  const last = at.maybe("teacher");
  // Of a teacher only the last exit counts.
  const teacher =
    last &&
    stack(
      Array.from({ length: logits.shape[1] as number }, () => last),
      { dim: 1 },
    );
  const batch = { logits, labels: at("labels"), exitWeights, teacher };
  return { exitWeights, loss: lossOf(plan, batch), exitLosses: () => lossPerExit(plan, batch) };
}

function jointWeights(attrs: CaseAttrs): ExitWeights {
  if (attrs["weighting"] === "linear") return { first: attrs["first"] as number, last: attrs["last"] as number };
  if (attrs["weighting"] === "sdn") return { sdn: attrs["maxWeights"] as number[] };
  return attrs["weights"] as number[];
}

interface GateAttrs {
  readonly mode: "hard" | "soft" | "confidence";
  readonly eps: number;
  readonly schedule: number[] | null;
  readonly tau?: number;
  readonly kappa?: number;
  readonly normalise: boolean;
  readonly labelSmoothing: number;
}

/** 1 for every exit. */
const onesOf = (logits: Tensor): Tensor => tensor(new Float32Array(logits.shape[1] as number).fill(1));

/** Outputs of a loss that is the mean of losses per sample. */
const averaged = (perSample: Tensor, more: Record<string, Tensor> = {}) => ({
  loss: mean(perSample),
  perSample,
  ...more,
});

/** Op name to function. */
export const lossCases: Record<string, EngineFunction> = {
  cgt: (at, attrs) => {
    const { mode, eps: leak, schedule, tau = 0.9, kappa = 1, normalise, labelSmoothing } = as<GateAttrs>(attrs);
    const anneal = schedule ? { from: schedule, to: schedule } : false;
    const open = { leak, anneal, normalise, labelSmoothing };
    const plan =
      mode === "hard"
        ? hardCgt.with({ ...open, tau })
        : mode === "soft"
          ? softCgt.with({ ...open, tau, kappa })
          : confidenceCgt.with(open);
    const { loss, exitWeights } = objective(at, plan);
    const gates = exitGates(at("logits"), at("labels"), exitWeights, { mode, tau, kappa, leak, normalise });
    return { loss, ...gates };
  },
  cgtSchedule: (_, attrs) => {
    const { start, end, epochs } = as<{ start: number[]; end: number[]; epochs: number }>(attrs);
    const rows = Array.from({ length: epochs }, (__, i) =>
      annealed({ from: start, to: end }, { epoch: i + 1, epochs }),
    );
    return { schedule: tensor(rows) };
  },
  jointCrossEntropy: (at, attrs) => {
    const options = as<{ normaliseWeights: boolean; labelSmoothing: number }>(attrs);
    const made = joint.with({
      exitWeights: jointWeights(attrs),
      normalise: options.normaliseWeights,
      labelSmoothing: options.labelSmoothing,
    });
    const { loss, exitLosses, exitWeights } = objective(at, made, as(attrs));
    return { loss, perExit: exitLosses(), weights: exitWeights };
  },
  kd: (at, attrs) => averaged(kd(at("student"), at("teacher"), { temperature: attrs["T"] as number })),
  kdTotal: (at, attrs) => {
    const { T: temperature, ceWeight, kdWeight } = as<{ T: number; ceWeight: number; kdWeight: number }>(attrs);
    const hard = crossEntropy(at("student"), at("labels"), { reduction: "none" });
    return averaged(add(mul(hard, ceWeight), mul(kd(at("student"), at("teacher"), { temperature }), kdWeight)));
  },
  dkd: (at, attrs) => {
    const { T: temperature, ...weights } = as<{ T: number; alpha: number; beta: number }>(attrs);
    const { target, others } = dkdParts(at("student"), at("teacher"), at("labels"), temperature);
    const perSample = dkd(at("student"), at("teacher"), at("labels"), { temperature, ...weights });
    return averaged(perSample, { tckd: target, nckd: others });
  },
  safeKd: (at, attrs) => {
    const {
      T: temperature,
      weights: exitWeights,
      ...rest
    } = as<{
      T: number;
      weights: number[];
      alpha: number;
      beta: number;
    }>(attrs);
    const { loss, exitLosses } = objective(at, safeKd.with({ exitWeights, ...rest, temperature }));
    return { loss, perExit: exitLosses() };
  },
  entropyRegularisation: (at, attrs) => {
    const { beta, normalised } = as<{ beta: number; normalised: boolean }>(attrs);
    const logits = at("logits");
    const plain = entropy(logits);
    const h = normalised ? mul(plain, 1 / Math.log(logits.shape[1] as number)) : plain;
    return averaged(sub(crossEntropy(logits, at("labels"), { reduction: "none" }), mul(h, beta)), { entropy: h });
  },
  erde: (at, attrs) => {
    const { T: temperature, ...rest } = as<{ T: number } & ErdeOptions>(attrs);
    const perSampleExit = erdeLosses(at("student"), at("teacher"), at("labels"), { ...rest, temperature });
    return { loss: mean(perSampleExit), perSampleExit };
  },
  calexnet: (at, attrs) => {
    const { T: temperature, ...rest } = as<{ T: number; kappa: number; floor: number }>(attrs);
    const found = calexnetLosses(at("logits"), at("backbone"), at("tau"), { ...rest, temperature });
    return { loss: found.loss, perExit: found.exitLosses, survival: found.survival, weights: found.weights };
  },
  ptee: (at, attrs) => {
    const { loss, cost, mixture } = pteeLoss(at("logits"), at("confidence"), at("target"), as<PteeOptions>(attrs));
    return { loss, cost, mixture };
  },
  boostNet: (at, attrs) => {
    const { loss, additive } = boostLosses(at("logits"), at("labels"), as(attrs));
    return { loss, additive };
  },
  ztwEnsemble: (at) => {
    const logits = ztwEnsemble(at("logits"), at("w"), at("b"));
    return { ensemble: softmax(logits), loss: crossEntropy(logits, at("labels")) };
  },
  ztwHead: (at, attrs) => {
    const parameters = { normWeight: at("lnWeight"), normBias: at("lnBias"), weight: at("weight"), bias: at("bias") };
    const logits = ztwHead(at("features"), at("prevLogits"), parameters, as(attrs));
    return { logits, loss: crossEntropy(logits, at("labels")) };
  },
  beYourOwnTeacher: (at, attrs) => {
    const { T: temperature, ...rest } = as<{ T: number; a: number; b: number }>(attrs);
    const found = selfDistillation(at("logits"), at("features"), at("labels"), { ...rest, temperature });
    return { loss: found.loss, ce: found.ce, kd: found.kd, hint: found.hint };
  },
  gradientEquilibrium: (at, attrs) => {
    const { exits, rescale } = as<{ exits: number; rescale: boolean }>(attrs);
    let h = at("x");
    const logits = Array.from({ length: exits }, (_, exit) => {
      const features = h.matmul(at(`block${exit}`)).tanh();
      const split = rescale ? gradientEquilibrium(features, { exit, exits }) : undefined;
      h = split?.onward ?? features;
      return (split?.classifier ?? features).matmul(at(`head${exit}`));
    });
    const stacked = stack(logits, { dim: 1 });
    return {
      logits: stacked,
      loss: sum(mean(crossEntropy(stacked, at("labels"), { reduction: "none" }), { dim: 0 })),
    };
  },
  softCrossEntropy: (at) => averaged(softCrossEntropy(at("student"), at("teacher"))),
  deeperExits: (at, attrs) => ({ loss: deeperExitsLoss(at("logits"), attrs["from"] as DeeperExits) }),
  selectiveNet: (at, attrs) => {
    const { weights, ...options } = as<SelectiveOptions & { readonly weights: number[] }>(attrs);
    const perExit = selectiveLosses(at("logits"), at("confidence"), at("labels"), options);
    return { loss: sum(mul(perExit, tensor(Float32Array.from(weights)))), perExit };
  },
  exitTargets: (at, attrs) => ({ target: exitTargets(at("logits"), at("labels"), attrs) }),
  eefpCgt: (at, attrs) => ({ loss: objective(at, eefpCgt.with(attrs)).loss }),
  balancedGateLoss: (at) => ({ loss: balancedGateLoss({ gates: at("gates"), targets: at("targets") }) }),
  confidenceLosses: (at) => averaged(confidenceLosses(at("logits"), at("targets"))),
  neoKd: (at, attrs) => {
    const { alpha, beta } = as<{ alpha: number; beta: number }>(attrs);
    const answers = { clean: at("logits"), attacked: at("attacked"), labels: at("labels") };
    const [neighbour, orthogonal] = [neighbourLosses(answers), orthogonalLosses(answers)];
    const hard = ["logits", "attacked"].map((name) => crossEntropy(at(name), answers.labels, { reduction: "none" }));
    const all = [...hard, mul(neighbour, alpha), mul(orthogonal, beta)].reduce((total, each) => add(total, each));
    return { loss: sum(mean(all, { dim: 0 })), neighbour, orthogonal };
  },
  adaLoss: (at, attrs) => {
    const means = at("means").detach().add(0);
    const plan = adaloss.with(attrs);
    const batch = { logits: at("logits"), labels: at("labels"), exitWeights: onesOf(at("logits")), numbers: { means } };
    return { loss: lossOf(plan, batch), means };
  },
  beem: (at) => {
    const { loss, exitWeights } = objective(at, beem.with());
    return { loss, weights: exitWeights };
  },
  eenet: (at, attrs) => {
    const { late, ...options } = as<{ late: boolean; alpha: number; temperature: number }>(attrs);
    const plan = eenet.with({ ...options, scheduler: 0 });
    const logits = at("logits");
    const exitWeights = tensor(Float32Array.from(exitWeightsAt(plan, logits.shape[1] as number)));
    const ramp = tensor(Float32Array.of(Number(late)), { shape: [] });
    return { loss: lossOf(plan, { logits, labels: at("labels"), exitWeights, ramp }), weights: exitWeights };
  },
  statistics: (at, attrs) => ({
    statistics: attrs["of"] === "failure" ? failureStatistics(at("logits")) : exitStatistics(at("logits")),
  }),
  jeiDnn: (at, attrs) => {
    const gates = { weight: at("gateWeight"), bias: at("gateBias") };
    const options = { ...as<JeiDnnOptions>(attrs), balance: false };
    const found = jeiDnnLosses(at("logits"), at("labels"), gates, options);
    return {
      classifierLoss: found.classifierLoss,
      gateLoss: found.gateLoss,
      statistics: found.statistics,
      exitProb: found.exitProbabilities,
      gateTarget: found.gateTargets,
    };
  },
};
