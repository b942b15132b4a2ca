// A multi-exit network as data, and which network was made of what. Whoever does not build networks by name brings
// neither backbones nor heads.

import type { Device } from "../../engine/functions.ts";
import type { HeadKind } from "./heads/index.ts";
import type { MultiExit } from "./multi-exit.ts";

/** A network as data; see `buildNetwork`. */
export interface Architecture {
  /** One of `BACKBONES`. */
  readonly backbone: string;
  /** Options of the backbone; what is left out is preset. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** Shape of an image, [H, W, C]. */
  readonly input: readonly [number, number, number];
  readonly classes: number;
  /** Stages that early exits follow, in order. */
  readonly exits: readonly string[];
  /** One of `HEADS` for all early exits, or one for each; default as in `multiExit`. */
  readonly head?: HeadKind | readonly HeadKind[];
  /** Of the last exit; default `own`, the backbone's classifier. */
  readonly last?: HeadKind | "own";
  /** What a method puts around the heads, by name, innermost first: `cascaded`, `additive(0.5)`. */
  readonly wraps?: readonly string[];
}

/** Options of `buildNetwork`. */
export interface BuildOptions {
  /** Of the weights; default 0. */
  readonly seed?: number;
  /** Default: the default device. */
  readonly device?: Device;
}

/** Makes a network with other weights. */
type Maker = (options: BuildOptions) => MultiExit;

/** What a network was made of, no option left to be preset, and what makes it again. */
interface Origin {
  readonly architecture: Architecture;
  readonly again: Maker;
}

const origins = new WeakMap<MultiExit, Origin>();

/** Notes what a network was made of. @internal */
export const setOrigin = (net: MultiExit, origin: Origin): void => void origins.set(net, origin);

/** What a network was made of, no option left to be preset; undefined for one that `buildNetwork` did not make. */
export const architectureOf = (net: MultiExit): Architecture | undefined => origins.get(net)?.architecture;

/** What makes the same network again: so, whoever does not build networks brings no backbones. */
export const makerOf = (net: MultiExit): Maker | undefined => origins.get(net)?.again;
