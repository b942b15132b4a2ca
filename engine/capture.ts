// Capture and replay: a step's dispatches are recorded once and sent again as they are, with ready bind groups, one pass and
// one submit. What may change between replays is declared: inputs, scalars, state. Everything else is constant; a write to
// anything else is refused. A capture owns what it touches (see replay.ts): a function may make parameters, optimiser and step, and
// return the step alone.

import { type Kinds, what } from "../base/index.ts";
import { type Device, deviceOr } from "./device.ts";
import { encode } from "./dtype.ts";
import { ArgumentError, CaptureError, DisposedError, readOptions } from "./errors.ts";
import { Node } from "./graph.ts";
import { checkDevice } from "./operands.ts";
import { Recording } from "./recording.ts";
import type { Replay } from "./replay.ts";
import { keep, Scope, synchronous } from "./scope.ts";
import { type Described, describe, sameShape } from "./shape.ts";
import { checkTensors, Tensor } from "./tensor.ts";
import { copyStorage } from "./work.ts";

/** What changes between replays. */
export interface CaptureOptions<I extends Record<string, Described>, S extends Record<string, number>> {
  /** Shapes and dtypes of the tensors given anew at each run; example tensors will do. */
  readonly inputs?: I;
  /** Numbers given anew at each run (a learning rate), seen by the step as f32 tensors of shape []. */
  readonly scalars?: S;
  /** Tensors outside the step that it writes in place: parameters, optimiser state, running statistics. */
  readonly state?: readonly (Tensor | { readonly state: readonly Tensor[] })[];
  /**
   * Live rows: u32[1], the number of leading rows of the inputs that count, known on the GPU alone. The inputs' common
   * leading extent is the capacity; each dispatch covers the first rows only. Ops that mix rows are refused, and so are writes of
   * state by ops that are not given this very count.
   */
  readonly rows?: Tensor;
  /** For messages and GPU tools: `capture "label"`. */
  readonly label?: string;
  readonly device?: Device;
}

const CAPTURE: Kinds<CaptureOptions<Record<string, Described>, Record<string, number>>> = {
  inputs: "any",
  scalars: "any",
  state: "any",
  rows: "any",
  device: "any",
  label: "string",
};

/** What a run is given for each input. */
export type InputValues<I> = { readonly [K in keyof I]: Tensor | ArrayLike<number> };
/** A tensor for each name. */
export type TensorsOf<T> = { readonly [K in keyof T]: Tensor };

/**
 * Records `step` (a synchronous function that neither reads nor writes tensors on the host) without running it, compiles
 * its pipelines, and returns the capture. Call `run` to execute. Throws CaptureError for what cannot be recorded.
 */
export async function capture<I extends Record<string, Described>, S extends Record<string, number>, O>(
  options: CaptureOptions<I, S>,
  step: (inputs: TensorsOf<I>, scalars: TensorsOf<S>) => O,
): Promise<Capture<I, S, O>> {
  readOptions<CaptureOptions<Record<string, Described>, Record<string, number>>>("capture", options, CAPTURE);
  if (typeof step !== "function") throw new ArgumentError(`capture: the step must be a function; got ${what(step)}.`);
  checkTensors("capture", { "rows?": options.rows });
  const device = deviceOr("capture", options.device ?? options.rows?.device);
  const name = options.label === undefined ? "capture" : `capture "${options.label}"`;
  device.check(name);
  if (device.stream.recorder) throw new CaptureError(`${name}: captures must not be nested; got one inside another.`);
  const recording = new Recording(device, name, options.state ?? []);
  const frame = new Scope();
  try {
    const { inputs, scalars, outputs, own } = device.stream.recording(recording, () => {
      const inputs = mapValues(options.inputs ?? ({} as I), ({ shape, dtype }) => recording.slot(shape, dtype));
      const scalars = mapValues(options.scalars ?? ({} as S), () => recording.slot([], "f32"));
      if (options.rows) recording.live(options.rows, inputs);
      const outputs = step(inputs as TensorsOf<I>, scalars as TensorsOf<S>);
      synchronous("capture", outputs);
      const own = tensorsIn(outputs).filter((tensor) => recording.isOwn(tensor));
      for (const kept of [inputs, scalars, own]) keep(kept);
      frame.dispose();
      recording.close();
      return { inputs, scalars, outputs, own };
    });
    recording.settleLeaves(own);
    await device.pipelines.compileAll(recording.programs());
    const isGraphAlive = own.some(({ source }) => source instanceof Node && !source.isFreed);
    const parts = { device, name, replay: recording.layOut({ isGraphAlive }), own, outputs };
    return new Capture(parts, inputs as TensorsOf<I>, scalars as TensorsOf<S>, options.scalars ?? ({} as S));
  } catch (error) {
    frame.dispose();
    recording.dispose();
    throw error;
  }
}

