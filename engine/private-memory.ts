// Memory of one capture, shared by liveness among its intermediates and with nobody else. What somebody still looks at
// when the capture goes (an output, a gradient) keeps its buffer until they let go of it too.

import type { BufferPool, Storage } from "./buffers.ts";

/** Memory of one capture: taken from the shared pool, returned to it only when the capture goes. */
export class PrivateMemory {
  readonly #pool: BufferPool;
  readonly #all: GPUBuffer[] = [];
  readonly #free: GPUBuffer[] = [];
  #isDisposed = false;

  constructor(pool: BufferPool) {
    this.#pool = pool;
  }

  get bytes(): number {
    return this.#all.reduce((sum, buffer) => sum + buffer.size, 0);
  }

  /** The smallest free buffer that fits without wasting more than half, else a new one. */
  place(storage: Storage): void {
    if (storage.placed) return;
    let best = -1;
    this.#free.forEach((buffer, i) => {
      const current = this.#free[best];
      if (
        buffer.size >= storage.bytes &&
        buffer.size <= Math.max(2 * storage.bytes, 4096) &&
        (!current || buffer.size < current.size)
      )
        best = i;
    });
    const buffer = best >= 0 ? this.#free.splice(best, 1)[0]! : this.#take(storage.bytes);
    storage.putAt({ buffer, offset: 0 }, () => {
      if (this.#isDisposed) this.#pool.give(buffer);
      else this.#free.push(buffer);
    });
  }

  #take(bytes: number): GPUBuffer {
    const buffer = this.#pool.take(bytes);
    this.#all.push(buffer);
    return buffer;
  }

  /** Returns what is free, and the rest when its storages go. */
  dispose(): void {
    this.#isDisposed = true;
    for (const buffer of this.#free.splice(0)) this.#pool.give(buffer);
    this.#all.length = 0;
  }
}
