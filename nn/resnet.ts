// Residual networks: the CIFAR family (He et al. 2016, section 4.2) and ResNet-18/34/50 for ImageNet. Field names
// follow the published weight files, so state loads by name (torchvision's `downsample` is `shortcut` here; see
// weights.ts).

import type { Kinds } from "../base/index.ts";
import { ArgumentError, type Device, maxPool2d, pad, readOptions, slice, type Tensor } from "../engine/functions.ts";
import { Backbone, checkClasses, type Stage } from "./backbone.ts";
import { checkLayer, Init, type InitScheme } from "./init.ts";
import { BatchNorm2d, Conv2d, Linear } from "./layers.ts";
import { type Mode, Module } from "./module.ts";
import type { Pass } from "./pass.ts";
import { type Tail, throughTail } from "./tail.ts";

const RELU = { activation: "relu" } as const;

/** The blocks of a stage, one after the other, behind a stem if it is the first. */
function chain(blocks: readonly ResidualBlock[], mode: Mode, stem?: Pass): Pass {
  const passes = blocks.map((block) => block.pass(mode));
  return (x) => passes.reduce((features, pass) => pass(features), stem ? stem(x) : x);
}

/**
 * How a block passes its input where the shape changes: strided with zero channels (A), or a strided 1x1 convolution
 * and norm (B).
 */
export type Shortcut = "A" | "B";

/** A strided 1x1 convolution and its norm; a list, so that they are named `shortcut.0` and `shortcut.1`. */
export type Projection = readonly [Conv2d, BatchNorm2d];

/**
 * Base of the residual blocks: relu(f(x) + shortcut(x)), [B, H, W, inputs] to [B, ceil(H / stride), ceil(W / stride),
 * outputs].
 */
export abstract class ResidualBlock extends Module {
  /** Shape-changing projection; undefined for identity and for shortcut A. */
  abstract readonly shortcut: Projection | undefined;
  abstract pass(mode: Mode): Pass;

  forward(x: Tensor, mode: Mode): Tensor {
    return this.pass(mode)(x);
  }

  protected static projection(inputs: number, outputs: number, stride: number, init: Init): Projection {
    return [new Conv2d(inputs, outputs, init, { kernel: 1, stride }), new BatchNorm2d(outputs, init)];
  }

  /** The input as it is added to the result. */
  protected residual(mode: Mode): Pass {
    if (!this.shortcut) return (x) => x;
    const [conv, norm] = this.shortcut;
    return conv.pass(mode, norm);
  }
}

/** Options of BasicBlock. */
export interface BasicBlockOptions {
  /** Of the first convolution and the shortcut; default 1. */
  readonly stride?: number;
  /** Where the shape changes; default B. */
  readonly shortcut?: Shortcut;
}

const BASIC: Kinds<BasicBlockOptions> = { stride: "number", shortcut: "string" };

function checkShortcut(op: string, shortcut: Shortcut): void {
  if (shortcut !== "A" && shortcut !== "B")
    throw new ArgumentError(`${op}: shortcut must be "A" or "B"; got ${JSON.stringify(shortcut)}.`);
}

/**
 * The block of two 3x3 convolutions (He et al. 2016): relu(norm(conv(relu(norm(conv x)))) + shortcut(x)).
 * @throws ArgumentError if shortcut A would have to drop channels.
 */
export class BasicBlock extends ResidualBlock {
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly shortcut: Projection | undefined;
  readonly #pad: { readonly stride: number; readonly extra: number } | undefined;

  constructor(inputs: number, outputs: number, init: Init, options: BasicBlockOptions = {}) {
    super();
    const { stride = 1, shortcut: kind = "B" } = readOptions("BasicBlock", options, BASIC);
    checkLayer("BasicBlock", init, { inputs, outputs, stride });
    checkShortcut("BasicBlock", kind);
    if (kind === "A" && outputs < inputs) {
      throw new ArgumentError(
        `BasicBlock: outputs must be at least inputs with shortcut A, which pads with zeros; got ${inputs} to ${outputs}. Use shortcut B.`,
      );
    }
    this.conv1 = new Conv2d(inputs, outputs, init, { kernel: 3, stride });
    this.bn1 = new BatchNorm2d(outputs, init);
    this.conv2 = new Conv2d(outputs, outputs, init, { kernel: 3 });
    this.bn2 = new BatchNorm2d(outputs, init);
    const isIdentity = stride === 1 && inputs === outputs;
    this.shortcut = isIdentity || kind === "A" ? undefined : ResidualBlock.projection(inputs, outputs, stride, init);
    this.#pad = isIdentity || kind === "B" ? undefined : { stride, extra: outputs - inputs };
  }

  pass(mode: Mode): Pass {
    const [first, second] = [this.conv1.pass(mode, this.bn1), this.conv2.pass(mode, this.bn2)];
    const residual = this.residual(mode);
    return (x) => second(first(x, RELU), { ...RELU, residual: residual(x) });
  }

  protected override residual(mode: Mode): Pass {
    if (!this.#pad) return super.residual(mode);
    const { stride, extra } = this.#pad;
    return (x) => {
      const strided = slice(x, { starts: [0, 0, 0, 0], ends: [...x.shape], steps: [1, stride, stride, 1] });
      return pad(strided, [
        [0, 0],
        [0, 0],
        [0, 0],
        [extra >> 1, extra - (extra >> 1)],
      ]);
    };
  }
}

/**
 * The block of a 1x1, a 3x3 and a 1x1 convolution (He et al. 2016), as in torchvision's ResNet-50: the inner width is a
 * quarter of `outputs`, the stride is at the 3x3, the shortcut is B where the shape changes. @throws ArgumentError if 4
 * does not divide `outputs`.
 */
export class Bottleneck extends ResidualBlock {
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly conv3: Conv2d;
  readonly bn3: BatchNorm2d;
  readonly shortcut: Projection | undefined;

  constructor(inputs: number, outputs: number, init: Init, options: { readonly stride?: number } = {}) {
    super();
    const { stride = 1 } = readOptions("Bottleneck", options, { stride: "number" });
    checkLayer("Bottleneck", init, { inputs, outputs, stride });
    const inner = outputs / 4;
    if (!Number.isInteger(inner))
      throw new ArgumentError(`Bottleneck: outputs must be a multiple of 4; got ${outputs}.`);
    this.conv1 = new Conv2d(inputs, inner, init, { kernel: 1 });
    this.bn1 = new BatchNorm2d(inner, init);
    this.conv2 = new Conv2d(inner, inner, init, { kernel: 3, stride });
    this.bn2 = new BatchNorm2d(inner, init);
    this.conv3 = new Conv2d(inner, outputs, init, { kernel: 1 });
    this.bn3 = new BatchNorm2d(outputs, init);
    this.shortcut =
      stride === 1 && inputs === outputs ? undefined : ResidualBlock.projection(inputs, outputs, stride, init);
  }

  pass(mode: Mode): Pass {
    const [first, second] = [this.conv1.pass(mode, this.bn1), this.conv2.pass(mode, this.bn2)];
    const [third, residual] = [this.conv3.pass(mode, this.bn3), this.residual(mode)];
    return (x) => third(second(first(x, RELU), RELU), { ...RELU, residual: residual(x) });
  }
}

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
