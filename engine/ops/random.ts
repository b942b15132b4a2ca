// Random tensors and dropout. Nothing is random by itself: every call names a seed, or a Generator whose step counter
// lives on the GPU, so that a replayed step draws anew.

import { type Kinds, what } from "../../base/index.ts";
import { dropoutKernel, type RandomKind, randomAdvance, randomFill } from "../../kernels/random.ts";
import { checkValue, SHARE } from "../checks.ts";
import type { Device } from "../device.ts";
import type { DType } from "../dtype.ts";
import { ArgumentError, readOptions } from "../errors.ts";
import { defineOp, dispatch, single } from "../op.ts";
import { chance, checkKey, type RandomKey, randomPermutation, randomState } from "../random.ts";
import { keep } from "../scope.ts";
import { checkShape, numel, type Shape } from "../shape.ts";
import { positional } from "../signature.ts";
import { checkDevice, checkTensors, type Tensor, tensor } from "../tensor.ts";
import type { Recorder } from "../work.ts";
import { checkFloat, floatStorage } from "./floats.ts";

/** Where random numbers come from: a seed (the same numbers at each call) or a generator (new ones). */
export type RandomSource =
  | (RandomKey & { readonly device?: Device; readonly generator?: undefined })
  | { readonly generator: Generator };

/**
 * A source of ever new random numbers: those of `seed` and `stream`, at a step that is counted on the GPU. Call
 * `advance()` at the start of a training step; declare it as state of a captured one. Replays then differ from each
 * other, and equal the same steps run eagerly.
 */
export class Generator {
  readonly #state: Tensor;
  #calls = 0;
  #recorder: Recorder | undefined;
  #recorded = 0;
  /** The most draws that a recording has. */
  #most = 0;
  /** Of the state, when this last advanced: replays move it on. */
  #version = 0;

  constructor(options: SeedOptions) {
    const { device, ...key } = readOptions("Generator", options, SEEDED);
    this.#state = keep(tensor(randomState(key, "Generator"), device && { device }));
    this.#calls = key.call ?? 0;
  }

