// The backbones one by one: for whoever knows a name before the code is there, such as a page that opens a file.

import type { BackboneKind } from "./kind.ts";

/** What loads one of `BACKBONES` without the others, by name. */
export const BACKBONE_PARTS: Readonly<Record<string, () => Promise<BackboneKind>>> = {
  resnet: async () => (await import("./resnet.ts")).resnetKind,
  "imagenet-resnet": async () => (await import("./imagenet-resnet.ts")).imageNetResnetKind,
  vit: async () => (await import("./vit.ts")).vitKind,
  "mobilenet-v3-small": async () => (await import("./mobilenet-v3.ts")).mobilenetV3SmallKind,
  "mobilenet-v3-large": async () => (await import("./mobilenet-v3.ts")).mobilenetV3LargeKind,
  efficientnet: async () => (await import("./efficientnet.ts")).efficientnetKind,
  convnext: async () => (await import("./convnext.ts")).convnextKind,
  msdnet: async () => (await import("./msdnet.ts")).msdnetKind,
};
