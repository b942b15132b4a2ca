// Small residual networks, by options.

import { completer, option } from "../../base/index.ts";
import { readOptions } from "../../engine/functions.ts";
import { resnet } from "../resnet.ts";
import { type BackboneKind, defineBackbone } from "./kind.ts";

const OPTIONS = {
  depth: option.whole(8, "layers: 8, 14, 20, ... 6n + 2", { min: 1 }),
  widths: option.list([16, 32, 64], "channels of the three stages", {
    must: "a list of three whole numbers, 16,32,64",
    min: 1,
    whole: true,
    length: 3,
  }),
  shortcut: option.choice(["A", "B"], "where shapes change: A pads, B projects", { default: "B" }),
} as const;

/** The CIFAR family (He et al. 2016, section 4.2). */
export const resnetKind: BackboneKind<typeof OPTIONS> = defineBackbone({
  name: "resnet",
  about: "ResNet for small images: a 3x3 stem and three stages",
  options: OPTIONS,
  exits: () => ["stage1", "stage2"],
  // Six layers a block of each stage, and two around them.
  enlarge: ({ depth = OPTIONS.depth.default, widths = OPTIONS.widths.default, ...rest }, { wider, deeper }) => ({
    ...rest,
    depth: 6 * Math.round(((depth - 2) / 6) * deeper) + 2,
    widths: widths.map((width) => Math.round(width * wider)),
  }),
  make: (given, site) => {
    const { widths, ...options } = completer(readOptions)("resnet", OPTIONS, given);
    return resnet({ ...options, widths: widths as readonly [number, number, number], ...site });
  },
});
