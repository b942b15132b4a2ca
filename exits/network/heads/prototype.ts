// A head that pools by prototypes, which CalexNet names and does not show: what it looks for, where it found it, and
// the average of all positions beside that. Reconstructed, 50 %; widths and sharpness are this project's.

import { exactly } from "../../../base/index.ts";
import {
  add,
  cast,
  concat,
  div,
  linear,
  mul,
  reshape,
  softmax,
  sqrt,
  sum,
  type Tensor,
} from "../../../engine/functions.ts";
import { BatchNorm2d, Conv2d, globalAveragePool, Linear, type Mode, type Pass } from "../../../nn/index.ts";
import { type HeadRecord, type HeadSite, LinearHead } from "./head.ts";

/** Channels in which features and prototypes are compared. */
const WIDTH = 64;
const PROTOTYPES = 32;
/** Length of a prototype at the start: how sharply it looks at the positions that are like it. */
const SHARPNESS = 10;
/** Stands for 0 under a root. */
const LEAST = 1e-12;

/** Vectors of length 1 along the last axis. */
const unit = (x: Tensor): Tensor => div(x, sqrt(add(sum(mul(x, x), { dim: -1, keepdim: true }), LEAST)));

/**
 * 1x1 convolution, norm, relu; how much each prototype is like what is at the positions that are most like it; that
 * beside the average of all positions; linear.
 */
class PrototypeHead extends LinearHead {
  readonly conv: Conv2d;
  readonly norm: BatchNorm2d;
  /** [width, prototypes]; lengths are learned. */
  readonly prototypes: Tensor;
  readonly linear: Linear;

  constructor({ stage, classes, init }: HeadSite) {
    super();
    this.conv = new Conv2d(stage.channels, WIDTH, init, { kernel: 1 });
    this.norm = new BatchNorm2d(WIDTH, init);
    this.prototypes = init.normal([WIDTH, PROTOTYPES], SHARPNESS / Math.sqrt(WIDTH));
    this.linear = new Linear(PROTOTYPES + WIDTH, classes, init);
  }

  embedPass(mode: Mode): Pass {
    const conv = this.conv.pass(mode, this.norm);
    const prototypes = mode.prepare?.(this.prototypes) ?? this.prototypes;
    return (x) => {
      // Behind the convolution all is f32: squares of f16 would not fit.
      const map = cast(conv(x, { activation: "relu" }), "f32");
      const [rows, , , width] = exactly(map.shape, 4);
      const likeness = linear(unit(reshape(map, [rows, -1, width])), cast(prototypes, "f32"));
      const attention = softmax(likeness, { dim: 1 });
      const found = sum(mul(likeness, attention), { dim: 1 });
      return cast(concat([found, globalAveragePool(map)], { dim: 1 }), x.dtype);
    };
  }
}

/** The head that pools by prototypes. */
export const prototype: HeadRecord = {
  name: "prototype",
  about: "pooling by prototypes beside the average of all positions, linear (CalexNet's, reconstructed, 50 %)",
  on: "map",
  make: (site) => new PrototypeHead(site),
};
