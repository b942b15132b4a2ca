// Layers that draw in training. Dropout leaves out single values; stochastic depth (Huang et al., ECCV 2016) the branch
// of a block, for whole samples: deeper ones more often, by a rule of each family.

import { what } from "../base/index.ts";
import { ArgumentError, add, dropout, Generator, mul, ones, type Tensor } from "../engine/functions.ts";
import type { Init } from "./init.ts";
import { checkMode, type Mode, Module, ownGenerators } from "./module.ts";
import type { Pass } from "./pass.ts";

/** Random streams of weights count from 0; that of random layers is far from them. */
const LAYER_STREAM = 0xd209;
const generators = new WeakMap<Init, Generator>();

/** What the random layers of a network draw from: one for all that an `Init` makes, which goes with the network. */
export function generatorOf(init: Init): Generator {
  const known = generators.get(init);
  if (known) return known;
  const { seed, device } = init;
  const made = new Generator({ seed, stream: LAYER_STREAM, ...(device && { device }) });
  generators.set(init, made);
  ownGenerators.add(made);
  return made;
}

/** What a layer draws by. */
interface Coin {
  readonly p: number;
  readonly generator: Generator;
}

/** A layer that acts in training alone, with a chance above 0. */
abstract class RandomLayer extends Module {
  readonly #name: string;
  readonly #coin: Coin;

  /** @param name For messages. */
  constructor(name: string, coin: Coin) {
    super();
    if (!(coin.generator instanceof Generator))
      throw new ArgumentError(`${name}: generator must be a Generator; got ${what(coin.generator)}.`);
    this.#name = name;
    this.#coin = coin;
  }

  override generators(): Generator[] {
    return [this.#coin.generator];
  }

  override chances(): number[] {
    return [this.#coin.p];
  }

  /** Whether it does anything in a mode. */
  acts(mode: Mode): boolean {
    return mode.training && this.#coin.p > 0;
  }

  pass(mode: Mode): (x: Tensor) => Tensor {
    return (x) => this.forward(x, mode);
  }

  /** [B, ...] to the same. */
  forward(x: Tensor, mode: Mode): Tensor {
    checkMode(this.#name, mode);
    return this.acts(mode) ? this.drawn(x, this.#coin) : x;
  }

  /** @internal */
  protected abstract drawn(x: Tensor, coin: Coin): Tensor;
}

/** Zeroes elements with probability p in training, and scales the others by 1 / (1 - p). */
export class Dropout extends RandomLayer {
  constructor(p: number, generator: Generator) {
    if (!(p >= 0 && p <= 1)) throw new ArgumentError(`Dropout: p must be in 0..1; got ${what(p)}.`);
    super("Dropout", { p, generator });
  }

  /** @internal */
  protected override drawn(x: Tensor, coin: Coin): Tensor {
    return dropout(x, coin);
  }
}

/** Zeroes samples of a batch with probability p in training, and scales the others by 1 / (1 - p). */
export class StochasticDepth extends RandomLayer {
  constructor(p: number, generator: Generator) {
    checkChances("StochasticDepth", { p });
    super("StochasticDepth", { p, generator });
  }

  /** @internal */
  protected override drawn(x: Tensor, coin: Coin): Tensor {
    const { dtype, device } = x;
    const perSample = x.shape.map((extent, i) => (i === 0 ? extent : 1));
    return mul(x, dropout(ones(perSample, { dtype, device }), coin));
  }
}

/** The end of a branch, behind which `depth` may leave a sample's residual alone. */
export function branchEnd(end: Pass, depth: StochasticDepth | undefined, mode: Mode): Pass {
  if (!depth?.acts(mode)) return end;
  return (x, { residual, ...fused } = {}) => {
    const y = depth.forward(end(x, fused), mode);
    return residual ? add(residual, y) : y;
  };
}

/** Chances of blocks in a row, from 0 for the first to `last`, as torchvision's ConvNeXt and timm's transformers. */
export const depthChances = (last: number, blocks: number): readonly number[] =>
  Array.from({ length: blocks }, (_, i) => (blocks === 1 ? last : (last * i) / (blocks - 1)));

/** Checks that chances are at least 0 and below 1. @throws ArgumentError */
export function checkChances(op: string, chances: Readonly<Record<string, number>>): void {
  for (const [name, p] of Object.entries(chances)) {
    if (!(p >= 0 && p < 1)) throw new ArgumentError(`${op}: ${name} must be at least 0 and below 1; got ${what(p)}.`);
  }
}
