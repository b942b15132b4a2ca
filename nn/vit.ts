// Vision transformers (Dosovitskiy et al. 2021) in timm's form and names: class token, learned positions, pre-norm
// blocks.

import { exactly, firstOf, type Kinds } from "../base/index.ts";
import { ArgumentError, add, concat, type Device, expand, readOptions, type Tensor } from "../engine/functions.ts";
import { Backbone, type Stage } from "./backbone.ts";
import { checkLayer, Init } from "./init.ts";
import { LayerNorm, Linear, MultiHeadAttention, PatchEmbed } from "./layers.ts";
import { EVAL, type Mode, Module } from "./module.ts";
import type { Pass } from "./pass.ts";
import { branchEnd, checkChances, depthChances, generatorOf, StochasticDepth } from "./random-layers.ts";
import { type Tail, throughTail } from "./tail.ts";

/** The two-layer perceptron of a transformer block, [..., D] to [..., D], exact GELU between; timm's `fc1`, `fc2`. */
export class Mlp extends Module {
  readonly fc1: Linear;
  readonly fc2: Linear;

  constructor(dim: number, hidden: number, init: Init) {
    super();
    checkLayer("Mlp", init, { dim, hidden });
    this.fc1 = new Linear(dim, hidden, init);
    this.fc2 = new Linear(hidden, dim, init);
  }

  pass(mode: Mode): Pass {
    const [wide, narrow] = [this.fc1.pass(mode), this.fc2.pass(mode)];
    return (x, fused) => narrow(wide(x, { activation: "gelu" }), fused);
  }

  /** The perceptron's output plus `residual`. */
  forward(x: Tensor, residual?: Tensor): Tensor {
    return this.pass(EVAL)(x, { residual });
  }
}

/** Options of TransformerBlock. */
export interface TransformerBlockOptions {
  /** Width of the perceptron; default 4 D. */
  readonly hidden?: number;
  /** Of both layer norms; default 1e-6, as timm's. */
  readonly eps?: number;
  /** Behind both branches, in training; default none. */
  readonly depth?: StochasticDepth | undefined;
}

const BLOCK: Kinds<TransformerBlockOptions> = { hidden: "number", eps: "number", depth: "any" };

/** Pre-norm block on tokens [B, T, D]: x + attention(norm x), then x + mlp(norm x). timm's names. */
export class TransformerBlock extends Module {
  readonly norm1: LayerNorm;
  readonly attn: MultiHeadAttention;
  readonly norm2: LayerNorm;
  readonly mlp: Mlp;
  readonly depth: StochasticDepth | undefined;

  constructor(dim: number, heads: number, init: Init, options: TransformerBlockOptions = {}) {
    super();
    const { hidden = 4 * dim, eps = 1e-6, depth } = readOptions("TransformerBlock", options, BLOCK);
    checkLayer("TransformerBlock", init, { dim, heads, hidden });
    this.norm1 = new LayerNorm(dim, init, { eps });
    this.attn = new MultiHeadAttention(dim, heads, init);
    this.norm2 = new LayerNorm(dim, init, { eps });
    this.mlp = new Mlp(dim, hidden, init);
    this.depth = depth;
  }

  pass(mode: Mode): Pass {
    const attention = branchEnd(this.attn.pass(mode), this.depth, mode);
    const mlp = branchEnd(this.mlp.pass(mode), this.depth, mode);
    return (x) => {
      const mixed = attention(this.norm1.forward(x), { residual: x });
      return mlp(this.norm2.forward(mixed), { residual: mixed });
    };
  }

  forward(x: Tensor, mode: Mode = EVAL): Tensor {
    return this.pass(mode)(x);
  }
}

/** Options of a vision transformer. */
export interface VitOptions {
  readonly imgSize: number;
  readonly patchSize: number;
  readonly embedDim: number;
  readonly depth: number;
  readonly numHeads: number;
  readonly classes: number;
  /** Default 3. */
  readonly channels?: number;
  /** Hidden width of the perceptron over `embedDim`; default 4. */
  readonly mlpRatio?: number;
  /** Default 1e-6. */
  readonly layerNormEps?: number;
  /** Blocks after which a stage ends, counted from 1; the last one must be `depth`. Default: thirds. */
  readonly stageEnds?: readonly number[];
  /**
   * Chance that a sample passes over a branch of the last block in training, evenly fewer over those before; default 0.
   */
  readonly stochasticDepth?: number;
  readonly seed: number;
  readonly device?: Device;
}

const VIT: Kinds<VitOptions> = {
  imgSize: "number!",
  patchSize: "number!",
  embedDim: "number!",
  depth: "number!",
  numHeads: "number!",
  classes: "number!",
  channels: "number",
  mlpRatio: "number",
  layerNormEps: "number",
  stageEnds: "any",
  stochasticDepth: "number",
  seed: "number!",
  device: "any",
};

/** A vision transformer whose blocks are grouped into stages. */
export class VisionTransformer extends Backbone {
  readonly clsToken: Tensor;
  readonly posEmbed: Tensor;
  readonly patchEmbed: PatchEmbed;
  readonly blocks: readonly TransformerBlock[];
  readonly norm: LayerNorm;
  readonly head: Linear;
  readonly stages: readonly Stage[];
  readonly input: readonly [number, number, number];
  readonly classes: number;
  readonly #ends: readonly number[];