/**
 * Inside the step of a capture: from here on only the first `count` (u32[1], on the GPU, computed by the step or from outside) rows of
 * `tensors` count, and dispatches that depend on them cover those alone, as with `rows` of the inputs. All have one leading extent.
 * Throws CaptureError outside a capture, and for a count or tensors that do not fit.
 */
export function liveRows(count: Tensor, tensors: readonly Tensor[]): void {
  const named = Object.fromEntries(tensors.map((tensor, i) => [`tensors[${i}]`, tensor]));
  checkTensors("liveRows", { count, ...named });
  const { recorder } = count.device.stream;
  if (!recorder?.live) throw new CaptureError("liveRows: it must be called by the step of a capture; it was not.");
  recorder.live(count, named);
}

interface Parts<O> {
  readonly device: Device;
  readonly name: string;
  readonly replay: Replay;
  readonly outputs: O;
  /** The outputs that the step made. */
  readonly own: readonly Tensor[];
}

/** Captures that were forgotten give back their memory; outputs that somebody still has keep theirs. */
const collected = new FinalizationRegistry<{ device: Device; replay: Replay; slots: readonly Tensor[] }>(
  ({ device, replay, slots }) => {
    if (device.isDisposed) return;
    device.noteLeak();
    release(replay, slots);
  },
);

function release(replay: Replay, tensors: readonly Tensor[]): void {
  for (const tensor of tensors) tensor.dispose();
  replay.dispose();
}

/**
 * A recorded step. Its outputs are the same tensors at each run: read them before the next one. It holds what the step reads and writes
 * for as long as it lives: parameters, optimiser state and constants may go out of scope or be forgotten, and are followed where
 * `flatten` moves them. What was disposed is refused by the next run. A gradient that the step leaves at a leaf is the leaf's, in
 * place of the one before, after each run.
 */
export class Capture<I, S, O> {
  readonly #parts: Parts<O>;
  readonly #inputs: TensorsOf<I>;
  readonly #scalars: TensorsOf<S>;
  readonly #values: { [K in keyof S]: number };
  #isDirty = true;
  #isDisposed = false;

  /** Use `capture`. @internal */
  constructor(parts: Parts<O>, inputs: TensorsOf<I>, scalars: TensorsOf<S>, values: S) {
    this.#parts = parts;
    this.#inputs = inputs;
    this.#scalars = scalars;
    this.#values = { ...values } as { [K in keyof S]: number };
    const slots = tensorsIn([inputs, scalars]).filter((tensor) => !parts.own.includes(tensor));
    collected.register(this, { device: parts.device, replay: parts.replay, slots }, this);
  }

  /** Dispatches of one run. */
  get dispatches(): number {
    return this.#parts.replay.dispatches;
  }

  /** Bytes of the capture's private memory. */
  get bytes(): number {
    return this.#parts.replay.bytes;
  }

