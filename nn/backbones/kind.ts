// A backbone as data: what commands and configuration files call it, its options, and how it is made for images of some size.

import type { Given, OptionSet } from "../../base/index.ts";
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

/** A kind of backbone; see `BACKBONES`. */
export interface BackboneKind<S extends OptionSet = OptionSet> {
  readonly name: string;
  /** One line. */
  readonly about: string;
  readonly options: S;
  /** The stages that early exits usually follow. */
  readonly exits: readonly string[];
  /** Throws ArgumentError for options that do not fit, each other or the images. */
  make(options: Given<S>, site: BackboneSite): Backbone;
}

/** A kind, whose maker sees its options typed. */
export const defineBackbone = <const S extends OptionSet>(kind: BackboneKind<S>): BackboneKind<S> => kind;
