// MobileNetV3, Small and Large (Howard et al., ICCV 2019) in torchvision's form and names. Each layer is a stage,
// `features.0` and so on, so an exit can be attached after any of them.

import { type Kinds, lastOf, zip } from "../base/index.ts";
import { type Activation, checkOneOf, type Device, hardswish, readOptions, type Tensor } from "../engine/functions.ts";
import { Backbone, checkClasses, checkScale, checkStemStride, featureStages, type Stage } from "./backbone.ts";
import { Init } from "./init.ts";
import { globalAveragePool, Linear } from "./layers.ts";
import { ConvNorm, InvertedResidual, roundChannels } from "./mobile-blocks.ts";
import type { Mode } from "./module.ts";
import type { Pass } from "./pass.ts";
import { checkChances, Dropout, generatorOf } from "./random-layers.ts";

type Row = readonly [
  kernel: number,
  expanded: number,
  outputs: number,
  squeezes: boolean,
  activation: Activation,
  stride: number,
];

/** A table of the paper, and how wide the hidden linear layer is. */
interface Plan {
  readonly rows: readonly Row[];
  readonly hidden: number;
}

/** Table 2 of the paper. */
const SMALL: readonly Row[] = [
  [3, 16, 16, true, "relu", 2],
  [3, 72, 24, false, "relu", 2],
  [3, 88, 24, false, "relu", 1],
  [5, 96, 40, true, "hardswish", 2],
  [5, 240, 40, true, "hardswish", 1],
  [5, 240, 40, true, "hardswish", 1],
  [5, 120, 48, true, "hardswish", 1],
  [5, 144, 48, true, "hardswish", 1],
  [5, 288, 96, true, "hardswish", 2],
  [5, 576, 96, true, "hardswish", 1],
  [5, 576, 96, true, "hardswish", 1],
];

/** Table 1 of the paper. */
const LARGE: readonly Row[] = [
  [3, 16, 16, false, "relu", 1],
  [3, 64, 24, false, "relu", 2],
  [3, 72, 24, false, "relu", 1],
  [5, 72, 40, true, "relu", 2],
  [5, 120, 40, true, "relu", 1],
  [5, 120, 40, true, "relu", 1],
  [3, 240, 80, false, "hardswish", 2],
  [3, 200, 80, false, "hardswish", 1],
  [3, 184, 80, false, "hardswish", 1],
  [3, 184, 80, false, "hardswish", 1],
  [3, 480, 112, true, "hardswish", 1],
  [3, 672, 112, true, "hardswish", 1],
  [5, 672, 160, true, "hardswish", 2],
  [5, 960, 160, true, "hardswish", 1],
  [5, 960, 160, true, "hardswish", 1],
];

const PLANS: Readonly<Record<"small" | "large", Plan>> = {
  small: { rows: SMALL, hidden: 1024 },
  large: { rows: LARGE, hidden: 1280 },
};

/** Options of MobileNetV3. */
export interface MobileNetV3Options {
  /** Default "small". */
  readonly size?: keyof typeof PLANS;
  /** Default 1000. */
  readonly classes?: number;
  /** Shape of an image, [H, W, C]; default [224, 224, 3]. */
  readonly input?: readonly [number, number, number];
  /** Scales all widths, then rounds them to multiples of 8; default 1. */
  readonly widthMult?: number;
  /** Share of a batch in the running statistics; default 0.01, as torchvision's. */
  readonly momentum?: number;
  /** Added to variances; default 0.001, as torchvision's. timm's `mobilenetv3_small_100` was trained with 0.00001. */
  readonly eps?: number;
  /** Stride of the first convolution; 2 (default) as published, 1 for images of 32x32. */
  readonly stemStride?: 1 | 2;
  /** Chance that a feature in front of the last layer is dropped in training; default 0, torchvision's 0.2. */
  readonly dropout?: number;
  readonly seed: number;
  readonly device?: Device;
}

const MOBILENET: Kinds<MobileNetV3Options> = {
  size: "string",
  classes: "number",
  input: "any",
  widthMult: "number",
  momentum: "number",
  eps: "number",
  stemStride: "number",
  dropout: "number",
  seed: "number!",
  device: "any",
};

