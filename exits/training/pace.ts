// How far the host may run ahead of the GPU.

import type { Device } from "../../engine/functions.ts";

/** Steps that the host may be ahead. */
const AHEAD = 2;

/**
 * Keeps the host at most `AHEAD` steps in front of the GPU, which bounds memory and lets timers run. Where the GPU is
 * software it needs the processor that preparing and waiting would take: the host stays with it, step by step.
 */
export class Pace {
  readonly #device: Device;
  readonly #queue: Promise<unknown>[] = [];
  /** Ends the wait for a step: the device will not. */
  #wake = () => {};

  constructor(device: Device) {
    this.#device = device;
    void device.gpu.lost.then(() => this.#wake());
  }

  /** Waits after a step, if need be. @throws DeviceError for a lost device. */
  async keep(): Promise<void> {
    const { info, gpu } = this.#device;
    if (info.isSoftware) return this.#device.sync();
    this.#queue.push(gpu.queue.onSubmittedWorkDone().catch(() => {}));
    if (this.#queue.length <= AHEAD) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      void this.#queue.shift()?.then(() => resolve());
    });
    this.#device.check("train");
  }
}
