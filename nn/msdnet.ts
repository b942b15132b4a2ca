// Multi-scale dense networks (Huang et al., ICLR 2018), the CIFAR family: every layer works on several scales at once
// and is connected to all layers before it, so that the coarsest scale is fit for classes from the first block on.
// Layout and names as in the authors' public code (kalviny/MSDNet-PyTorch); lists have holes where it counts layers
// without parameters.

import { firstOf, type Kinds, lastOf } from "../base/index.ts";
import {
  ArgumentError,
  concat,
  type Device,
  readOptions,
  reshape,
  ShapeError,
  slice,
  type Tensor,
} from "../engine/functions.ts";
import { Backbone, checkClasses, type Stage } from "./backbone.ts";
import { Init } from "./init.ts";
import { BatchNorm2d, Conv2d, globalAveragePool, Linear } from "./layers.ts";
import { ConvNorm } from "./mobile-blocks.ts";
import { type Mode, Module } from "./module.ts";
import type { Pass } from "./pass.ts";

const RELU = { activation: "relu" } as const;

/** From the maps of all scales, finest first, to those of all that are left. */
type MapsPass = (maps: readonly Tensor[]) => Tensor[];

/** A part of a block. */
abstract class Layer extends Module {
  abstract pass(mode: Mode): MapsPass;
}

/** A convolution, its norm and relu, as `net`. */
class ConvBasic extends Module {
  readonly net: ConvNorm;

  constructor(
    inputs: number,
    outputs: number,
    init: Init,
    shape: { readonly kernel: number; readonly stride?: number },
  ) {
    super();
    this.net = new ConvNorm(inputs, outputs, init, { ...shape, ...RELU });
  }

  pass(mode: Mode): Pass {
    return this.net.pass(mode);
  }
}

/** A 1x1 convolution to at most `inner` channels, then a 3x3, each with norm and relu. */
class Bottleneck extends Module {
  readonly net: readonly [Conv2d, BatchNorm2d, undefined, Conv2d, BatchNorm2d];

  constructor(inputs: number, outputs: number, init: Init, { inner, stride }: { inner: number; stride: number }) {
    super();
    const between = Math.min(inputs, inner);
    const narrow = new Conv2d(inputs, between, init, { kernel: 1 });
    const norm = new BatchNorm2d(between, init);
    const conv = new Conv2d(between, outputs, init, { kernel: 3, stride });
    this.net = [narrow, norm, undefined, conv, new BatchNorm2d(outputs, init)];
  }

  pass(mode: Mode): Pass {
    const [first, between, , second, after] = this.net;
    const [narrow, conv] = [first.pass(mode, between), second.pass(mode, after)];
    return (x) => conv(narrow(x, RELU), RELU);
  }
}

/** What all layers share: how widths and inner widths grow from scale to scale. */
interface Scales {
  readonly growth: number;
  readonly factors: readonly number[];
  readonly bottlenecks: readonly number[];
}

/** New channels of one scale, from that scale and, unless it is the finest of all, from the next finer one. */
class ScaleGrowth extends Module {
  readonly convDown: Bottleneck | undefined;
  readonly convNormal: Bottleneck;

  constructor(scale: number, width: number, init: Init, { scales, isFinest }: { scales: Scales; isFinest: boolean }) {
    super();
    const { growth, factors, bottlenecks } = scales;
    const grown = growth * factors[scale]!;
    const outputs = isFinest ? grown : grown / 2;
    const part = (from: number, stride: number) =>
      new Bottleneck(width * factors[from]!, outputs, init, { inner: bottlenecks[from]! * outputs, stride });
    this.convDown = isFinest ? undefined : part(scale - 1, 2);
    this.convNormal = part(scale, 1);
  }

  pass(mode: Mode): (x: Tensor, finer: Tensor | undefined) => Tensor {
    const [down, normal] = [this.convDown?.pass(mode), this.convNormal.pass(mode)];
    return (x, finer) => concat([x, ...(down && finer ? [down(finer)] : []), normal(x)], { dim: 3 });
  }
}

/** One layer over all scales that it keeps; the finest one that comes in may end here. */
class DenseLayer extends Layer {
  readonly layers: readonly ScaleGrowth[];
  readonly #dropped: number;

