// ResNet-18, -34 and -50, by options.

import { completer, option } from "../../base/index.ts";
import { ArgumentError, readOptions } from "../../engine/functions.ts";
import { imageNetResnet } from "../imagenet-resnet.ts";
import { type BackboneKind, defineBackbone } from "./kind.ts";

const OPTIONS = {
  depth: option.whole(18, "layers: 18, 34 or 50", { min: 1 }),
  stem: option.choice(["large", "small"], "7x7 and a pool, or 3x3 for small images", { default: "small" }),
} as const;

/** torchvision's family, with a stem for small images unless said otherwise. */
export const imageNetResnetKind: BackboneKind<typeof OPTIONS> = defineBackbone({
  name: "imagenet-resnet",
  about: "ResNet-18, -34, -50 as in torchvision: four stages",
  options: OPTIONS,
  exits: () => ["stage1", "stage2", "stage3"],
  // There are three sizes, and no widths between them.
  enlarge({ depth = OPTIONS.depth.default, ...rest }) {
    if (depth === 50)
      throw new ArgumentError(
        "imagenetResnet: a larger network must be known of the backbone; 50 layers are the most.",
      );
    return { ...rest, depth: depth === 18 ? 34 : 50 };
  },
  make: (given, site) => {
    const { depth, stem } = completer(readOptions)("imageNetResnet", OPTIONS, given);
    // The constructor says which depths there are.
    return imageNetResnet({ depth: depth as 18, stem, ...site });
  },
});