/**
 * MobileNetV3: a stem, eleven inverted residual blocks (Large: fifteen), a 1x1 convolution, pool, two linear layers.
 * Stages `features.0` to `features.12` (`features.16`).
 */
export class MobileNetV3 extends Backbone {
  /** torchvision's `features`. */
  readonly layers: readonly (ConvNorm | InvertedResidual)[];
  readonly classifier: readonly [Linear, undefined, Dropout | undefined, Linear];
  readonly stages: readonly Stage[];
  readonly input: readonly [number, number, number];
  readonly classes: number;

  constructor(options: MobileNetV3Options) {
    super();
    const {
      size = "small",
      classes = 1000,
      input = [224, 224, 3],
      widthMult = 1,
      momentum = 0.01,
      eps = 1e-3,
      stemStride = 2,
      dropout = 0,
      seed,
      device,
    } = readOptions("mobilenetV3", options, MOBILENET);
    checkOneOf("mobilenetV3", "size", size, Object.keys(PLANS));
    checkClasses("mobilenetV3", classes);
    checkScale("mobilenetV3", { widthMult, eps });
    checkStemStride("mobilenetV3", stemStride);
    checkChances("mobilenetV3", { dropout });
    const { rows, hidden: wide } = PLANS[size];
    const init = new Init({ seed, scheme: "mobilenet", device });
    const norm = { eps, momentum };
    const width = (channels: number) => roundChannels(channels * widthMult);
    const stem = width(16);
    const widths = [stem, ...rows.map(([, , outputs]) => width(outputs))];
    const blocks = zip(rows, widths.slice(0, -1), widths.slice(1)).map(([row, inputs, outputs]) => {
      const [kernel, inner, , squeezes, activation, stride] = row;
      const expanded = width(inner);
      const squeeze = squeezes
        ? ({ channels: roundChannels(Math.floor(expanded / 4)), inner: "relu", gate: "hardsigmoid" } as const)
        : undefined;
      return new InvertedResidual({ inputs, expanded, outputs, kernel, stride, activation, norm, squeeze }, init);
    });
    const last = lastOf(widths);
    const act = { activation: "hardswish", norm } as const;
    this.layers = [
      new ConvNorm(input[2], stem, init, { kernel: 3, stride: stemStride, ...act }),
      ...blocks,
      new ConvNorm(last, 6 * last, init, { kernel: 1, ...act }),
    ];
    const hidden = width(wide);
    const dropped = dropout > 0 ? new Dropout(dropout, generatorOf(init)) : undefined;
    this.classifier = [new Linear(6 * last, hidden, init), undefined, dropped, new Linear(hidden, classes, init)];
    this.stages = featureStages([...widths, 6 * last], [stemStride, ...rows.map((row) => row[5]), 1]);
    this.input = input;
    this.classes = classes;
  }

  override pass(i: number, mode: Mode): Pass {
    return this.layers[i]!.pass(mode);
  }

  stage(i: number, x: Tensor, mode: Mode): Tensor {
    return this.pass(i, mode)(x);
  }

  override get lastLayer(): Linear {
    return this.classifier[3];
  }

  override classifyPass(mode: Mode): Pass {
    const [hidden, out] = [this.classifier[0].pass(mode), this.classifier[3].pass(mode)];
    const dropped = this.classifier[2]?.pass(mode) ?? ((x: Tensor) => x);
    return (x, fused) => out(dropped(hidden(globalAveragePool(x), { activation: "hardswish" })), fused);
  }

  classify(features: Tensor, mode: Mode): Tensor {
    const [hidden, , dropout, out] = this.classifier;
    const x = hardswish(hidden.forward(globalAveragePool(features)));
    return out.forward(dropout ? dropout.forward(x, mode) : x);
  }
}

/** MobileNetV3; see `MobileNetV3Options`. */
export const mobilenetV3 = (options: MobileNetV3Options): MobileNetV3 => new MobileNetV3(options);
