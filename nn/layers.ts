// Layers: parameters and a forward pass. Activations NHWC, convolution weights HWIO, linear weights [in, out].

import { exactly, firstOf, type Kinds } from "../base/index.ts";
import {
  type Activation,
  ArgumentError,
  avgPool2d,
  batchNorm,
  checkTensors,
  conv2d,
  describe,
  elementwise,
  embedding,
  groupNorm,
  layerNorm,
  linear,
  qkvAttention,
  readOptions,
  reshape,
  ShapeError,
  type Tensor,
} from "../engine/functions.ts";
import { checkLayer, type Init, type LinearPart } from "./init.ts";
import { checkMode, EVAL, type Mode, Module } from "./module.ts";
import type { Fused, Pass } from "./pass.ts";

/** Options of Linear. */
export interface LinearOptions {
  /** Default true. */
  readonly bias?: boolean;
  /** Decides where weights start; default a layer of its own. */
  readonly part?: LinearPart;
}

const LINEAR: Kinds<LinearOptions> = { bias: "boolean", part: "string" };

/**
 * y = x W + b over the last axis: [..., in] to [..., out].
 *
 * @example
 * ```ts
 * import { ones } from "sortie/engine";
 * import { Init, Linear } from "sortie/nn";
 *
 * const layer = new Linear(3, 2, new Init({ seed: 1 }));
 * console.log(layer.forward(ones([4, 3])).shape); // [4, 2]
 * ```
 */
export class Linear extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor | undefined;

  constructor(inputs: number, outputs: number, init: Init, options: LinearOptions = {}) {
    super();
    checkLayer("Linear", init, { inputs, outputs });
    const { bias = true, part = "layer" } = readOptions("Linear", options, LINEAR);
    this.weight = init.linearWeight([inputs, outputs], part);
    this.bias = bias ? init.linearBias(inputs, outputs, part) : undefined;
  }

  pass(mode: Mode): Pass {
    const { weight, bias } = prepared(this, mode);
    return (x, fused) => linear(x, weight, bias, fused);
  }

  forward(x: Tensor, fused: Fused = {}): Tensor {
    return linear(x, this.weight, this.bias, fused);
  }
}

/** A layer's weights as passes in a mode use them. */
export interface Weights {
  readonly weight: Tensor;
  readonly bias: Tensor | undefined;
}

function prepared({ weight, bias }: Weights, { prepare }: Mode): Weights {
  return prepare ? { weight: prepare(weight), bias: bias && prepare(bias) } : { weight, bias };
}

/** Options of Conv2d. */
export interface ConvLayerOptions {
  readonly kernel: number;
  readonly stride?: number;
  /** Default (kernel - 1) / 2, rounded down: an odd kernel without dilation keeps the size at stride 1. */
  readonly padding?: number;
  readonly dilation?: number;
  readonly groups?: number;
  readonly bias?: boolean;
}

const CONV: Kinds<ConvLayerOptions> = {
  kernel: "number!",
  stride: "number",
  padding: "number",
  dilation: "number",
  groups: "number",
  bias: "boolean",
};

/**
 * 2-D convolution, [B, H, W, in] to [B, H', W', out].
 *
 * @example
 * ```ts
 * import { ones } from "sortie/engine";
 * import { Conv2d, Init } from "sortie/nn";
 *
 * const layer = new Conv2d(3, 8, new Init({ seed: 1 }), { kernel: 3 });
 * console.log(layer.forward(ones([1, 5, 5, 3])).shape); // [1, 5, 5, 8]
 * ```
 */