  /**
   * Writes the inputs and scalars into their slots and replays the step. Scalars left out keep their value. Throws DisposedError if the
   * capture, an output, or a tensor that the step reads or writes was disposed, and CaptureError for inputs that do not fit.
   */
  run(inputs: InputValues<I>, scalars: Partial<{ readonly [K in keyof S]: number }> = {}): O {
    const { device, replay, outputs } = this.#parts;
    this.#checkAlive();
    this.#checkNames(inputs, scalars);
    for (const [name, slot] of this.#slots()) this.#checkInput(name, slot, inputs[name]);
    device.stream.flush();
    replay.prepare();
    device.stream.submit(this.#parts.name, (encoder, passes) => {
      for (const [name, slot] of this.#slots()) this.#feed(encoder, slot, inputs[name]);
      this.#feedScalars(scalars);
      replay.encode(encoder, passes);
    });
    return outputs;
  }

  /** Frees the private memory; the outputs can no longer be read. What comes from outside, and gradients at leaves, stay. */
  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    collected.unregister(this);
    const { replay, own } = this.#parts;
    release(replay, [...tensorsIn([this.#inputs, this.#scalars]), ...own]);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #checkAlive(): void {
    const { device, name, replay, own } = this.#parts;
    if (this.#isDisposed) throw new DisposedError(`${name}: it must be alive to run; it was disposed.`);
    device.check(name);
    if (device.stream.recorder) {
      throw new CaptureError(`${name}: it must not run while another is recorded. Call both, one after the other.`);
    }
    replay.check();
    const gone = own.find((tensor) => tensor.isDisposed);
    if (!gone) return;
    throw new DisposedError(
      `${name}: its outputs must be alive; got ${describe(gone)}, which was disposed. Every run writes it: dispose the capture instead.`,
    );
  }

  #slots(): [keyof I & string, Tensor][] {
    return Object.entries(this.#inputs) as [keyof I & string, Tensor][];
  }

  #checkNames(inputs: InputValues<I>, scalars: object): void {
    const { name } = this.#parts;
    for (const [what, given, declared, all] of [
      ["input", inputs, this.#inputs, true],
      ["scalar", scalars, this.#scalars, false],
    ] as const) {
      const known = Object.keys(declared);
      const unknown = Object.keys(given).find((name) => !known.includes(name));
      if (unknown !== undefined)
        throw new CaptureError(`${name}: ${what} names must be among [${known.join(", ")}]; got ${unknown}.`);
      const missing = known.find((name) => !(name in given));
      if (all && missing !== undefined)
        throw new CaptureError(`${name}: every ${what} must be given; ${missing} is missing.`);
    }
  }

  #checkInput(input: string, slot: Tensor, value: Tensor | ArrayLike<number>): void {
    const { name } = this.#parts;
    if (value instanceof Tensor) {
      value.check(name);
      checkDevice(name, value, this.#parts.device);
      if (sameShape(value.shape, slot.shape) && value.dtype === slot.dtype) return;
      throw new CaptureError(
        `${name}: input ${input} must be ${describe(slot)}, as recorded; got ${describe(value)}. Capture again for other shapes.`,
      );
    }
    if (value.length === slot.size) return;
    throw new CaptureError(
      `${name}: input ${input} must have ${slot.size} elements for ${describe(slot)}, as recorded; got ${value.length}.`,
    );
  }

  #feed(encoder: GPUCommandEncoder, slot: Tensor, value: Tensor | ArrayLike<number>): void {
    const { stream, gpu } = this.#parts.device;
    if (slot.bytes === 0) return;
    if (value instanceof Tensor) {
      // The step may return an input, and be fed with it.
      if (value.storage === slot.storage) return;
      stream.place(value.storage);
      copyStorage(encoder, { from: value.storage, to: slot.storage, bytes: Math.ceil(value.bytes / 4) * 4 });
      return;
    }
    const data = encode(value, slot.dtype);
    const { buffer, offset } = slot.storage.place;
    gpu.queue.writeBuffer(buffer, offset, data.buffer, data.byteOffset, data.byteLength);
  }

  #feedScalars(scalars: Partial<{ readonly [K in keyof S]: number }>): void {
    for (const name of Object.keys(this.#scalars) as (keyof S)[]) {
      const value = scalars[name] ?? this.#values[name];
      if (value === this.#values[name] && !this.#isDirty) continue;
      this.#values[name] = value;
      const { buffer, offset } = this.#scalars[name].storage.place;
      this.#parts.device.gpu.queue.writeBuffer(buffer, offset, Float32Array.of(value));
    }
    this.#isDirty = false;
  }
}

function mapValues<T extends object, R>(object: T, fn: (value: T[keyof T]) => R): { [K in keyof T]: R } {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, fn(value as T[keyof T])])) as {
    [K in keyof T]: R;
  };
}

function tensorsIn(value: unknown): Tensor[] {
  if (value instanceof Tensor) return [value];
  if (typeof value !== "object" || value === null) return [];
  return Object.values(value).flatMap(tensorsIn);
}
