// Heads that answer together with those before (Zero Time Waste, Wolczyk et al., NeurIPS 2021): softmax(b_j + (1/j)
// sum_{i<=j} exp(w_ji) log p_i), a geometric ensemble with weights of its own. The backbone's own head stays out.

import { add, exp, logSoftmax, mul, reshape, stack, sum, type Tensor } from "../../../engine/functions.ts";
import { type Init, type Mode, Module } from "../../../nn/index.ts";
import { type ExitRecord, type Head, type HeadWrap, heard, WrappedHead, type WrapSite } from "./head.ts";

/** Deviation of the weights at the start, as in the paper. */
const WEIGHTS = 0.01;

class Ensemble extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor;

  constructor(members: number, classes: number, init: Init) {
    super();
    this.weight = init.normal([members], WEIGHTS);
    this.bias = init.constant([classes], 0);
  }

  /** Logits [N, C] of those of all members. */
  forward(said: readonly Tensor[]): Tensor {
    const share = reshape(mul(exp(this.weight), 1 / said.length), [1, said.length, 1]);
    return add(sum(mul(logSoftmax(stack(said, { dim: 1 })), share), { dim: 1 }), this.bias);
  }
}

class EnsembledHead extends WrappedHead {
  override readonly reads = ["own"];
  override readonly reach = Number.POSITIVE_INFINITY;
  readonly ensemble: Ensemble;

  constructor(inner: Head, { exit, classes, init }: WrapSite) {
    super(inner);
    this.ensemble = new Ensemble(exit + 1, classes, init);
  }

  tell(record: ExitRecord, _mode: Mode, earlier: readonly ExitRecord[]): ExitRecord {
    const said = [...earlier.map((before) => heard(before, "own")), record.logits];
    return { ...record, logits: this.ensemble.forward(said), own: record.logits };
  }
}

/** Early exits answer by the ensemble of the heads so far; `own` is what a head says for itself. */
export const ensembled = (): HeadWrap => ({ name: "ensembled", wrap: (inner, site) => new EnsembledHead(inner, site) });