export class Conv2d extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor | undefined;
  readonly #options: {
    readonly stride: number;
    readonly padding: number;
    readonly dilation: number;
    readonly groups: number;
  };

  constructor(inputs: number, outputs: number, init: Init, options: ConvLayerOptions) {
    super();
    const {
      kernel,
      stride = 1,
      padding = (kernel - 1) >> 1,
      dilation = 1,
      groups = 1,
      bias = false,
    } = readOptions("Conv2d", options, CONV);
    checkLayer("Conv2d", init, { inputs, outputs, kernel, groups });
    if (inputs % groups !== 0)
      throw new ArgumentError(`Conv2d: groups must divide the inputs; got ${groups} and ${inputs}.`);
    const shape = [kernel, kernel, inputs / groups, outputs] as const;
    this.weight = init.convWeight(shape);
    this.bias = bias ? init.convBias(shape, outputs) : undefined;
    this.#options = { stride, padding, dilation, groups };
  }

  /** With the norm behind it, if there is one: for inference folded into weight and bias. */
  pass(mode: Mode, norm?: BatchNorm2d): Pass {
    if (norm && !mode.prepare) {
      const after = norm.pass(mode);
      return (x, fused) => after(this.forward(x), fused);
    }
    const { weight, bias } = prepared(norm ? norm.folded(this) : this, mode);
    return (x, fused) => conv2d(x, weight, bias, { ...this.#options, ...fused });
  }

  forward(x: Tensor, fused: Fused = {}): Tensor {
    return conv2d(x, this.weight, this.bias, { ...this.#options, ...fused });
  }
}

/** Options of BatchNorm2d. */
export interface BatchNormLayerOptions {
  /** Default 1e-5. */
  readonly eps?: number;
  /** Share of a batch in the running statistics; default 0.1. */
  readonly momentum?: number;
}

/** Options of LayerNorm and GroupNorm. */
export interface NormLayerOptions {
  /** Default 1e-5. */
  readonly eps?: number;
}

const NORM: Kinds<NormLayerOptions> = { eps: "number" };
const BATCH_NORM: Kinds<BatchNormLayerOptions> = { ...NORM, momentum: "number" };

/** A weight [.., C] of which batch norm in evaluation is a part. */
const foldedWeight = elementwise({
  name: "foldedWeight",
  operands: ["w", "gain", "variance", "eps"],
  y: "w * (gain * inverseSqrt(variance + eps))",
});

/** The bias that goes with it. */
const foldedBias = elementwise({
  name: "foldedBias",
  operands: ["bias", "before", "mean", "gain", "variance", "eps"],
  y: "bias + (before - mean) * (gain * inverseSqrt(variance + eps))",
});

/**
 * Batch norm over all axes but the last; running statistics move in training only. Where weight and bias are constants
 * it is frozen, and in evaluation whatever the mode.
 */
export class BatchNorm2d extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly runningMean: Tensor;
  readonly runningVar: Tensor;
  readonly #options: { readonly eps: number; readonly momentum: number };

  constructor(channels: number, init: Init, options: BatchNormLayerOptions = {}) {
    super();
    checkLayer("BatchNorm2d", init, { channels });
    const { eps = 1e-5, momentum = 0.1 } = readOptions("BatchNorm2d", options, BATCH_NORM);
    this.weight = init.constant([channels], 1);
    this.bias = init.constant([channels], 0);
    this.runningMean = init.buffer([channels], 0);
    this.runningVar = init.buffer([channels], 1);
    this.#options = { eps, momentum };
  }

  /** Evaluation behind a linear map as a part of it: weight and bias of both, in f32. */
  folded({ weight, bias }: Weights): Weights {
    const { eps } = this.#options;
    const { weight: gain, bias: offset, runningMean, runningVar } = this;
    return {
      weight: foldedWeight(weight, gain, runningVar, eps),
      bias: foldedBias(offset, bias ?? 0, runningMean, gain, runningVar, eps),
    };
  }

  /** Where it stands behind nothing that it could be folded into. */
  pass(mode: Mode): Pass {
    return (x, { activation = "none", residual } = {}) => this.forward(x, mode, { activation, residual });
  }

  /** With an activation or a residual: activation(norm(x) + residual), in the same dispatches. */
  forward(
    x: Tensor,
    mode: Mode,
    fused: { readonly activation?: Activation; readonly residual?: Tensor | undefined } = {},
  ): Tensor {
    checkMode("BatchNorm2d", mode);
    return batchNorm(x, this.weight, this.bias, this.runningMean, this.runningVar, {
      ...this.#options,
      training: mode.training && this.parameters().length > 0,
      ...fused,
    });
  }
}

/** Layer norm over the last axis. */
export class LayerNorm extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly eps: number;

  constructor(channels: number, init: Init, options: NormLayerOptions = {}) {
    super();
    checkLayer("LayerNorm", init, { channels });
    const { eps = 1e-5 } = readOptions("LayerNorm", options, NORM);
    this.weight = init.constant([channels], 1);
    this.bias = init.constant([channels], 0);
    this.eps = eps;
  }

  pass(_: Mode): (x: Tensor) => Tensor {
    return (x) => this.forward(x);
  }

  forward(x: Tensor): Tensor {
    return layerNorm(x, this.weight, this.bias, { normalizedShape: this.weight.shape, eps: this.eps });
  }
}

/** Group norm: statistics per sample and group of neighbouring channels, NHWC. */
export class GroupNorm extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly #options: { readonly numGroups: number; readonly eps: number };

  constructor(numGroups: number, channels: number, init: Init, options: NormLayerOptions = {}) {
    super();
    checkLayer("GroupNorm", init, { numGroups, channels });
    const { eps = 1e-5 } = readOptions("GroupNorm", options, NORM);
    this.weight = init.constant([channels], 1);
    this.bias = init.constant([channels], 0);
    this.#options = { numGroups, eps };
  }

  pass(_: Mode): (x: Tensor) => Tensor {
    return (x) => this.forward(x);
  }

  forward(x: Tensor): Tensor {
    return groupNorm(x, this.weight, this.bias, this.#options);
  }
}

/** Vectors of a table by index: indices of any shape to [..., dim]. The table starts normal, as PyTorch's. */
export class Embedding extends Module {
  readonly weight: Tensor;

  constructor(entries: number, dim: number, init: Init) {
    super();
    checkLayer("Embedding", init, { entries, dim });
    this.weight = init.normal([entries, dim], 1);
  }

  /** Its rows lie in PyTorch as they lie here. */
  override axesInTorch(): undefined {
    return undefined;
  }

  pass(mode: Mode): (index: Tensor) => Tensor {
    const weight = mode.prepare ? mode.prepare(this.weight) : this.weight;
    return (index) => embedding(weight, index);
  }

  forward(index: Tensor): Tensor {
    return embedding(this.weight, index);
  }
}

/**
 * Self-attention over tokens [B, T, D], heads side by side in one projection. Names are timm's (`qkv`, `proj`;
 * `in_proj` and `out_proj` of PyTorch's MultiheadAttention); where weights start, the scheme says.
 */
export class MultiHeadAttention extends Module {
  readonly qkv: Linear;
  readonly proj: Linear;
  readonly #heads: number;

  constructor(dim: number, heads: number, init: Init) {
    super();
    checkLayer("MultiHeadAttention", init, { dim, heads });
    this.qkv = new Linear(dim, 3 * dim, init, { part: "attentionIn" });
    this.proj = new Linear(dim, dim, init, { part: "attentionOut" });
    this.#heads = heads;
  }

  pass(mode: Mode): Pass {
    const [qkv, proj] = [this.qkv.pass(mode), this.proj.pass(mode)];
    return (x, fused) => proj(qkvAttention(qkv(x), { heads: this.#heads }), fused);
  }

  /** Output projection plus `residual`. */
  forward(x: Tensor, residual?: Tensor): Tensor {
    return this.pass(EVAL)(x, { residual });
  }
}

/** Image patches as tokens: [B, H, W, C] to [B, H/p * W/p, D]. */
export class PatchEmbed extends Module {
  readonly proj: Conv2d;
  readonly #dim: number;

  constructor(patch: number, channels: number, dim: number, init: Init) {
    super();
    checkLayer("PatchEmbed", init, { patch, channels, dim });
    this.proj = new Conv2d(channels, dim, init, { kernel: patch, stride: patch, padding: 0, bias: true });
    this.#dim = dim;
  }

  pass(mode: Mode): Pass {
    const proj = this.proj.pass(mode);
    return (x) => {
      const map = proj(x);
      return reshape(map, [firstOf(map.shape), -1, this.#dim]);
    };
  }

  forward(x: Tensor): Tensor {
    return this.pass(EVAL)(x);
  }
}

/** Mean over the image: [B, H, W, C] to [B, C]. */
export function globalAveragePool(x: Tensor): Tensor {
  checkTensors("globalAveragePool", { x });
  if (x.rank !== 4) throw new ShapeError(`globalAveragePool: x must be [B, H, W, C]; got ${describe(x)}.`);
  const [batch, height, width, channels] = exactly(x.shape, 4);
  return reshape(avgPool2d(x, { kernel: [height, width] }), [batch, channels]);
}
