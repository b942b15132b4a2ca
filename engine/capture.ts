// Capture and replay: a step's dispatches are recorded once and sent again as they are, with ready bind groups, one pass and
// one submit. What may change between replays is declared: inputs, scalars, state. Everything else is constant; a write to
// anything else is refused. Intermediates share private memory by liveness, which the fixed order makes exact.

import type { Device } from "./device.ts";
import { encode } from "./dtype.ts";
import { CaptureError, DisposedError } from "./errors.ts";
import { checkDevice } from "./op.ts";
import { type Program, Recording } from "./recording.ts";
import { defaultDevice } from "./registry.ts";
import { keep, Scope, synchronous } from "./scope.ts";
import { type Described, describe, sameShape } from "./shape.ts";
import { copyStorage, Passes } from "./stream.ts";
import { Tensor } from "./tensor.ts";

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
   * leading extent is the capacity; each dispatch covers the first rows only. Ops that mix rows are refused.
   */
  readonly rows?: Tensor;
  readonly device?: Device;
}

type Fed<I> = { readonly [K in keyof I]: Tensor | ArrayLike<number> };
type Tensors<T> = { readonly [K in keyof T]: Tensor };

/**
 * Records `step` (a synchronous function that neither reads nor writes tensors on the host) without running it, compiles
 * its pipelines, and returns the capture. Call `run` to execute. Throws CaptureError for what cannot be recorded.
 */
export async function capture<I extends Record<string, Described>, S extends Record<string, number>, O>(
  options: CaptureOptions<I, S>,
  step: (inputs: Tensors<I>, scalars: Tensors<S>) => O,
): Promise<Capture<I, S, O>> {
  const device = options.device ?? options.rows?.device ?? defaultDevice();
  device.check("capture");
  if (device.stream.recorder) throw new CaptureError("capture: captures must not be nested; got one inside another.");
  device.stream.flush();
  const recording = new Recording(device, options.state ?? []);
  const frame = new Scope();
  try {
    device.stream.recorder = recording;
    const inputs = mapValues(options.inputs ?? ({} as I), ({ shape, dtype }) => recording.slot(shape, dtype));
    const scalars = mapValues(options.scalars ?? ({} as S), () => recording.slot([], "f32"));
    if (options.rows) recording.live(options.rows, Object.entries(inputs));
    const outputs = step(inputs as Tensors<I>, scalars as Tensors<S>);
    synchronous("capture", outputs);
    for (const kept of [inputs, scalars, outputs]) keep(kept);
    frame.dispose();
    recording.close();
    device.stream.recorder = undefined;
    await device.pipelines.compileAll(recording.programs());
    const parts = { device, recording, program: recording.layOut() };
    return new Capture(parts, inputs as Tensors<I>, scalars as Tensors<S>, options.scalars ?? ({} as S), outputs);
  } catch (error) {
    device.stream.recorder = undefined;
    frame.dispose();
    recording.dispose();
    throw error;
  }
}

/** A recorded step. Its outputs are the same tensors at each run: read them before the next one. */
export class Capture<I, S, O> {
  readonly #device: Device;
  readonly #recording: Recording;
  readonly #program: Program;
  readonly #inputs: Tensors<I>;
  readonly #scalars: Tensors<S>;
  readonly #outputs: O;
  readonly #values: { [K in keyof S]: number };
  #isDirty = true;
  #isDisposed = false;

  constructor(parts: Parts, inputs: Tensors<I>, scalars: Tensors<S>, values: S, outputs: O) {
    this.#device = parts.device;
    this.#recording = parts.recording;
    this.#program = parts.program;
    this.#inputs = inputs;
    this.#scalars = scalars;
    this.#values = { ...values } as { [K in keyof S]: number };
    this.#outputs = outputs;
  }

  /** Dispatches of one run. */
  get dispatches(): number {
    return this.#program.filter((item) => "pipeline" in item).length;
  }

  /** Bytes of the capture's private memory. */
  get bytes(): number {
    return this.#recording.bytes;
  }

