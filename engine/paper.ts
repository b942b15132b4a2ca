// A device on paper: shapes are checked and ops traced on it as on any other, and nothing is ever computed. With it a
// network is drawn where there is no adapter.

import { Device } from "./device.ts";
import { DeviceError } from "./errors.ts";

const nothing = (): void => {};
const pass = { setPipeline: nothing, setBindGroup: nothing, dispatchWorkgroups: nothing, end: nothing };

const encoder = {
  beginComputePass: () => pass,
  copyBufferToBuffer: nothing,
  clearBuffer: nothing,
  finish: () => ({}),
};

const bufferOf = ({ size }: GPUBufferDescriptor) => ({
  size,
  destroy: nothing,
  mapAsync: async (): Promise<never> => {
    throw new DeviceError("read: the device must compute; this one is on paper, for tracing alone.");
  },
});

/** As WebGPU's least, but for sizes, of which nothing is allocated. */
const limits = {
  maxBufferSize: 2 ** 40,
  maxStorageBufferBindingSize: 2 ** 40,
  maxStorageBuffersPerShaderStage: 64,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxComputeWorkgroupSizeY: 256,
  maxComputeWorkgroupSizeZ: 64,
  minUniformBufferOffsetAlignment: 256,
};

/** What a device asks of a `GPUDevice`. */
const gpu = {
  adapterInfo: { vendor: "", architecture: "", device: "", description: "paper" },
  features: new Set<string>(),
  limits,
  queue: { writeBuffer: nothing, submit: nothing, onSubmittedWorkDone: async () => {} },
  addEventListener: nothing,
  removeEventListener: nothing,
  destroy: nothing,
  createBuffer: bufferOf,
  createBindGroup: () => ({}),
  createBindGroupLayout: () => ({}),
  createPipelineLayout: () => ({}),
  createShaderModule: () => ({}),
  createComputePipeline: () => ({}),
  createComputePipelineAsync: async () => ({}),
  createCommandEncoder: () => encoder,
};

/**
 * A device that computes nothing, and is nobody's default: for `trace`, and networks whose values are not asked for.
 * Reading throws a DeviceError.
 */
export const paperDevice = (): Device =>
  // Each its own: who waits for one that all have is never collected.
  new Device({ ...gpu, lost: new Promise<never>(nothing) } as unknown as GPUDevice);
