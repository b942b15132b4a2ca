// The heads that can be chosen by name: each ends in a linear layer on pooled features, or on a token.

import { exactly, firstOf } from "../../../base/index.ts";
import {
  add,
  avgPool2d,
  interpolate,
  maxPool2d,
  mul,
  reshape,
  type Shape,
  sigmoid,
  sub,
  type Tensor,
} from "../../../engine/functions.ts";
import {
  BatchNorm2d,
  Conv2d,
  globalAveragePool,
  type Init,
  LayerNorm,
  Linear,
  type Mode,
  Module,
  MultiScaleClassifier,
  type NormLayerOptions,
  type Pass,
  type Tail,
  vectorOf,
} from "../../../nn/index.ts";
import { type HeadSite, LinearHead } from "./head.ts";

/** A head that is its tail: one vector of each sample, normed or not, and a linear layer. */
export class TailHead extends LinearHead {
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

const RELU = { activation: "relu" } as const;

/** Longest side of a map that mixed pooling leaves. */
const MIXED_SIDE = 4;

/**
 * a max-pool + (1 - a) average-pool to at most 4x4, a learned (Shallow-Deep Networks, Kaya et al., ICML 2019); small
 * maps pass.
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
export class PooledLinear extends LinearHead {
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
    return (x) => pool(conv ? conv(x, RELU) : x);
  }
}

/** Depthwise 3x3 and pointwise convolution, norm and relu, twice; the first one strides by 2. */
class SeparableConv extends Module {
  readonly layers: readonly (Conv2d | BatchNorm2d)[];
  readonly #halves: readonly (readonly [Conv2d, Conv2d, BatchNorm2d])[];

  constructor(inputs: number, outputs: number, init: Init) {
    super();
    const half = (stride: number, out: number) =>
      [
        new Conv2d(inputs, inputs, init, { kernel: 3, stride, groups: inputs }),
        new Conv2d(inputs, out, init, { kernel: 1 }),
        new BatchNorm2d(out, init),
      ] as const;
    this.#halves = [half(2, inputs), half(1, outputs)];
    this.layers = this.#halves.flat();
  }

  pass(mode: Mode): Pass {
    const halves = this.#halves.map(([depthwise, pointwise, norm]) => {
      return [depthwise.pass(mode), pointwise.pass(mode, norm)] as const;
    });
    return (x) => halves.reduce((y, [depthwise, pointwise]) => pointwise(depthwise(y), RELU), x);
  }
}

/**
 * The head of CGT's public code (from self-distillation, Zhang et al. 2019): features times the sigmoid of an attention
 * map of half their size; a strided separable convolution that doubles the channels for each stage left behind; average
 * pool; linear.
 */
export class AttentionHead extends LinearHead {
  readonly attention: SeparableConv;
  readonly norm: BatchNorm2d;
  readonly reduce: readonly SeparableConv[];
  readonly linear: Linear;

  constructor({ stage, behind, classes, init }: HeadSite) {
    super();
    const { channels } = stage;
    this.attention = new SeparableConv(channels, channels, init);
    this.norm = new BatchNorm2d(channels, init);
    this.reduce = Array.from(
      { length: behind },
      (_, i) => new SeparableConv(channels * 2 ** i, channels * 2 ** (i + 1), init),
    );
    this.linear = new Linear(channels * 2 ** behind, classes, init);
  }

  embedPass(mode: Mode): Pass {
    const [attention, norm] = [this.attention.pass(mode), this.norm.pass(mode)];
    const reduce = this.reduce.map((conv) => conv.pass(mode));
    return (features) => {
      const [, height, width] = exactly(features.shape, 4);
      const small = norm(attention(features), RELU);
      const map = sigmoid(interpolate(small, { size: [height, width], mode: "bilinear" }));
      const reduced = reduce.reduce((x, pass) => pass(x), mul(features, map));
      return globalAveragePool(reduced);
    };
  }
}

/** The classifier of MSDNet (Huang et al., ICLR 2018) behind any map. */
export class MultiScaleHead extends LinearHead {
  readonly m: MultiScaleClassifier["m"];
  readonly linear: Linear;
  readonly #classifier: MultiScaleClassifier;

  constructor({ stage, classes, init }: HeadSite) {
    super();
    this.#classifier = new MultiScaleClassifier(stage.channels, classes, init);
    this.m = this.#classifier.m;
    this.linear = this.#classifier.linear;
  }

  embedPass(mode: Mode): Pass {
    return this.#classifier.embedPass(mode);
  }
}
