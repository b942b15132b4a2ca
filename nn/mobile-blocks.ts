// What the mobile backbones are built of: convolution with norm and activation, squeeze and excitation, inverted
// residual blocks. Field names are torchvision's; lists have holes where torchvision counts layers without parameters.

import { exactly, type Kinds, what } from "../base/index.ts";
import {
  type Activation,
  ArgumentError,
  avgPool2d,
  checkActivation,
  mul,
  readOptions,
  type Tensor,
} from "../engine/functions.ts";
import { checkLayer, type Init } from "./init.ts";
import { BatchNorm2d, type BatchNormLayerOptions, Conv2d } from "./layers.ts";
import { EVAL, type Mode, Module } from "./module.ts";
import type { Pass } from "./pass.ts";
import { branchEnd, type StochasticDepth } from "./random-layers.ts";

/** Options of `ConvNorm`. */
export interface ConvNormOptions {
  readonly kernel: number;
  readonly stride?: number;
  readonly groups?: number;
  /** Default none. */
  readonly activation?: Activation;
  /** Of the batch norm. */
  readonly norm?: BatchNormLayerOptions;
}

const CONV_NORM: Kinds<ConvNormOptions> = {
  kernel: "number!",
  stride: "number",
  groups: "number",
  activation: "string",
  norm: "any",
};

/**
 * A convolution (`0`), its batch norm (`1`) and an activation, as torchvision's Conv2dNormActivation. [B, H, W, in] to
 * [B, ceil(H / stride), ceil(W / stride), out].
 */
export class ConvNorm extends Module {
  readonly 0: Conv2d;
  readonly 1: BatchNorm2d;
  readonly #activation: Activation;

  constructor(inputs: number, outputs: number, init: Init, options: ConvNormOptions) {
    super();
    const { kernel, stride = 1, groups = 1, activation = "none", norm } = readOptions("ConvNorm", options, CONV_NORM);
    checkActivation("ConvNorm", activation);
    this[0] = new Conv2d(inputs, outputs, init, { kernel, stride, groups });
    this[1] = new BatchNorm2d(outputs, init, norm);
    this.#activation = activation;
  }

  pass(mode: Mode): Pass {
    const activation = this.#activation;
    const pass = this[0].pass(mode, this[1]);
    return (x, fused) => pass(x, { activation, ...fused });
  }

  forward(x: Tensor, mode: Mode, residual?: Tensor): Tensor {
    return this.pass(mode)(x, { residual });
  }
}

/** Options of `SqueezeExcitation`: the activation inside, and the gate at its end. */
export interface SqueezeOptions {
  readonly inner: "relu" | "silu";
  readonly gate: "sigmoid" | "hardsigmoid";
}

const SQUEEZE: Kinds<SqueezeOptions> = { inner: "string!", gate: "string!" };

/**
 * Scales channels by what all pixels say of them (Hu et al., CVPR 2018): x * gate(fc2(inner(fc1(mean x)))), [B, H, W,
 * C] to the same.
 */
export class SqueezeExcitation extends Module {
  readonly fc1: Conv2d;
  readonly fc2: Conv2d;
  readonly #options: SqueezeOptions;

  constructor(channels: number, squeezed: number, init: Init, options: SqueezeOptions) {
    super();
    this.#options = readOptions("SqueezeExcitation", options, SQUEEZE);
    const { inner, gate } = this.#options;
    if ((inner !== "relu" && inner !== "silu") || (gate !== "sigmoid" && gate !== "hardsigmoid")) {
      throw new ArgumentError(
        `SqueezeExcitation: inner must be relu or silu, and gate sigmoid or hardsigmoid; got ${what(inner)} and ${what(gate)}.`,
      );
    }
    this.fc1 = new Conv2d(channels, squeezed, init, { kernel: 1, bias: true });
    this.fc2 = new Conv2d(squeezed, channels, init, { kernel: 1, bias: true });
  }

