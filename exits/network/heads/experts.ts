// Heads whose confidence is that of experts who agree (BEEM, Bajpai and Hanawal, ICLR 2025): S_j = w_j c_j + S_{j-1}
// where this exit and the one before answer alike, w_j c_j elsewhere; c is the largest probability, and w_j = j / K,
// the paper's weights by cost for stages of equal cost.

import {
  add,
  argmax,
  cast,
  div,
  eq,
  exp,
  log,
  logSoftmax,
  max,
  mul,
  noGrad,
  sigmoid,
  sub,
  type Tensor,
} from "../../../engine/functions.ts";
import type { Mode } from "../../../nn/index.ts";
import { type ExitRecord, type Head, type HeadWrap, saidOf, TellingHead, type WrapSite } from "./head.ts";

class ExpertHead extends TellingHead {
  override readonly reads: readonly string[];
  readonly #weight: number;
  /** Sum of all exits' weights, the last one's included, so that the share is always below 1. */
  readonly #most: number;

  constructor(inner: Head, { exit, exits }: WrapSite) {
    super(inner);
    this.reads = exit > 0 ? ["logits", "confidence"] : [];
    this.#weight = (exit + 1) / exits;
    this.#most = (exits + 1) / 2;
  }

  tell(record: ExitRecord, _mode: Mode, earlier: readonly ExitRecord[]): ExitRecord {
    return { ...record, confidence: noGrad(() => this.#confidence(record.logits, earlier.at(-1))) };
  }

  #confidence(logits: Tensor, before: ExitRecord | undefined): Tensor {
    const own = mul(exp(max(logSoftmax(logits), { dim: -1 })), this.#weight / this.#most);
    if (!before) return logit(own);
    const agree = eq(argmax(logits, { dim: -1 }), argmax(before.logits, { dim: -1 }));
    return logit(add(own, mul(cast(agree, "f32"), sigmoid(saidOf(before, "confidence")))));
  }
}

const logit = (share: Tensor): Tensor => log(div(share, sub(1, share)));

/**
 * Early exits' `confidence` [N] is the share, before the sigmoid, that agreeing exits have of what all could add up to;
 * no gradient.
 */
export const experts = (): HeadWrap => ({ name: "experts", wrap: (inner, site) => new ExpertHead(inner, site) });
