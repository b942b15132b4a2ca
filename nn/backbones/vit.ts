// Vision transformers, by options.

import { completer, option } from "../../base/index.ts";
import { ArgumentError, readOptions } from "../../engine/functions.ts";
import { vit } from "../vit.ts";
import { type BackboneKind, defineBackbone, stochasticDepth } from "./kind.ts";

const OPTIONS = {
  depth: option.whole(6, "blocks", { min: 1 }),
  dim: option.whole(64, "width of the tokens, a multiple of headDim", { min: 1 }),
  headDim: option.whole(16, "channels of an attention head; in published networks 64", { min: 1 }),
  patch: option.whole(4, "side of the patches in pixels", { min: 1 }),
  stochasticDepth: stochasticDepth("timm: 0"),
} as const;

/** timm's form, its blocks in three stages. */
export const vitKind: BackboneKind<typeof OPTIONS> = defineBackbone({
  name: "vit",
  about: "vision transformer in timm's form, in three stages; for square images",
  options: OPTIONS,
  exits: () => ["stage1", "stage2"],
  head: "class-token",
  optimizer: "adamw",
  enlarge: ({ depth = OPTIONS.depth.default, dim = OPTIONS.dim.default, ...rest }, { wider, deeper }) => {
    const { headDim = OPTIONS.headDim.default } = rest;
    return { ...rest, depth: Math.round(depth * deeper), dim: headDim * Math.round((dim * wider) / headDim) };
  },
  make: (given, { input: [height, width, channels], ...site }) => {
    const { depth, dim, headDim, patch, stochasticDepth } = completer(readOptions)("vit", OPTIONS, given);
    if (height !== width) throw new ArgumentError(`vit: images must be square; got ${height} x ${width}.`);
    if (dim % headDim !== 0) throw new ArgumentError(`vit: dim must be a multiple of headDim, ${headDim}; got ${dim}.`);
    const numHeads = dim / headDim;
    return vit({
      imgSize: height,
      patchSize: patch,
      channels,
      embedDim: dim,
      numHeads,
      depth,
      stochasticDepth,
      ...site,
    });
  },
});
