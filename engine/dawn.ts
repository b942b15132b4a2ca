// WebGPU in Node: Dawn by the package `webgpu`, its instances, and what to do where it finds no adapter. Pages never
// load this file, and it imports nothing, so that their bundles need not be cut for it.

/**
 * Dawn's instances by their options, kept for good: one that is garbage-collected while anything made by it is still
 * reachable, a buffer of a disposed device included, takes the process down.
 */
const instances = new Map<string, GPU>();
/** Instances of the user's own, kept for the same reason. */
const lent = new Set<GPU>();

/** Keeps an instance of the user's own from being collected. */
export const lend = (instance: GPU): void => void lent.add(instance);

/** What of the package `webgpu` is used. */
interface Dawn {
  create(options: string[]): GPU;
}

/** The package. @throws Error where it is not there */
export async function load(name = "webgpu"): Promise<Dawn> {
  // A parameter, and words to each bundler, keep them from following the import into bundles for browsers.
  return (await import(/* webpackIgnore: true */ /* turbopackIgnore: true */ /* @vite-ignore */ name)) as Dawn;
}

/** Its one instance with these options. */
export function instanceOf(dawn: Dawn, options: readonly string[] = []): GPU {
  const key = options.join(" ");
  const instance = instances.get(key) ?? dawn.create([...options]);
  instances.set(key, instance);
  return instance;
}

/** What to do on this platform when there is no adapter. */
export function hint(): string {
  if (process.platform === "linux") {
    return "Install a Vulkan driver for your GPU, or the software one: `apt-get install mesa-vulkan-drivers` (Mesa 24 or newer; on Debian 12 add `-t bookworm-backports`).";
  }
  return `Update the graphics driver${process.platform === "win32" ? " (Direct3D 12 is needed)" : ""}.`;
}
