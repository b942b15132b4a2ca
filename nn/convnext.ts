// ConvNeXt (Liu et al., CVPR 2022) in torchvision's form and names. Each layer is a stage, `features.0` and so on:
// patches, then blocks and downsampling in turn.

import { firstOf, type Kinds, lastOf, zip } from "../base/index.ts";
import {
  ArgumentError,
  add,
  type Device,
  linear,
  mul,
  readOptions,
  reshape,
  type Tensor,
} from "../engine/functions.ts";
import { Backbone, checkClasses, featureStages, type Stage } from "./backbone.ts";
import { Init } from "./init.ts";
import { Conv2d, LayerNorm, Linear } from "./layers.ts";
import { EVAL, type Mode, Module } from "./module.ts";
import type { Pass } from "./pass.ts";
import { branchEnd, checkChances, depthChances, generatorOf, StochasticDepth } from "./random-layers.ts";
import { type Tail, throughTail } from "./tail.ts";

const NORM = { eps: 1e-6 } as const;

/**
 * x + scale * mlp(norm(depthwise 7x7 x)), [B, H, W, C] to the same; torchvision's CNBlock, with its holes for layers
 * without parameters.
 */
export class ConvNeXtBlock extends Module {
  readonly block: readonly [Conv2d, undefined, LayerNorm, Linear, undefined, Linear];
  /** [C, 1, 1], as the published files have it. */
  readonly layerScale: Tensor;
  readonly depth: StochasticDepth | undefined;

  constructor(channels: number, init: Init, depth?: StochasticDepth) {
    super();
    this.block = [
      new Conv2d(channels, channels, init, { kernel: 7, groups: channels, bias: true }),
      undefined,
      new LayerNorm(channels, init, NORM),
      new Linear(channels, 4 * channels, init),
      undefined,
      new Linear(4 * channels, channels, init),
    ];
    this.layerScale = init.constant([channels, 1, 1], 1e-6);
    this.depth = depth;
  }

  pass(mode: Mode): Pass {
    const [, , norm] = this.block;
    const [depthwise, wide] = [this.block[0].pass(mode), this.block[3].pass(mode)];
    const narrow = branchEnd(this.#scaled(mode), this.depth, mode);
    return (x) => narrow(wide(norm.forward(depthwise(x)), { activation: "gelu" }), { residual: x });
  }

  forward(x: Tensor, mode: Mode = EVAL): Tensor {
    return this.pass(mode)(x);
  }

  /** scale * linear(y) + residual; for inference the scale is a part of the linear layer. */
  #scaled(mode: Mode): Pass {
    const { prepare } = mode;
    const narrow = this.block[5];
    const scale = () => reshape(this.layerScale, [-1]);
    if (!prepare) {
      return (y, { residual } = {}) => {
        const scaled = mul(narrow.forward(y), scale());
        return residual ? add(residual, scaled) : scaled;
      };
    }
    const [weight, bias] = [narrow.weight, narrow.bias as Tensor].map((one) => prepare(mul(one, scale())));
    return (y, fused) => linear(y, weight as Tensor, bias, fused);
  }
}

/** Options of ConvNeXt. */
export interface ConvNeXtOptions {
  /** Default 1000. */
  readonly classes?: number;
  /** Shape of an image, [H, W, C]; default [224, 224, 3]. */
  readonly input?: readonly [number, number, number];
  /** Channels of the four groups of blocks; default [96, 192, 384, 768] (ConvNeXt-Tiny). */
  readonly dims?: readonly number[];
  /** Blocks of each group; default [3, 3, 9, 3] (ConvNeXt-Tiny). */
  readonly depths?: readonly number[];
  /** Side of a patch; 4 (default) as published, 1 or 2 for images of 32x32. */
  readonly patch?: number;
  /**
   * Chance that a sample passes over the last block in training, evenly fewer over those before; default 0,
   * torchvision's 0.1.
   */
  readonly stochasticDepth?: number;
  readonly seed: number;
  readonly device?: Device;
}

const CONVNEXT: Kinds<ConvNeXtOptions> = {
  classes: "number",
  input: "any",
  dims: "any",
  depths: "any",
  patch: "number",
  stochasticDepth: "number",
  seed: "number!",
  device: "any",
};

