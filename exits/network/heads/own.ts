// The backbone's own classifier as a head, for what is put around it.

import type { Tensor } from "../../../engine/functions.ts";
import type { Backbone, Mode } from "../../../nn/index.ts";
import { Head, type RecordPass } from "./head.ts";

/** Answers as the backbone does. Its parameters are the backbone's, and stay there. */
export class OwnHead extends Head {
  readonly #backbone: Backbone;

  constructor(backbone: Backbone) {
    super();
    this.#backbone = backbone;
  }

  override get isTrained(): boolean {
    return this.#backbone.parameters().length > 0;
  }

  override recordPass(mode: Mode): RecordPass {
    const pass = this.#backbone.classifyPass(mode);
    return (x) => ({ logits: pass(x) });
  }

  forward(features: Tensor, mode: Mode): Tensor {
    return this.#backbone.classify(features, mode);
  }
}
