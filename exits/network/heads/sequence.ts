// A head of 1-D convolutions, which the first version of CalexNet names. How features become a sequence was not
// published: here it is the positions of a map in row order, as tokens have them (reconstructed, 50 %).

import { exactly } from "../../../base/index.ts";
import { conv2d, reshape, type Tensor } from "../../../engine/functions.ts";
import { BatchNorm2d, globalAveragePool, type Init, Linear, type Mode, Module, type Pass } from "../../../nn/index.ts";
import { type HeadRecord, type HeadSite, LinearHead } from "./head.ts";

/** Channels of the convolutions. */
const WIDTH = 64;
const KERNEL = 3;
const LAYERS = 2;

/** A convolution along a sequence [B, 1, T, in], its norm and relu, to [B, 1, T, out]. */
class SequenceConv extends Module {
  /** [1, kernel, in, out] */
  readonly weight: Tensor;
  readonly norm: BatchNorm2d;

  constructor(inputs: number, outputs: number, init: Init) {
    super();
    this.weight = init.convWeight([1, KERNEL, inputs, outputs]);
    this.norm = new BatchNorm2d(outputs, init);
  }

  pass(mode: Mode): Pass {
    const options = { padding: [0, (KERNEL - 1) / 2] } as const;
    const { prepare } = mode;
    if (!prepare) {
      const after = this.norm.pass(mode);
      return (x) => after(conv2d(x, this.weight, undefined, options), { activation: "relu" });
    }
    const { weight, bias } = this.norm.folded({ weight: this.weight, bias: undefined });
    const [w, b] = [prepare(weight), prepare(bias as Tensor)];
    return (x) => conv2d(x, w, b, { ...options, activation: "relu" });
  }
}

/** Two 1-D convolutions over all positions in order, their average, linear. */
class SequenceHead extends LinearHead {
  readonly convs: readonly SequenceConv[];
  readonly linear: Linear;

  constructor({ stage, classes, init }: HeadSite) {
    super();
    this.convs = Array.from(
      { length: LAYERS },
      (_, i) => new SequenceConv(i === 0 ? stage.channels : WIDTH, WIDTH, init),
    );
    this.linear = new Linear(WIDTH, classes, init);
  }

  embedPass(mode: Mode): Pass {
    const passes = this.convs.map((conv) => conv.pass(mode));
    return (x) => {
      const [rows, , , channels] = exactly(x.shape, 4);
      const sequence = reshape(x, [rows, 1, -1, channels]);
      return globalAveragePool(passes.reduce((y, pass) => pass(y), sequence));
    };
  }
}

/** The head of 1-D convolutions. */
export const conv1dLinear: HeadRecord = {
  name: "conv1d-linear",
  about:
    "two 1-D convolutions over the positions in row order, average, linear (CalexNet's first version, reconstructed)",
  on: "map",
  make: (site) => new SequenceHead(site),
};
