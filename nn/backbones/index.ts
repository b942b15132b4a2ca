// The backbones by name: the one list that commands, help and tests read.

import { convnextKind } from "./convnext.ts";
import { efficientnetKind } from "./efficientnet.ts";
import { imageNetResnetKind } from "./imagenet-resnet.ts";
import type { BackboneKind } from "./kind.ts";
import { mobilenetV3LargeKind, mobilenetV3SmallKind } from "./mobilenet-v3.ts";
import { msdnetKind } from "./msdnet.ts";
import { resnetKind } from "./resnet.ts";
import { vitKind } from "./vit.ts";

export type { BackboneKind, BackboneSite, Enlargement } from "./kind.ts";
export { defineBackbone } from "./kind.ts";

/** Every backbone that can be made by name. */
export const BACKBONES: Readonly<Record<string, BackboneKind>> = Object.fromEntries(
  (
    [
      resnetKind,
      imageNetResnetKind,
      vitKind,
      mobilenetV3SmallKind,
      mobilenetV3LargeKind,
      efficientnetKind,
      convnextKind,
      msdnetKind,
    ] as readonly BackboneKind[]
  ).map((kind) => [kind.name, kind]),
);
