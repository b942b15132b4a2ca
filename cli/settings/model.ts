/** From settings to the things that train: data, network, objective, recipe. */

import { SortieError } from "../../base/index.ts";
import { type AugmentOptions, CGT_AUGMENTATION, createLoader, type Splits } from "../../data/index.ts";
import type { Device } from "../../engine/index.ts";
import {
  confidenceGated,
  type JointOptions,
  jointCrossEntropy,
  type MultiExit,
  multiExit,
  type Objective,
  type Recipe,
  safeKd,
  scheduleOnly,
  type TrainOptions,
} from "../../exits/index.ts";
import { type Backbone, imageNetResnet, resnet, vit } from "../../nn/index.ts";
import { downloadProgress } from "../commands/data.ts";
import type { Config, METHODS } from "./config.ts";
import type { Print } from "./flags.ts";
import { defined, knownSet } from "./sets.ts";

/** Loads the data set of a run. @throws DataError that names a missing or damaged file. */
export async function loadData({ data, seed }: Config, print: Print): Promise<Splits> {
  const { name, ...options } = data;
  return knownSet("train", name).load({ ...defined({ ...options, seed }), onProgress: downloadProgress(print) });
}

/** The network of a run, for images as the data has them. */
export function makeNetwork({ model, seed }: Config, { train }: Pick<Splits, "train">, device: Device): MultiExit {
  const { backbone, exits, head, last } = model;
  const body = BACKBONES[backbone](model, { input: train.shape, classes: train.classes.length, seed, device });
  return multiExit(body, { after: exits, head, ...(last !== "own" && { last }), seed });
}

type Model = Config["model"];

/** What every backbone is made for. */
interface Site {
  readonly input: readonly [number, number, number];
  readonly classes: number;
  readonly seed: number;
  readonly device: Device;
}

const BACKBONES: Readonly<Record<Model["backbone"], (model: Model, site: Site) => Backbone>> = {
  resnet: ({ depth, widths = [], shortcut }, site) => {
    const [first, second, third, ...more] = widths;
    if (first === undefined || second === undefined || third === undefined || more.length > 0) {
      throw new SortieError(`train: model.widths must be three numbers for a resnet; got ${widths.join(",")}.`);
    }
    return resnet({ depth, widths: [first, second, third], ...defined({ shortcut }), ...site });
  },
  // The constructor says which depths there are.
  "imagenet-resnet": ({ depth, stem }, site) => imageNetResnet({ depth: depth as 18, ...defined({ stem }), ...site }),
  vit: ({ depth, dim = 0, patch = 0 }, { input: [height, width, channels], ...site }) => {
    if (height !== width) throw new SortieError(`train: a vit needs square images; got ${height} x ${width}.`);
    if (dim % HEAD_WIDTH !== 0) {
      throw new SortieError(`train: model.dim must be a multiple of ${HEAD_WIDTH} for a vit; got ${dim}.`);
    }
    const numHeads = dim / HEAD_WIDTH;
    return vit({ imgSize: height, patchSize: patch, channels, embedDim: dim, numHeads, depth, ...site });
  },
};

/** Channels of an attention head: narrow, since these transformers are small. */
const HEAD_WIDTH = 16;

type Settings = Config["objective"];

/** Settings of every method with a schedule of weights. */
const SCHEDULED = ["leak", "normalise", "anneal", "annealFrom", "annealTo", "labelSmoothing"] as const;

/** Which settings a method takes, and the objective they make. */
const OBJECTIVES: Readonly<
  Record<(typeof METHODS)[number], { readonly takes: readonly (keyof Settings)[]; make(given: Settings): Objective }>
> = {
  joint: {
    takes: ["labelSmoothing", "weights", "weighting"],
    make: ({ labelSmoothing, ...given }) =>
      jointCrossEntropy(defined({ labelSmoothing, weights: jointWeights(given) })),
  },
  "soft-cgt": { takes: ["tau", "kappa", ...SCHEDULED], make: gated("soft") },
  "hard-cgt": { takes: ["tau", ...SCHEDULED], make: gated("hard") },
  "confidence-cgt": { takes: SCHEDULED, make: gated("confidence") },
  "schedule-only": { takes: SCHEDULED, make: gated("open") },
  "safe-kd": {
    takes: ["weights", "temperature", "emaDecay", "labelSmoothing"],
    make: ({ method: _, ...given }) => safeKd(defined(given)),
  },
};

function gated(gate: "soft" | "hard" | "confidence" | "open") {
  return ({ method: _, annealFrom: from, annealTo: to, ...given }: Settings): Objective => {
    if ((from === undefined) !== (to === undefined) || (from && given.anneal !== undefined)) {
      throw new SortieError("train: objective.annealFrom and annealTo must come together, and without anneal.");
    }
    const options = defined({ ...given, anneal: from && to ? { from, to } : given.anneal });
    return gate === "open" ? scheduleOnly(options) : confidenceGated({ gate, ...options });
  };
}

/** Weights as `weighting` says what their numbers are. */
function jointWeights({ weighting = "fixed", weights }: Settings): JointOptions["weights"] {
  if (weighting === "fixed") return weights;
  if (weights === undefined) {
    throw new SortieError(`train: objective.weights must be given for weighting ${weighting}; got none.`);
  }
  if (weighting === "sdn") return { sdn: weights };
  const [first, last, ...more] = weights;
  if (first !== undefined && last !== undefined && more.length === 0) return { first, last };
  throw new SortieError(
    `train: objective.weights must be two numbers, of the first and the last exit, for linear weighting; got ${weights.join(",")}.`,
  );
}

/** The objective of a run. @throws Error that names a setting which its method does not take. */
export function makeObjective({ objective }: Config): Objective {
  const { takes, make } = OBJECTIVES[objective.method];
  for (const name of Object.keys(objective) as (keyof Settings)[]) {
    if (name === "method" || takes.includes(name) || objective[name] === undefined) continue;
    throw new SortieError(
      `train: objective.${name} is no setting of ${objective.method}, which takes ${takes.join(", ")}. Leave it out.`,
    );
  }
  return make(objective);
}

/** How the weights are trained. */
export function makeRecipe({ train, seed }: Config): Recipe & Pick<TrainOptions, "batches"> {
  const { epochs, batch, flip, augment, optimizer: method, schedule: kind, warmup } = train;
  const { lr, momentum, nesterov, weightDecay, decay, clipNorm, minLr, milestones, gamma } = train;
  // The augmentation flips by itself.
  const augmented: AugmentOptions | undefined = augment === "cgt" ? { ...CGT_AUGMENTATION, flip } : undefined;
  return {
    epochs,
    batch,
    flip: augmented ? 0 : flip,
    optimizer: { method, ...defined({ lr, momentum, nesterov, weightDecay, decay, clipNorm }) },
    schedule: { kind, ...defined({ warmup, minLr, milestones, gamma }) },
    ...(augmented && {
      batches: (set) => createLoader(set as Splits["train"], { batch, seed, last: "drop", augment: augmented }),
    }),
  };
}
