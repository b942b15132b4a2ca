// The classifier of MSDNet (Huang et al., ICLR 2018) behind any map.

import { type Linear, type Mode, MultiScaleClassifier, type Pass } from "../../../nn/index.ts";
import { type HeadRecord, type HeadSite, LinearHead } from "./head.ts";

class MultiScaleHead extends LinearHead {
  readonly m: MultiScaleClassifier["m"];
  readonly linear: Linear;
  readonly #classifier: MultiScaleClassifier;

  constructor({ stage, classes, init }: HeadSite) {
    super();
    this.#classifier = new MultiScaleClassifier(stage.channels, classes, init);
    this.m = this.#classifier.m;
    this.linear = this.#classifier.linear;
  }

  embedPass(mode: Mode): Pass {
    return this.#classifier.embedPass(mode);
  }
}

/** MSDNet's head. */
export const msdnetHead: HeadRecord = {
  name: "msdnet",
  about: "MSDNet's: two 3x3 convolutions of stride 2 and 128 channels, global average pool, linear",
  on: "map",
  make: (site) => new MultiScaleHead(site),
};
