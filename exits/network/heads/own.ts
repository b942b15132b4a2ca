// The backbone's own classifier as a head, for what is put around it.

import type { Tensor } from "../../../engine/functions.ts";
import { type Backbone, type Mode, type Pass, type Tail, vectorOf } from "../../../nn/index.ts";
import { type ExitRecord, Head, type RecordPass } from "./head.ts";

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

  override get tail(): Tail | undefined {
    return this.#backbone.tail;
  }

  override view(features: Tensor): Tensor {
    return this.tail ? vectorOf(this.tail.vector, features) : features;
  }

  override pass(mode: Mode): Pass {
    return this.#backbone.classifyPass(mode);
  }

  override recordPass(mode: Mode): RecordPass {
    const pass = this.pass(mode);
    return (x) => ({ logits: pass(x) });
  }

  forward(x: Tensor, mode: Mode): Tensor | ExitRecord {
    if (!this.tail) return this.#backbone.classify(x, mode);
    const { norm, dropout, linear } = this.tail;
    const features = norm?.forward(x) ?? x;
    return { logits: linear.forward(dropout?.forward(features, mode) ?? features), features };
  }
}
