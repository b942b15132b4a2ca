// GPU memory: a pool of buffers by size class, and Storage, a promise of memory that is kept when its first writer is
// encoded. Knows nothing of shapes or ops.

import { DeviceError, DisposedError } from "./errors.ts";

/** WebGPU's buffer usage bits, so that no global is needed in Node. */
export const USAGE = {
  mapRead: 0x1,
  copySrc: 0x4,
  copyDst: 0x8,
  uniform: 0x40,
  storage: 0x80,
  indirect: 0x100,
  queryResolve: 0x200,
} as const;

const TENSOR_USAGE = USAGE.storage | USAGE.copySrc | USAGE.copyDst | USAGE.indirect;

/** What `device.memory()` reports; bytes of GPU buffers, staging and uniforms included. */
export interface MemoryReport {
  /** Bytes held by live tensors and captures. */
  readonly bytes: number;
  /** Buffers held by live tensors and captures. */
  readonly buffers: number;
  /** Bytes that are free, kept for reuse. */
  readonly pooled: number;
  /** Most bytes ever allocated at once (live and pooled). */
  readonly peak: number;
}

/**
 * Free buffers kept of one size. Thousands of tiny ones are no use, and each is a memory mapping on some drivers:
 * lavapipe runs into the kernel's limit of 65,530.
 */
const KEPT_PER_SIZE = 1024;

/** Buffers on an adapter whose driver maps each into the process, short of that limit: beyond it the process dies. */
export const MOST_MAPPED = 50_000;

/** Rounds up to a size class at most an eighth too large, so that buffers of similar sizes are shared. */
function sizeClass(bytes: number): number {
  const step = Math.max(256, 2 ** Math.floor(Math.log2(Math.max(bytes, 256))) / 8);
  return Math.ceil(bytes / step) * step;
}

/** Free bytes that are kept, as a share of the most that ever lived at once. */
const KEPT_SHARE = 2;
/** Free bytes that are kept whatever lived. */
const KEPT_BYTES = 2 ** 26;

/** Buffers by size class. Freed ones are reused; reuse is safe because one queue runs everything in order. */
export class BufferPool {
  readonly #device: GPUDevice;
  /** Sizes that were freed last come last; under 0 those that nobody asks for. */
  readonly #free = new Map<number, GPUBuffer[]>();
  /** Buffers that there are. */
  readonly #all = new Set<GPUBuffer>();
  /** Those among them that are not used again once they are free. */
  #doubtful = new Set<GPUBuffer>();
  #live = 0;
  #pooled = 0;
  #peak = 0;
  /** Most bytes that lived at once. */
  #mostLive = 0;
  readonly #most: number;

  constructor(device: GPUDevice, most = Number.POSITIVE_INFINITY) {
    this.#device = device;
    this.#most = most;
  }

