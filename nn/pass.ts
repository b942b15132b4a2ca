// What a module does to a tensor, apart from the module: a pass. It is made once for a mode, and for inference of
// weights that were prepared: folded with the norm behind them, stored in another dtype. A module says its wiring once,
// in `pass`; `forward` is that pass in a mode.

import type { Activation, Tensor } from "../engine/functions.ts";

/** What a layer may add and apply in the same dispatch: activation(y + residual), or activation(y) + residual. */
export interface Fused {
  readonly activation?: Activation;
  readonly residual?: Tensor | undefined;
  readonly residualAt?: "before" | "after";
}

/** From features to features, with what follows in the same dispatch where a layer can. */
export type Pass = (x: Tensor, fused?: Fused) => Tensor;

/**
 * What becomes of a weight once, before passes for inference use it: it is put where it stays, in the dtype that
 * activations are stored in. Called while passes are made, for weights of the module and for those that were folded.
 */
export type Prepare = (weight: Tensor) => Tensor;
