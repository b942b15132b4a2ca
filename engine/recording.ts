// A step while it is traced: takes its work instead of the queue, notes which tensors from outside it uses and what it
// does to the gradients at leaves, and refuses what cannot be replayed.

import type { Place, Storage } from "./buffers.ts";
import type { Device } from "./device.ts";
import { CaptureError } from "./errors.ts";
import type { Leaf } from "./graph.ts";
import { LeafSwaps, type LeftGradient } from "./leaf-swaps.ts";
import { LiveRows } from "./live-rows.ts";
import { PrivateMemory } from "./private-memory.ts";
import { type Operand, Replay } from "./replay.ts";
import { checkDevice, empty, type Tensor } from "./tensor.ts";
import { type Command, type Recorder, storagesOf, type Work } from "./work.ts";

/** Takes the work of a step while it is traced. */
export class Recording implements Recorder {
  readonly #device: Device;
  readonly #name: string;
  readonly #state: ReadonlySet<Storage>;
  readonly #work: Work[] = [];
  readonly #memory: PrivateMemory;
  /** Storages that must keep their memory for the capture's life. */
  readonly #held = new Set<Storage>();
  readonly #made = new WeakSet<Tensor>();
  readonly #used = new Map<Tensor, Storage>();
  readonly #swaps = new LeafSwaps();
  readonly #rows: LiveRows[] = [];
  #indirect: ReadonlyMap<Work, Place> = new Map();
  #operands: Operand[] = [];
  #left: LeftGradient[] = [];

  /** @param name For messages: `capture "label"`. */
  constructor(device: Device, name: string, state: readonly Tensor[]) {
    this.#device = device;
    this.#name = name;
    this.#memory = new PrivateMemory(device.pool);
    for (const tensor of state) this.#used.set(tensor, tensor.storage);
    this.#state = new Set(state.map((tensor) => tensor.storage.root));
  }

  made(tensor: Tensor): void {
    this.#made.add(tensor);
  }

  used(tensor: Tensor, storage: Storage): void {
    this.#used.set(tensor, storage);
  }

  swaps(leaf: Leaf): void {
    this.#swaps.note(leaf);
  }

  /** Whether the step made this tensor. */
  isOwn(tensor: Tensor): boolean {
    return this.#made.has(tensor);
  }

  /** A tensor that the host fills before each run. */
  slot(shape: readonly number[], dtype: Tensor["dtype"]): Tensor {
    const tensor = empty(shape, { dtype, device: this.#device });
    this.place(tensor.storage);
    return tensor;
  }

  place(storage: Storage): void {
    this.#memory.place(storage);
    if (!this.#held.has(storage)) this.#held.add(storage.retain());
  }

  /** From here on, dispatches that depend on the tensors cover only the first `count` rows. */
  live(count: Tensor, tensors: Readonly<Record<string, Tensor>>): void {
    checkDevice("capture", count, this.#device);
    for (const rows of this.#rows) rows.leave(Object.values(tensors));
    this.#rows.push(new LiveRows(count, tensors, this.#work.length));
  }

  record(work: Work): void {
    if (work.kind === "copy") {
      this.#checkWrite("copy", work.to);
    } else {
      const { bindings } = work.program;
      work.storages.forEach((storage, i) => {
        if (bindings[i]?.access !== "read") this.#checkWrite(work.op, storage);
      });
    }
    const followed = this.#rows.filter((rows) => rows.follow(work, this));
    if (followed.length > 1 && work.kind === "dispatch") {
      throw new CaptureError(
        `capture: an op must have live rows of one number; ${work.op} has some of ${followed.length}.`,
      );
    }
    this.#work.push(work);
  }

  #checkWrite(op: string, storage: Storage): void {
    if (storage.owner === this || this.#state.has(storage.root)) return;
    throw new CaptureError(
      `capture: what the step writes in place must be declared as state; ${op} writes a tensor from outside that is not.`,
    );
  }

  *programs(): Iterable<Command["program"]> {
    for (const work of this.#work) if (work.kind === "dispatch") yield work.program;
  }

  /** The end of the trace, still listening: adds what live rows need. */
  close(): void {
    // The last first, so that the places of the others stand.
    this.#indirect = new Map(this.#rows.toReversed().flatMap((rows) => [...this.#liveArguments(rows)]));
    this.#endRows();
    this.#operands = this.#findOperands();
  }

  /**
   * After the trace: undoes what it did to gradients at leaves, which each run will do. A leaf that had none keeps the
   * new one, as zeros until the first run.
   */
  settleLeaves(outputs: readonly Tensor[]): void {
    const { left, unset } = this.#swaps.finish(outputs);
    this.#left = left;
    if (unset.length === 0) return;
    const encoder = this.#device.gpu.createCommandEncoder({ label: this.#name });
    for (const storage of unset) {
      this.#memory.place(storage);
      encoder.clearBuffer(storage.place.buffer, storage.place.offset, storage.bytes);
    }
    this.#device.gpu.queue.submit([encoder.finish()]);
  }

  /** Places all memory and makes all bind groups; what the recording holds is the replay's from here on. */
  layOut({ isGraphAlive }: { readonly isGraphAlive: boolean }): Replay {
    const work = this.#work.splice(0);
    return new Replay(this.#device, {
      name: this.#name,
      owner: this,
      work,
      indirect: this.#indirect,
      memory: this.#memory,
      held: this.#takeHeld(),
      operands: this.#operands.splice(0),
      left: this.#left.splice(0),
      isGraphAlive,
    });
  }

  /** What the step uses of what it did not make. */
  #findOperands(): Operand[] {
    const ops = new Map<Storage, string>();
    for (const work of this.#work) {
      for (const { root } of storagesOf(work))
        if (!ops.has(root)) ops.set(root, work.kind === "copy" ? "copy" : work.op);
    }
    const leaves = new Map<Tensor, Leaf>();
    for (const [leaf, before] of this.#swaps.before) if (before) leaves.set(before, leaf);
    for (const { source } of this.#used.keys())
      if (source?.kind === "leaf" && source.grad) leaves.set(source.grad, source);
    const operands: Operand[] = [];
    for (const [tensor, storage] of this.#used) {
      const op = ops.get(storage.root);
      if (op !== undefined && !this.#made.has(tensor)) operands.push({ tensor, storage, op, leaf: leaves.get(tensor) });
    }
    this.#used.clear();
    return operands;
  }

  /** Inserts the dispatch that computes the grids of those that follow the live rows, where these were told of. */
  #liveArguments(rows: LiveRows): Map<Work, Place> {
    if (rows.isIdle) return new Map();
    const before = this.#work.length;
    const { args, places } = rows.arguments();
    this.#work.splice(rows.since, 0, ...this.#work.splice(before));
    this.place(args.storage);
    const found = places(args.storage.place);
    args.dispose();
    return found;
  }

  #endRows(): void {
    for (const rows of this.#rows.splice(0)) rows.dispose();
  }

  /** Lets everything go. Only for a recording that was not laid out. */
  dispose(): void {
    this.#endRows();
    this.#swaps.undo();
    for (const work of this.#work.splice(0)) for (const storage of storagesOf(work)) storage.release();
    for (const storage of this.#takeHeld()) storage.release();
    for (const { storage } of this.#left.splice(0)) storage?.release();
    this.#memory.dispose();
  }

  #takeHeld(): Storage[] {
    const held = [...this.#held];
    this.#held.clear();
    return held;
  }
}
