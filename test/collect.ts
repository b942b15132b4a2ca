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

/** Runs `body`, and collects until as many buffers are in use as before. Throws if some stay. */
export async function forgetting<T>(device: Device, body: () => Promise<T>): Promise<T> {
  await device.sync();
  // What other tests left free would be poisoned again and again.
  device.pool.trim();
  const { buffers } = device.memory();
  const result = await body();
  await collect(() => device.memory().buffers <= buffers, 60);
  const left = device.memory().buffers - buffers;
  if (left > 0) throw new Error(`${left} buffers stay in use that nobody refers to`);
  return result;
}

/** Fills all free buffers of the pool with NaN. */
export async function poison(device: Device): Promise<void> {
  await device.sync();
  for (const buffer of device.pool.free) {
    device.gpu.queue.writeBuffer(buffer, 0, new Float32Array(buffer.size / 4).fill(Number.NaN));
  }
}
