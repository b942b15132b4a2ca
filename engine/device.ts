// The device: owns the pool, the pipelines, the stream and the tuner of one GPUDevice, and tells of its errors and its
// loss; which devices live, and on which of them a tensor is made when none is named.

import { isNode, type Kinds, what } from "../base/index.ts";
import { loadUnstaged } from "../kernels/index.ts";
import { type AdapterOptions, type DeviceInfo, describeDevice, requestDevice } from "./adapter.ts";
import { BufferPool, type MemoryReport, MOST_MAPPED } from "./buffers.ts";
import { ArgumentError, DeviceError, DisposedError, readOptions } from "./errors.ts";
import type { Wait } from "./patience.ts";
import { PipelineCache } from "./pipelines.ts";
import type { Profile } from "./profile.ts";
import { Stream } from "./stream.ts";
import { Tuner } from "./tune.ts";

/** Options of `createDevice`. */
export interface DeviceOptions extends AdapterOptions {
  /** A device of the user's own; sortie then never destroys it. In Node, give its `instance` as well. */
  readonly device?: GPUDevice;
  /**
   * `cached`: take the kernel variants that `tuner.tune` chose earlier on this adapter, and store what it chooses now
   * (a file in Node, IndexedDB in a page). `off`, the default: defaults by the adapter's traits, so that runs repeat
   * bit for bit.
   */
  readonly tuning?: "off" | "cached";
  /** Called for GPU errors that no call can throw any more; default: `console.error`. */
  readonly onError?: (error: DeviceError) => void;
}

/** What `createDevice` takes. @internal */
export const OPTIONS: Kinds<DeviceOptions> = {
  device: "any",
  adapter: "any",
  instance: "any",
  powerPreference: "string",
  dawn: "any",
  tuning: "string",
  onError: "function",
};

/**
 * Makes a device. The first one made is the one that tensors are created on by default. @throws DeviceError without an
 * adapter.
 *
 * @example
 * ```ts
 * import { createDevice, tensor } from "sortie/engine";
 *
 * const device = await createDevice(); // the first one is where tensors are made
 * const x = tensor([1, 2, 3], { device });
 * console.log(await x.mul(2).read()); // Float32Array(3) [2, 4, 6]
 * device.dispose();
 * ```
 */
export async function createDevice(options: DeviceOptions = {}): Promise<Device> {
  readOptions("createDevice", options, OPTIONS);
  const gpu = options.device ?? (await requestDevice(options));
  const device = new Device(gpu, options, { wait: await waitFor(gpu, options) });
  if (device.info.isSoftware) await loadUnstaged();
  devices.add(device);
  if (options.tuning === "cached") {
    const { loadTuning } = await import("./measuring.ts");
    await device.tuner.load(await loadTuning(device.info));
  }
  return device;
}

/** How this process waits for a device; Node keeps its instance. */
export async function waitFor(gpu: GPUDevice, { instance }: AdapterOptions): Promise<Wait | undefined> {
  if (!isNode()) return undefined;
  if (instance) (await import("./dawn.ts")).lend(instance);
  return describeDevice(gpu).isSoftware ? (await import("./patience.ts")).napping() : undefined;
}

/** The living ones, oldest first. */
export const devices = new Set<Device>();

/** The device that creation functions use when none is named: the oldest one that is neither disposed nor lost. */
export function defaultDevice(): Device {
  const all = [...devices];
  const device = all.find(({ isLost }) => !isLost) ?? all[0];
  if (!device) throw new DeviceError("tensor: a device must exist; got none. Call `await createDevice()` first.");
  return device;
}

/** `given`, or the default device; ArgumentError for what is no device, such as the promise of one. */
export function deviceOr(op: string, given: Device | undefined): Device {
  const device = given ?? defaultDevice();
  if (typeof (device as Partial<Device>).check === "function") return device;
  throw new ArgumentError(`${op}: device must be what createDevice() resolves to; got ${what(device)}.`);
}

/** How a device is waited for, and what it shall be taken for, where that is not what it says. */
interface Host {
  readonly wait?: Wait | undefined;
  readonly info?: Partial<DeviceInfo>;
}

