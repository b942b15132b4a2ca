// EfficientNet, by options.

import { completer, option } from "../../base/index.ts";
import { readOptions } from "../../engine/functions.ts";
import { efficientnet } from "../efficientnet.ts";
import { type BackboneKind, defineBackbone, dropout, stemStride, stochasticDepth, widthMult } from "./kind.ts";

const OPTIONS = {
  widthMult,
  depthMult: option.number(1, "factor of the blocks of a stage; 1 is B0", { above: 0 }),
  stemStride,
  dropout,
  stochasticDepth: stochasticDepth("torchvision: 0.2"),
} as const;

/** torchvision's form; early exits where SAFE-KD has them (timm's features 1 and 2). */
export const efficientnetKind: BackboneKind<typeof OPTIONS> = defineBackbone({
  name: "efficientnet",
  about: "EfficientNet-B0 and its scaled kin as in torchvision: seven stages of inverted residual blocks",
  options: OPTIONS,
  exits: () => ["features.2", "features.3"],
  enlarge: ({ widthMult = 1, depthMult = 1, ...rest }, { wider, deeper }) => ({
    ...rest,
    widthMult: widthMult * wider,
    depthMult: depthMult * deeper,
  }),
  make: (given, site) => {
    const { stemStride, ...options } = completer(readOptions)("efficientnet", OPTIONS, given);
    return efficientnet({ ...options, stemStride: stemStride as 1 | 2, ...site });
  },
});
