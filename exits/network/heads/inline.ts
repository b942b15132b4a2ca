// Inline collaboration (IMTA, Li et al., ICCV 2019): an exit's logits are linear in ReLU(BN(Linear(z))) of the exit before too, beside the
// features. A linear layer on both, side by side, is the sum of one on each.

import { add, relu, reshape } from "../../../engine/functions.ts";
import { BatchNorm2d, Linear, type Mode } from "../../../nn/index.ts";
import { type ExitRecord, type Head, type HeadWrap, modeOf, WrappedHead, type WrapSite } from "./head.ts";

class InlineHead extends WrappedHead {
  override readonly reads = ["logits"];
  readonly said: Linear | undefined;
  readonly norm: BatchNorm2d | undefined;
  readonly mix: Linear | undefined;

  constructor(inner: Head, { exit, classes, init }: WrapSite) {
    super(inner);
    const isFirst = exit === 0;
    this.said = isFirst ? undefined : new Linear(classes, classes, init);
    this.norm = isFirst ? undefined : new BatchNorm2d(classes, init);
    this.mix = isFirst ? undefined : new Linear(classes, classes, init, { bias: false });
  }

  tell(record: ExitRecord, mode: Mode, earlier: readonly ExitRecord[]): ExitRecord {
    const { said, norm, mix } = this;
    const before = earlier.at(-1);
    if (!said || !norm || !mix || !before) return record;
    const heard = said.forward(before.logits);
    const [n, classes] = heard.shape as readonly [number, number];
    const map = norm.forward(reshape(heard, [n, 1, 1, classes]), modeOf(norm, mode));
    return { ...record, logits: add(record.logits, mix.forward(relu(reshape(map, [n, classes])))) };
  }
}

/** All exits but the first see what the one before said. */
export const inline = (): HeadWrap => ({
  name: "inline",
  isForAll: true,
  wrap: (inner, site) => new InlineHead(inner, site),
});
