// Exit heads by name: what turns a stage's features into class scores. The one list that commands and help read.

import { ArgumentError } from "../../../engine/functions.ts";
import type { NormLayerOptions } from "../../../nn/index.ts";
import type { Head, HeadFactory, HeadSite } from "./head.ts";
import { AttentionHead, MultiScaleHead, PooledLinear, TailHead } from "./kinds.ts";
import { PrototypeHead } from "./prototype.ts";
import { SequenceHead } from "./sequence.ts";

/** Of the heads on tokens. */
const TOKEN_NORM: NormLayerOptions = { eps: 1e-6 };

/** A kind of head, as data. */
export interface HeadRecord {
  /** One line. */
  readonly about: string;
  /** Which features it reads: a map [H, W, C], or tokens [T, C]. */
  readonly on: "map" | "tokens";
  readonly make: HeadFactory;
}

const KINDS = {
  "gap-linear": {
    about: "global average pool, linear",
    on: "map",
    make: (site: HeadSite) => new TailHead(site, "mean"),
  },
  "gap-norm-linear": {
    // SAFE-KD's head for convolutional networks.
    about: "global average pool, layer norm, linear",
    on: "map",
    make: (site: HeadSite) => new TailHead(site, "mean", {}),
  },
  "pool-linear": {
    about: "mixed pooling of Shallow-Deep Networks, linear",
    on: "map",
    make: (site: HeadSite) => new PooledLinear(site, false),
  },
  "conv-pool-linear": {
    about: "3x3 convolution, norm and relu in front of pool-linear",
    on: "map",
    make: (site: HeadSite) => new PooledLinear(site, true),
  },
  "conv1d-linear": {
    about:
      "two 1-D convolutions over the positions in row order, average, linear (CalexNet's first version, reconstructed)",
    on: "map",
    make: (site: HeadSite) => new SequenceHead(site),
  },
  prototype: {
    about: "pooling by prototypes beside the average of all positions, linear (CalexNet's, reconstructed, 50 %)",
    on: "map",
    make: (site: HeadSite) => new PrototypeHead(site),
  },
  attention: {
    about: "the attention head of CGT's public code",
    on: "map",
    make: (site: HeadSite) => new AttentionHead(site),
  },
  msdnet: {
    about: "MSDNet's: two 3x3 convolutions of stride 2 and 128 channels, global average pool, linear",
    on: "map",
    make: (site: HeadSite) => new MultiScaleHead(site),
  },
  "class-token": {
    about: "class token, layer norm, linear",
    on: "tokens",
    make: (site: HeadSite) => new TailHead(site, "first", TOKEN_NORM),
  },
  "mean-token": {
    about: "mean of all tokens, layer norm, linear",
    on: "tokens",
    make: (site: HeadSite) => new TailHead(site, "mean", TOKEN_NORM),
  },
} as const satisfies Readonly<Record<string, HeadRecord>>;

/** Heads by name; see `HEADS`. */
export type HeadKind = keyof typeof KINDS;

/** Every head that can be made by name. */
export const HEADS: Readonly<Record<HeadKind, HeadRecord>> = KINDS;

/**
 * The head of a kind, or of a factory, for a site. @throws ArgumentError for an unknown kind, or one for other
 * features.
 */
export function makeHead(head: HeadKind | HeadFactory, site: HeadSite): Head {
  if (typeof head === "function") return head(site);
  const kind = HEADS[head];
  if (!kind)
    throw new ArgumentError(
      `multiExit: head must be one of ${Object.keys(HEADS).join(", ")}; got ${JSON.stringify(head)}.`,
    );
  const { name, kind: features } = site.stage;
  if (kind.on !== features) {
    const fitting = Object.entries(HEADS).flatMap(([other, { on }]) => (on === features ? [other] : []));
    throw new ArgumentError(
      `multiExit: head must fit the ${features} of ${name}; got ${head}. Use one of ${fitting.join(", ")}.`,
    );
  }
  return kind.make(site);
}
