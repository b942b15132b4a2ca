// Heads of Shallow-Deep Networks (Kaya et al., ICML 2019): a mixed pool, linear.

import { firstOf } from "../../../base/index.ts";
import { add, avgPool2d, maxPool2d, mul, reshape, type Shape, sub, type Tensor } from "../../../engine/functions.ts";
import { BatchNorm2d, Conv2d, type Init, Linear, type Mode, Module, type Pass } from "../../../nn/index.ts";
import { type HeadRecord, type HeadSite, LinearHead } from "./head.ts";

/** Longest side of a map that mixed pooling leaves. */
const MIXED_SIDE = 4;

/**
 * a max-pool + (1 - a) average-pool to at most 4x4, a learned; small maps pass.
 */
class MixedPool extends Module {
  readonly share: Tensor | undefined;
  readonly shape: Shape;
  readonly #kernel: readonly [number, number];

  constructor([height, width, channels]: Shape, init: Init) {
    super();
    const side = (extent: number) => Math.ceil(extent / MIXED_SIDE);
    this.#kernel = [side(height as number), side(width as number)];
    const [kh, kw] = this.#kernel;
    this.share = kh * kw > 1 ? init.constant([1], 0.5) : undefined;
    this.shape = [Math.floor((height as number) / kh), Math.floor((width as number) / kw), channels as number];
  }

  /** [B, H, W, C] to [B, h w C]. */
  pass({ prepare }: Mode): Pass {
    const share = this.share && prepare ? prepare(this.share) : this.share;
    const length = this.shape.reduce((n, extent) => n * extent, 1);
    return (x) => reshape(share ? this.#mix(x, share) : x, [firstOf(x.shape), length]);
  }

  #mix(x: Tensor, share: Tensor): Tensor {
    const options = { kernel: this.#kernel };
    const average = avgPool2d(x, options);
    return add(average, mul(sub(maxPool2d(x, options), average), share));
  }
}

/** Mixed pool, linear; with `conv`, behind a 3x3 convolution, norm and relu. */
class PooledLinear extends LinearHead {
  readonly conv: Conv2d | undefined;
  readonly norm: BatchNorm2d | undefined;
  readonly pool: MixedPool;
  readonly linear: Linear;

  constructor({ stage, classes, init }: HeadSite, hasConv: boolean) {
    super();
    const { channels, shape } = stage;
    this.conv = hasConv ? new Conv2d(channels, channels, init, { kernel: 3 }) : undefined;
    this.norm = hasConv ? new BatchNorm2d(channels, init) : undefined;
    this.pool = new MixedPool(shape, init);
    this.linear = new Linear(
      this.pool.shape.reduce((n, extent) => n * extent, 1),
      classes,
      init,
    );
  }

  embedPass(mode: Mode): Pass {
    const [conv, pool] = [this.conv?.pass(mode, this.norm), this.pool.pass(mode)];
    return (x) => pool(conv ? conv(x, { activation: "relu" }) : x);
  }
}

/** Mixed pool, linear. */
export const poolLinear: HeadRecord = {
  name: "pool-linear",
  about: "mixed pooling of Shallow-Deep Networks, linear",
  on: "map",
  make: (site) => new PooledLinear(site, false),
};

/** 3x3 convolution, norm, relu, mixed pool, linear. */
export const convPoolLinear: HeadRecord = {
  name: "conv-pool-linear",
  about: "3x3 convolution, norm and relu in front of pool-linear",
  on: "map",
  make: (site) => new PooledLinear(site, true),
};
