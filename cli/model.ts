/** From settings to the things that train: data, network, objective, recipe. */

import { type AugmentOptions, CGT_AUGMENTATION, createLoader, type Splits } from "../data/index.ts";
import type { Device } from "../engine/index.ts";
import {
  confidenceGated,
  type HeadKind,
  jointCrossEntropy,
  type MultiExit,
  multiExit,
  type Objective,
  type Recipe,
  safeKd,
  scheduleOnly,
  type TrainOptions,
} from "../exits/index.ts";
import { resnet, VisionTransformer } from "../nn/index.ts";
import type { Config, METHODS } from "./config.ts";
import { downloadProgress } from "./data.ts";
import type { Print } from "./flags.ts";
import { defined, knownSet } from "./sets.ts";

/** Loads the data set of a run. @throws DataError that names a missing or damaged file. */
export async function loadData({ data, seed }: Config, print: Print): Promise<Splits> {
  const { name, ...options } = data;
  return knownSet("train", name).load({ ...defined({ ...options, seed }), onProgress: downloadProgress(print) });
}

/** The network of a run, for images as the data has them. */
export function makeNetwork({ model, seed }: Config, { train }: Splits, device: Device): MultiExit {
  const { backbone, exits, head, last } = model;
  const body = backbone === "resnet" ? makeResnet(model, train, seed, device) : makeVit(model, train, seed, device);
  const tokens = backbone === "vit" && !head.endsWith("-token") ? undefined : head;
  return multiExit(body, {
    after: exits,
    ...(tokens && { head: tokens as HeadKind }),
    ...(last !== "own" && { last }),
    seed,
  });
}

type Model = Config["model"];
type Images = Splits["train"];

function makeResnet({ depth, widths }: Model, { shape, classes }: Images, seed: number, device: Device) {
  const [first, second, third, ...more] = widths;
  if (first === undefined || second === undefined || third === undefined || more.length > 0) {
    throw new Error(`train: model.widths must be three numbers for a resnet; got ${widths.join(",")}.`);
  }
  return resnet({ depth, widths: [first, second, third], input: shape, classes: classes.length, seed, device });
}

/** Heads of 16 channels, as in small published transformers. */
const HEAD_WIDTH = 16;

function makeVit({ depth, widths, patch }: Model, { shape, classes }: Images, seed: number, device: Device) {
  const [height, width, channels] = shape;
  const dim = widths.at(-1)!;
  if (height !== width) throw new Error(`train: a vit needs square images; got ${height} x ${width}.`);
  if (dim % HEAD_WIDTH !== 0) {
    throw new Error(`train: model.widths must end in a multiple of ${HEAD_WIDTH} for a vit; got ${widths.join(",")}.`);
  }
  return new VisionTransformer({
    imgSize: height,
    patchSize: patch,
    channels,
    embedDim: dim,
    numHeads: dim / HEAD_WIDTH,
    depth,
    classes: classes.length,
    seed,
    device,
  });
}

type Settings = Config["objective"];

/** Which settings a method takes, and the objective they make. */
const OBJECTIVES: Readonly<
  Record<(typeof METHODS)[number], { readonly takes: readonly (keyof Settings)[]; make(given: Settings): Objective }>
> = {
  joint: {
    takes: ["labelSmoothing", "weights"],
    make: (given) => jointCrossEntropy(defined({ labelSmoothing: given.labelSmoothing, weights: given.weights })),
  },
  "soft-cgt": { takes: ["tau", "kappa", "leak", "normalise", "anneal", "labelSmoothing"], make: gated("soft") },
  "hard-cgt": { takes: ["tau", "leak", "normalise", "anneal", "labelSmoothing"], make: gated("hard") },
  "schedule-only": {
    takes: ["leak", "normalise", "anneal", "labelSmoothing"],
    make: ({ method: _, ...given }) => scheduleOnly(defined(given)),
  },
  "safe-kd": {
    takes: ["weights", "temperature", "emaDecay", "labelSmoothing"],
    make: ({ method: _, ...given }) => safeKd(defined(given)),
  },
};

function gated(gate: "soft" | "hard") {
  return ({ method: _, ...given }: Settings): Objective => confidenceGated({ gate, ...defined(given) });
}

/** The objective of a run. @throws Error that names a setting which its method does not take. */
export function makeObjective({ objective }: Config): Objective {
  const { takes, make } = OBJECTIVES[objective.method];
  for (const name of Object.keys(objective) as (keyof Settings)[]) {
    if (name === "method" || takes.includes(name) || objective[name] === undefined) continue;
    throw new Error(
      `train: objective.${name} is no setting of ${objective.method}, which takes ${takes.join(", ")}. Leave it out.`,
    );
  }
  return make(objective);
}

/** How the weights are trained. */
export function makeRecipe({ train, seed }: Config): Recipe & Pick<TrainOptions, "batches"> {
  const { epochs, batch, flip, augment, optimizer: method, schedule: kind, warmup } = train;
  const { lr, momentum, nesterov, weightDecay, clipNorm } = train;
  // The augmentation flips by itself.
  const augmented: AugmentOptions | undefined = augment === "cgt" ? { ...CGT_AUGMENTATION, flip } : undefined;
  return {
    epochs,
    batch,
    flip: augmented ? 0 : flip,
    optimizer: { method, ...defined({ lr, momentum, nesterov, weightDecay, clipNorm }) },
    schedule: { kind, warmup },
    ...(augmented && {
      batches: (set) => createLoader(set as Images, { batch, seed, last: "drop", augment: augmented }),
    }),
  };
}
