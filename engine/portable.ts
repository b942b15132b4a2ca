// Devices whose captures run on every adapter.

import { requestDevice } from "./adapter.ts";
import { Device, type DeviceOptions, OPTIONS, waitFor } from "./device.ts";
import { readOptions } from "./errors.ts";

/** Options of `createPortableDevice`; see `createDevice`. */
export type PortableOptions = Omit<DeviceOptions, "device" | "tuning">;

const { device: _device, tuning: _tuning, ...PORTABLE } = OPTIONS;

/**
 * A device that asks its adapter for no more than every WebGPU adapter has, and takes the kernels of GPUs: what is
 * captured on it and written by `encodeCaptures` runs anywhere. It is nobody's default device: name it.
 * @throws DeviceError without an adapter.
 */
export async function createPortableDevice(options: PortableOptions = {}): Promise<Device> {
  readOptions("createPortableDevice", options, PORTABLE);
  const gpu = await requestDevice(options, () => ({}));
  return new Device(gpu, options, { wait: await waitFor(gpu, options), info: { isSoftware: false } });
}
