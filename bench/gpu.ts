// Puts WebGPU into this Node process: Dawn's globals and one `navigator.gpu` that every engine under test finds.
// Must run before an engine is imported, since some look for WebGPU while they load.

import { create, globals } from "webgpu";

/** What the report says about the adapter. */
export interface AdapterDescription {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  readonly subgroupSizes: readonly [number, number];
  readonly features: readonly string[];
}

/** The instance must outlive every object made from it; collected early, Dawn ends the process. */
let instance: GPU | undefined;

/**
 * Makes `navigator.gpu` and WebGPU's classes global.
 * @param flags Dawn's own flags, e.g. `["backend=null"]` to run everything but the GPU work.
 */
export function installWebGPU(flags: readonly string[] = []): GPU {
  if (instance) return instance;
  Object.assign(globalThis, globals);
  instance = create([...flags]);
  const navigator: Partial<Navigator> = globalThis.navigator ?? { userAgent: `Node.js/${process.versions.node}` };
  Object.defineProperty(navigator, "gpu", { value: instance, configurable: true });
  Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true, writable: true });
  return instance;
}

/** Describes the adapter that a plain request gives, which is what every engine here asks for. */
export async function describeAdapter(gpu: GPU): Promise<AdapterDescription> {
  const adapter = await gpu.requestAdapter();
  if (!adapter)
    throw new Error("bench: no WebGPU adapter found; install a Vulkan driver (mesa-vulkan-drivers has a software one)");
  const { vendor, architecture, device, description, subgroupMinSize, subgroupMaxSize } = adapter.info;
  return {
    vendor,
    architecture,
    device,
    description,
    subgroupSizes: [subgroupMinSize, subgroupMaxSize],
    features: [...adapter.features].sort(),
  };
}
