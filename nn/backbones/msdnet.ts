// MSDNet, by options.

import { completer, option } from "../../base/index.ts";
import { readOptions } from "../../engine/functions.ts";
import { msdnet } from "../msdnet.ts";
import { type BackboneKind, defineBackbone } from "./kind.ts";

const scales = { must: "a list of whole numbers, one a scale, 1,2,4", min: 1, whole: true } as const;

const OPTIONS = {
  blocks: option.whole(7, "blocks: 7 for anytime prediction as published, 5 for budgeted batches", { min: 2 }),
  base: option.whole(4, "layers of the first block: 4 for anytime prediction, 1 for budgeted batches", { min: 1 }),
  step: option.whole(2, "layers of the others, or by how many they grow: 2 anytime, 1 in batches", { min: 1 }),
  stepMode: option.choice(["even", "linear"], "even for anytime prediction, linear (each block longer) for batches"),
  channels: option.whole(16, "channels of the first map of the finest scale", { min: 1 }),
  growth: option.whole(6, "channels that a layer adds to the finest scale", { min: 1 }),
  factors: option.list([1, 2, 4], "widths of the scales in those of the finest", scales),
  bottlenecks: option.list([1, 2, 4], "widths of each scale's 1x1 convolutions in those of what follows", scales),
  reduction: option.number(0.5, "share of its channels that a scale keeps where a finer one ends", {
    above: 0,
    max: 1,
  }),
} as const;

/** The authors' CIFAR family; an exit behind every block. */
export const msdnetKind: BackboneKind<typeof OPTIONS> = defineBackbone({
  name: "msdnet",
  about: "MSDNet for small images: dense blocks over several scales at once",
  options: OPTIONS,
  exits: ({ blocks = OPTIONS.blocks.default }) => Array.from({ length: blocks - 1 }, (_, i) => `block${i + 1}`),
  head: "msdnet",
  // As many blocks, so as many exits; each with more layers, which are wider.
  enlarge: (given, { wider, deeper }) => {
    const { base, step, channels, growth } = { ...defaults, ...given };
    return {
      ...given,
      base: Math.round(base * deeper),
      step: Math.round(step * deeper),
      channels: Math.round(channels * wider),
      growth: 2 * Math.round((growth * wider) / 2),
    };
  },
  make: (given, site) => msdnet({ ...completer(readOptions)("msdnet", OPTIONS, given), ...site }),
});

const defaults = {
  base: OPTIONS.base.default,
  step: OPTIONS.step.default,
  channels: OPTIONS.channels.default,
  growth: OPTIONS.growth.default,
};
