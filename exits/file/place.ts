// The device of classifiers that came from files: the default one, or one of their own that goes with the last of them.

import { createDevice, type Device, defaultDevice } from "../../engine/functions.ts";

/** A device for as long as a classifier needs it. */
export interface Place {
  readonly device: Device;
  release(): void;
}

/** Devices that `load` made, and how many classifiers are on each. */
const own = new Map<Device, number>();

/** One that is being made: who comes meanwhile is to have it, too. */
let making: Promise<Device> | undefined;

/** Where a classifier may run. @throws DeviceError without an adapter */
export async function placeOn(given: Device | undefined): Promise<Place> {
  if (given) return { device: given, release() {} };
  while (making) await making.catch(() => {});
  const found = existing();
  if (found && !own.has(found)) return { device: found, release() {} };
  const device = found ?? (await make());
  own.set(device, (own.get(device) ?? 0) + 1);
  return {
    device,
    release() {
      const left = (own.get(device) ?? 0) - 1;
      if (left > 0) own.set(device, left);
      else if (own.delete(device)) device.dispose();
    },
  };
}

async function make(): Promise<Device> {
  try {
    making = createDevice();
    const device = await making;
    own.set(device, 0);
    return device;
  } finally {
    making = undefined;
  }
}

/** The default device, if there is one that lives. */
function existing(): Device | undefined {
  try {
    const device = defaultDevice();
    return device.isLost ? undefined : device;
  } catch {
    return undefined;
  }
}
