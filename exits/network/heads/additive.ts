// Heads that add to what the exits before said (BoostNet, Yu et al., AAAI 2023): F_j = f_j + t F_{j-1}, the last exit's
// included.

import { add, mul } from "../../../engine/functions.ts";
import type { Mode } from "../../../nn/index.ts";
import { type ExitRecord, type Head, type HeadWrap, WrappedHead } from "./head.ts";

class AdditiveHead extends WrappedHead {
  override readonly reads = ["logits"];
  readonly #share: number;

  constructor(inner: Head, share: number) {
    super(inner);
    this.#share = share;
  }

  tell(record: ExitRecord, _mode: Mode, earlier: readonly ExitRecord[]): ExitRecord {
    const before = earlier.at(-1);
    if (!before) return record;
    const sum = add(record.logits, mul(before.logits.detach(), this.#share));
    return { ...record, logits: sum, own: record.logits };
  }
}

/** All exits answer by F_j = f_j + t sg(F_{j-1}); `own` is f_j. */
export const additive = (t: number): HeadWrap => ({
  name: `additive(${t})`,
  isForAll: true,
  wrap: (inner) => new AdditiveHead(inner, t),
});
