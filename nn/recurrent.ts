// Cells of recurrent networks: one step in time, of products, slices and activations. A sequence is a loop in the
// caller's hands, and what is captured of it is as long as the loop was.

import { exactly, firstOf } from "../base/index.ts";
import {
  add,
  checkTensors,
  describe,
  linear,
  mul,
  ShapeError,
  sigmoid,
  slice,
  sub,
  type Tensor,
  tanh,
  zeros,
} from "../engine/functions.ts";
import { checkLayer, type Init } from "./init.ts";
import { Module } from "./module.ts";

/** Weights of the input [in, gates H] and of the state [H, gates H], and their biases, all uniform in 1/sqrt(H). */
abstract class RecurrentCell extends Module {
  readonly weightIh: Tensor;
  readonly weightHh: Tensor;
  readonly biasIh: Tensor;
  readonly biasHh: Tensor;

  constructor(name: string, { inputs, hidden, gates }: { inputs: number; hidden: number; gates: number }, init: Init) {
    super();
    checkLayer(name, init, { inputs, hidden });
    const bound = 1 / Math.sqrt(hidden);
    this.weightIh = init.uniform([inputs, gates * hidden], bound);
    this.weightHh = init.uniform([hidden, gates * hidden], bound);
    this.biasIh = init.uniform([gates * hidden], bound);
    this.biasHh = init.uniform([gates * hidden], bound);
  }

  /** The state behind `x` [B, in] and the state [B, H] before it; the first is zero. @throws ShapeError */
  forward(x: Tensor, state?: Tensor): Tensor {
    const name = this.constructor.name;
    checkTensors(name, state ? { x, state } : { x });
    const [inputs, hidden] = [firstOf(this.weightIh.shape), firstOf(this.weightHh.shape)];
    if (x.rank !== 2 || x.shape[1] !== inputs)
      throw new ShapeError(`${name}: x must be [B, ${inputs}]; got ${describe(x)}.`);
    const batch = firstOf(x.shape);
    if (state && (state.rank !== 2 || state.shape[0] !== batch || state.shape[1] !== hidden))
      throw new ShapeError(`${name}: the state must be [${batch}, ${hidden}]; got ${describe(state)}.`);
    const before = state ?? zeros([batch, hidden], { device: x.device });
    return this.next(linear(x, this.weightIh, this.biasIh), linear(before, this.weightHh, this.biasHh), before);
  }

  /** The next state, of what the gates [B, gates H] say of the input and of the state. */
  protected abstract next(input: Tensor, recurrent: Tensor, state: Tensor): Tensor;
}

/** h' = tanh(x Wi + bi + h Wh + bh) (Elman, Cognitive Science 1990), as PyTorch's RNNCell. */
export class RNNCell extends RecurrentCell {
  constructor(inputs: number, hidden: number, init: Init) {
    super("RNNCell", { inputs, hidden, gates: 1 }, init);
  }

  protected override next(input: Tensor, recurrent: Tensor): Tensor {
    return tanh(add(input, recurrent));
  }
}

/**
 * Gated recurrent unit (Cho et al., EMNLP 2014) with PyTorch's reset gate behind the product: r and z are sigmoids of
 * input plus state, n = tanh(input + r state), h' = (1 - z) n + z h. Gates lie in the order r, z, n.
 */
export class GRUCell extends RecurrentCell {
  constructor(inputs: number, hidden: number, init: Init) {
    super("GRUCell", { inputs, hidden, gates: 3 }, init);
  }

  protected override next(input: Tensor, recurrent: Tensor, state: Tensor): Tensor {
    const [batch, hidden] = exactly(state.shape, 2);
    const gate = (of: Tensor, i: number): Tensor =>
      slice(of, { starts: [0, i * hidden], ends: [batch, (i + 1) * hidden] });
    const [r, z] = [0, 1].map((i) => sigmoid(add(gate(input, i), gate(recurrent, i)))) as [Tensor, Tensor];
    const n = tanh(add(gate(input, 2), mul(r, gate(recurrent, 2))));
    return add(n, mul(z, sub(state, n)));
  }
}