  /** What a captured step that draws has to declare: u32[4] = seed, stream, step, high bits of the seed. */
  get state(): readonly Tensor[] {
    return [this.#state];
  }

  /** Goes to the next step. What was drawn before can no longer be differentiated. */
  advance(): void {
    const { device } = this.#state;
    const { recorder } = device.stream;
    this.#recorder = recorder;
    if (recorder) this.#recorded = 0;
    else this.#calls = 0;
    dispatch(device, "Generator.advance", randomAdvance, {}, { state: this.#state }, {});
    this.#version = this.#state.storage.version;
  }

  /** Number of the next draw within the step. A recording numbers its own, and always advances first. @internal */
  next(): number {
    const { device, storage } = this.#state;
    const { recorder } = device.stream;
    if (recorder) {
      if (recorder !== this.#recorder) this.advance();
      this.#most = Math.max(this.#most, ++this.#recorded);
      return this.#recorded - 1;
    }
    // What is drawn outside shares the step with the latest replay, but not its numbers.
    if (storage.version !== this.#version) this.#calls = Math.max(this.#calls, this.#most);
    return this.#calls++;
  }

  dispose(): void {
    this.#state.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** A seed, and where what is drawn by it shall lie. */
export type SeedOptions = RandomKey & { readonly device?: Device };

const SEEDED: Kinds<SeedOptions> = { seed: "number!", stream: "number", step: "number", call: "number", device: "any" };

type Source = Partial<SeedOptions> & { readonly generator?: Generator | undefined };

const SOURCE: Kinds<Source> = { ...SEEDED, seed: "number", generator: "any" };
type Coin = Source & { readonly p: number };
type Ranged = Source & { readonly low?: number; readonly high: number };

const CHANCE: Kinds<Coin> = { ...SOURCE, p: "number!" };
const RANGE: Kinds<Ranged> = {
  ...SOURCE,
  low: "number",
  high: "number!",
};

/** Calls `draw` with the state, on the operand's device if there is one, and the number of a draw. */
function from(op: string, source: Source, draw: (state: Tensor, call: number) => Tensor, operand?: Tensor): Tensor {
  const { generator, device = operand?.device, ...key } = source;
  if (generator !== undefined && !(generator instanceof Generator))
    throw new ArgumentError(`${op}: generator must be a Generator; got ${what(generator)}.`);
  if (!generator === (key.seed === undefined)) {
    const got = generator ? "both" : "neither. Pass { seed: 1 }";
    throw new ArgumentError(`${op}: a seed or a generator must be given; got ${got}.`);
  }
  if (generator) {
    const [state] = generator.state as [Tensor];
    // Before the draw is counted.
    if (operand) checkDevice(op, operand, state.device);
    return draw(state, generator.next());
  }
  const state = tensor(randomState(key as RandomKey, op), device && { device });
  const drawn = draw(state, key.call ?? 0);
  state.dispose();
  return drawn;
}

interface Draw {
  readonly shape: Shape;
  readonly call: number;
  readonly low: number;
  readonly span: number;
  readonly threshold: number;
}

/** An op that fills a shape with random values of one kind. */
function filler(name: string, kind: RandomKind, dtype: DType) {
  const op = single(
    defineOp({
      name,
      operands: { state: "u32" },
      infer: (_, { shape }: Draw) => ({ y: { shape, dtype } }),
      run: ({ inputs: { state }, outputs: { y }, attrs, dispatch }) => {
        const { shape, ...dims } = attrs;
        const n = numel(shape);
        dispatch(randomFill, { kind, width: n % 4 === 0 ? 4 : 1 }, { state, y }, { ...dims, n });
      },
    }),
  );
  return (shape: Shape, source: Source, { low = 0, span = 0, threshold = 0 } = {}): Tensor => {
    checkShape(name, shape);
    return from(name, source, (state, call) => op({ state }, { shape, call, low, span, threshold }));
  };
}

const uniforms = filler("rand", "uniform", "f32");
const normals = filler("randn", "normal", "f32");
const integers = filler("randint", "integer", "i32");
const coins = filler("bernoulli", "bernoulli", "bool");

function sourceOf(op: string, source: RandomSource): Source {
  if (source === undefined)
    throw new ArgumentError(`${op}: a seed or a generator must be given; got neither. Pass { seed: 1 }.`);
  return readOptions<Source>(op, source, SOURCE);
}

/** Uniform numbers in [0, 1), multiples of 2^-24; f32. */
export const rand = positional(
  "rand(shape, source)",
  (shape: Shape, source: RandomSource): Tensor => uniforms(shape, sourceOf("rand", source)),
);

/**
 * Standard normal numbers; f32.
 *
 * @example
 * ```ts
 * import { randn } from "sortie/engine";
 *
 * const one = await randn([3], { seed: 1 }).read();
 * const other = await randn([3], { seed: 1 }).read();
 * console.log(one.every((value, i) => value === other[i])); // true
 * ```
 */
export const randn = positional(
  "randn(shape, source)",
  (shape: Shape, source: RandomSource): Tensor => normals(shape, sourceOf("randn", source)),
);

/** Whole numbers in [low, high); i32. No number is likelier than another by more than (high - low) / 2^32. */
export const randint = positional(
  "randint(shape, options)",
  (shape: Shape, options: RandomSource & { readonly low?: number; readonly high: number }): Tensor => {
    const { low = 0, high } = readOptions<Ranged>("randint", options, RANGE);
    const isRange =
      Number.isInteger(low) && Number.isInteger(high) && low < high && low >= -(2 ** 31) && high <= 2 ** 31;
    if (!isRange)
      throw new ArgumentError(`randint: low < high must be whole numbers of 32 bits; got low ${low}, high ${high}.`);
    // A span of 2^32 does not fit the kernel's u32; the topmost number is then never drawn.
    return integers(shape, options, { low, span: Math.min(high - low, 2 ** 32 - 1) });
  },
);

const checkChance = (op: string, p: number): void => checkValue(op, "p", p, SHARE);

/** true with probability p (in multiples of 2^-24); bool. */
export const bernoulli = positional(
  "bernoulli(shape, options)",
  (shape: Shape, options: RandomSource & { readonly p: number }): Tensor => {
    readOptions<Coin>("bernoulli", options, CHANCE);
    checkChance("bernoulli", options.p);
    return coins(shape, options, { threshold: chance(options.p) });
  },
);

/** The numbers 0 .. n - 1 in random order; i32[n]. Sorted on the CPU by random keys, so the same on every machine. */
export const permutation = positional(
  "permutation(n, options)",
  (n: number, options: RandomKey & { readonly device?: Device }): Tensor => {
    const { device, ...key } = readOptions("permutation", options, SEEDED);
    checkShape("permutation", [n]);
    checkKey("permutation", key);
    return tensor(randomPermutation(n, key), device && { device });
  },
);

type Mask = { readonly p: number; readonly call: number };

const dropoutOp: (inputs: { readonly state: Tensor; readonly x: Tensor }, mask: Mask) => Tensor = single(
  defineOp({
    name: "dropout",
    operands: { state: "u32", x: "float" },
    infer: ({ x }, _: Mask) => ({ y: x }),
    run: ({ inputs: { state, x }, outputs: { y }, attrs: { p, call }, dispatch }) => {
      const n = x.size;
      const spec = { width: n % 4 === 0 ? 4 : 1, dtype: floatStorage(x) } as const;
      const scale = p < 1 ? 1 / (1 - p) : 0;
      dispatch(dropoutKernel, spec, { state, x, y }, { n, call, threshold: chance(p), scale });
    },
    saves: ["state"],
    // The mask is drawn again from the same counters.
    vjp: (g, at) => ({ x: () => dropoutOp({ state: at.value("state"), x: g }, at.attrs) }),
  }),
);

/** Zeros each element with probability p and scales the others by 1 / (1 - p). For training: leave it out otherwise. */
export const dropout = positional(
  "dropout(x, options)",
  (x: Tensor, options: RandomSource & { readonly p: number }): Tensor => {
    readOptions<Coin>("dropout", options, CHANCE);
    checkTensors("dropout", { x });
    checkFloat("dropout", "x", x);
    checkChance("dropout", options.p);
    return from("dropout", options, (state, call) => dropoutOp({ state, x }, { p: options.p, call }), x);
  },
);
