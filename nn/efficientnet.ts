// EfficientNet-B0 and its scaled kin (Tan and Le, ICML 2019) in torchvision's form and names. Each layer is a stage,
// `features.0` and so on.

import { firstOf, type Kinds, lastOf } from "../base/index.ts";
import { type Device, readOptions, type Tensor } from "../engine/functions.ts";
import { Backbone, checkClasses, checkScale, checkStemStride, featureStages, type Stage } from "./backbone.ts";
import { Init } from "./init.ts";
import { Linear } from "./layers.ts";
import { ConvNorm, InvertedResidual, roundChannels } from "./mobile-blocks.ts";
import type { Mode } from "./module.ts";
import type { Pass } from "./pass.ts";
import { checkChances, Dropout, generatorOf, StochasticDepth } from "./random-layers.ts";
import { type Tail, tailPass } from "./tail.ts";

/** Table 1 of the paper: [expansion, kernel, stride, outputs, blocks]. */
const B0 = [
  [1, 3, 1, 16, 1],
  [6, 3, 2, 24, 2],
  [6, 5, 2, 40, 2],
  [6, 3, 2, 80, 3],
  [6, 5, 1, 112, 3],
  [6, 5, 2, 192, 4],
  [6, 3, 1, 320, 1],
] as const;

/** Options of EfficientNet. */
export interface EfficientNetOptions {
  /** Default 1000. */
  readonly classes?: number;
  /** Shape of an image, [H, W, C]; default [224, 224, 3]. */
  readonly input?: readonly [number, number, number];
  /** Scales all widths, then rounds them to multiples of 8; default 1 (B0). */
  readonly widthMult?: number;
  /** Scales the number of blocks of a stage, rounded up; default 1 (B0). */
  readonly depthMult?: number;
  /** Stride of the first convolution; 2 (default) as published, 1 for images of 32x32. */
  readonly stemStride?: 1 | 2;
  /** Chance that a feature in front of the classifier is dropped in training; default 0, torchvision's 0.2. */
  readonly dropout?: number;
  /** Chance that a sample passes over block i of n in training, over n and times i; default 0, torchvision's 0.2. */
  readonly stochasticDepth?: number;
  readonly seed: number;
  readonly device?: Device;
}

const EFFICIENTNET: Kinds<EfficientNetOptions> = {
  classes: "number",
  input: "any",
  widthMult: "number",
  depthMult: "number",
  stemStride: "number",
  dropout: "number",
  stochasticDepth: "number",
  seed: "number!",
  device: "any",
};

/**
 * EfficientNet: a stem, seven stages of inverted residual blocks, a 1x1 convolution, pool, linear. Stages `features.0`
 * to `features.8`.
 */
export class EfficientNet extends Backbone {
  /** torchvision's `features`. */
  readonly layers: readonly (ConvNorm | readonly InvertedResidual[])[];
  readonly classifier: readonly [Dropout | undefined, Linear];
  readonly stages: readonly Stage[];
  readonly input: readonly [number, number, number];
  readonly classes: number;

  constructor(options: EfficientNetOptions) {
    super();
    const {
      classes = 1000,
      input = [224, 224, 3],
      widthMult = 1,
      depthMult = 1,
      stemStride = 2,
      dropout = 0,
      stochasticDepth = 0,
      seed,
      device,
    } = readOptions("efficientnet", options, EFFICIENTNET);
    checkClasses("efficientnet", classes);
    checkScale("efficientnet", { widthMult, depthMult });
    checkStemStride("efficientnet", stemStride);
    checkChances("efficientnet", { dropout, stochasticDepth });
    const init = new Init({ seed, scheme: "efficientnet", device });
    const act = { activation: "silu", norm: { eps: 1e-5, momentum: 0.1 } } as const;
    const widths = [32, ...B0.map(([, , , outputs]) => outputs)].map((channels) => roundChannels(channels * widthMult));
    const last = lastOf(widths);
    const counts = B0.map(([, , , , count]) => Math.ceil(count * depthMult));
    const blocks = counts.reduce((sum, count) => sum + count, 0);
    let block = 0;
    this.layers = [
      new ConvNorm(input[2], firstOf(widths), init, { kernel: 3, stride: stemStride, ...act }),
      ...B0.map(([expansion, kernel, stride], i) =>
        Array.from({ length: counts[i]! }, (_, b) => {
          const chance = (stochasticDepth * block++) / blocks;
          const depth = chance > 0 ? new StochasticDepth(chance, generatorOf(init)) : undefined;
          const inputs = widths[b === 0 ? i : i + 1]!;
          const squeeze = { channels: Math.max(1, Math.floor(inputs / 4)), inner: "silu", gate: "sigmoid" } as const;
          const expanded = roundChannels(inputs * expansion);
          const outputs = widths[i + 1]!;
          const shape = { inputs, expanded, outputs, kernel, stride: b === 0 ? stride : 1, squeeze, depth };
          return new InvertedResidual({ ...shape, ...act }, init);
        }),
      ),
      new ConvNorm(last, 4 * last, init, { kernel: 1, ...act }),
    ];
    const dropped = dropout > 0 ? new Dropout(dropout, generatorOf(init)) : undefined;
    this.classifier = [dropped, new Linear(4 * last, classes, init)];
    this.stages = featureStages([...widths, 4 * last], [stemStride, ...B0.map(([, , stride]) => stride), 1]);
    this.input = input;
    this.classes = classes;
  }

  override pass(i: number, mode: Mode): Pass {
    const layer = this.layers[i]!;
    if (layer instanceof ConvNorm) return layer.pass(mode);
    const passes = layer.map((block) => block.pass(mode));
    return (x) => passes.reduce((y, pass) => pass(y), x);
  }

  override get tail(): Tail {
    const [dropout, linear] = this.classifier;
    return { vector: "mean", dropout, linear };
  }

  stage(i: number, x: Tensor, mode: Mode): Tensor {
    return this.pass(i, mode)(x);
  }

  classify(features: Tensor, mode: Mode): Tensor {
    return tailPass(this.tail, mode)(features);
  }
}

/** EfficientNet, B0 unless scaled; see `EfficientNetOptions`. */
export const efficientnet = (options: EfficientNetOptions): EfficientNet => new EfficientNet(options);
