// What optimisers have in common: parameters in one flat buffer, state, clipping, and the numbers that schedules move.

import { firstOf, type Kinds, what } from "../../base/index.ts";
import {
  ArgumentError,
  type ClipOptions,
  checkTensors,
  type Device,
  Flat,
  type FlatPart,
  flatten,
  gradNorm,
  keep,
  packHyper,
  readOptions,
  SEGMENT_ALIGN,
  type StepTensors,
  type Tensor,
  tensor,
  zeros,
} from "../../engine/functions.ts";

/** Options that all optimisers share. */
export interface OptimizerOptions {
  readonly lr: number;
  /** Default 0. */
  readonly weightDecay?: number;
  /** Which parameters decay; default all. `isMatrix` leaves out norms and biases. */
  readonly decays?: (parameter: Tensor) => boolean;
  /** Clip the gradients of each step by their norm; default no clipping. */
  readonly clip?: ClipOptions;
}

export const OPTIMIZER: Kinds<OptimizerOptions> = {
  lr: "number!",
  weightDecay: "number",
  decays: "function",
  clip: "any",
};

/** What may differ from step to step. */
export interface StepOptions {
  /** A scalar of a captured step, in place of the optimiser's own learning rate. */
  readonly lr?: Tensor;
  /** The clipped norm of more gradients than its own (`gradNorm`), in place of its own clipping. */
  readonly clip?: Tensor;
}

/** Whether a parameter has more than one axis: weights do, biases and norms do not. */
export const isMatrix = (parameter: Tensor): boolean => parameter.rank > 1;

/** Parameters in a list, which the optimiser flattens, or flat already. */
export type ParameterList = readonly Tensor[] | Flat;

const STEP: Kinds<StepOptions> = { lr: "any", clip: "any" };

/** Refuses what `flatten` did not make. @throws ArgumentError */
export function checkFlat(op: string, flat: Flat): void {
  if (!(flat instanceof Flat))
    throw new ArgumentError(`${op}: parameters must be flat; got ${what(flat)}. Pass flatten(net.parameters()).`);
}

/** The flat buffer of parameters; it outlives the scope it is made in. */
export function ownFlat(parameters: ParameterList): Flat {
  if (parameters instanceof Flat) return parameters;
  const flat = flatten(parameters);
  keep(flat.state);
  return flat;
}

/** A check of several options that are numbers. */
const numbers =
  (must: string, fits: (value: number) => boolean) =>
  (name: string, values: Readonly<Record<string, number>>): void => {
    for (const [option, value] of Object.entries(values)) {
      if (!(typeof value === "number" && fits(value)))
        throw new ArgumentError(`${name}: ${option} must be ${must}; got ${what(value)}.`);
    }
  };

/** Checks that the options are numbers of at least 0. @throws ArgumentError */
export const atLeastZero = numbers("a number of at least 0", (value) => value >= 0);

/** Checks that the options are in [0, 1). @throws ArgumentError */
export const belowOne = numbers("in [0, 1)", (value) => value >= 0 && value < 1);

/** 1 for each block of 64 elements whose parameter decays, else 0. */
function decayFactors({ values, segments }: FlatPart, decays: (parameter: Tensor) => boolean): Tensor {
  const factors = new Float32Array(values.size / SEGMENT_ALIGN);
  for (const { parameter, offset, size } of segments) {
    const first = offset / SEGMENT_ALIGN;
    factors.fill(decays(parameter) ? 1 : 0, first, first + Math.ceil(size / SEGMENT_ALIGN));
  }
  return tensor(factors, { device: values.device });
}

/** Base of the optimisers. `lr` and `momentum` may be set between steps, replayed ones too. */
export abstract class Optimizer {
  /** The parameters and their gradients. */
  readonly flat: Flat;
  protected readonly hyper: Tensor;
  protected readonly weightDecay: number;
  readonly #decay: readonly Tensor[] | undefined;
  readonly #clip: ClipOptions | undefined;
  readonly #moments = new Map<string, Tensor>();
  readonly #name: string;
  readonly #hasMomentum: boolean;
  #lr: number;
  #momentum: number;

