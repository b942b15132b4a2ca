// Heads that look at what the exit before said (Zero Time Waste, Wolczyk et al., NeurIPS 2021): linear in its
// normalised logits, beside the features. A linear layer on both, side by side, is the sum of one on each.

import { add } from "../../../engine/functions.ts";
import { LayerNorm, Linear, type Mode } from "../../../nn/index.ts";
import { type ExitRecord, type Head, type HeadWrap, heard, WrappedHead, type WrapSite } from "./head.ts";

class CascadedHead extends WrappedHead {
  override readonly reads = ["own"];
  readonly norm: LayerNorm | undefined;
  readonly said: Linear | undefined;

  constructor(inner: Head, { exit, classes, init }: WrapSite) {
    super(inner);
    this.norm = exit > 0 ? new LayerNorm(classes, init) : undefined;
    this.said = exit > 0 ? new Linear(classes, classes, init, { bias: false }) : undefined;
  }

  tell(record: ExitRecord, _mode: Mode, earlier: readonly ExitRecord[]): ExitRecord {
    const before = earlier.at(-1);
    if (!this.norm || !this.said || !before) return record;
    const normed = this.norm.forward(heard(before, "own").detach());
    return { ...record, logits: add(record.logits, this.said.forward(normed)) };
  }
}

/** Early exits' logits are linear in those of the exit before too, which get no gradient. */
export const cascaded = (): HeadWrap => ({
  name: "cascaded",
  wrap: (inner, site) => new CascadedHead(inner, site),
});
