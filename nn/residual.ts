// The blocks of residual networks (He et al. 2016).

import type { Kinds } from "../base/index.ts";
import { ArgumentError, pad, readOptions, slice, type Tensor } from "../engine/functions.ts";
import { checkLayer, type Init } from "./init.ts";
import { BatchNorm2d, Conv2d } from "./layers.ts";
import { type Mode, Module } from "./module.ts";
import type { Pass } from "./pass.ts";

/** What fuses a relu. */
export const RELU = { activation: "relu" } as const;

/** The blocks of a stage, one after the other, behind a stem if it is the first. */
export function chain(blocks: readonly ResidualBlock[], mode: Mode, stem?: Pass): Pass {
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

export function checkShortcut(op: string, shortcut: Shortcut): void {
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
