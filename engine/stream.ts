// The order of GPU work: pending commands, their placement in memory, encoding, submission and read-back.
// Dispatches gather until a read, a budget or the end of a step; a recorder (see capture) may take them instead.

import { type BufferPool, Storage, USAGE } from "./buffers.ts";
import { CaptureError } from "./errors.ts";
import type { Wait } from "./patience.ts";
import type { PipelineCache, Program } from "./pipelines.ts";
import {
  type Command,
  type Copy,
  copyStorage,
  type Encoded,
  type PassTimer,
  type Placed,
  type Recorder,
  separate,
  storagesOf,
  uniformBytes,
  type Work,
  writeUniforms,
} from "./work.ts";

/** Dispatches after which pending work is submitted unasked, so that the GPU starts while JavaScript goes on. */
const BUDGET = 32;

/** Counters since the device was made; `bench` and `profile` take differences. */
export interface StreamCounters {
  dispatches: number;
  submits: number;
}

/** The stream whose work is taken, of all devices: what is traced works on one. */
let recorded: Stream | undefined;

export class Stream {
  readonly #device: GPUDevice;
  readonly #pool: BufferPool;
  readonly #pipelines: PipelineCache;
  readonly uniforms: UniformWriter;
  readonly counters: StreamCounters = { dispatches: 0, submits: 0 };
  #recorder: Recorder | undefined;
  /** Who is told of dispatches while `device.profile` runs. */
  timer: PassTimer | undefined;
  readonly #wait: Wait;
  #pending: Work[] = [];
  #staging = new Map<number, GPUBuffer[]>();

  constructor(device: GPUDevice, pool: BufferPool, pipelines: PipelineCache, wait: Wait) {
    this.#device = device;
    this.#wait = wait;
    this.#pool = pool;
    this.#pipelines = pipelines;
    this.uniforms = new UniformWriter(device);
  }

  /**
   * Who takes the work at the moment instead of the queue. @throws CaptureError while work of another device is taken.
   */
  get recorder(): Recorder | undefined {
    if (recorded && recorded !== this) {
      throw new CaptureError(
        "capture: the step must work on one device; it used another. Pass { device } of what it uses.",
      );
    }
    return this.#recorder;
  }

  /** Hands the work to come to a recorder, after all that is pending, or back to the queue. */
  set recorder(recorder: Recorder | undefined) {
    this.flush();
    this.#recorder = recorder;
    recorded = recorder && this;
  }

