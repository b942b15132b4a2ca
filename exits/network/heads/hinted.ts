// Heads that say, while they are trained, what the last exit's features are compared with (Be Your Own Teacher, Zhang
// et al., ICCV 2019): the features that their logits are linear in, made as long as the last exit's by a linear layer
// where they are not.

import { ArgumentError } from "../../../engine/functions.ts";
import { Linear, type Mode } from "../../../nn/index.ts";
import { type ExitRecord, type Head, type HeadWrap, saidOf, TellingHead, type WrapSite, widthOf } from "./head.ts";

class HintedHead extends TellingHead {
  readonly adapter: Linear | undefined;

  constructor(inner: Head, { last, init }: WrapSite) {
    super(inner);
    const [own, wanted] = [widthOf(inner), widthOf(last)];
    if (own === undefined || wanted === undefined) {
      const cure =
        own === undefined
          ? "Choose one of the named kinds"
          : "That is the last exit's, the backbone's own classifier: give it a head of its own, such as gap-linear";
      throw new ArgumentError(
        `multiExit: heads whose features are compared must end in a linear layer; got another. ${cure}.`,
      );
    }
    this.adapter = own === wanted ? undefined : new Linear(own, wanted, init);
  }

  /** Told in training, whatever is trained of it: the others are compared with what frozen ones say too. */
  override get isTrained(): boolean {
    return true;
  }

  tell(record: ExitRecord, mode: Mode): ExitRecord {
    if (!mode.training) return record;
    const features = saidOf(record, "features");
    return { ...record, hint: this.adapter?.forward(features) ?? features };
  }
}

/** All exits say in training a `hint` [N, D], D that of the last exit's features. */
export const hinted = (): HeadWrap => ({
  name: "hinted",
  isForAll: true,
  wrap: (inner, site) => new HintedHead(inner, site),
});