  constructor(
    name: string,
    parameters: ParameterList,
    { lr, weightDecay = 0, decays, clip }: OptimizerOptions,
    momentum: number,
  ) {
    atLeastZero(name, { lr, weightDecay });
    belowOne(name, { momentum });
    this.flat = ownFlat(parameters);
    this.weightDecay = weightDecay;
    this.#clip = clip;
    this.#lr = lr;
    this.#momentum = momentum;
    this.#name = name;
    this.#hasMomentum = momentum > 0;
    this.hyper = keep(tensor(packHyper(lr, momentum), { device: this.#device }));
    this.#decay = decays && this.flat.parts.map((part) => keep(decayFactors(part, decays)));
  }

  /** Learning rate of the next step. */
  get lr(): number {
    return this.#lr;
  }

  set lr(value: number) {
    this.#set(value, this.#momentum);
  }

  /** Momentum (Adam: the first beta) of the next step. */
  get momentum(): number {
    return this.#momentum;
  }

  set momentum(value: number) {
    this.#set(this.#lr, value);
  }

  /** What a captured step that contains `step()` has to declare. */
  get state(): readonly Tensor[] {
    return [...this.flat.state, ...this.#moments.values()];
  }

  /** The optimiser's memory by name, for checkpoints. */
  get moments(): ReadonlyMap<string, Tensor> {
    return this.#moments;
  }

  /**
   * Updates the parameters from their gradients. A parameter without gradient since `zeroGrad` counts as having zeros.
   */
  step(options: StepOptions = {}): void {
    const { flat } = this;
    const { lr, clip: given } = readOptions("step", options, STEP);
    checkTensors("step", { "lr?": lr, "clip?": given });
    flat.settle();
    const grads = flat.parts.map((part) => part.grads);
    const own = given ? undefined : this.#clip && gradNorm(grads, this.#clip);
    const parts = flat.parts.map(({ values, grads }, i) => ({
      values,
      grads,
      decay: this.#decay?.[i],
      clip: given ?? own,
    }));
    this.update(parts, lr ?? this.hyper);
    own?.dispose();
  }

  /** Drops all gradients. */
  zeroGrad(): void {
    this.flat.zeroGrad();
  }

  /** Frees the optimiser's memory; the parameters stay. */
  dispose(): void {
    for (const owned of [...this.#moments.values(), this.hyper, ...(this.#decay ?? [])]) owned.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** One step of the method on the parts of the flat buffer. */
  protected abstract update(parts: readonly StepTensors[], lr: Tensor): void;

  /** Memory that starts as zeros, one number a parameter; a tensor for each part. */
  protected moment(name: string): readonly Tensor[] {
    return this.flat.parts.map(({ values: { size, device } }, i) =>
      this.#remember(i === 0 ? name : `${name}.${i}`, zeros([size], { device })),
    );
  }

  /** The step counter. */
  protected counter(): Tensor {
    return this.#remember("step", tensor(new Uint32Array(1), { device: this.#device }));
  }

  get #device(): Device {
    return firstOf(this.flat.parts).values.device;
  }

  #remember(name: string, made: Tensor): Tensor {
    this.#moments.set(name, keep(made));
    return made;
  }

  #set(lr: number, momentum: number): void {
    if (lr === this.#lr && momentum === this.#momentum) return;
    atLeastZero(this.#name, { lr });
    belowOne(this.#name, { momentum });
    if (momentum > 0 && !this.#hasMomentum) {
      throw new ArgumentError(
        `${this.#name}: momentum can change only where there was some at the start; got ${momentum}.`,
      );
    }
    this.#lr = lr;
    this.#momentum = momentum;
    this.hyper.write(packHyper(lr, momentum));
  }
}
