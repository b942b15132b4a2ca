// Heads that say how far to trust them, beside their answer (PTEEnet, Lahiany and Aperstein, IEEE Access 2022): a
// linear layer more on the features that the logits are linear in.

import { firstOf } from "../../../base/index.ts";
import { ArgumentError, reshape } from "../../../engine/functions.ts";
import { Linear } from "../../../nn/index.ts";
import { type ExitRecord, type Head, type HeadWrap, LinearHead, saidOf, TellingHead, type WrapSite } from "./head.ts";

class ConfidentHead extends TellingHead {
  readonly trust: Linear;

  constructor(inner: Head, { init }: WrapSite) {
    super(inner);
    if (!(inner instanceof LinearHead)) {
      throw new ArgumentError(
        "multiExit: heads that say their confidence must end in a linear layer; got another. Choose one of the named kinds.",
      );
    }
    this.trust = new Linear(firstOf(inner.linear.weight.shape), 1, init);
  }

  tell(record: ExitRecord): ExitRecord {
    const trust = this.trust.forward(saidOf(record, "features"));
    return { ...record, confidence: reshape(trust, [trust.size]) };
  }
}

/** Early exits say their confidence, [N], before the sigmoid. */
export const confident = (): HeadWrap => ({
  name: "confident",
  wrap: (inner, site) => new ConfidentHead(inner, site),
});
