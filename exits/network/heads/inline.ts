// Inline collaboration (IMTA, Li et al., ICCV 2019): an exit's logits are linear in ReLU(BN(Linear(z))) of the exit
// before too, beside the features. A linear layer on both, side by side, is the sum of one on each. The second starts
// at 0: a network that has not learnt to listen answers as without.

import { exactly } from "../../../base/index.ts";
import { add, relu, reshape, type Tensor } from "../../../engine/functions.ts";
import { BatchNorm2d, Linear, type Mode, Module } from "../../../nn/index.ts";
import { type ExitRecord, type Head, type HeadWrap, WrappedHead, type WrapSite, widthOf } from "./head.ts";

/** From the logits of the exit before to what they add to this one's. */
class Collaboration extends Module {
  readonly said: Linear;
  readonly norm: BatchNorm2d;
  readonly mix: Linear;

  /** @param width Of what is heard; the public code's is that of the exit's features. */
  constructor(width: number, { classes, init }: WrapSite) {
    super();
    this.said = new Linear(classes, width, init);
    this.norm = new BatchNorm2d(width, init);
    this.mix = new Linear(width, classes, init, { bias: false });
    this.mix.weight.write(new Float32Array(width * classes));
  }

  forward(logits: Tensor, mode: Mode): Tensor {
    const heard = this.said.forward(logits);
    const [n, width] = exactly(heard.shape, 2);
    const map = this.norm.forward(reshape(heard, [n, 1, 1, width]), mode);
    return this.mix.forward(relu(reshape(map, [n, width])));
  }
}

class InlineHead extends WrappedHead {
  override readonly reads = ["logits"];
  readonly collaboration: Collaboration | undefined;

  constructor(inner: Head, site: WrapSite) {
    super(inner);
    this.collaboration = site.exit === 0 ? undefined : new Collaboration(widthOf(inner) ?? site.classes, site);
  }

  tell(record: ExitRecord, mode: Mode, earlier: readonly ExitRecord[]): ExitRecord {
    const before = earlier.at(-1);
    if (!this.collaboration || !before) return record;
    return { ...record, logits: add(record.logits, this.collaboration.forward(before.logits, mode)) };
  }
}

/** All exits but the first see what the one before said. */
export const inline = (): HeadWrap => ({
  name: "inline",
  isForAll: true,
  wrap: (inner, site) => new InlineHead(inner, site),
});