  /** Appends work. The stream holds a reference to every storage until the work is encoded. */
  push(work: Work): void {
    // A recorder may refuse the work; only what was taken is held.
    this.recorder?.record(work);
    for (const storage of storagesOf(work)) storage.retain();
    if (this.#recorder) return;
    this.#pending.push(work);
    if (this.#pending.length >= BUDGET) this.flush();
  }

  /** Gives a storage memory from the pool, unless it has some. */
  place(storage: Storage): void {
    if (storage.placed) return;
    if (this.#recorder && storage.owner === this.#recorder) {
      this.#recorder.place(storage);
      return;
    }
    const buffer = this.#pool.take(storage.bytes);
    storage.putAt({ buffer, offset: 0 }, () => this.#pool.give(buffer));
  }

  /** Encodes and submits what is pending: one encoder, one compute pass, one submit. */
  flush(): void {
    if (this.#pending.length === 0) return;
    const pending = this.#pending;
    this.#pending = [];
    const temporaries: Storage[] = [];
    this.submit("sortie", (encoder, passes) => {
      const uniforms = this.uniforms.begin();
      for (const work of pending) {
        for (const storage of storagesOf(work)) this.place(storage);
        if (work.kind === "copy") {
          passes.end();
          copyStorage(encoder, work);
        } else {
          const storages = this.#separate(work, (copy) => {
            passes.end();
            temporaries.push(copy.to);
            copyStorage(encoder, copy);
          });
          const uniformOffset = uniforms.write(work.program, work.uniforms);
          passes.dispatch(this.encode(work, storages, uniforms.buffer, uniformOffset));
        }
        for (const storage of storagesOf(work)) storage.release();
      }
      uniforms.upload();
    });
    for (const storage of temporaries) storage.release();
    this.#pool.settle();
  }

  /** Submits what `fn` encodes, in one go. */
  submit(label: string, fn: (encoder: GPUCommandEncoder, passes: Passes) => void): void {
    const encoder = this.#device.createCommandEncoder({ label });
    const passes = new Passes(encoder, this.timer, this.counters);
    fn(encoder, passes);
    passes.end();
    this.timer?.finish(encoder);
    this.#device.queue.submit([encoder.finish()]);
    this.counters.submits += 1;
  }

  /** A dispatch with its bind group and compiled pipeline. */
  encode(command: Command, memory: readonly Placed[], uniformBuffer: GPUBuffer, uniformOffset: number): Encoded {
    const { program } = command;
    let bytes = 0;
    const entries: GPUBindGroupEntry[] = memory.map(({ bytes: size, place: { buffer, offset } }, i) => {
      bytes += size;
      return { binding: i + 1, resource: { buffer, offset, size } };
    });
    if (program.uniformNames.length > 0) {
      entries.unshift({ binding: 0, resource: { buffer: uniformBuffer, offset: 0, size: uniformBytes(program) } });
    }
    return {
      program,
      pipeline: this.#pipelines.pipeline(program),
      group: this.#device.createBindGroup({ label: command.op, layout: program.layout, entries }),
      uniformOffset,
      grid: command.grid,
      indirect: undefined,
      bytes,
    };
  }

  /**
   * WebGPU refuses a buffer that one dispatch both reads and writes, even in disjoint ranges (slots of a flat buffer).
   * Such operands are read from a copy.
   */
  #separate(command: Command, copy: (copy: Copy) => void): readonly Storage[] {
    return separate(command.program, command.storages, (from) => {
      const to = new Storage(from.bytes);
      this.place(to);
      copy({ kind: "copy", from, to, bytes: from.bytes });
      return to;
    });
  }

  /** Bytes of several storages with one wait, all as they are now. Pending work runs first. */
  async read(items: readonly { storage: Storage; bytes: number }[]): Promise<ArrayBuffer[]> {
    this.#refuseRecording("read", false);
    this.flush();
    const offsets: number[] = [];
    let total = 0;
    for (const { bytes } of items) {
      const end = total + Math.ceil(bytes / 8) * 8;
      // The rest goes through a buffer of its own: none may be larger.
      if (total > 0 && end > this.#device.limits.maxBufferSize) break;
      offsets.push(total);
      total = end;
    }
    if (total === 0) return items.map(() => new ArrayBuffer(0));
    const staging = this.#takeStaging(total);
    const encoder = this.#device.createCommandEncoder({ label: "read" });
    offsets.forEach((at, i) => {
      const { storage, bytes } = items[i]!;
      if (bytes === 0) return;
      this.place(storage);
      const { buffer, offset } = storage.place;
      encoder.copyBufferToBuffer(buffer, offset, staging, at, Math.ceil(bytes / 4) * 4);
    });
    this.#device.queue.submit([encoder.finish()]);
    this.counters.submits += 1;
    const rest = items.slice(offsets.length);
    const [others] = await this.#wait(() => Promise.all([this.read(rest), staging.mapAsync(1, 0, total)])); // GPUMapMode.READ
    const mapped = staging.getMappedRange(0, total);
    const result = offsets.map((at, i) => mapped.slice(at, at + items[i]!.bytes));
    staging.unmap();
    this.#giveStaging(staging);
    return [...result, ...others];
  }

  /** Writes host bytes into a storage, after all pending work. */
  write(storage: Storage, data: ArrayBufferView<ArrayBuffer>): void {
    // Memory that nothing has been told to write yet can be filled at once; all else waits its turn.
    const isFresh = !storage.placed && storage.version === 0;
    this.#refuseRecording("write", isFresh && storage.owner === this.#recorder);
    if (!isFresh) this.flush();
    this.place(storage);
    const { buffer, offset } = storage.place;
    if (data.byteLength > 0)
      this.#device.queue.writeBuffer(buffer, offset, data.buffer, data.byteOffset, data.byteLength);
  }

  /** Resolves when the GPU has finished everything so far. */
  async sync(): Promise<void> {
    this.flush();
    await this.#wait(() => this.#device.queue.onSubmittedWorkDone());
  }

  #refuseRecording(what: string, isFresh: boolean): void {
    if (!this.recorder || isFresh) return;
    throw new CaptureError(
      `capture: the step must not ${what} tensors on the host; it did. Return what you want to read; declare what changes as an input.`,
    );
  }

  destroy(): void {
    for (const work of this.#pending) for (const storage of storagesOf(work)) storage.release();
    this.#pending = [];
    for (const list of this.#staging.values()) for (const buffer of list) buffer.destroy();
    this.#staging.clear();
    this.uniforms.destroy();
  }

  #takeStaging(bytes: number): GPUBuffer {
    const size = Math.min(2 ** Math.ceil(Math.log2(Math.max(bytes, 256))), this.#device.limits.maxBufferSize);
    return (
      this.#staging.get(size)?.pop() ??
      this.#device.createBuffer({ label: "read-back", size, usage: USAGE.mapRead | USAGE.copyDst })
    );
  }

  #giveStaging(buffer: GPUBuffer): void {
    // Large read-backs are rare: keeping their staging would double the memory for nothing.
    const list = this.#staging.get(buffer.size);
    if (buffer.size > 1 << 24) buffer.destroy();
    else if (list) list.push(buffer);
    else this.#staging.set(buffer.size, [buffer]);
  }
}

/** Runs `fn`, whose work on `stream` goes to `recorder`. */
export function recording<T>(stream: Stream, recorder: Recorder, fn: () => T): T {
  stream.recorder = recorder;
  try {
    return fn();
  } finally {
    stream.recorder = undefined;
  }
}

/** One slot per dispatch in one uniform buffer: a slot rewritten within an encoder would show only its last value. */
class UniformWriter {
  readonly #device: GPUDevice;
  readonly align: number;
  buffer: GPUBuffer;
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #used = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
    this.align = device.limits.minUniformBufferOffsetAlignment;
    const size = BUDGET * 512;
    this.buffer = device.createBuffer({ label: "uniforms", size, usage: USAGE.uniform | USAGE.copyDst });
    this.#bytes = new Uint8Array(size);
    this.#view = new DataView(this.#bytes.buffer);
  }

  begin(): this {
    this.#used = 0;
    return this;
  }

  /** Offset of the slot that now holds `values`. */
  write(program: Program, values: readonly number[]): number {
    const offset = this.#used;
    this.#used += Math.ceil(uniformBytes(program) / this.align) * this.align;
    writeUniforms(this.#view, offset, program, values);
    return offset;
  }

  upload(): void {
    if (this.#used > 0) this.#device.queue.writeBuffer(this.buffer, 0, this.#bytes, 0, this.#used);
  }

  destroy(): void {
    this.buffer.destroy();
  }
}

/** The open compute pass of an encoder; under a timer, a pass of its own for each dispatch. */
export class Passes {
  readonly #encoder: GPUCommandEncoder;
  readonly #timer: PassTimer | undefined;
  readonly #counters: StreamCounters;
  #pass: GPUComputePassEncoder | undefined;
  readonly #offset = [0];

  constructor(encoder: GPUCommandEncoder, timer: PassTimer | undefined, counters: StreamCounters) {
    this.#encoder = encoder;
    this.#timer = timer;
    this.#counters = counters;
  }

  dispatch(encoded: Encoded): void {
    if (this.#timer) {
      this.end();
      this.#pass = this.#encoder.beginComputePass(this.#timer.pass(encoded));
    }
    this.#pass ??= this.#encoder.beginComputePass();
    const pass = this.#pass;
    pass.setPipeline(encoded.pipeline);
    if (encoded.program.uniformNames.length > 0) {
      this.#offset[0] = encoded.uniformOffset;
      pass.setBindGroup(0, encoded.group, this.#offset);
    } else {
      pass.setBindGroup(0, encoded.group);
    }
    if (encoded.indirect) pass.dispatchWorkgroupsIndirect(encoded.indirect.buffer, encoded.indirect.offset);
    else pass.dispatchWorkgroups(encoded.grid[0], encoded.grid[1], encoded.grid[2]);
    this.#counters.dispatches += 1;
  }

  end(): void {
    this.#pass?.end();
    this.#pass = undefined;
  }
}
