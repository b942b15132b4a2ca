// Vision transformers, by options.

import { completer, option } from "../../base/index.ts";
import { ArgumentError, readOptions } from "../../engine/functions.ts";
import { vit } from "../vit.ts";
import { type BackboneKind, defineBackbone } from "./kind.ts";

/** Channels of an attention head: narrow, since these transformers are small. */
const HEAD_WIDTH = 16;

const OPTIONS = {
  depth: option.whole(6, "blocks", { min: 1 }),
  dim: option.whole(64, `width of the tokens, a multiple of ${HEAD_WIDTH}`, { min: 1 }),
  patch: option.whole(4, "side of the patches in pixels", { min: 1 }),
} as const;

/** timm's form, its blocks in three stages. */
export const vitKind: BackboneKind<typeof OPTIONS> = defineBackbone({
  name: "vit",
  about: "vision transformer in timm's form, in three stages; for square images",
  options: OPTIONS,
  exits: () => ["stage1", "stage2"],
  head: "class-token",
  optimizer: "adamw",
  enlarge: ({ depth = OPTIONS.depth.default, dim = OPTIONS.dim.default, ...rest }, { wider, deeper }) => ({
    ...rest,
    depth: Math.round(depth * deeper),
    dim: HEAD_WIDTH * Math.round((dim * wider) / HEAD_WIDTH),
  }),
  make: (given, { input: [height, width, channels], ...site }) => {
    const { depth, dim, patch } = completer(readOptions)("vit", OPTIONS, given);
    if (height !== width) throw new ArgumentError(`vit: images must be square; got ${height} x ${width}.`);
    if (dim % HEAD_WIDTH !== 0) throw new ArgumentError(`vit: dim must be a multiple of ${HEAD_WIDTH}; got ${dim}.`);
    const numHeads = dim / HEAD_WIDTH;
    return vit({ imgSize: height, patchSize: patch, channels, embedDim: dim, numHeads, depth, ...site });
  },
});
