// The backbone's own classifier as a head, for what is put around it.

import type { Tensor } from "../../../engine/functions.ts";
import { type Backbone, type Mode, type Pass, type Tail, vectorOf } from "../../../nn/index.ts";
import { type ExitRecord, Head, type RecordPass } from "./head.ts";

/** Answers as the backbone does. Its parameters are the backbone's, and stay there. */
export class OwnHead extends Head {
  readonly #backbone: Backbone;
  readonly #inStages: ReadonlySet<Tensor>;

  /** @param used Parameters of the backbone's stages; the others are the classifier's. */
  constructor(backbone: Backbone, used: readonly (readonly Tensor[])[]) {
    super();
    this.#backbone = backbone;
    this.#inStages = new Set(used.flat());
  }

  override get isTrained(): boolean {
    return this.#backbone.parameters().some((parameter) => !this.#inStages.has(parameter));
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
