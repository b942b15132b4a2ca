// Garbage collections on demand, and free GPU memory filled with NaN: what reads memory that it does not hold is seen.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Device } from "../engine/index.ts";

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc") as () => void;

/** Collects, and lets finalisers run, until `isDone` holds or `rounds` have passed. */
export async function collect(isDone: () => boolean = () => false, rounds = 4): Promise<void> {
  for (let i = 0; i < rounds && !isDone(); i++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Fills all free buffers of the pool whose size is at most `most` bytes with NaN. */
export async function poison(device: Device, most = 1 << 16): Promise<void> {
  await device.sync();
  const taken: GPUBuffer[] = [];
  for (let bytes = 256; bytes <= most; bytes += Math.max(256, 2 ** Math.floor(Math.log2(bytes)) / 8)) {
    for (let isFree = true; isFree; ) {
      const before = device.pool.report.pooled;
      taken.push(device.pool.take(bytes));
      isFree = device.pool.report.pooled < before;
    }
  }
  for (const buffer of taken) {
    device.gpu.queue.writeBuffer(buffer, 0, new Float32Array(buffer.size / 4).fill(Number.NaN));
    device.pool.give(buffer);
  }
  device.pool.trim(64);
}
