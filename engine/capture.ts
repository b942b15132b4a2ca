// Capture and replay: a step's dispatches are recorded once and sent again as they are, with ready bind groups, one pass and
// one submit. What may change between replays is declared: inputs, scalars, state. Everything else is constant; a write to
// anything else is refused. Intermediates share private memory by liveness, which the fixed order makes exact.

import { liveGrid } from "../kernels/index.ts";
import { type Place, Storage, USAGE } from "./buffers.ts";
import type { Device } from "./device.ts";
import { encode } from "./dtype.ts";
import { CaptureError, DisposedError } from "./errors.ts";
import { liveGrids } from "./ops/compact.ts";
import { PrivateMemory } from "./private-memory.ts";
import { defaultDevice } from "./registry.ts";
import { keep, Scope } from "./scope.ts";
import { type Described, describe, numel, sameShape } from "./shape.ts";
import {
  type Command,
  type Copy,
  copyStorage,
  type Encoded,
  Passes,
  type Recorder,
  separate,
  storagesOf,
  uniformBytes,
  type Work,
  writeUniforms,
} from "./stream.ts";
import { empty, Tensor } from "./tensor.ts";

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
    if (outputs instanceof Promise) throw new CaptureError("capture: the step must be synchronous; got a promise.");
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

/** What a replay encodes, in order. */
type Program = readonly (Encoded | Copy)[];

interface Parts {
  readonly device: Device;
  readonly recording: Recording;
  readonly program: Program;
}

/** Takes the work of a step while it is traced, then lays it out in private memory. */
class Recording implements Recorder {
  readonly #device: Device;
  readonly #state: ReadonlySet<Storage>;
  readonly #work: Work[] = [];
  readonly #memory: PrivateMemory;
  /** Storages that must keep their memory for the capture's life. */
  readonly #held: Storage[] = [];
  #rows: { count: Tensor; capacity: number } | undefined;
  #indirect: ReadonlyMap<Work, Place> = new Map();
  #uniforms: GPUBuffer | undefined;
  #isLaidOut = false;

  constructor(device: Device, state: readonly (Tensor | { readonly state: readonly Tensor[] })[]) {
    this.#device = device;
    this.#memory = new PrivateMemory(device.pool);
    const tensors = state.flatMap((item) => (item instanceof Tensor ? [item] : item.state));
    this.#state = new Set(tensors.map((tensor) => tensor.storage.root));
  }

  get bytes(): number {
    return this.#memory.bytes;
  }