/** One WebGPU device with everything that runs on it. Make it by `createDevice`. */
export class Device {
  readonly gpu: GPUDevice;
  readonly info: DeviceInfo;
  /** @internal */
  readonly pool: BufferPool;
  /** @internal */
  readonly pipelines: PipelineCache;
  /** @internal */
  readonly stream: Stream;
  readonly tuner: Tuner;
  /** How this process waits for the GPU. @internal */
  readonly wait: Wait;
  readonly #isOwn: boolean;
  readonly #onError: (error: DeviceError) => void;
  readonly #errors: DeviceError[] = [];
  readonly #onUncaptured = (event: Event): void => {
    this.#errors.push(new DeviceError(`GPU error: ${(event as GPUUncapturedErrorEvent).error.message}`));
    this.pool.doubt();
  };
  #lost: DeviceError | undefined;
  #isDisposed = false;
  #leaked = 0;

  /** Use `createDevice`. @internal */
  constructor(gpu: GPUDevice, options: DeviceOptions = {}, { wait = (done) => done(), info }: Host = {}) {
    this.gpu = gpu;
    this.wait = wait;
    const found = describeDevice(gpu);
    this.info = { ...found, ...info };
    this.pool = new BufferPool(gpu, found.isSoftware ? MOST_MAPPED : undefined);
    this.pipelines = new PipelineCache(gpu);
    this.stream = new Stream(gpu, this.pool, this.pipelines, wait);
    const isStored = options.tuning === "cached";
    this.tuner = new Tuner(async (fn, chosen) =>
      (await import("./measuring.ts")).tune(this, fn, { options: chosen, isStored, living: devices }),
    );
    this.#isOwn = options.device === undefined;
    this.#onError = options.onError ?? ((error) => console.error(error.message));
    gpu.addEventListener("uncapturederror", this.#onUncaptured);
    void gpu.lost.then(({ reason, message }) => {
      if (this.#isDisposed) return;
      const hint = "All its tensors are gone; make a new device and reload from the last checkpoint.";
      this.#lost = new DeviceError(`device: the GPU device was lost (${reason || "unknown"}): ${message} ${hint}`);
    });
  }

  /** Bytes and buffers on the GPU. */
  memory(): MemoryReport & { readonly leaked: number } {
    return { ...this.pool.report, leaked: this.#leaked };
  }

  /**
   * Gives back the memory that is free: what was freed stays for reuse, up to twice what ever lived at once.
   * @throws DisposedError, or DeviceError for a lost device.
   */
  trim(): void {
    this.check("trim");
    this.stream.flush();
    this.pool.trim();
  }

  /** Resolves when all work so far is done. @throws DeviceError for GPU errors since the last wait. */
  async sync(): Promise<void> {
    this.check("sync");
    await this.#settle("sync", this.stream.sync());
  }

  /** Reads storages with one wait; for tensors use `read`. @internal */
  async readBytes(items: Parameters<Stream["read"]>[0]): Promise<ArrayBuffer[]> {
    this.check("read");
    return this.#settle("read", this.stream.read(items));
  }

  /** Time per kernel, dispatches and bytes of the work that `fn` issues. Print with `console.log(profile.table())`. */
  async profile(fn: () => unknown): Promise<Profile> {
    this.check("profile");
    const { profile } = await import("./measuring.ts");
    return profile(this, fn, devices);
  }

  /** Checks that the device can still run something. @throws DisposedError or DeviceError @internal */
  check(op: string): void {
    const gone = this.#gone(op);
    if (gone) throw gone;
  }

  #gone(op: string): Error | undefined {
    if (this.#isDisposed) return new DisposedError(`${op}: the device must be alive; it was disposed.`);
    return this.#lost;
  }

  /** A handle that was collected without `dispose()`: counted, since it shows a missing scope. @internal */
  noteLeak(): void {
    this.#leaked += 1;
  }

  /** Frees everything on the device. Tensors of it can no longer be used. */
  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.gpu.removeEventListener("uncapturederror", this.#onUncaptured);
    this.stream.destroy();
    this.pool.dispose();
    devices.delete(this);
    if (this.#isOwn) this.gpu.destroy();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  get isDisposed(): boolean {
    return this.#isDisposed;
  }

  /** Whether the GPU device was lost; the next `createDevice()` then makes the default one. */
  get isLost(): boolean {
    return this.#lost !== undefined;
  }

  async #settle<T>(op: string, work: Promise<T>): Promise<T> {
    let result: T;
    try {
      result = await work;
    } catch (cause) {
      // A lost device rejects its maps; its own promise says why, a moment later.
      await Promise.race([this.gpu.lost, new Promise((resolve) => setTimeout(resolve, 100))]);
      throw this.#gone(op) ?? this.#errors.shift() ?? cause;
    }
    const gone = this.#gone(op);
    if (gone) throw gone;
    const [first, ...others] = this.#errors.splice(0);
    for (const error of others) this.#onError(error);
    if (first) throw first;
    return result;
  }
}
