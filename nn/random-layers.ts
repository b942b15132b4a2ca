// Layers that draw in training. Dropout leaves out single values; stochastic depth (Huang et al., ECCV 2016) the branch
// of a block, for whole samples: deeper ones more often, by a rule of each family.

import { what } from "../base/index.ts";
import { ArgumentError, add, bernoulli, cast, dropout, Generator, mul, type Tensor } from "../engine/functions.ts";
import type { Init } from "./init.ts";
import { checkMode, type Mode, Module, ownGenerators } from "./module.ts";
import type { Pass } from "./pass.ts";

/** Random streams of weights count from 0; that of random layers is far from them. */
const LAYER_STREAM = 0xd209;
const generators = new WeakMap<Init, Generator>();

/** What the random layers of a network draw from: one for all that an `Init` makes, which goes with the network. */
export function generatorOf(init: Init): Generator {
  const { seed, device } = init;
  const known = generators.get(init) ?? new Generator({ seed, stream: LAYER_STREAM, ...(device && { device }) });
  generators.set(init, known);
  ownGenerators.add(known);
  return known;
}

/** Zeroes elements with probability p in training, and scales the others by 1 / (1 - p). */
export class Dropout extends Module {
  readonly #p: number;
  readonly #generator: Generator;

  constructor(p: number, generator: Generator) {
    super();
    if (!(p >= 0 && p <= 1)) throw new ArgumentError(`Dropout: p must be in 0..1; got ${what(p)}.`);
    if (!(generator instanceof Generator))
      throw new ArgumentError(`Dropout: generator must be a Generator; got ${what(generator)}.`);
    this.#p = p;
    this.#generator = generator;
  }

  override generators(): Generator[] {
    return [this.#generator];
  }

  override chances(): number[] {
    return [this.#p];
  }

  pass(mode: Mode): (x: Tensor) => Tensor {
    return (x) => this.forward(x, mode);
  }

  forward(x: Tensor, mode: Mode): Tensor {
    checkMode("Dropout", mode);
    return mode.training && this.#p > 0 ? dropout(x, { p: this.#p, generator: this.#generator }) : x;
  }
}

/** Zeroes samples of a batch with probability p in training, and scales the others by 1 / (1 - p). */
export class StochasticDepth extends Module {
  readonly #p: number;
  readonly #generator: Generator;

  constructor(p: number, generator: Generator) {
    super();
    if (!(p >= 0 && p < 1))
      throw new ArgumentError(`StochasticDepth: p must be at least 0 and below 1; got ${what(p)}.`);
    if (!(generator instanceof Generator))
      throw new ArgumentError(`StochasticDepth: generator must be a Generator; got ${what(generator)}.`);
    this.#p = p;
    this.#generator = generator;
  }

  override generators(): Generator[] {
    return [this.#generator];
  }

  override chances(): number[] {
    return [this.#p];
  }

  /** Whether it does anything in a mode. */
  acts(mode: Mode): boolean {
    return mode.training && this.#p > 0;
  }

  pass(mode: Mode): (x: Tensor) => Tensor {
    return (x) => this.forward(x, mode);
  }

  /** [B, ...] to the same. */
  forward(x: Tensor, mode: Mode): Tensor {
    checkMode("StochasticDepth", mode);
    if (!this.acts(mode)) return x;
    const shape = x.shape.map((extent, i) => (i === 0 ? extent : 1));
    const stays = bernoulli(shape, { p: 1 - this.#p, generator: this.#generator });
    return mul(x, mul(cast(stays, x.dtype), 1 / (1 - this.#p)));
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
