// A step while it is traced: takes its work instead of the queue, refuses what cannot be replayed, and then lays it out in private
// memory with bind groups and uniforms made once. Intermediates share memory by liveness, which the fixed order makes exact.

import { liveGrid } from "../kernels/index.ts";
import { type Place, Storage, USAGE } from "./buffers.ts";
import type { Device } from "./device.ts";
import { CaptureError } from "./errors.ts";
import { checkDevice } from "./op.ts";
import { liveGrids } from "./ops/compact.ts";
import { PrivateMemory } from "./private-memory.ts";
import { describe, numel } from "./shape.ts";
import {
  type Command,
  type Copy,
  type Encoded,
  type Recorder,
  separate,
  storagesOf,
  uniformBytes,
  type Work,
  writeUniforms,
} from "./stream.ts";
import { empty, Tensor } from "./tensor.ts";

/** What a replay encodes, in order. */
export type Program = readonly (Encoded | Copy)[];

/** Takes the work of a step while it is traced, then lays it out in private memory. */
export class Recording implements Recorder {
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
    checkDevice("capture", count, this.#device);
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