  pass(mode: Mode): Pass {
    const { inner, gate } = this.#options;
    const [narrow, wide] = [this.fc1.pass(mode), this.fc2.pass(mode)];
    return (x) => {
      const [, height, width] = exactly(x.shape, 4);
      const mean = avgPool2d(x, { kernel: [height, width] });
      return mul(x, wide(narrow(mean, { activation: inner }), { activation: gate }));
    };
  }

  forward(x: Tensor): Tensor {
    return this.pass(EVAL)(x);
  }
}

/** Shape of an `InvertedResidual`. */
export interface InvertedResidualOptions {
  readonly inputs: number;
  /** Channels in which the depthwise convolution works; no expansion where they are the inputs'. */
  readonly expanded: number;
  readonly outputs: number;
  readonly kernel: number;
  readonly stride: number;
  readonly activation: Activation;
  readonly norm: BatchNormLayerOptions;
  /** Squeeze and excitation after the depthwise convolution; `channels` are those in its middle. */
  readonly squeeze?: (SqueezeOptions & { readonly channels: number }) | undefined;
  /** In training, where the input is added; default none. */
  readonly depth?: StochasticDepth | undefined;
}

const INVERTED: Kinds<InvertedResidualOptions> = {
  inputs: "number!",
  expanded: "number!",
  outputs: "number!",
  kernel: "number!",
  stride: "number!",
  activation: "string!",
  norm: "any!",
  squeeze: "any",
  depth: "any",
};

/**
 * Inverted residual block (Sandler et al., CVPR 2018): 1x1 to many channels, depthwise, squeeze and excitation, 1x1 to
 * few; plus the input where the shape allows. [B, H, W, inputs] to [B, ceil(H / stride), ceil(W / stride), outputs].
 */
export class InvertedResidual extends Module {
  readonly block: readonly (ConvNorm | SqueezeExcitation)[];
  readonly depth: StochasticDepth | undefined;
  readonly #isResidual: boolean;

  constructor(options: InvertedResidualOptions, init: Init) {
    super();
    const { inputs, expanded, outputs, kernel, stride, activation, norm, squeeze, depth } = readOptions(
      "InvertedResidual",
      options,
      INVERTED,
    );
    checkLayer("InvertedResidual", init, { inputs, expanded, outputs, kernel, stride });
    this.block = [
      ...(expanded === inputs ? [] : [new ConvNorm(inputs, expanded, init, { kernel: 1, activation, norm })]),
      new ConvNorm(expanded, expanded, init, { kernel, stride, groups: expanded, activation, norm }),
      ...(squeeze ? [squeezing(expanded, squeeze, init)] : []),
      new ConvNorm(expanded, outputs, init, { kernel: 1, activation: "none", norm }),
    ];
    this.#isResidual = stride === 1 && inputs === outputs;
    this.depth = this.#isResidual ? depth : undefined;
  }

  pass(mode: Mode): Pass {
    const passes = this.block.map((layer) => layer.pass(mode));
    const last = branchEnd(passes.pop() as Pass, this.depth, mode);
    return (x) =>
      last(
        passes.reduce((y, pass) => pass(y), x),
        this.#isResidual ? { residual: x } : {},
      );
  }

  forward(x: Tensor, mode: Mode): Tensor {
    return this.pass(mode)(x);
  }
}

const squeezing = (channels: number, squeeze: SqueezeOptions & { readonly channels: number }, init: Init) =>
  new SqueezeExcitation(channels, squeeze.channels, init, { inner: squeeze.inner, gate: squeeze.gate });

/**
 * The multiple of `divisor` next to `value`, never less than nine tenths of it (MobileNet's rule for scaled widths).
 */
export function roundChannels(value: number, divisor = 8): number {
  const rounded = Math.max(divisor, Math.floor((value + divisor / 2) / divisor) * divisor);
  return rounded < 0.9 * value ? rounded + divisor : rounded;
}