  /** Writes the inputs and scalars into their slots and replays the step. Scalars left out keep their value. */
  run(inputs: Fed<I>, scalars: Partial<{ readonly [K in keyof S]: number }> = {}): O {
    if (this.#isDisposed) throw new DisposedError("capture: it must be alive to run; it was disposed.");
    const { stream, gpu } = this.#device;
    this.#device.check("capture");
    this.#checkNames(inputs, scalars);
    stream.flush();
    const encoder = gpu.createCommandEncoder({ label: "capture" });
    for (const [name, slot] of Object.entries(this.#inputs) as [keyof I & string, Tensor][])
      this.#feed(encoder, name, slot, inputs[name]);
    this.#feedScalars(scalars);
    const passes = new Passes(encoder, stream.timer, stream.counters);
    for (const item of this.#program) {
      if ("pipeline" in item) passes.dispatch(item);
      else {
        passes.end();
        copyStorage(encoder, item);
      }
    }
    passes.end();
    stream.timer?.finish(encoder);
    gpu.queue.submit([encoder.finish()]);
    stream.counters.submits += 1;
    return this.#outputs;
  }

  /** Frees the private memory; the outputs can no longer be read. */
  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    const dispose = (value: unknown) => {
      for (const tensor of tensorsIn(value)) tensor.dispose();
    };
    dispose(this.#inputs);
    dispose(this.#scalars);
    dispose(this.#outputs);
    this.#recording.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #checkNames(inputs: Fed<I>, scalars: object): void {
    for (const [what, given, declared, all] of [
      ["input", inputs, this.#inputs, true],
      ["scalar", scalars, this.#scalars, false],
    ] as const) {
      const known = Object.keys(declared);
      const unknown = Object.keys(given).find((name) => !known.includes(name));
      if (unknown !== undefined)
        throw new CaptureError(`capture: ${what} names must be among [${known.join(", ")}]; got ${unknown}.`);
      const missing = known.find((name) => !(name in given));
      if (all && missing !== undefined)
        throw new CaptureError(`capture: every ${what} must be given; ${missing} is missing.`);
    }
  }

  #feed(encoder: GPUCommandEncoder, name: string, slot: Tensor, value: Tensor | ArrayLike<number>): void {
    const { stream, gpu } = this.#device;
    const { buffer, offset } = slot.storage.place;
    if (value instanceof Tensor) {
      value.check("capture");
      checkDevice("capture", value, this.#device);
      if (!sameShape(value.shape, slot.shape) || value.dtype !== slot.dtype) {
        throw new CaptureError(
          `capture: input ${name} must be ${describe(slot)}, as recorded; got ${describe(value)}. Capture again for other shapes.`,
        );
      }
      if (value.bytes === 0) return;
      stream.place(value.storage);
      copyStorage(encoder, {
        kind: "copy",
        from: value.storage,
        to: slot.storage,
        bytes: Math.ceil(value.bytes / 4) * 4,
      });
      return;
    }
    if (value.length !== slot.size) {
      throw new CaptureError(
        `capture: input ${name} must have ${slot.size} elements for ${describe(slot)}, as recorded; got ${value.length}.`,
      );
    }
    const data = encode(value, slot.dtype);
    if (data.byteLength > 0) gpu.queue.writeBuffer(buffer, offset, data.buffer, data.byteOffset, data.byteLength);
  }

  #feedScalars(scalars: Partial<{ readonly [K in keyof S]: number }>): void {
    for (const name of Object.keys(this.#scalars) as (keyof S)[]) {
      const value = scalars[name] ?? this.#values[name];
      if (value === this.#values[name] && !this.#isDirty) continue;
      this.#values[name] = value;
      const { buffer, offset } = this.#scalars[name].storage.place;
      this.#device.gpu.queue.writeBuffer(buffer, offset, Float32Array.of(value));
    }
    this.#isDirty = false;
  }
}

interface Parts {
  readonly device: Device;
  readonly recording: Recording;
  readonly program: Program;
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