/** Checks that every group has a width and a number of blocks. @throws ArgumentError */
function checkLayout(dims: readonly number[], depths: readonly number[]): void {
  const isList = (given: unknown) =>
    Array.isArray(given) && given.length > 0 && given.every((x) => Number.isSafeInteger(x) && x > 0);
  if (isList(dims) && isList(depths) && dims.length === depths.length) return;
  throw new ArgumentError(
    `convnext: dims and depths must be lists of positive integers, of one length; got [${[dims].flat().join(", ")}] and [${[depths].flat().join(", ")}].`,
  );
}

/** A convolution of patches, and its norm. */
export type Patches = readonly [Conv2d, LayerNorm];
/** A norm, and a convolution that halves the sides. */
export type Downsampling = readonly [LayerNorm, Conv2d];

/**
 * ConvNeXt: patches, groups of blocks with downsampling between, pool, norm, linear. Stages `features.0`, `features.1`
 * and so on.
 */
export class ConvNeXt extends Backbone {
  /** torchvision's `features`. */
  readonly layers: readonly (Patches | Downsampling | readonly ConvNeXtBlock[])[];
  readonly classifier: readonly [LayerNorm, undefined, Linear];
  readonly stages: readonly Stage[];
  readonly input: readonly [number, number, number];
  readonly classes: number;

  constructor(options: ConvNeXtOptions) {
    super();
    const {
      classes = 1000,
      input = [224, 224, 3],
      dims = [96, 192, 384, 768],
      depths = [3, 3, 9, 3],
      patch = 4,
      stochasticDepth = 0,
      seed,
      device,
    } = readOptions("convnext", options, CONVNEXT);
    checkClasses("convnext", classes);
    checkLayout(dims, depths);
    checkChances("convnext", { stochasticDepth });
    const blockCount = depths.reduce((sum, depth) => sum + depth, 0);
    const chances = depthChances(stochasticDepth, blockCount);
    let block = 0;
    const init = new Init({ seed, scheme: "convnext", device });
    const down = (inputs: number, outputs: number): Downsampling => [
      new LayerNorm(inputs, init, NORM),
      new Conv2d(inputs, outputs, init, { kernel: 2, stride: 2, padding: 0, bias: true }),
    ];
    const first = new Conv2d(input[2], firstOf(dims), init, {
      kernel: patch,
      stride: patch,
      padding: 0,
      bias: true,
    });
    this.layers = [
      [first, new LayerNorm(firstOf(dims), init, NORM)],
      ...zip<[readonly number[], readonly number[]]>(dims, depths).flatMap(([dim, depth], i) => {
        const before = dims[i - 1];
        const blocks = Array.from({ length: depth }, () => {
          const chance = chances[block++]!;
          return new ConvNeXtBlock(dim, init, chance > 0 ? new StochasticDepth(chance, generatorOf(init)) : undefined);
        });
        return before === undefined ? [blocks] : [down(before, dim), blocks];
      }),
    ];
    const last = lastOf(dims);
    this.classifier = [new LayerNorm(last, init, NORM), undefined, new Linear(last, classes, init)];
    this.stages = featureStages(
      dims.flatMap((dim: number) => [dim, dim]),
      this.layers.map((_, i) => (i === 0 ? patch : i % 2 === 0 ? 2 : 1)),
    );
    this.input = input;
    this.classes = classes;
  }

  override pass(i: number, mode: Mode): Pass {
    const layers = this.layers[i]!;
    const passes = layers.map((layer) => layer.pass(mode));
    return (x) => passes.reduce((y, pass) => pass(y), x);
  }

  override get tail(): Tail {
    const [norm, , linear] = this.classifier;
    return { vector: "mean", norm, linear };
  }

  stage(i: number, x: Tensor, mode: Mode): Tensor {
    return this.pass(i, mode)(x);
  }

  classify(features: Tensor): Tensor {
    return throughTail(this.tail, features);
  }
}

/** ConvNeXt, Tiny unless `dims` and `depths` say otherwise; see `ConvNeXtOptions`. */
export const convnext = (options: ConvNeXtOptions): ConvNeXt => new ConvNeXt(options);
