// ResNet-18/34/50 for ImageNet (He et al. 2016). Field names follow torchvision's weight files, so state loads by name
// (`downsample` is `shortcut` here; see weights.ts).

import type { Kinds } from "../base/index.ts";
import { ArgumentError, type Device, maxPool2d, readOptions, type Tensor } from "../engine/functions.ts";
import { Backbone, checkClasses, type Stage } from "./backbone.ts";
import { Init } from "./init.ts";
import { BatchNorm2d, Conv2d, Linear } from "./layers.ts";
import type { Mode } from "./module.ts";
import type { Pass } from "./pass.ts";
import { BasicBlock, Bottleneck, chain, RELU, type ResidualBlock } from "./residual.ts";
import { type Tail, throughTail } from "./tail.ts";

/** Blocks per stage and their kind. */
const IMAGENET = {
  18: { counts: [2, 2, 2, 2], wide: 1 },
  34: { counts: [3, 4, 6, 3], wide: 1 },
  50: { counts: [3, 4, 6, 3], wide: 4 },
} as const;

/** Options of the ImageNet family. */
export interface ImageNetResNetOptions {
  readonly depth: keyof typeof IMAGENET;
  readonly classes?: number;
  /** Default [224, 224, 3]. */
  readonly input?: readonly [number, number, number];
  /**
   * `large` (default): 7x7 of stride 2 and a 3x3 max pool of stride 2, as in torchvision. `small`: 3x3 of stride 1 and
   * no pool, for images of 32x32, as published for CIFAR (CGT among others).
   */
  readonly stem?: "large" | "small";
  readonly seed: number;
  readonly device?: Device;
}

const IMAGENET_RESNET: Kinds<ImageNetResNetOptions> = {
  depth: "number!",
  classes: "number",
  input: "any",
  stem: "string",
  seed: "number!",
  device: "any",
};

/** ResNet-18, -34 and -50 as in torchvision: a stem, four stages, global average pool, linear. */
export class ImageNetResNet extends Backbone {
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly layer1: readonly ResidualBlock[];
  readonly layer2: readonly ResidualBlock[];
  readonly layer3: readonly ResidualBlock[];
  readonly layer4: readonly ResidualBlock[];
  readonly fc: Linear;
  readonly stages: readonly Stage[];
  readonly input: readonly [number, number, number];
  readonly classes: number;
  readonly #hasPool: boolean;

  constructor(options: ImageNetResNetOptions) {
    super();
    const {
      depth,
      classes = 1000,
      input = [224, 224, 3],
      stem = "large",
      seed,
      device,
    } = readOptions("imageNetResnet", options, IMAGENET_RESNET);
    const layout = IMAGENET[depth];
    if (!layout)
      throw new ArgumentError(
        `imageNetResnet: depth must be one of ${Object.keys(IMAGENET).join(", ")}; got ${depth}.`,
      );
    if (stem !== "large" && stem !== "small")
      throw new ArgumentError(`imageNetResnet: stem must be "large" or "small"; got ${JSON.stringify(stem)}.`);
    checkClasses("imageNetResnet", classes);
    const init = new Init({ seed, scheme: "he", device });
    const widths = [64, 128, 256, 512].map((width) => width * layout.wide);
    const stage = (i: number): ResidualBlock[] => {
      const outputs = widths[i]!;
      return Array.from({ length: layout.counts[i]! }, (_, b) => {
        const inputs = b > 0 ? outputs : i === 0 ? 64 : widths[i - 1]!;
        const stride = b === 0 && i > 0 ? 2 : 1;
        return layout.wide === 4
          ? new Bottleneck(inputs, outputs, init, { stride })
          : new BasicBlock(inputs, outputs, init, { stride });
      });
    };
    this.#hasPool = stem === "large";
    this.conv1 = new Conv2d(input[2], 64, init, stem === "large" ? { kernel: 7, stride: 2 } : { kernel: 3 });
    this.bn1 = new BatchNorm2d(64, init);
    this.layer1 = stage(0);
    this.layer2 = stage(1);
    this.layer3 = stage(2);
    this.layer4 = stage(3);
    this.fc = new Linear(widths[3]!, classes, init);
    this.stages = widths.map((channels, i) => ({
      name: `stage${i + 1}`,
      channels,
      reduction: (stem === "large" ? 4 : 1) * 2 ** i,
      kind: "map",
    }));
    this.input = input;
    this.classes = classes;
  }

  override pass(i: number, mode: Mode): Pass {
    const blocks = [this.layer1, this.layer2, this.layer3, this.layer4][i]!;
    return chain(blocks, mode, i === 0 ? this.#stem(mode) : undefined);
  }

  override get tail(): Tail {
    return { vector: "mean", linear: this.fc };
  }

  stage(i: number, x: Tensor, mode: Mode): Tensor {
    return this.pass(i, mode)(x);
  }

  classify(features: Tensor): Tensor {
    return throughTail(this.tail, features);
  }

  #stem(mode: Mode): Pass {
    const pass = this.conv1.pass(mode, this.bn1);
    if (!this.#hasPool) return (x) => pass(x, RELU);
    return (x) => maxPool2d(pass(x, RELU), { kernel: 3, stride: 2, padding: 1 });
  }
}

/** ResNet-18, -34 or -50; see `ImageNetResNetOptions`. */
export const imageNetResnet = (options: ImageNetResNetOptions): ImageNetResNet => new ImageNetResNet(options);
