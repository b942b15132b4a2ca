// The residual networks for small images (He et al. 2016, section 4.2). Field names follow the published weight files,
// so state loads by name (see weights.ts).

import type { Kinds } from "../base/index.ts";
import { ArgumentError, type Device, readOptions, type Tensor } from "../engine/functions.ts";
import { Backbone, checkClasses, type Stage } from "./backbone.ts";
import { Init, type InitScheme } from "./init.ts";
import { BatchNorm2d, Conv2d, Linear } from "./layers.ts";
import type { Mode } from "./module.ts";
import type { Pass } from "./pass.ts";
import { BasicBlock, chain, checkShortcut, RELU, type Shortcut } from "./residual.ts";
import { type Tail, throughTail } from "./tail.ts";

/** Options of the CIFAR family. */
export interface ResNetOptions {
  /** 6n + 2 layers, e.g. 8, 20, 32, 44, 56, 110. */
  readonly depth: number;
  readonly classes: number;
  /** Shape of an image, [H, W, C]; default [32, 32, 3]. */
  readonly input?: readonly [number, number, number];
  /** Channels of the three stages; default [16, 32, 64]. */
  readonly widths?: readonly [number, number, number];
  /** Default B. */
  readonly shortcut?: Shortcut;
  /** Default PyTorch's. */
  readonly init?: InitScheme;
  readonly seed: number;
  readonly device?: Device;
}

const RESNET: Kinds<ResNetOptions> = {
  depth: "number!",
  classes: "number!",
  input: "any",
  widths: "any",
  shortcut: "string",
  init: "string",
  seed: "number!",
  device: "any",
};

/** ResNet for small images: a 3x3 stem, three stages of n blocks, global average pool, linear. */
export class CifarResNet extends Backbone {
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly layer1: readonly BasicBlock[];
  readonly layer2: readonly BasicBlock[];
  readonly layer3: readonly BasicBlock[];
  readonly linear: Linear;
  readonly stages: readonly Stage[];
  readonly input: readonly [number, number, number];
  readonly classes: number;

  constructor(options: ResNetOptions) {
    super();
    const {
      depth,
      classes,
      input = [32, 32, 3],
      widths = [16, 32, 64],
      shortcut = "B",
      init: scheme = "torch",
      seed,
      device,
    } = readOptions("resnet", options, RESNET);
    checkShortcut("resnet", shortcut);
    const n = (depth - 2) / 6;
    if (!Number.isInteger(n) || n < 1)
      throw new ArgumentError(`resnet: depth must be 6n + 2 (8, 14, 20, 32, 44, 56, 110); got ${depth}.`);
    checkClasses("resnet", classes);
    const init = new Init({ seed, scheme, device });
    const [w1, w2, w3] = widths;
    const stage = (inputs: number, outputs: number, stride: number) =>
      Array.from(
        { length: n },
        (_, i) => new BasicBlock(i === 0 ? inputs : outputs, outputs, init, { stride: i === 0 ? stride : 1, shortcut }),
      );
    this.conv1 = new Conv2d(input[2], w1, init, { kernel: 3 });
    this.bn1 = new BatchNorm2d(w1, init);
    this.layer1 = stage(w1, w1, 1);
    this.layer2 = stage(w1, w2, 2);
    this.layer3 = stage(w2, w3, 2);
    this.linear = new Linear(w3, classes, init);
    this.stages = widths.map((channels, i) => ({ name: `stage${i + 1}`, channels, reduction: 2 ** i, kind: "map" }));
    this.input = input;
    this.classes = classes;
  }

  override pass(i: number, mode: Mode): Pass {
    const blocks = [this.layer1, this.layer2, this.layer3][i]!;
    const stem = i === 0 ? this.conv1.pass(mode, this.bn1) : undefined;
    return chain(blocks, mode, stem && ((x) => stem(x, RELU)));
  }

  override get tail(): Tail {
    return { vector: "mean", linear: this.linear };
  }

  stage(i: number, x: Tensor, mode: Mode): Tensor {
    return this.pass(i, mode)(x);
  }

  classify(features: Tensor): Tensor {
    return throughTail(this.tail, features);
  }
}

/**
 * A ResNet for small images; see `ResNetOptions`.
 *
 * @example
 * ```ts
 * import { ones } from "sortie/engine";
 * import { EVAL, resnet } from "sortie/nn";
 *
 * const net = resnet({ depth: 8, widths: [4, 4, 8], input: [8, 8, 1], classes: 10, seed: 1 });
 * console.log(net.forward(ones([2, 8, 8, 1]), EVAL).shape); // [2, 10]
 * console.log(net.stages.map(({ name }) => name)); // ["stage1", "stage2", "stage3"]
 * ```
 */
export const resnet = (options: ResNetOptions): CifarResNet => new CifarResNet(options);
