// Initialisers by name, PyTorch's and timm's, drawn on the CPU from a seed: the same weights on every machine.

import { type Kinds, what } from "../base/index.ts";
import {
  ArgumentError,
  checkOneOf,
  type Device,
  numel,
  randomNormal,
  randomUniform,
  readOptions,
  requiresGrad,
  type Shape,
  type Tensor,
  tensor,
} from "../engine/functions.ts";

/**
 * Where values start. `torch`: PyTorch's layer defaults. `he`: those, but convolutions by He's normal over the fan out
 * (torchvision's ResNets). `vit`: those, but linear layers by timm's truncated normal of 0.02 and no bias (timm's
 * `init_weights_vit_timm`; the patch embedding, a convolution, stays as PyTorch has it). `mobilenet`, `efficientnet`
 * and `convnext`: as torchvision's networks of these names: He's normal for the convolutions of the first two, and a
 * truncated normal of 0.02 for all of the third; no bias; linear weights by a normal of 0.01 or uniform in 1/sqrt(out).
 */
export type InitScheme = "torch" | "he" | "vit" | "mobilenet" | "efficientnet" | "convnext";

const SCHEMES: readonly InitScheme[] = ["torch", "he", "vit", "mobilenet", "efficientnet", "convnext"];

/**
 * What a linear layer is a part of; attention's projections (packed queries, keys and values; output) start otherwise.
 */
export type LinearPart = "layer" | "attentionIn" | "attentionOut";

/** Options of `Init`. */
export interface InitOptions {
  readonly seed: number;
  /** Default torch. */
  readonly scheme?: InitScheme;
  readonly device?: Device | undefined;
}

const INIT: Kinds<InitOptions> = { seed: "number!", scheme: "string", device: "any" };

/**
 * Checks that `init` is an Init and all sizes are positive integers: what every layer is made of. @throws ArgumentError
 */
export function checkLayer(layer: string, init: Init, sizes: Readonly<Record<string, number>>): void {
  for (const [name, size] of Object.entries(sizes)) {
    if (!Number.isSafeInteger(size) || size < 1)
      throw new ArgumentError(`${layer}: ${name} must be a positive integer; got ${what(size)}.`);
  }
  if (!(init instanceof Init))
    throw new ArgumentError(`${layer}: init must be an Init; got ${what(init)}. Pass new Init({ seed: 1 }).`);
}

/** Draws parameters one after the other; each draw has a stream of its own, so the order of creation is what counts. */
export class Init {
  readonly seed: number;
  readonly scheme: InitScheme;
  readonly device: Device | undefined;
  #stream = 0;

  constructor(options: InitOptions) {
    const { seed, scheme = "torch", device } = readOptions("Init", options, INIT);
    if (!Number.isSafeInteger(seed) || seed < 0)
      throw new ArgumentError(`Init: seed must be a whole number in 0..2^53 - 1; got ${seed}.`);
    checkOneOf("Init", "scheme", scheme, SCHEMES);
    this.seed = seed;
    this.scheme = scheme;
    this.device = device;
  }

  #key() {
    return { seed: this.seed, stream: this.#stream++ };
  }

  #make(data: Float32Array, shape: Shape): Tensor {
    return tensor(data, { shape, ...(this.device && { device: this.device }) });
  }

  /** A trainable tensor. */
  parameter(data: Float32Array, shape: Shape): Tensor {
    return requiresGrad(this.#make(data, shape));
  }

  constant(shape: Shape, value: number): Tensor {
    return this.parameter(new Float32Array(numel(shape)).fill(value), shape);
  }

  /** A tensor that training updates without a gradient. */
  buffer(shape: Shape, value: number): Tensor {
    return this.#make(new Float32Array(numel(shape)).fill(value), shape);
  }

  /** Uniform in [-bound, bound). */
  uniform(shape: Shape, bound: number): Tensor {
    return this.parameter(
      randomUniform(numel(shape), this.#key()).map((u) => (2 * u - 1) * bound),
      shape,
    );
  }

  normal(shape: Shape, std: number): Tensor {
    return this.parameter(
      randomNormal(numel(shape), this.#key()).map((z) => z * std),
      shape,
    );
  }

  /**
   * Normal, redrawn outside [-bound, bound]: `trunc_normal_` of PyTorch and timm. The bound is a value, not a number of
   * deviations: at the default and a deviation of 0.02 nothing is ever cut.
   */
  truncatedNormal(shape: Shape, std: number, options: { readonly bound?: number } = {}): Tensor {
    const { bound = 2 } = readOptions("truncatedNormal", options, { bound: "number" });
    const n = numel(shape);
    const key = this.#key();
    const isOutside = (z: number) => Math.abs(z * std) > bound;
    const values = randomNormal(n, key);
    for (let call = 1; values.some(isOutside); call++) {
      const again = randomNormal(n, { ...key, call });
      values.forEach((z, i) => {
        if (isOutside(z)) values[i] = again[i]!;
      });
    }
    return this.parameter(
      values.map((z) => z * std),
      shape,
    );
  }

  /**
   * Weight of a linear layer, [in, out]: uniform in 1/sqrt(in) (PyTorch: kaiming with a = sqrt 5); `attentionIn` by
   * Xavier's uniform over the packed matrix (PyTorch's MultiheadAttention). timm: truncated normal of 0.02, whatever
   * the part.
   */
  linearWeight(shape: readonly [number, number], part: LinearPart = "layer"): Tensor {
    const [inputs, outputs] = shape;
    if (this.scheme === "vit" || this.scheme === "convnext") return this.truncatedNormal(shape, 0.02);
    if (this.scheme === "mobilenet") return this.normal(shape, 0.01);
    if (this.scheme === "efficientnet") return this.uniform(shape, 1 / Math.sqrt(outputs));
    return this.uniform(shape, part === "attentionIn" ? Math.sqrt(6 / (inputs + outputs)) : 1 / Math.sqrt(inputs));
  }

  /** Uniform in 1/sqrt(in); zeros in attention and for timm. */
  linearBias(inputs: number, outputs: number, part: LinearPart = "layer"): Tensor {
    const isZero = part !== "layer" || !["torch", "he"].includes(this.scheme);
    return isZero ? this.constant([outputs], 0) : this.uniform([outputs], 1 / Math.sqrt(inputs));
  }

  /**
   * Weight of a convolution, [kh, kw, in / groups, out]: PyTorch's default, uniform in 1/sqrt(fan in), or He's normal
   * of deviation sqrt(2 / fan out). As in PyTorch, the fan in is that of a group and the fan out that of all groups.
   */
  convWeight([kh, kw, inputs, outputs]: readonly [number, number, number, number]): Tensor {
    const shape = [kh, kw, inputs, outputs];
    if (this.scheme === "convnext") return this.truncatedNormal(shape, 0.02);
    if (["he", "mobilenet", "efficientnet"].includes(this.scheme))
      return this.normal(shape, Math.sqrt(2 / (kh * kw * outputs)));
    return this.uniform(shape, 1 / Math.sqrt(kh * kw * inputs));
  }

  convBias([kh, kw, inputs]: readonly [number, number, number, number], outputs: number): Tensor {
    if (["mobilenet", "efficientnet", "convnext"].includes(this.scheme)) return this.constant([outputs], 0);
    return this.uniform([outputs], 1 / Math.sqrt(kh * kw * inputs));
  }
}
