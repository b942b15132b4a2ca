// Counts what reaches WebGPU by wrapping its prototypes, so that an engine that ran nothing cannot seem fast.
// Owns the tallies only; knows no engine. Install after the globals and before any engine is imported.

/** Totals since `installCounters`; subtract two snapshots to get a region's share. */
export interface Counts {
  readonly dispatches: number;
  readonly submits: number;
  readonly pipelines: number;
  readonly buffers: number;
}

/** Bytes of buffers that were created and not yet destroyed. */
export interface Bytes {
  readonly live: number;
  readonly peak: number;
}

const counts = { dispatches: 0, submits: 0, pipelines: 0, buffers: 0 };
const bytes = { live: 0, peak: 0 };
const sizes = new WeakMap<GPUBuffer, number>();

type Method<T> = (this: T, ...args: unknown[]) => unknown;

/** Replaces `prototype[name]` by one that calls `note` after the original, with its result and its `this`. */
function wrap<T extends object>(prototype: T, name: keyof T, note: (result: unknown, self: T) => void): void {
  const original = prototype[name] as Method<T>;
  const wrapped: Method<T> = function (...args) {
    const result = original.apply(this, args);
    note(result, this);
    return result;
  };
  Object.defineProperty(prototype, name, { value: wrapped, configurable: true, writable: true });
}

/** Wraps the global WebGPU classes. Call once. */
export function installCounters(): void {
  const pass = GPUComputePassEncoder.prototype;
  wrap(pass, "dispatchWorkgroups", () => counts.dispatches++);
  wrap(pass, "dispatchWorkgroupsIndirect", () => counts.dispatches++);
  wrap(GPUQueue.prototype, "submit", () => counts.submits++);
  const device = GPUDevice.prototype;
  wrap(device, "createComputePipeline", () => counts.pipelines++);
  wrap(device, "createComputePipelineAsync", () => counts.pipelines++);
  wrap(device, "createBuffer", (result) => {
    const buffer = result as GPUBuffer;
    counts.buffers++;
    sizes.set(buffer, buffer.size);
    bytes.live += buffer.size;
    bytes.peak = Math.max(bytes.peak, bytes.live);
  });
  wrap(GPUBuffer.prototype, "destroy", (_, buffer) => {
    bytes.live -= sizes.get(buffer) ?? 0;
    sizes.delete(buffer);
  });
}

/** The totals so far. */
export function snapshot(): Counts {
  return { ...counts };
}

/** What happened since `before`. */
export function since(before: Counts): Counts {
  return {
    dispatches: counts.dispatches - before.dispatches,
    submits: counts.submits - before.submits,
    pipelines: counts.pipelines - before.pipelines,
    buffers: counts.buffers - before.buffers,
  };
}

/** Live and peak bytes of all devices together. */
export function memory(): Bytes {
  return { ...bytes };
}
