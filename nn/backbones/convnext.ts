// ConvNeXt, by options.

import { completer, option } from "../../base/index.ts";
import { readOptions } from "../../engine/functions.ts";
import { convnext } from "../convnext.ts";
import { type BackboneKind, defineBackbone, stochasticDepth } from "./kind.ts";

const groups = { must: "a list of four whole numbers, 3,3,9,3", min: 1, whole: true, length: 4 } as const;

const OPTIONS = {
  dims: option.list([96, 192, 384, 768], "channels of the four groups of blocks", groups),
  depths: option.list([3, 3, 9, 3], "blocks of each group", groups),
  patch: option.whole(2, "side of a patch in pixels: 4 as published, 1 or 2 for small images", { min: 1 }),
  stochasticDepth: stochasticDepth("torchvision: 0.1"),
} as const;

/** torchvision's form; early exits where SAFE-KD has them, behind the second and the third group. */
export const convnextKind: BackboneKind<typeof OPTIONS> = defineBackbone({
  name: "convnext",
  about: "ConvNeXt as in torchvision, Tiny unless said otherwise: four groups of blocks",
  options: OPTIONS,
  exits: () => ["features.3", "features.5"],
  optimizer: "adamw",
  enlarge: ({ dims = OPTIONS.dims.default, depths = OPTIONS.depths.default, ...rest }, { wider, deeper }) => ({
    ...rest,
    dims: dims.map((dim) => Math.round(dim * wider)),
    depths: depths.map((depth) => Math.round(depth * deeper)),
  }),
  make: (given, site) => convnext({ ...completer(readOptions)("convnext", OPTIONS, given), ...site }),
});
