// Capture and replay: a step's dispatches are recorded once and sent again as they are, with ready bind groups, one
// pass and one submit. What may change between replays is declared: inputs, scalars, state. Everything else is
// constant; a write to anything else is refused. A capture owns what it touches (see replay.ts): a function may make
// parameters, optimiser and step, and return the step alone.

import { mapValues } from "../base/index.ts";
import { type CaptureOptions, declare } from "./capture-options.ts";
import { checkFunction } from "./checks.ts";
import { compileAll } from "./compile.ts";
import type { Device } from "./device.ts";
import { CaptureError, DisposedError } from "./errors.ts";
import type { HostData } from "./host-data.ts";
import { Recording } from "./recording.ts";
import type { Replay } from "./replay.ts";
import { keep, Scope, synchronous } from "./scope.ts";
import { type Described, describe } from "./shape.ts";
import { Slots } from "./slots.ts";
import { recording } from "./stream.ts";
import { checkTensors, Tensor } from "./tensor.ts";

/** What a run is given for each input. */
export type InputValues<I> = { readonly [K in keyof I]: Tensor | HostData };
/** A tensor for each name. */
export type TensorsOf<T> = { readonly [K in keyof T]: Tensor };

/**
 * Records `step` (a synchronous function that neither reads nor writes tensors on the host) without running it,
 * compiles its pipelines, and returns the capture. Call `run` to execute. @throws CaptureError for what cannot be
 * recorded.
 *
 * @example
 * ```ts
 * import { capture, mul, sum } from "sortie/engine";
 *
 * const step = await capture(
 *   { inputs: { x: { shape: [2], dtype: "f32" } }, scalars: { scale: 1 } },
 *   ({ x }, { scale }) => sum(mul(x, scale)),
 * );
 * console.log(await step.run({ x: Float32Array.of(1, 2) }, { scale: 10 }).item()); // 30
 * console.log(await step.run({ x: Float32Array.of(3, 4) }, { scale: 1 }).item()); // 7
 * step.dispose();
 * ```
 */
export async function capture<I extends Record<string, Described>, S extends Record<string, number>, O>(
  options: CaptureOptions<I, S>,
  step: (inputs: TensorsOf<I>, scalars: TensorsOf<S>) => O,
): Promise<Capture<I, S, O>> {
  checkFunction("capture", "the step", step);
  const { device, name, state } = declare(options);
  device.check(name);
  if (device.stream.recorder) throw new CaptureError(`${name}: captures must not be nested; got one inside another.`);
  const recorder = new Recording(device, name, state);
  const frame = new Scope();
  try {
    const { inputs, scalars, outputs, own } = recording(device.stream, recorder, () => {
      const inputs = mapValues(options.inputs ?? ({} as I), ({ shape, dtype }) => recorder.slot(shape, dtype));
      const scalars = mapValues(options.scalars ?? ({} as S), () => recorder.slot([], "f32"));
      if (options.rows) recorder.live(options.rows, inputs);
      const outputs = step(inputs as TensorsOf<I>, scalars as TensorsOf<S>);
      synchronous("capture", outputs);
      const own = tensorsIn(outputs).filter((tensor) => recorder.isOwn(tensor));
      for (const kept of [inputs, scalars, own]) keep(kept);
      frame.dispose();
      recorder.close();
      return { inputs, scalars, outputs, own };
    });
    recorder.settleLeaves(own);
    await compileAll(device, recorder.programs());
    const isGraphAlive = own.some(({ source }) => source?.kind === "node" && !source.isFreed);
    const slots = new Slots({ device, name }, inputs, scalars, options.scalars ?? {});
    const all = [...Object.values<Tensor>(inputs), ...Object.values<Tensor>(scalars), ...own];
    return new Capture({ device, name, replay: recorder.layOut({ isGraphAlive }), slots, own, all, outputs });
  } catch (error) {
    frame.dispose();
    recorder.dispose();
    throw error;
  }
}

/**
 * Inside the step of a capture: from here on only the first `count` (u32[1], on the GPU, computed by the step or from
 * outside) rows of `tensors` count, and dispatches that depend on them cover those alone, as with `rows` of the inputs.
 * All have one leading extent.
 * @throws CaptureError outside a capture, and for a count or tensors that do not fit.
 */
export function liveRows(count: Tensor, tensors: readonly Tensor[]): void {
  const named = Object.fromEntries(tensors.map((tensor, i) => [`tensors[${i}]`, tensor]));
  checkTensors("liveRows", { count, ...named });
  const { recorder } = count.device.stream;
  if (!recorder?.live) throw new CaptureError("liveRows: it must be called by the step of a capture; it was not.");
  recorder.live(count, named);
}

/** @internal */
export interface CaptureParts<O> {
  readonly device: Device;
  readonly name: string;
  readonly replay: Replay;
  readonly slots: Slots;
  readonly outputs: O;
  /** The outputs that the step made. */
  readonly own: readonly Tensor[];
  /** Those, and the tensors of the slots. */
  readonly all: readonly Tensor[];
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
 * A recorded step. Its outputs are the same tensors at each run: read them before the next one. It holds what the step
 * reads and writes for as long as it lives: parameters, optimiser state and constants may go out of scope or be
 * forgotten, and are followed where `flatten` moves them. What was disposed is refused by the next run. A gradient that
 * the step leaves at a leaf is the leaf's, in place of the one before, after each run.
 */
export class Capture<I, S, O> {
  readonly #parts: CaptureParts<O>;
  #isDisposed = false;

  /** Use `capture`. @internal */
  constructor(parts: CaptureParts<O>) {
    this.#parts = parts;
    const { device, replay, all, own } = parts;
    collected.register(this, { device, replay, slots: all.filter((tensor) => !own.includes(tensor)) }, this);
  }

  /** @internal */
  get parts(): CaptureParts<O> {
    return this.#parts;
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
   * Writes the inputs and scalars into their slots and replays the step. Scalars left out keep their value.
   * @throws DisposedError if the capture, an output, or a tensor that the step reads or writes was disposed, and
   * CaptureError for inputs that do not fit.
   */
  run(inputs: InputValues<I> = {} as InputValues<I>, scalars: Partial<{ readonly [K in keyof S]: number }> = {}): O {
    const { device, name, replay, slots, outputs } = this.#parts;
    this.#checkAlive();
    const feeds = slots.take(inputs, scalars);
    device.stream.flush();
    replay.prepare();
    device.stream.submit(name, (encoder, passes) => {
      slots.feed(encoder, feeds);
      replay.encode(encoder, passes);
    });
    return outputs;
  }

  /**
   * Frees the private memory; the outputs can no longer be read. What comes from outside, and gradients at leaves,
   * stay.
   */
  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    collected.unregister(this);
    release(this.#parts.replay, this.#parts.all);
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
}

function tensorsIn(value: unknown): Tensor[] {
  if (value instanceof Tensor) return [value];
  if (typeof value !== "object" || value === null) return [];
  return Object.values(value).flatMap(tensorsIn);
}
