// A captured step, ready to run: its commands with their memory, bind groups and uniforms. Intermediates share private
// memory by liveness, which the fixed order makes exact. All else that the step touches is held for as long as the
// capture lives: what leaves its scope or is collected stays, what moves is followed, what was disposed is refused.

import { type Place, Storage, USAGE } from "./buffers.ts";
import type { Device } from "./device.ts";
import { DisposedError } from "./errors.ts";
import type { Leaf } from "./graph.ts";
import { type LeftGradient, leaveGradient, liesIn } from "./leaf-swaps.ts";
import type { PrivateMemory } from "./private-memory.ts";
import { describe } from "./shape.ts";
import type { Passes } from "./stream.ts";
import type { Tensor } from "./tensor.ts";
import {
  type Command,
  copyStorage,
  type Encoded,
  type Placed,
  separate,
  storagesOf,
  uniformBytes,
  type Work,
  writeUniforms,
} from "./work.ts";

/** A tensor from outside that the step reads or writes, and the first op that does. */
export interface Operand {
  readonly tensor: Tensor;
  readonly storage: Storage;
  readonly op: string;
  /** The leaf whose gradient it is: whatever lies at the leaf stands for it. */
  readonly leaf: Leaf | undefined;
}

/**
 * What a recording found. One reference to each held and left storage, and one for each use by the work, is taken over.
 */
export interface Recorded {
  /** For messages: `capture "label"`. */
  readonly name: string;
  readonly work: readonly Work[];
  /** Indirect arguments of live dispatches. */
  readonly indirect: ReadonlyMap<Work, Place>;
  readonly memory: PrivateMemory;
  /** Storages that keep their memory: inputs, constants. */
  readonly held: readonly Storage[];
  readonly operands: readonly Operand[];
  readonly left: readonly LeftGradient[];
  /** Owner of the storages whose memory is shared by liveness. */
  readonly owner: object;
  /**
   * Whether an output can still be differentiated: what the step made and saved is then renewed by each run, not
   * spoilt.
   */
  readonly isGraphAlive: boolean;
}

interface Step {
  readonly work: Work;
  /** In the order of the work's storages: each, or where it was, if nobody holds it any more. */
  readonly memory: readonly Placed[];
  readonly uniformOffset: number;
}

/** What a replay does, and on which memory, to be written down. */
export interface LaidOut {
  readonly steps: readonly Pick<Step, "work" | "memory">[];
  readonly indirect: ReadonlyMap<Work, Place>;
  /** Whether what lies there before the first run matters: it came from outside, or from the host. */
  isGiven(memory: Placed): boolean;
  /** Gradients at leaves, which each run leaves. */
  readonly left: number;
}

interface PlacedCopy {
  readonly from: Placed;
  readonly to: Placed;
  readonly bytes: number;
}

export class Replay {
  readonly #device: Device;
  #recorded: Recorded;
  readonly #held = new Map<Storage, Place>();
  /** What a run overwrites and others may have saved for differentiation. */
  readonly #written: readonly Storage[];
  readonly #uniforms: GPUBuffer;
  readonly #steps: readonly Step[];
  /** Copies of operands that lie in a buffer which their own command writes. */
  #copies: Storage[] = [];
  #program: readonly (Encoded | PlacedCopy)[] = [];

