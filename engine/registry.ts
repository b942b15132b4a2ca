// The living devices, oldest first: which one a tensor is made on when none is named.

import { what } from "../base/index.ts";
import type { Device } from "./device.ts";
import { ArgumentError, DeviceError } from "./errors.ts";

const devices: Device[] = [];

export function registerDevice(device: Device): void {
  devices.push(device);
}

export function unregisterDevice(device: Device): void {
  const index = devices.indexOf(device);
  if (index >= 0) devices.splice(index, 1);
}

/** The device that creation functions use when none is named: the oldest one that is neither disposed nor lost. */
export function defaultDevice(): Device {
  const device = devices.find(({ isLost }) => !isLost) ?? devices[0];
  if (!device) throw new DeviceError("tensor: a device must exist; got none. Call `await createDevice()` first.");
  return device;
}

/** `given`, or the default device; ArgumentError for what is no device, such as the promise of one. */
export function deviceOr(op: string, given: Device | undefined): Device {
  const device = given ?? defaultDevice();
  if (typeof (device as Partial<Device>).check === "function") return device;
  throw new ArgumentError(`${op}: device must be what createDevice() resolves to; got ${what(device)}.`);
}
