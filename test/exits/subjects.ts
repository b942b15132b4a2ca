// Networks of every family, with heads of every kind: what is deployed and compared with itself. Runs in Node and in a
// browser.

import type { OwnScore } from "../../calibration/index.ts";
import type { Device } from "../../engine/functions.ts";
import { additive, cascaded, confident, ensembled, gated, HEADS, inline } from "../../exits/index.ts";
import { multiExit } from "../../exits/network/attach.ts";
import type { MultiExit } from "../../exits/network/multi-exit.ts";
import { convnext, efficientnet, imageNetResnet, mobilenetV3, msdnet, resnet, vit } from "../../nn/index.ts";

export const CLASSES = 5;

/** A network to deploy; `steps` of training are behind it. */
export interface Subject {
  readonly steps: number;
  /** Under these scores alone: a large network. */
  readonly scores?: readonly OwnScore[];
  /** How much the early heads' logits differ; default that of agreement.ts. */
  readonly spread?: number;
  readonly make: (device: Device | undefined) => MultiExit;
}

const convolutional = (seed: number, device: Device | undefined, shortcut: "A" | "B" = "B") =>
  resnet({
    depth: 8,
    classes: CLASSES,
    input: [12, 12, 3],
    widths: [16, 32, 64],
    shortcut,
    seed,
    ...(device && { device }),
  });

const large = (depth: 18 | 50, device: Device | undefined) =>
  imageNetResnet({ depth, classes: CLASSES, input: [12, 12, 3], seed: 6, ...(device && { device }) });

const small = (device: Device | undefined) =>
  ({ classes: CLASSES, input: [12, 12, 3], seed: 7, ...(device && { device }) }) as const;

const transformer = (seed: number, device: Device | undefined) => {
  const sizes = { imgSize: 12, patchSize: 4, embedDim: 64, depth: 3, numHeads: 4 };
  return vit({ ...sizes, classes: CLASSES, seed, ...(device && { device }) });
};

const after = ["stage1", "stage2"];

/**
 * Every backbone and every head, wide enough for several tiles of columns. What a subject is tried with depends on its
 * place: a new one stands at the end.
 */
export const SUBJECTS: Readonly<Record<string, Subject>> = {
  "resnet, gap-linear and gap-norm-linear, trained": {
    steps: 6,
    make: (device) => multiExit(convolutional(1, device), { after, head: ["gap-linear", "gap-norm-linear"] }),
  },
  "resnet A, pool-linear and conv-pool-linear, trained": {
    steps: 6,
    make: (device) =>
      multiExit(convolutional(2, device, "A"), { after, head: [HEADS["pool-linear"], HEADS["conv-pool-linear"]] }),
  },
  "resnet, attention, last of its own kind": {
    steps: 0,
    make: (device) => multiExit(convolutional(3, device), { after, head: HEADS.attention, last: "gap-norm-linear" }),
  },
  "imageNetResnet of basic blocks": {
    steps: 0,
    scores: ["energy"],
    make: (device) => multiExit(large(18, device), { after, head: "gap-linear" }),
  },
  "imageNetResnet of bottlenecks": {
    steps: 0,
    scores: ["energy"],
    make: (device) => multiExit(large(50, device), { after, head: "gap-linear" }),
  },
  "vit, class-token": {
    steps: 0,
    make: (device) => multiExit(transformer(4, device), { after, head: "class-token" }),
  },
  "vit, mean-token, trained": {
    steps: 6,
    make: (device) => multiExit(transformer(5, device), { after, head: "mean-token", last: "mean-token" }),
  },
  mobilenetV3: {
    steps: 0,
    scores: ["energy", "maxProb"],
    make: (device) =>
      multiExit(mobilenetV3({ ...small(device), stemStride: 1 }), {
        after: ["features.3", "features.8"],
        head: "gap-linear",
      }),
  },
  "efficientnet, trained": {
    steps: 3,
    scores: ["energy", "maxProb"],
    make: (device) =>
      multiExit(efficientnet({ ...small(device), widthMult: 0.5, stemStride: 1 }), {
        after: ["features.2", "features.5"],
        head: "gap-linear",
      }),
  },
  // Its features differ little between images, so spread logits are large, and probabilities all but certain.
  "convnext, trained": {
    steps: 6,
    scores: ["energy", "maxLogit"],
    make: (device) =>
      multiExit(convnext({ ...small(device), dims: [40, 72, 96], depths: [1, 1, 1], patch: 1 }), {
        after: ["features.1", "features.3"],
        head: "gap-linear",
      }),
  },
  "heads that see the one before and answer together": {
    steps: 6,
    spread: 0.4,
    make: (device) => multiExit(convolutional(8, device), { after, wraps: [cascaded(), ensembled()] }),
  },
  "heads that add to what the one before said": {
    steps: 6,
    make: (device) =>
      multiExit(convolutional(9, device), { after, head: HEADS["conv-pool-linear"], wraps: [additive(0.5)] }),
  },
  "heads that see the one before, with a gate around": {
    steps: 6,
    spread: 0.4,
    make: (device) =>
      multiExit(convolutional(10, device), { after, last: "gap-norm-linear", wraps: [inline(), gated()] }),
  },
  "heads that say how sure they are": {
    steps: 6,
    scores: ["confidence", "maxProb"],
    make: (device) =>
      multiExit(convolutional(11, device), {
        after,
        head: ["gap-norm-linear", HEADS["conv-pool-linear"]],
        wraps: [confident()],
      }),
  },
  "heads that say how sure they are, and see the one before": {
    steps: 6,
    scores: ["confidence"],
    make: (device) => multiExit(convolutional(12, device), { after, wraps: [confident(), cascaded()] }),
  },
  // Of three scales the finest two end on the way; one exit answers by what it sees of them in one dispatch.
  "msdnet, msdnet and gap-linear, trained": {
    steps: 6,
    scores: ["energy", "maxProb", "margin"],
    make: (device) =>
      multiExit(msdnet({ ...small(device), blocks: 3, base: 2, step: 2, channels: 16 }), {
        after: ["block1", "block2"],
        head: [HEADS.msdnet, "gap-linear"],
      }),
  },
  "resnet, conv1d-linear": {
    steps: 0,
    scores: ["energy", "maxLogit"],
    make: (device) =>
      multiExit(convolutional(8, device), { after, head: HEADS["conv1d-linear"], last: HEADS["conv1d-linear"] }),
  },
  "resnet, prototype": {
    steps: 6,
    scores: ["maxProb", "margin"],
    make: (device) => multiExit(convolutional(9, device), { after, head: HEADS.prototype, last: HEADS.prototype }),
  },
};