  constructor(options: VitOptions) {
    super();
    const {
      imgSize,
      patchSize,
      embedDim,
      depth,
      numHeads,
      classes,
      channels = 3,
      mlpRatio = 4,
      layerNormEps: eps = 1e-6,
      stochasticDepth = 0,
      seed,
      device,
    } = readOptions("vit", options, VIT);
    const thirds = [...new Set([Math.ceil(depth / 3), Math.ceil((2 * depth) / 3), depth])];
    const { stageEnds = thirds } = options;
    checkVit(options, stageEnds);
    checkChances("vit", { stochasticDepth });
    const init = new Init({ seed, scheme: "vit", device });
    const tokens = (imgSize / patchSize) ** 2 + 1;
    this.clsToken = init.normal([1, 1, embedDim], 1e-6);
    this.posEmbed = init.truncatedNormal([1, tokens, embedDim], 0.02);
    this.patchEmbed = new PatchEmbed(patchSize, channels, embedDim, init);
    this.blocks = depthChances(stochasticDepth, depth).map((chance) => {
      const skips = chance > 0 ? new StochasticDepth(chance, generatorOf(init)) : undefined;
      return new TransformerBlock(embedDim, numHeads, init, { hidden: mlpRatio * embedDim, eps, depth: skips });
    });
    this.norm = new LayerNorm(embedDim, init, { eps });
    this.head = new Linear(embedDim, classes, init);
    this.stages = stageEnds.map((_, i) => ({
      name: `stage${i + 1}`,
      channels: embedDim,
      reduction: patchSize,
      kind: "tokens",
    }));
    this.input = [imgSize, imgSize, channels];
    this.classes = classes;
    this.#ends = stageEnds;
  }

  /** Tokens [B, 1 + patches, D] of images: class token, patches, positions. */
  embed(x: Tensor): Tensor {
    return this.#embedding(EVAL)(x);
  }

  override pass(i: number, mode: Mode): Pass {
    const from = i === 0 ? 0 : this.#ends[i - 1]!;
    const embed = i === 0 ? this.#embedding(mode) : undefined;
    const passes = this.blocks.slice(from, this.#ends[i]).map((block) => block.pass(mode));
    return (x) => passes.reduce((features, pass) => pass(features), embed ? embed(x) : x);
  }

  /** The normalised class token. */
  override get tail(): Tail {
    return { vector: "first", norm: this.norm, linear: this.head };
  }

  stage(i: number, x: Tensor, mode: Mode): Tensor {
    return this.pass(i, mode)(x);
  }

  /** Logits from the normalised class token. */
  classify(features: Tensor): Tensor {
    return throughTail(this.tail, features);
  }

  #embedding(mode: Mode): Pass {
    const [, , dim] = exactly(this.clsToken.shape, 3);
    const { prepare = (weight) => weight } = mode;
    const [token, positions, patches] = [prepare(this.clsToken), prepare(this.posEmbed), this.patchEmbed.pass(mode)];
    return (x) => add(concat([expand(token, [firstOf(x.shape), 1, dim]), patches(x)], { dim: 1 }), positions);
  }
}

function checkVit({ imgSize, patchSize, embedDim, depth, numHeads }: VitOptions, ends: readonly number[]): void {
  if (imgSize % patchSize !== 0)
    throw new ArgumentError(`vit: patchSize must divide imgSize; got ${patchSize} and ${imgSize}.`);
  if (embedDim % numHeads !== 0)
    throw new ArgumentError(`vit: numHeads must divide embedDim; got ${numHeads} and ${embedDim}.`);
  const rising = ends.every((end, i) => Number.isInteger(end) && end > (ends[i - 1] ?? 0));
  if (!rising || ends.at(-1) !== depth) {
    throw new ArgumentError(`vit: stageEnds must rise to the depth, ${depth}; got [${ends.join(", ")}].`);
  }
}

/** Options of a preset of known sizes: classes and seed at least. */
export type VitPresetOptions = Pick<VitOptions, "classes" | "seed"> & Partial<VitOptions>;

/** A vision transformer; see `VitOptions`. */
export const vit = (options: VitOptions): VisionTransformer => new VisionTransformer(options);
const SIZED: Kinds<VitPresetOptions> = {
  ...VIT,
  imgSize: "number",
  patchSize: "number",
  embedDim: "number",
  depth: "number",
  numHeads: "number",
};

/** ViT-Tiny: patch 16, width 192, 12 blocks, 3 heads, 224x224. */
export const vitTiny = (options: VitPresetOptions): VisionTransformer =>
  vit({
    imgSize: 224,
    patchSize: 16,
    embedDim: 192,
    depth: 12,
    numHeads: 3,
    ...readOptions("vitTiny", options, SIZED),
  });
/** ViT-Small: patch 16, width 384, 12 blocks, 6 heads, 224x224. */
export const vitSmall = (options: VitPresetOptions): VisionTransformer =>
  vit({
    imgSize: 224,
    patchSize: 16,
    embedDim: 384,
    depth: 12,
    numHeads: 6,
    ...readOptions("vitSmall", options, SIZED),
  });
/** A small one for 32x32 images: patch 4, width 64, 4 blocks, 4 heads. */
export const vitSmallImage = (options: VitPresetOptions): VisionTransformer =>
  vit({
    imgSize: 32,
    patchSize: 4,
    embedDim: 64,
    depth: 4,
    numHeads: 4,
    ...readOptions("vitSmallImage", options, SIZED),
  });
