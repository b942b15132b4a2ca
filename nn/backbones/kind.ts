// A backbone as data: what commands and configuration files call it, its options, and how it is made for images of some
// size.

import { type Given, type Option, type OptionSet, option } from "../../base/index.ts";
import type { Device } from "../../engine/functions.ts";
import type { Backbone } from "../backbone.ts";

/** What a backbone is made for. */
export interface BackboneSite {
  /** Shape of an image, [H, W, C]. */
  readonly input: readonly [number, number, number];
  readonly classes: number;
  readonly seed: number;
  readonly device?: Device;
}

/** By what factors a network grows. */
export interface Enlargement {
  readonly wider: number;
  readonly deeper: number;
}

/** A kind of backbone; see `BACKBONES`. */
export interface BackboneKind<S extends OptionSet = OptionSet> {
  readonly name: string;
  /** One line. */
  readonly about: string;
  readonly options: S;
  /** The stages that early exits usually follow. */
  exits(options: Given<S>): readonly string[];
  /** The kind of head that its features usually get; absent: gap-linear. */
  readonly head?: string;
  /** The optimiser that it is usually trained with; absent: the commands' own choice. */
  readonly optimizer?: string;
  /** Options of a network of the same kind, this much wider and deeper: what a small one may learn from. */
  enlarge?(options: Given<S>, by: Enlargement): Given<S>;
  /** Refuses options that do not fit, each other or the images. @throws ArgumentError */
  make(options: Given<S>, site: BackboneSite): Backbone;
}

/** A kind, whose maker sees its options typed. */
export const defineBackbone = <const S extends OptionSet>(kind: BackboneKind<S>): BackboneKind<S> => kind;

/** Of networks that round their widths: a factor of all channels. */
export const widthMult: Option<number> = option.number(1, "factor of all widths, which are rounded to multiples of 8", {
  above: 0,
});

const chance = { min: 0, below: 1 } as const;

/** Of networks that torchvision trains with it. */
export const dropout: Option<number> = option.number(
  0,
  "chance that a feature in front of the backbone's own classifier is dropped in training",
  { ...chance, basis: "torchvision: 0.2" },
);

/** The same of whole samples and blocks. */
export const stochasticDepth = (basis: string): Option<number> =>
  option.number(0, "chance that a sample passes over the deepest blocks in training, evenly less for those before", {
    ...{ ...chance, basis },
  });

/** Of networks made for large images. */
export const stemStride: Option<number> = option.whole(
  1,
  "stride of the first convolution: 2 as published, 1 for small images",
  { min: 1, max: 2 },
);
