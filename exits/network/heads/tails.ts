// Heads that are their tail: one vector of each sample, normed or not, and a linear layer. They weigh nothing, so
// `multiExit` knows them by name.

import type { Tensor } from "../../../engine/functions.ts";
import { LayerNorm, Linear, type NormLayerOptions, type Pass, type Tail, vectorOf } from "../../../nn/index.ts";
import { type HeadRecord, type HeadSite, LinearHead } from "./head.ts";

/** A head that is its tail. */
class TailHead extends LinearHead {
  readonly norm: LayerNorm | undefined;
  readonly linear: Linear;
  readonly #vector: Tail["vector"];

  constructor({ stage, classes, init }: HeadSite, vector: Tail["vector"], norm?: NormLayerOptions) {
    super();
    this.norm = norm && new LayerNorm(stage.channels, init, norm);
    this.linear = new Linear(stage.channels, classes, init);
    this.#vector = vector;
  }

  override get tail(): Tail {
    return { vector: this.#vector, linear: this.linear, ...(this.norm && { norm: this.norm }) };
  }

  override view(features: Tensor): Tensor {
    return vectorOf(this.#vector, features);
  }

  embedPass(): Pass {
    return (row) => this.norm?.forward(row) ?? row;
  }
}

/** Of the heads on tokens. */
const TOKEN_NORM: NormLayerOptions = { eps: 1e-6 };

/** Heads that a name is enough for. */
export type TailKind = "gap-linear" | "gap-norm-linear" | "class-token" | "mean-token";

/** The heads that `multiExit` takes by name. */
export const TAILS: Readonly<Record<TailKind, HeadRecord>> = {
  "gap-linear": {
    name: "gap-linear",
    about: "global average pool, linear",
    on: "map",
    make: (site) => new TailHead(site, "mean"),
  },
  "gap-norm-linear": {
    // SAFE-KD's head for convolutional networks.
    name: "gap-norm-linear",
    about: "global average pool, layer norm, linear",
    on: "map",
    make: (site) => new TailHead(site, "mean", {}),
  },
  "class-token": {
    name: "class-token",
    about: "class token, layer norm, linear",
    on: "tokens",
    make: (site) => new TailHead(site, "first", TOKEN_NORM),
  },
  "mean-token": {
    name: "mean-token",
    about: "mean of all tokens, layer norm, linear",
    on: "tokens",
    make: (site) => new TailHead(site, "mean", TOKEN_NORM),
  },
};
