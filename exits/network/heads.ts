// Exit heads: what turns a stage's features into class scores. A head is a module; its kind is a name, or a function of where
// it sits.

import {
  ArgumentError,
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
} from "../../engine/functions.ts";
import {
  BatchNorm2d,
  Conv2d,
  globalAveragePool,
  type Init,
  LayerNorm,
  Linear,
  type Mode,
  Module,
  type NormLayerOptions,
  type Pass,
  type StageInfo,
  type Tail,
  tailPass,
  throughTail,
} from "../../nn/index.ts";

/** Base of all heads: features of one stage to logits [B, C]. */
export abstract class Head extends Module {
  abstract forward(features: Tensor, mode: Mode): Tensor;

  /** What the head consists of, where it is such a thing. */
  get tail(): Tail | undefined {
    return undefined;
  }

  /** The head as a pass. One that says no more than `forward` runs for inference as it does in evaluation. */
  pass(mode: Mode): Pass {
    const { tail } = this;
    return tail ? tailPass(tail, mode) : (x) => this.forward(x, mode);
  }
}

/** A head that is its tail. */
class TailHead extends Head {
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

  forward(features: Tensor): Tensor {
    return throughTail(this.tail, features);
  }
}

/** Where a head sits. */
export interface HeadSite {
  /** The stage in front of it; `shape` is that of its features, [H, W, C] or [T, C]. */
  readonly stage: StageInfo;
  /** Stages of the backbone behind this one. */
  readonly behind: number;
  readonly classes: number;
  /** Draws the head's weights. */
  readonly init: Init;
}

/** Makes a head for a site. */
export type HeadFactory = (site: HeadSite) => Head;

const RELU = { activation: "relu" } as const;

/** Longest side of a map that mixed pooling leaves. */
const MIXED_SIDE = 4;

/** a max-pool + (1 - a) average-pool to at most 4x4, a learned (Shallow-Deep Networks, Kaya et al., ICML 2019); small maps pass. */
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
    return (x) => reshape(share ? this.#mix(x, share) : x, [x.shape[0]!, length]);
  }

  #mix(x: Tensor, share: Tensor): Tensor {
    const options = { kernel: this.#kernel };
    const average = avgPool2d(x, options);
    return add(average, mul(sub(maxPool2d(x, options), average), share));
  }
}

/** Mixed pool, linear; with `conv`, behind a 3x3 convolution, norm and relu. */
class PooledLinear extends Head {
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

  override pass(mode: Mode): Pass {
    const [conv, pool, linear] = [this.conv?.pass(mode, this.norm), this.pool.pass(mode), this.linear.pass(mode)];
    return (x) => linear(pool(conv ? conv(x, RELU) : x));
  }

  forward(features: Tensor, mode: Mode): Tensor {
    return this.pass(mode)(features);
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
 * The head of CGT's public code (from self-distillation, Zhang et al. 2019): features times the sigmoid of an attention map of half
 * their size; a strided separable convolution that doubles the channels for each stage left behind; average pool; linear.
 */
class AttentionHead extends Head {
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

  override pass(mode: Mode): Pass {
    const [attention, norm, linear] = [this.attention.pass(mode), this.norm.pass(mode), this.linear.pass(mode)];
    const reduce = this.reduce.map((conv) => conv.pass(mode));
    return (features) => {
      const [, height, width] = features.shape as readonly [number, number, number, number];
      const small = norm(attention(features), RELU);
      const map = sigmoid(interpolate(small, { size: [height, width], mode: "bilinear" }));
      const reduced = reduce.reduce((x, pass) => pass(x), mul(features, map));
      return linear(globalAveragePool(reduced));
    };
  }

  forward(features: Tensor, mode: Mode): Tensor {
    return this.pass(mode)(features);
  }
}

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
  attention: {
    about: "the attention head of CGT's public code",
    on: "map",
    make: (site: HeadSite) => new AttentionHead(site),
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

/** The head of a kind, or of a factory, for a site. Throws ArgumentError for an unknown kind, or one for other features. */
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