  constructor(device: Device, recorded: Recorded) {
    this.#device = device;
    this.#recorded = recorded;
    for (const storage of recorded.held) this.#held.set(storage, storage.place);
    const align = device.stream.uniforms.align;
    const stride = ({ program }: Command) => Math.ceil(uniformBytes(program) / align) * align;
    const size = recorded.work.reduce((sum, work) => sum + (work.kind === "dispatch" ? stride(work) : 0), 16);
    this.#uniforms = device.gpu.createBuffer({
      label: `${recorded.name}: uniforms`,
      size,
      usage: USAGE.uniform | USAGE.copyDst,
    });
    const bytes = new DataView(new ArrayBuffer(size));
    let offset = 0;
    const memory = this.#place();
    this.#steps = recorded.work.map((work, i) => {
      const step = { work, memory: memory[i]!, uniformOffset: offset };
      if (work.kind === "copy") return step;
      writeUniforms(bytes, offset, work.program, work.uniforms);
      offset += stride(work);
      return step;
    });
    device.gpu.queue.writeBuffer(this.#uniforms, 0, bytes.buffer);
    this.#written = this.#findWritten();
    this.#bind();
  }

  get dispatches(): number {
    return this.#program.filter((item) => "pipeline" in item).length;
  }

  /** Bytes of memory that is the capture's alone. */
  get bytes(): number {
    return this.#copies.reduce((sum, { place }) => sum + place.buffer.size, this.#recorded.memory.bytes);
  }

  get laidOut(): LaidOut {
    const { indirect, held, owner, left } = this.#recorded;
    const isGiven = (memory: Placed): boolean =>
      memory instanceof Storage && (memory.owner !== owner || held.includes(memory));
    return { steps: this.#steps, indirect, isGiven, left: left.filter(({ storage }) => storage).length };
  }

  /** Checks that no operand was disposed. @throws DisposedError */
  check(): void {
    const { name, operands } = this.#recorded;
    const gone = operands.find(({ tensor, storage, leaf }) =>
      leaf && !leaf.isGone ? !liesIn(leaf, storage) : tensor.endedBy === "dispose",
    );
    if (!gone) return;
    const what = gone.leaf ? `the gradient ${describe(gone.tensor)}` : describe(gone.tensor);
    throw new DisposedError(
      `${name}: what the step reads and writes must be alive; got ${what}, an operand of ${gone.op}, which was disposed. Keep it as long as the capture, or capture again.`,
    );
  }

  /** To be called before each run, with nothing pending: follows what moved. */
  prepare(): void {
    for (const gradient of this.#recorded.left) leaveGradient(gradient);
    let isBound = true;
    for (const [storage, place] of this.#held) if (storage.place !== place) isBound = false;
    if (!isBound) this.#bind();
    for (const storage of this.#written) storage.touch();
  }

  encode(encoder: GPUCommandEncoder, passes: Passes): void {
    for (const item of this.#program) {
      if ("pipeline" in item) passes.dispatch(item);
      else {
        passes.end();
        copyStorage(encoder, item);
      }
    }
  }

  dispose(): void {
    for (const storage of [...this.#held.keys(), ...this.#copies]) storage.release();
    for (const { storage } of this.#recorded.left) storage?.release();
    // A disposed capture that somebody still has keeps nobody's tensors from being collected.
    this.#recorded = { ...this.#recorded, operands: [], left: [] };
    this.#uniforms.destroy();
    this.#recorded.memory.dispose();
  }

  /** The memory of all work. What was made in the step and is looked at by nobody is overwritten after its last use. */
  #place(): Placed[][] {
    const { work, memory, owner } = this.#recorded;
    const all = work.flatMap((item) => storagesOf(item));
    for (const storage of all) if (storage.owner !== owner) this.#hold(storage);
    const turns = work.map((item) => {
      const storages = storagesOf(item);
      for (const storage of storages) memory.place(storage);
      const placed = storages.map(({ bytes, place }) => ({ bytes, place }));
      for (const storage of storages) storage.release();
      return placed;
    });
    return work.map((item, i) =>
      storagesOf(item).map((storage, k) => (storage.placed ? this.#hold(storage) : turns[i]![k]!)),
    );
  }

  #hold(storage: Storage): Storage {
    if (this.#held.has(storage)) return storage;
    this.#device.stream.place(storage);
    this.#held.set(storage.retain(), storage.place);
    return storage;
  }

  #findWritten(): Storage[] {
    const { held, owner, isGraphAlive } = this.#recorded;
    const written = new Set(held);
    for (const { work, memory } of this.#steps) {
      memory.forEach((bound, i) => {
        const isRead = work.kind === "copy" ? i === 0 : work.program.bindings[i]?.access === "read";
        if (!isRead && bound instanceof Storage) written.add(bound);
      });
    }
    return [...written].filter((storage) => !isGraphAlive || storage.owner !== owner);
  }

  /** Makes all bind groups for where everything lies now. */
  #bind(): void {
    for (const storage of this.#copies.splice(0)) storage.release();
    for (const storage of this.#held.keys()) this.#held.set(storage, storage.place);
    this.#program = this.#steps.flatMap((step) => this.#bindStep(step));
  }

  #bindStep({ work, memory, uniformOffset }: Step): (Encoded | PlacedCopy)[] {
    const { stream } = this.#device;
    if (work.kind === "copy") {
      const [from, to] = memory as readonly [Placed, Placed];
      return [{ from, to, bytes: work.bytes }];
    }
    const copies: PlacedCopy[] = [];
    const bound = separate(work.program, memory, (from) => {
      const to = new Storage(from.bytes);
      stream.place(to);
      this.#copies.push(to);
      copies.push({ from, to, bytes: from.bytes });
      return to;
    });
    const encoded = stream.encode(work, bound, this.#uniforms, uniformOffset);
    return [...copies, { ...encoded, indirect: this.#recorded.indirect.get(work) }];
  }
}