  get report(): MemoryReport {
    const buffers = this.#all.size - this.free.length;
    return { bytes: this.#live, buffers, pooled: this.#pooled, peak: this.#peak };
  }

  /** Bytes of the largest tensor: it is one buffer, and one binding. */
  get mostBytes(): number {
    const { maxBufferSize, maxStorageBufferBindingSize } = this.#device.limits;
    return Math.min(maxBufferSize, maxStorageBufferBindingSize);
  }

  /** Checks that the device allows one more tensor, of that size. @throws DeviceError */
  check(bytes: number, label: string): void {
    if (bytes > this.mostBytes) {
      throw new DeviceError(
        `${label}: a tensor must fit in one binding of the device (maxStorageBufferBindingSize, maxBufferSize); got ${bytes} bytes, the limit is ${this.mostBytes}. Use smaller batches, or split it.`,
      );
    }
    // What is free now may be used by work that was submitted, and by no other.
    if (this.#all.size >= this.#most) this.trim();
    if (this.#all.size < this.#most) return;
    throw new DeviceError(
      `${label}: at most ${this.#most} tensors can live at once on this adapter; got one more. Free what is done with by scope() or dispose(); what is forgotten goes only at an await.`,
    );
  }

  take(bytes: number): GPUBuffer {
    const size = Math.max(bytes, Math.min(sizeClass(bytes), this.#device.limits.maxBufferSize));
    this.#live += size;
    this.#mostLive = Math.max(this.#mostLive, this.#live);
    const free = this.#free.get(size)?.pop();
    if (free) {
      this.#pooled -= size;
      return free;
    }
    this.#peak = Math.max(this.#peak, this.#live + this.#pooled);
    const made = this.#device.createBuffer({ size, usage: TENSOR_USAGE, label: `tensor ${size} B` });
    this.#all.add(made);
    return made;
  }

  give(buffer: GPUBuffer): void {
    this.#live -= buffer.size;
    const size = this.#doubtful.has(buffer) ? 0 : buffer.size;
    this.#pooled += size;
    const free = this.#free.get(size);
    if (free) free.push(buffer);
    else this.#free.set(size, [buffer]);
  }

  /** The free buffers, for tests that fill them with garbage. */
  get free(): readonly GPUBuffer[] {
    return [...this.#free.values()].flat();
  }

  /**
   * Destroys the free buffers, or those beyond `keep` of each size and `most` bytes in all; all encoded work must have
   * been submitted.
   */
  trim(keep = 0, most = 0): void {
    for (const [size, list] of this.#free) {
      while (list.length > (size && keep) || (list.length > 0 && this.#pooled > most)) {
        const buffer = list.pop() as GPUBuffer;
        this.#pooled -= size;
        this.#all.delete(buffer);
        buffer.destroy();
      }
      if (list.length === 0) this.#free.delete(size);
    }
  }

  /** After each flush: lets go of what is far more than what ever lived, sizes that nobody asks for first. */
  settle(): void {
    this.trim(KEPT_PER_SIZE, Math.max(KEPT_BYTES, KEPT_SHARE * this.#mostLive));
  }

  /** An error came up: any buffer may be invalid, as without memory, and none is used again once it is free. */
  doubt(): void {
    this.trim();
    this.#doubtful = new Set(this.#all);
  }

  /** Destroys all buffers, live ones too. */
  dispose(): void {
    for (const buffer of this.#all) buffer.destroy();
  }
}

/** Where a storage lies, once placed. */
export interface Place {
  readonly buffer: GPUBuffer;
  readonly offset: number;
}

/** Storages made so far in this process. */
let made = 0;

/**
 * Memory of a tensor. It is placed in a buffer only when the first command that uses it is encoded, so a value that was
 * consumed before that never overlaps its successors, and a gradient can be directed into a slot of a flat buffer.
 * Counted references: tensors, the tape and pending commands hold one each.
 */
export class Storage {
  /** How many had been made before this one: the later, the larger. */
  readonly age = made++;
  readonly bytes: number;
  /** How many of the first bytes mean something; behind them may lie what was there before. */
  readonly meant: number;
  /** The recording it was made in, if any: its memory stays out of the shared pool while that capture lives. */
  owner: object | undefined;
  /** The storage this one is a part of; see parts.ts. */
  whole: Storage | undefined;
  /** How many parts it has. */
  parts = 0;
  /**
   * What moves add to the count of writes: versions go on from where they were, and those of what lay there do not
   * stay.
   */
  skew = 0;
  #place: Place | undefined;
  #references = 1;
  #writes = 0;
  #release: (() => void) | undefined;

  constructor(bytes: number, owner?: object, meant = bytes) {
    this.bytes = bytes;
    this.meant = meant;
    this.owner = owner;
  }

  get placed(): boolean {
    return this.#place !== undefined;
  }

  get place(): Place {
    if (!this.#place) throw new DisposedError("storage: memory must be placed before it is bound; got a released one.");
    return this.#place;
  }

  /**
   * Raised by each write, also to another part of the same whole; the tape refuses a saved value whose version moved.
   */
  get version(): number {
    return this.root.#writes + this.skew + (this.whole?.skew ?? 0);
  }

  /** To be called for each write. */
  touch(): void {
    this.root.#writes += 1;
  }

  /** The whole that this storage is a part of; itself, if it is none. */
  get root(): Storage {
    return this.whole?.root ?? this;
  }

  /** Puts the storage at `place`; `release` runs when the last reference goes. Returns what was to run before. */
  putAt(place: Place, release: () => void): (() => void) | undefined {
    const before = this.#release;
    this.#place = place;
    this.#release = release;
    return before;
  }

  retain(): this {
    this.#references += 1;
    return this;
  }

  release(): void {
    this.#references -= 1;
    if (this.#references > 0) return;
    this.#place = undefined;
    this.#release?.();
    this.#release = undefined;
  }
}
