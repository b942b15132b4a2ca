// Heads with a gate (JEI-DNN, Regol et al., ICLR 2024): how sure the exit is, as a linear function of four statistics
// of its answer, which get no gradient.

import { reshape } from "../../../engine/functions.ts";
import { Linear } from "../../../nn/index.ts";
import { exitStatistics } from "../../methods/statistics.ts";
import { type ExitRecord, type Head, type HeadWrap, TellingHead, type WrapSite } from "./head.ts";

class GatedHead extends TellingHead {
  readonly gate: Linear;

  constructor(inner: Head, { init }: WrapSite) {
    super(inner);
    this.gate = new Linear(4, 1, init);
  }

  tell(record: ExitRecord): ExitRecord {
    const [n, classes] = record.logits.shape as readonly [number, number];
    const statistics = exitStatistics(reshape(record.logits, [n, 1, classes]));
    return { ...record, confidence: reshape(this.gate.forward(reshape(statistics, [n, 4])), [n]) };
  }
}

/** Early exits have a gate, whose answer is their `confidence` [N], before the sigmoid. */
export const gated = (): HeadWrap => ({ name: "gated", wrap: (inner, site) => new GatedHead(inner, site) });
