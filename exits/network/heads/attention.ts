// The head of CGT's public code, from self-distillation (Zhang et al., 2019).

import { exactly } from "../../../base/index.ts";
import { interpolate, mul, sigmoid } from "../../../engine/functions.ts";
import {
  BatchNorm2d,
  Conv2d,
  globalAveragePool,
  type Init,
  Linear,
  type Mode,
  Module,
  type Pass,
} from "../../../nn/index.ts";
import { type HeadRecord, type HeadSite, LinearHead } from "./head.ts";

const RELU = { activation: "relu" } as const;

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
 * Features times the sigmoid of an attention map of half their size; a strided separable convolution that doubles the
 * channels each time that the backbone halves its maps behind; average pool; linear.
 */
class AttentionHead extends LinearHead {
  readonly attention: SeparableConv;
  readonly norm: BatchNorm2d;
  readonly reduce: readonly SeparableConv[];
  readonly linear: Linear;

  constructor({ stage, deepest, classes, init }: HeadSite) {
    super();
    const { channels } = stage;
    const halvings = Math.round(Math.log2(deepest.reduction / stage.reduction));
    this.attention = new SeparableConv(channels, channels, init);
    this.norm = new BatchNorm2d(channels, init);
    this.reduce = Array.from(
      { length: halvings },
      (_, i) => new SeparableConv(channels * 2 ** i, channels * 2 ** (i + 1), init),
    );
    this.linear = new Linear(channels * 2 ** halvings, classes, init);
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

/** The attention head. */
export const attention: HeadRecord = {
  name: "attention",
  about: "the attention head of CGT's public code",
  on: "map",
  make: (site) => new AttentionHead(site),
};
