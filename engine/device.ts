// The device: the only file that asks for an adapter. Node (Dawn, loaded on demand) and browsers; limits, features,
// loss and errors. Owns the pool, the pipelines and the stream of one GPUDevice.

import type { Kinds } from "../base/index.ts";
import { BufferPool, type MemoryReport, MOST_MAPPED } from "./buffers.ts";
import { DeviceError, DisposedError, readOptions } from "./errors.ts";
import { Patience } from "./patience.ts";
import { PipelineCache } from "./pipelines.ts";
import { type Profile, profile } from "./profile.ts";
import { registerDevice, unregisterDevice } from "./registry.ts";
import { Stream } from "./stream.ts";
import type { TracedOp } from "./trace.ts";
import { Tuner } from "./tune.ts";
import { loadTuning, saveTuning } from "./tune-cache.ts";

/** Options of `createDevice`. */
export interface DeviceOptions {
  /** A device of the user's own; sortie then never destroys it. In Node, give its `instance` as well. */
  readonly device?: GPUDevice;
  /** An adapter of the user's own. In Node, give its `instance` as well. */
  readonly adapter?: GPUAdapter;
  /**
   * Node: what `create` of the package `webgpu` returned, asked for an adapter unless there is one. sortie holds it for good: once it
   * is garbage-collected, all that was made by it takes the process down, with or without sortie.
   */
  readonly instance?: GPU;
  readonly powerPreference?: GPUPowerPreference;
  /** Node only: options for Dawn's `create`, e.g. `["backend=null"]`. */
  readonly dawn?: readonly string[];
  /**
   * `cached`: take the kernel variants that `tuner.tune` chose earlier on this adapter, and store what it chooses now (a file
   * in Node, IndexedDB in a page). `off`, the default: defaults by the adapter's traits, so that runs repeat bit for bit.
   */
  readonly tuning?: "off" | "cached";
  /** Called for GPU errors that no call can throw any more; default: `console.error`. */
  readonly onError?: (error: DeviceError) => void;
}

const OPTIONS: Kinds<DeviceOptions> = {
  device: "any",
  adapter: "any",
  instance: "any",
  powerPreference: "string",
  dawn: "any",
  tuning: "string",
  onError: "function",
};

/** What the adapter is, and what the device on it can do. */
export interface DeviceInfo {
  readonly vendor: string;
  readonly architecture: string;
  readonly description: string;
  /** Runs on a CPU: lavapipe, SwiftShader, WARP. */
  readonly isSoftware: boolean;
  readonly hasF16: boolean;
  readonly hasSubgroups: boolean;
  readonly hasTimestamps: boolean;
  /** Lanes of a subgroup if the device has subgroups and all have the same number of them, else 0. */
  readonly subgroupSize: number;
  readonly limits: GPUSupportedLimits;
}

const WANTED_FEATURES = ["shader-f16", "subgroups", "timestamp-query"] as const;
const WANTED_LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
  "minUniformBufferOffsetAlignment",
] as const;

/**
 * Dawn's instances by their options, kept for good: one that is garbage-collected while anything made by it is still
 * reachable, a buffer of a disposed device included, takes the process down.
 */
const instances = new Map<string, GPU>();
/** Instances of the user's own, kept for the same reason. */
const lent = new Set<GPU>();

/** Makes a device. The first one made is the one that tensors are created on by default. Throws DeviceError without an adapter. */
export async function createDevice(options: DeviceOptions = {}): Promise<Device> {
  let { adapter } = readOptions("createDevice", options, OPTIONS);
  if (options.instance) lent.add(options.instance);
  if (!options.device && !adapter) adapter = await findAdapter(options);
  const gpu = options.device ?? (await requestDevice(adapter as GPUAdapter));
  const device = new Device(gpu, options);
  registerDevice(device);
  if (options.tuning === "cached") device.tuner.load(await loadTuning(device.info));
  return device;
}

async function findAdapter(options: DeviceOptions): Promise<GPUAdapter> {
  const request = options.powerPreference ? { powerPreference: options.powerPreference } : {};
  const own = options.instance ?? (globalThis as { navigator?: { gpu?: GPU } }).navigator?.gpu;
  if (own && !options.dawn) {
    const adapter = await own.requestAdapter(request);
    if (adapter) return adapter;
    throw new DeviceError(noAdapter());
  }
  if (!isNode()) throw new DeviceError(noAdapter());
  // A variable keeps bundlers from following the import into browser bundles.
  const name = "webgpu";
  let dawn: { create(options: string[]): GPU };
  try {
    dawn = (await import(/* @vite-ignore */ name)) as typeof dawn;
  } catch (cause) {
    throw new DeviceError("createDevice: Node needs the package `webgpu`; it did not load. Run `npm install webgpu`.", {
      cause,
    });
  }
  const key = (options.dawn ?? []).join(" ");
  const instance = instances.get(key) ?? dawn.create([...(options.dawn ?? [])]);
  instances.set(key, instance);
  const adapter = await instance.requestAdapter(request);
  if (!adapter) throw new DeviceError(noAdapter());
  return adapter;
}