  constructor({ kept, coming, width }: LayerPlan, init: Init, scales: Scales) {
    super();
    const first = scales.factors.length - kept;
    this.#dropped = coming - kept;
    this.layers = Array.from({ length: kept }, (_, i) => {
      const isFinest = i === 0 && this.#dropped === 0;
      return new ScaleGrowth(first + i, width, init, { scales, isFinest });
    });
  }

  pass(mode: Mode): MapsPass {
    const passes = this.layers.map((layer) => layer.pass(mode));
    return (maps) => passes.map((pass, i) => pass(maps[i + this.#dropped]!, maps[i + this.#dropped - 1]));
  }
}

/** 1x1 convolutions, one a scale, that narrow all of them. */
class Transition extends Layer {
  readonly m: readonly ConvBasic[];

  constructor({ kept, grown, left }: LayerPlan, init: Init, { factors }: Scales) {
    super();
    this.m = factors
      .slice(factors.length - kept)
      .map((factor) => new ConvBasic(grown * factor, left * factor, init, { kernel: 1 }));
  }

  pass(mode: Mode): MapsPass {
    const passes = this.m.map((conv) => conv.pass(mode));
    return (maps) => passes.map((pass, i) => pass(maps[i]!));
  }
}

/** The first maps: a 3x3 convolution of the images, and one of stride 2 for each coarser scale. */
class FirstLayer extends Layer {
  readonly layers: readonly ConvBasic[];

  constructor(inputs: number, channels: number, init: Init, { factors }: Scales) {
    super();
    const widths = factors.map((factor) => channels * factor);
    this.layers = widths.map((width, i) => {
      return new ConvBasic(widths[i - 1] ?? inputs, width, init, { kernel: 3, stride: i === 0 ? 1 : 2 });
    });
  }

  pass(mode: Mode): MapsPass {
    const passes = this.layers.map((conv) => conv.pass(mode));
    return ([images]) => {
      const maps: Tensor[] = [];
      for (const pass of passes) maps.push(pass(maps.at(-1) ?? (images as Tensor)));
      return maps;
    };
  }
}

/** Channels inside a classifier. */
const CLASSIFIER = 128;

/**
 * Two 3x3 convolutions of stride 2, global average pool, linear: the classifier of every exit, which looks at the
 * coarsest scale.
 */
export class MultiScaleClassifier extends Module {
  readonly m: readonly [ConvBasic, ConvBasic];
  readonly linear: Linear;

  constructor(channels: number, classes: number, init: Init) {
    super();
    const conv = (inputs: number) => new ConvBasic(inputs, CLASSIFIER, init, { kernel: 3, stride: 2 });
    this.m = [conv(channels), conv(CLASSIFIER)];
    this.linear = new Linear(CLASSIFIER, classes, init);
  }

  /** [B, H, W, C] to what the logits are linear in, [B, 128]. */
  embedPass(mode: Mode): Pass {
    const [first, second] = this.m.map((conv) => conv.pass(mode)) as [Pass, Pass];
    return (x) => globalAveragePool(second(first(x)));
  }

  /** [B, H, W, C] to [B, classes]. */
  pass(mode: Mode): Pass {
    const [embed, linear] = [this.embedPass(mode), this.linear.pass(mode)];
    return (x, fused) => linear(embed(x), fused);
  }

  forward(x: Tensor, mode: Mode): Tensor {
    return this.pass(mode)(x);
  }
}

/** Options of MSDNet. */
export interface MSDNetOptions {
  readonly classes: number;
  /** Shape of an image, [H, W, C]; default [32, 32, 3]. */
  readonly input?: readonly [number, number, number];
  /** Blocks, an exit behind each; default 7. */
  readonly blocks?: number;
  /** Layers of the first block; default 4. */
  readonly base?: number;
  /**
   * Layers of every other block, or by how many each has more than the one before (`stepMode: "linear"`); default 2.
   */
  readonly step?: number;
  /** Default even: published for anytime prediction; linear (5 blocks, base 1, step 1) for budgeted batches. */
  readonly stepMode?: "even" | "linear";
  /** Channels of the first map of the finest scale; default 16. */
  readonly channels?: number;
  /** By how many a layer adds to the finest scale; default 6. */
  readonly growth?: number;
  /** Widths of the scales, in those of the finest; their number is that of the scales. Default [1, 2, 4]. */
  readonly factors?: readonly number[];
  /** Width of the 1x1 convolutions of each scale, in that of what follows; default [1, 2, 4]. */
  readonly bottlenecks?: readonly number[];
  /** What part of its channels a scale keeps where a finer one ends; default 0.5. */
  readonly reduction?: number;
  readonly seed: number;
  readonly device?: Device;
}

const MSDNET: Kinds<MSDNetOptions> = {
  classes: "number!",
  input: "any",
  blocks: "number",
  base: "number",
  step: "number",
  stepMode: "string",
  channels: "number",
  growth: "number",
  factors: "any",
  bottlenecks: "any",
  reduction: "number",
  seed: "number!",
  device: "any",
};

/**
 * One layer: scales that come in and that are kept, the finest scale's width in front of it, behind it, and behind its
 * transition.
 */
interface LayerPlan {
  readonly coming: number;
  readonly kept: number;
  readonly width: number;
  readonly grown: number;
  /** That behind it where nothing ends. */
  readonly left: number;
}

/** All layers in order. The scales end one after the other, the finest first, at equal distances. */
function planLayers(count: number, channels: number, reduction: number, { growth, factors }: Scales): LayerPlan[] {
  const interval = Math.ceil(count / factors.length);
  const keptBy = (layer: number) => factors.length - Math.floor(layer / interval);
  const plans: LayerPlan[] = [];
  for (let layer = 0; layer < count; layer++) {
    const [coming, kept] = [keptBy(Math.max(0, layer - 1)), keptBy(layer)];
    const width = plans.at(-1)?.left ?? channels;
    const grown = width + growth;
    plans.push({ coming, kept, width, grown, left: coming > kept ? Math.floor(reduction * grown) : grown });
  }
  return plans;
}

function checkLayout(counts: Readonly<Record<string, number>>, scales: Scales, reduction: number): void {
  for (const [name, count] of Object.entries(counts)) {
    if (!Number.isSafeInteger(count) || count < 1)
      throw new ArgumentError(`msdnet: ${name} must be a positive whole number; got ${count}.`);
  }
  const { growth, factors, bottlenecks } = scales;
  const isList = (list: unknown) => Array.isArray(list) && list.every((x) => Number.isSafeInteger(x) && x > 0);
  if (!isList(factors) || !isList(bottlenecks) || factors.length !== bottlenecks.length || factors.length === 0)
    throw new ArgumentError(
      `msdnet: factors and bottlenecks must have a positive whole number for each scale; got [${[factors].flat().join(", ")}] and [${[bottlenecks].flat().join(", ")}].`,
    );
  if (factors.some((factor, i) => i > 0 && (growth * factor) % 2 !== 0))
    throw new ArgumentError(`msdnet: growth times a coarser scale's factor must be even; got ${growth}.`);
  if (!(reduction > 0 && reduction <= 1))
    throw new ArgumentError(`msdnet: reduction must be above 0 and at most 1; got ${reduction}.`);
}

/** Layers of each block. */
function countLayers(blocks: number, base: number, step: number, mode: string): number[] {
  if (mode !== "even" && mode !== "linear")
    throw new ArgumentError(`msdnet: stepMode must be even or linear; got ${JSON.stringify(mode)}.`);
  return Array.from({ length: blocks }, (_, i) => (i === 0 ? base : mode === "even" ? step : step * i + 1));
}

/** Shape of a map, [H, W, C]. */
type MapShape = readonly [number, number, number];

/**
 * MSDNet for small images. Stages `block1`, `block2`, ...; the features of a stage are all its scales, packed as [B, H
 * W C + ...], and an exit sees the coarsest of them (`view`). @throws ArgumentError for a layout that cannot be.
 */
export class MSDNet extends Backbone {
  readonly blocks: readonly (readonly Layer[])[];
  readonly classifier: MultiScaleClassifier;
  readonly stages: readonly Stage[];
  readonly input: readonly [number, number, number];
  readonly classes: number;
  /** Of the maps behind each block, finest first. */
  readonly #maps: readonly (readonly MapShape[])[];

  constructor(options: MSDNetOptions) {
    super();
    const {
      classes,
      input = [32, 32, 3],
      blocks = 7,
      base = 4,
      step = 2,
      stepMode = "even",
      channels = 16,
      growth = 6,
      factors = [1, 2, 4],
      bottlenecks = [1, 2, 4],
      reduction = 0.5,
      seed,
      device,
    } = readOptions("msdnet", options, MSDNET);
    const scales = { growth, factors, bottlenecks };
    checkClasses("msdnet", classes);
    checkLayout({ blocks, base, step, channels, growth }, scales, reduction);
    const counts = countLayers(blocks, base, step, stepMode);
    const ends = counts.map((_, i) => counts.slice(0, i + 1).reduce((sum, count) => sum + count, 0));
    const plans = planLayers(lastOf(ends), channels, reduction, scales);
    const init = new Init({ seed, scheme: "he", device });
    this.blocks = ends.map((end, i) => {
      const first = i === 0 ? [new FirstLayer(input[2], channels, init, scales)] : [];
      const layers = plans.slice(ends[i - 1] ?? 0, end).flatMap((plan): Layer[] => {
        const layer = new DenseLayer(plan, init, scales);
        return plan.coming > plan.kept ? [layer, new Transition(plan, init, scales)] : [layer];
      });
      return [...first, ...layers];
    });
    const side = (pixels: number, scale: number) => Math.ceil(pixels / 2 ** scale);
    this.#maps = ends.map((end) => {
      const { kept, left } = plans[end - 1]!;
      return factors
        .map((factor, s): MapShape => [side(input[0], s), side(input[1], s), left * factor])
        .slice(factors.length - kept);
    });
    this.stages = this.#maps.map((maps, i) => ({
      name: `block${i + 1}`,
      channels: lastOf(maps)[2],
      reduction: 2 ** (factors.length - 1),
      kind: "map",
    }));
    this.classifier = new MultiScaleClassifier(lastOf(this.stages).channels, classes, init);
    this.input = input;
    this.classes = classes;
  }

  override pass(i: number, mode: Mode): Pass {
    const passes = this.blocks[i]!.map((layer) => layer.pass(mode));
    return (x) => {
      const maps = i === 0 ? [x] : this.#unpack(i - 1, x);
      return pack(passes.reduce((all, pass) => pass(all), maps));
    };
  }

  stage(i: number, x: Tensor, mode: Mode): Tensor {
    return this.pass(i, mode)(x);
  }

  override view(i: number, features: Tensor): Tensor {
    const { length } = this.#maps[i]!;
    return firstOf(this.#unpack(i, features, length - 1));
  }

  override get lastLayer(): Linear {
    return this.classifier.linear;
  }

  override classifyPass(mode: Mode): Pass {
    return this.classifier.pass(mode);
  }

  classify(features: Tensor, mode: Mode): Tensor {
    return this.classifier.forward(features, mode);
  }

  /** The maps behind block i, from a scale on. */
  #unpack(i: number, packed: Tensor, from = 0): Tensor[] {
    const rows = firstOf(packed.shape);
    const maps = this.#maps[i]!;
    const sizes = maps.map(([height, width, channels]) => height * width * channels);
    const [wanted, given] = [sizes.reduce((sum, size) => sum + size, 0), lastOf(packed.shape)];
    if (given !== wanted)
      throw new ShapeError(
        `msdnet: images must be of ${this.input.join(" x ")}; behind block ${i + 1} there are ${given} values an image, not ${wanted}.`,
      );
    if (maps.length === 1) return [reshape(packed, [rows, ...firstOf(maps)])];
    return maps.slice(from).map((shape, at) => {
      const start = sizes.slice(0, from + at).reduce((sum, size) => sum + size, 0);
      const part = slice(packed, { starts: [0, start], ends: [rows, start + sizes[from + at]!] });
      return reshape(part, [rows, ...shape]);
    });
  }
}

/** Maps as one row a sample. */
function pack(maps: readonly Tensor[]): Tensor {
  const flat = maps.map((map) => reshape(map, [firstOf(map.shape), -1]));
  return flat.length === 1 ? firstOf(flat) : concat(flat, { dim: 1 });
}

/** MSDNet for small images; see `MSDNetOptions`. */
export const msdnet = (options: MSDNetOptions): MSDNet => new MSDNet(options);
