// Heads with a gate: how sure the exit is, as a linear function of four statistics of its answer, which get no
// gradient; those of JEI-DNN (Regol et al., ICLR 2024), or those that failure prediction is fitted on.

import { exactly } from "../../../base/index.ts";
import { reshape, type Tensor } from "../../../engine/functions.ts";
import { Linear } from "../../../nn/index.ts";
import { exitStatistics, failureStatistics } from "../../methods/statistics.ts";
import { type ExitRecord, type Head, type HeadWrap, TellingHead, type WrapSite } from "./head.ts";

class GatedHead extends TellingHead {
  readonly gate: Linear;
  readonly #statistics: (logits: Tensor) => Tensor;

  constructor(inner: Head, { init }: WrapSite, statistics: (logits: Tensor) => Tensor) {
    super(inner);
    this.gate = new Linear(4, 1, init);
    this.#statistics = statistics;
  }

  tell(record: ExitRecord): ExitRecord {
    const [n, classes] = exactly(record.logits.shape, 2);
    const seen = reshape(this.#statistics(reshape(record.logits, [n, 1, classes])), [n, 4]);
    return { ...record, confidence: reshape(this.gate.forward(seen), [n]) };
  }
}

/** Early exits have a gate on `exitStatistics`, whose answer is their `confidence` [N], before the sigmoid. */
export const gated = (): HeadWrap => ({
  name: "gated",
  wrap: (inner, site) => new GatedHead(inner, site, exitStatistics),
});

/** As `gated`, on `failureStatistics`. */
export const failureGated = (): HeadWrap => ({
  name: "failureGated",
  wrap: (inner, site) => new GatedHead(inner, site, failureStatistics),
});
