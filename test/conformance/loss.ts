/** Conformance cases of kind "loss": training objectives on logits, and the weights behind them. */

import { add, crossEntropy, mean, mul, sub, type Tensor, tensor } from "../../engine/index.ts";
import { dkd, dkdParts, entropy, kd } from "../../exits/distill.ts";
import { annealed, confidenceGated, type GatedOptions } from "../../exits/gated.ts";
import { type JointOptions, jointCrossEntropy } from "../../exits/joint.ts";
import type { Objective } from "../../exits/objective.ts";
import { safeKd } from "../../exits/safe-kd.ts";
import type { CaseAttrs } from "./case.ts";
import type { EngineFunction, Operands } from "./engine.ts";

const as = <T>(attrs: CaseAttrs): T => attrs as T;

/** The losses of an objective in one epoch; a constant schedule comes first, so that it is an output too. */
function objective(at: Operands, made: Objective, { epoch = 1, epochs = 1 }: { epoch?: number; epochs?: number } = {}) {
  const logits = at("logits");
  const factors = made.schedule(logits.shape[1] as number, { epoch, epochs });
  const schedule = tensor(Float32Array.from(factors));
  return { schedule, ...made.losses({ logits, labels: at("labels"), schedule, teacher: at.maybe("teacher") }) };
}

function jointWeights(attrs: CaseAttrs): NonNullable<JointOptions["weights"]> {
  if (attrs["weighting"] === "linear") return { first: attrs["first"] as number, last: attrs["last"] as number };
  if (attrs["weighting"] === "sdn") return { sdn: attrs["maxWeights"] as number[] };
  return attrs["weights"] as number[];
}

/** Outputs of a loss that is the mean of losses per sample. */
const averaged = (perSample: Tensor, more: Record<string, Tensor> = {}) => ({
  loss: mean(perSample),
  perSample,
  ...more,
});

/** Op name to function. */
export const lossCases: Record<string, EngineFunction> = {
  cgt: (at, attrs) => {
    const { mode, eps, schedule, ...rest } = as<{
      mode: "hard" | "soft" | "confidence";
      eps: number;
      schedule: number[] | null;
    }>(attrs);
    const anneal = schedule ? { from: schedule, to: schedule } : false;
    const { loss, weights, eligibility } = objective(
      at,
      confidenceGated({ ...(rest as GatedOptions), gate: mode, leak: eps, anneal }),
    );
    return { loss, weights: weights as Tensor, eligibility: eligibility as Tensor };
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
    const made = jointCrossEntropy({
      weights: jointWeights(attrs),
      normalise: options.normaliseWeights,
      labelSmoothing: options.labelSmoothing,
    });
    const { loss, exitLosses, schedule } = objective(at, made, as(attrs));
    return { loss, perExit: exitLosses, weights: schedule };
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
    const { T: temperature, ...rest } = as<{ T: number; weights: number[]; alpha: number; beta: number }>(attrs);
    const { loss, exitLosses } = objective(at, safeKd({ ...rest, temperature }));
    return { loss, perExit: exitLosses };
  },
  entropyRegularisation: (at, attrs) => {
    const { beta, normalised } = as<{ beta: number; normalised: boolean }>(attrs);
    const logits = at("logits");
    const plain = entropy(logits);
    const h = normalised ? mul(plain, 1 / Math.log(logits.shape[1] as number)) : plain;
    return averaged(sub(crossEntropy(logits, at("labels"), { reduction: "none" }), mul(h, beta)), { entropy: h });
  },
};
