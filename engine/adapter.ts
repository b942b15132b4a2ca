// The adapter: the only file that asks for one. What is wanted of it, what it is, and what to do where there is none;
// Node's part (dawn.ts) is loaded by Node alone.

import { isNode } from "../base/index.ts";
import { DeviceError } from "./errors.ts";

/** Which adapter a device is requested of. */
export interface AdapterOptions {
  /** An adapter of the user's own. In Node, give its `instance` as well. */
  readonly adapter?: GPUAdapter;
  /**
   * Node: what `create` of the package `webgpu` returned, asked for an adapter unless there is one. sortie holds it for
   * good: once it is garbage-collected, all that was made by it takes the process down, with or without sortie.
   */
  readonly instance?: GPU;
  readonly powerPreference?: "low-power" | "high-performance";
  /** Node only: options for Dawn's `create`, e.g. `["backend=null"]`. */
  readonly dawn?: readonly string[];
}

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
  /**
   * Lanes of a subgroup if the device has subgroups and all have the same number of them, else 0; 0 for Intel and AMD,
   * whose compilers choose for each pipeline, whatever the adapter says.
   */
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

/** What is asked of an adapter. */
type Wanted = NonNullable<Parameters<GPUAdapter["requestDevice"]>[0]>;

/** All that sortie can use and the adapter has. */
function wantedOf(adapter: GPUAdapter): Wanted {
  return {
    requiredLimits: Object.fromEntries(WANTED_LIMITS.map((name) => [name, adapter.limits[name]])),
    requiredFeatures: WANTED_FEATURES.filter((feature) => adapter.features.has(feature)),
  };
}

/** A device of the adapter that `options` name. @throws DeviceError without an adapter. */
export async function requestDevice(
  options: AdapterOptions,
  wanted: (adapter: GPUAdapter) => Wanted = wantedOf,
): Promise<GPUDevice> {
  const adapter = options.adapter ?? (await findAdapter(options));
  try {
    const gpu = await adapter.requestDevice({ label: "sortie", ...wanted(adapter) });
    adapters.set(gpu, adapter);
    return gpu;
  } catch (cause) {
    throw new DeviceError(`createDevice: the adapter must give a device; it says: ${String(cause)}`, { cause });
  }
}

async function findAdapter(options: AdapterOptions): Promise<GPUAdapter> {
  const { powerPreference } = options;
  const request = powerPreference ? { powerPreference } : {};
  const page = (globalThis as { navigator?: { gpu?: GPU } }).navigator?.gpu;
  const own = options.dawn ? undefined : (options.instance ?? page);
  const gpu = own ?? (isNode() ? await inNode(options) : undefined);
  const adapter = await gpu?.requestAdapter(request);
  if (adapter) return adapter;
  const hint = isNode()
    ? (await import("./dawn.ts")).hint()
    : "Use a browser with WebGPU (Chrome or Edge 113, Safari 26, Firefox 141) over https or localhost.";
  throw new DeviceError(`createDevice: a WebGPU adapter must exist; found none. ${hint}`);
}

/** Dawn. @throws DeviceError where it does not load. */
async function inNode(options: AdapterOptions): Promise<GPU> {
  const { load, instanceOf } = await import("./dawn.ts");
  const dawn = await load().catch((cause: unknown) => {
    throw new DeviceError("createDevice: Node needs the package `webgpu`; it did not load. Run `npm install webgpu`.", {
      cause,
    });
  });
  return instanceOf(dawn, options.dawn);
}

/** Of devices that do not say themselves what they are of: Chrome before 132, the first Safari 26. */
const adapters = new WeakMap<GPUDevice, GPUAdapter>();

/** What a device is and can do; texts are empty where nobody says. */
export function describeDevice(gpu: GPUDevice): DeviceInfo {
  const info: Partial<GPUAdapterInfo> = gpu.adapterInfo ?? adapters.get(gpu)?.info ?? {};
  const { vendor = "", architecture = "", device = "", description = "" } = info;
  const { subgroupMinSize = 0, subgroupMaxSize = 0 } = info;
  // Deno names the feature, without sizes, and refuses texts that enable it.
  const hasSubgroups = gpu.features.has("subgroups") && subgroupMinSize > 0;
  const names = `${vendor} ${architecture} ${device} ${description}`.toLowerCase();
  const isFixed = hasSubgroups && subgroupMinSize === subgroupMaxSize && !/\b(intel|amd|radeon)/.test(names);
  return {
    vendor,
    architecture,
    description: description || device,
    isSoftware: /llvmpipe|lavapipe|swiftshader|basic render|\bcpu\b/.test(names),
    hasF16: gpu.features.has("shader-f16"),
    hasSubgroups,
    hasTimestamps: gpu.features.has("timestamp-query"),
    subgroupSize: isFixed ? subgroupMinSize : 0,
    limits: gpu.limits,
  };
}
