// The living devices, oldest first: which one a tensor is made on when none is named.

import type { Device } from "./device.ts";
import { DeviceError } from "./errors.ts";

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