  /** A tensor that the host fills before each run. */
  slot(shape: readonly number[], dtype: Tensor["dtype"]): Tensor {
    const tensor = empty(shape, { dtype, device: this.#device });
    this.place(tensor.storage);
    return tensor;
  }

  place(storage: Storage): void {
    this.#memory.place(storage);
    this.#held.push(storage.retain());
  }

  /** From here on, dispatches that depend on the inputs cover only the first `count` rows. */
  live(count: Tensor, inputs: readonly (readonly [string, Tensor])[]): void {
    if (numel(count.shape) !== 1 || count.dtype !== "u32")
      throw new CaptureError(`capture: rows must be u32[1]; got ${describe(count)}.`);
    const capacity = inputs[0]?.[1].shape[0];
    if (capacity === undefined)
      throw new CaptureError("capture: live rows need an input with a leading axis; got none.");
    for (const [name, input] of inputs) {
      if (input.shape[0] !== capacity) {
        throw new CaptureError(
          `capture: with live rows all inputs must have the leading extent ${capacity}; got ${describe(input)} for ${name}.`,
        );
      }
      input.storage.live = true;
    }
    this.#rows = { count, capacity };
  }

  record(work: Work): void {
    if (work.kind === "copy") {
      this.#checkWrite("copy", work.to);
    } else {
      const { bindings } = work.program;
      work.storages.forEach((storage, i) => {
        if (bindings[i]?.access !== "read") this.#checkWrite(work.op, storage);
      });
      if (this.#rows && work.storages.some((storage) => storage.live)) this.#spread(work, this.#rows.capacity);
    }
    this.#work.push(work);
  }

  #checkWrite(op: string, storage: Storage): void {
    if (storage.owner === this || this.#state.has(storage.root)) return;
    throw new CaptureError(
      `capture: what the step writes in place must be declared as state; ${op} writes a tensor from outside that is not.`,
    );
  }

  /** What a live dispatch writes is live too. */
  #spread(work: Command, capacity: number): void {
    if (!work.rows || work.rows.units % capacity !== 0) {
      throw new CaptureError(`capture: with live rows every op must treat rows independently; ${work.op} mixes them.`);
    }
    const grid = liveGrid(work.grid, work.rows);
    if (grid.join() !== work.grid.join()) {
      throw new CaptureError(
        `capture: for all rows the launches of ${work.op} must have their grid [${work.grid.join(", ")}]; its kernel's rows give [${grid.join(", ")}].`,
      );
    }
    work.storages.forEach((storage, i) => {
      if (work.program.bindings[i]?.access !== "read") storage.live = true;
    });
  }

  *programs(): Iterable<Command["program"]> {
    for (const work of this.#work) if (work.kind === "dispatch") yield work.program;
  }

  /** The end of the trace: adds what live rows need. */
  close(): void {
    if (this.#rows) this.#indirect = this.#liveArguments(this.#rows);
  }

  /** Places all memory and makes all bind groups. */
  layOut(): Program {
    this.#isLaidOut = true;
    const stride = (command: Command) => Math.ceil(uniformBytes(command.program) / align) * align;
    const align = this.#device.stream.uniforms.align;
    const commands = this.#work.filter((work) => work.kind === "dispatch");
    const size = commands.reduce((sum, command) => sum + stride(command), 0);
    const uniforms = this.#device.gpu.createBuffer({
      label: "capture uniforms",
      size: Math.max(16, size),
      usage: USAGE.uniform | USAGE.copyDst,
    });
    this.#uniforms = uniforms;
    const bytes = new DataView(new ArrayBuffer(Math.max(16, size)));
    const program: (Encoded | Copy)[] = [];
    let offset = 0;
    for (const work of this.#work) {
      for (const storage of storagesOf(work)) this.#memory.place(storage);
      if (work.kind === "copy") {
        program.push(work);
      } else {
        const storages = separate(work, (from) => {
          const to = new Storage(from.bytes);
          this.place(to);
          program.push({ kind: "copy", from, to, bytes: from.bytes });
          return to;
        });
        const encoded = this.#device.stream.encode(work, storages, uniforms, offset);
        program.push({ ...encoded, indirect: this.#indirect.get(work) });
        writeUniforms(bytes, offset, work.program, work.uniforms);
        offset += stride(work);
      }
      // A copy is replayed from its storages, so they keep their memory; others may be overwritten from here on.
      if (work.kind === "copy") this.#held.push(...storagesOf(work));
      else for (const storage of storagesOf(work)) storage.release();
    }
    this.#device.gpu.queue.writeBuffer(uniforms, 0, bytes.buffer);
    return program;
  }

  /** Prepends the dispatch that computes every live dispatch's grid from the row count. */
  #liveArguments({ count, capacity }: { count: Tensor; capacity: number }): Map<Work, Place> {
    const commands = this.#work.filter(
      (work): work is Command => work.kind === "dispatch" && work.storages.some((storage) => storage.live),
    );
    const before = this.#work.length;
    const args = liveGrids(
      count,
      commands.map((command) => ({ grid: command.grid, rows: command.rows })),
      capacity,
    );
    this.#work.unshift(...this.#work.splice(before));
    this.place(args.storage);
    const { buffer, offset } = args.storage.place;
    args.dispose();
    return new Map(commands.map((command, i) => [command, { buffer, offset: offset + 12 * i }]));
  }

  dispose(): void {
    if (!this.#isLaidOut) for (const work of this.#work) for (const storage of storagesOf(work)) storage.release();
    for (const storage of this.#held.splice(0)) storage.release();
    this.#uniforms?.destroy();
    this.#memory.dispose();
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
