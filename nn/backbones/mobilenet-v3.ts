// MobileNetV3, Small and Large, by options.

import { completer, option } from "../../base/index.ts";
import { readOptions } from "../../engine/functions.ts";
import { type MobileNetV3Options, mobilenetV3 } from "../mobilenet.ts";
import { type BackboneKind, defineBackbone, dropout, stemStride, widthMult } from "./kind.ts";

const OPTIONS = {
  widthMult,
  stemStride,
  momentum: option.number(0.1, "share of a batch in the running statistics: 0.01 as torchvision's, for long runs", {
    above: 0,
    max: 1,
  }),
  eps: option.number(1e-3, "added to variances: 0.001 as torchvision's; timm's mobilenetv3_small_100 has 0.00001", {
    above: 0,
  }),
  dropout,
} as const;

/** torchvision's form; early exits where SAFE-KD has them, after a third and two thirds of the layers. */
const kindOf = (size: NonNullable<MobileNetV3Options["size"]>, exits: readonly string[]) =>
  defineBackbone({
    name: `mobilenet-v3-${size}`,
    about: `MobileNetV3-${size === "small" ? "Small" : "Large"} as in torchvision: inverted residual blocks with squeeze-and-excitation`,
    options: OPTIONS,
    exits: () => exits,
    // Its blocks are the paper's table, which has no depths: all that is wanted of work goes into the widths, by whose
    // square it grows.
    enlarge: ({ widthMult = 1, ...rest }, { wider, deeper }) => ({
      ...rest,
      widthMult: widthMult * wider * Math.sqrt(deeper),
    }),
    make: (given, site) => {
      const { stemStride, ...options } = completer(readOptions)("mobilenetV3", OPTIONS, given);
      return mobilenetV3({ ...options, size, stemStride: stemStride as 1 | 2, ...site });
    },
  });

/** MobileNetV3-Small. */
export const mobilenetV3SmallKind: BackboneKind<typeof OPTIONS> = kindOf("small", ["features.4", "features.8"]);

/** MobileNetV3-Large. */
export const mobilenetV3LargeKind: BackboneKind<typeof OPTIONS> = kindOf("large", ["features.5", "features.11"]);
