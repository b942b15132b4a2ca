// A GPU device on paper: it keeps the texts that it is given and computes nothing. For texts as adapters get them that
// are not here.

/** What of an adapter decides texts. */
export interface PaperAdapter {
  readonly description: string;
  readonly features: readonly GPUFeatureName[];
  readonly subgroupSize: number;
}

/** Limits as WebGPU guarantees them, but for memory and buffers. */
const LIMITS = {
  maxBufferSize: 2 ** 30,
  maxStorageBufferBindingSize: 2 ** 30,
  // What exitAnswer and exitDecide bind where an adapter has room; all else does with the eight of every adapter.
  maxStorageBuffersPerShaderStage: 9,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeWorkgroupsPerDimension: 65535,
  minUniformBufferOffsetAlignment: 256,
  minStorageBufferOffsetAlignment: 256,
};

/** A device that any method can be called on; `texts` gets what modules are made of, by label. */
export function paperDevice(adapter: PaperAdapter, texts: Map<string, string>): GPUDevice {
  const device = {
    features: new Set(adapter.features),
    limits: LIMITS,
    adapterInfo: {
      vendor: "",
      architecture: "",
      device: "",
      description: adapter.description,
      subgroupMinSize: adapter.subgroupSize,
      subgroupMaxSize: adapter.subgroupSize,
    },
    lost: new Promise(() => {}),
    createShaderModule: ({ label = "", code }: GPUShaderModuleDescriptor) => {
      texts.set(label, code);
      return silent({});
    },
    createBuffer: ({ size, usage }: GPUBufferDescriptor) => {
      const memory = new ArrayBuffer(size);
      return silent({ size, usage, mapState: "unmapped", getMappedRange: () => memory });
    },
  };
  return silent(device) as unknown as GPUDevice;
}

/** The object; whatever else is asked of it can be called with anything, and returns the like. */
function silent(known: Record<string, unknown>): object {
  const call = (): object => silent({});
  return new Proxy(Object.assign(call, known), {
    get: (_, name) => {
      if (typeof name === "symbol" || name === "then") return undefined;
      return name in known ? known[name] : silent({});
    },
  });
}