const isNode = (): boolean => typeof process !== "undefined" && process.versions?.node !== undefined;

/** What to do on this platform when there is no adapter. */
function noAdapter(): string {
  const what = "createDevice: a WebGPU adapter must exist; found none.";
  if (!isNode())
    return `${what} Use a browser with WebGPU (Chrome or Edge 113, Safari 26, Firefox 141) over https or localhost.`;
  if (process.platform === "linux") {
    return `${what} Install a Vulkan driver for your GPU, or the software one: \`apt-get install mesa-vulkan-drivers\` (Mesa 24 or newer; on Debian 12 add \`-t bookworm-backports\`).`;
  }
  return `${what} Update the graphics driver${process.platform === "win32" ? " (Direct3D 12 is needed)" : ""}.`;
}

async function requestDevice(adapter: GPUAdapter): Promise<GPUDevice> {
  const requiredLimits: Record<string, number> = {};
  for (const name of WANTED_LIMITS) requiredLimits[name] = adapter.limits[name];
  const requiredFeatures = WANTED_FEATURES.filter((feature) => adapter.features.has(feature));
  try {
    return await adapter.requestDevice({ label: "sortie", requiredLimits, requiredFeatures });
  } catch (cause) {
    throw new DeviceError(`createDevice: the adapter must give a device; it says: ${String(cause)}`, { cause });
  }
}

function describeDevice(gpu: GPUDevice): DeviceInfo {
  const info = gpu.adapterInfo;
  const { subgroupMinSize = 0, subgroupMaxSize = 0 } = info;
  const hasSubgroups = gpu.features.has("subgroups");
  const names = `${info.vendor} ${info.architecture} ${info.device} ${info.description}`.toLowerCase();
  return {
    vendor: info.vendor,
    architecture: info.architecture,
    description: info.description || info.device,
    isSoftware: /llvmpipe|lavapipe|swiftshader|basic render|\bcpu\b/.test(names),
    hasF16: gpu.features.has("shader-f16"),
    hasSubgroups,
    hasTimestamps: gpu.features.has("timestamp-query"),
    // Of the adapter's, only what this device was asked for may be used.
    subgroupSize: hasSubgroups && subgroupMinSize === subgroupMaxSize ? subgroupMinSize : 0,
    limits: gpu.limits,
  };
}

/** One WebGPU device with everything that runs on it. Make it by `createDevice`. */
export class Device {
  readonly gpu: GPUDevice;
  readonly info: DeviceInfo;
  readonly pool: BufferPool;
  readonly pipelines: PipelineCache;
  readonly stream: Stream;
  readonly tuner: Tuner;
  /** Told of every op while `trace` listens. Engine internal. */
  onOp: ((op: TracedOp) => void) | undefined;
  readonly #isOwn: boolean;
  readonly #onError: (error: DeviceError) => void;
  readonly #errors: DeviceError[] = [];
  #lost: DeviceError | undefined;
  #isDisposed = false;
  #leaked = 0;

  constructor(gpu: GPUDevice, options: DeviceOptions = {}) {
    this.gpu = gpu;
    this.info = describeDevice(gpu);
    this.pool = new BufferPool(gpu, this.info.isSoftware ? MOST_MAPPED : undefined);
    const patience = new Patience(isNode() && this.info.isSoftware);
    this.pipelines = new PipelineCache(gpu, patience);
    this.stream = new Stream(gpu, this.pool, this.pipelines, patience);
    this.tuner = new Tuner(this, options.tuning === "cached" ? (table) => saveTuning(this.info, table) : undefined);
    this.#isOwn = options.device === undefined;
    this.#onError = options.onError ?? ((error) => console.error(error.message));
    gpu.addEventListener("uncapturederror", (event) => {
      const { error } = event as GPUUncapturedErrorEvent;
      this.#errors.push(new DeviceError(`GPU error: ${error.message}`));
    });
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

  /** Resolves when all work so far is done. Throws DeviceError for GPU errors since the last wait. */
  async sync(): Promise<void> {
    this.check("sync");
    await this.#settle("sync", this.stream.sync());
  }

  /** Reads storages with one wait; for tensors use `read`. */
  async readBytes(items: Parameters<Stream["read"]>[0]): Promise<ArrayBuffer[]> {
    this.check("read");
    return this.#settle("read", this.stream.read(items));
  }

  /** Time per kernel, dispatches and bytes of the work that `fn` issues. Print with `console.log(profile.table())`. */
  async profile(fn: () => unknown): Promise<Profile> {
    this.check("profile");
    return profile(this, fn);
  }

  /** Throws if the device can run nothing any more. */
  check(op: string): void {
    const gone = this.#gone(op);
    if (gone) throw gone;
  }

  #gone(op: string): Error | undefined {
    if (this.#isDisposed) return new DisposedError(`${op}: the device must be alive; it was disposed.`);
    return this.#lost;
  }

  /** A handle that was collected without `dispose()`: counted, since it shows a missing scope. */
  noteLeak(): void {
    this.#leaked += 1;
  }

  /** Frees everything on the device. Tensors of it can no longer be used. */
  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.stream.destroy();
    this.pool.trim();
    unregisterDevice(this);
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
